//! How a user's folder is recognised, of either server.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
    path::Path,
};

use super::{COLLECTION, MEDIA, MEDIA_DATABASE, OWN};
use crate::beneath;

const MAGIC: &[u8] = b"SQLite format 3\0";
const HEADER: usize = 100;
/// The most pages of a database's list of tables; Anki's has a few.
const MOST_PAGES: usize = 256;

/// Whether this may be a user's folder. That is enough to check it, not to give it away. A folder
/// that cannot be read counts as one, and is reported.
pub fn may_be_users_folder(folder: &Path) -> bool {
    let has = |part: &str| match fs::symlink_metadata(folder.join(part)) {
        Ok(_) => true,
        Err(error) => error.kind() == io::ErrorKind::PermissionDenied,
    };
    has(COLLECTION) || has(OWN) || has(MEDIA_DATABASE) && has(MEDIA)
}

/// Whether this is certainly a user's folder. Many programs have a folder called `media`, so only
/// our own folder counts by its name. A database counts by the tables that Anki's have.
///
/// Root calls this on files that another account may own: so links are not followed, and nothing in
/// the databases is evaluated.
pub fn is_users_folder(folder: &Path) -> bool {
    let Ok(folder) = File::open(folder) else {
        return false;
    };
    let open = |part: &str| beneath::open(&folder, Path::new(part)).ok();
    let is_folder = |part| open(part).is_some_and(|part| has_kind(&part, fs::Metadata::is_dir));
    let has_tables = |part, tables: &[&str]| {
        open(part)
            .filter(|file| has_kind(file, fs::Metadata::is_file))
            .is_some_and(|file| has_tables(&file, tables))
    };
    is_folder(OWN)
        || has_tables(COLLECTION, &["col"])
        || has_tables(MEDIA_DATABASE, &["media", "meta"]) && is_folder(MEDIA)
}

fn has_kind(file: &File, kind: fn(&fs::Metadata) -> bool) -> bool {
    file.metadata().is_ok_and(|metadata| kind(&metadata))
}

/// Whether a file is an SQLite database that lists these tables.
fn has_tables(file: &File, tables: &[&str]) -> bool {
    let listed = listing(file).unwrap_or_default();
    tables.iter().all(|table| {
        // Type, name and table follow each other in a record.
        let entry = format!("table{table}{table}");
        listed
            .windows(entry.len())
            .any(|bytes| bytes == entry.as_bytes())
    })
}

/// The pages of the table that lists all tables.
fn listing(file: &File) -> io::Result<Vec<u8>> {
    let mut header = [0; HEADER];
    file.read_exact_at(&mut header, 0)?;
    let size = match u16::from_be_bytes([header[16], header[17]]) {
        1 => 65_536,
        size => usize::from(size),
    };
    if !header.starts_with(MAGIC) || size < 512 {
        return Ok(Vec::new());
    }
    let mut listing = Vec::new();
    let mut pages = vec![1];
    for _ in 0..MOST_PAGES {
        let Some(number) = pages.pop() else { break };
        let mut page = vec![0; size];
        let Some(before) = u64::from(number).checked_sub(1) else {
            continue;
        };
        file.read_exact_at(&mut page, before * size as u64)?;
        let tree = &page[if number == 1 { HEADER } else { 0 }..];
        pages.extend(children(tree, &page));
        listing.extend(page);
    }
    Ok(listing)
}

/// The child pages of an interior page; a leaf has none.
fn children(tree: &[u8], page: &[u8]) -> Vec<u32> {
    let short = |at: usize| {
        tree.get(at..at + 2)
            .map(|b| u16::from_be_bytes([b[0], b[1]]))
    };
    let number = |bytes: Option<&[u8]>| {
        bytes.map(|bytes| {
            bytes
                .iter()
                .fold(0, |sum, byte| sum << 8 | u32::from(*byte))
        })
    };
    if tree.first() != Some(&5) {
        return Vec::new();
    }
    let cells = (0..usize::from(short(3).unwrap_or(0)).min(MOST_PAGES))
        .filter_map(|cell| short(12 + 2 * cell))
        .filter_map(|at| number(page.get(usize::from(at)..usize::from(at) + 4)));
    cells.chain(number(tree.get(8..12))).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use rusqlite::Connection;
    use tempfile::TempDir;

    use super::*;

    fn folder(prepare: impl FnOnce(&Path)) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        prepare(folder.path());
        folder
    }

    fn database(path: &Path, statements: &str) {
        Connection::open(path)
            .unwrap()
            .execute_batch(statements)
            .unwrap();
    }

    #[test]
    fn what_a_server_has_made_is_known_for_certain() {
        let many: Vec<_> = (0..500)
            .map(|number| format!("create table before{number} (a, b, c, d, e);"))
            .collect();
        let many = many.concat();
        let late = format!("{many} create table col (id integer primary key, crt integer);");
        let media = "create table media (fname text); create table meta (usn int);";
        for known in [
            folder(|folder| fs::create_dir(folder.join(OWN)).unwrap()),
            folder(|folder| database(&folder.join(COLLECTION), "create table col (id)")),
            folder(|folder| database(&folder.join(COLLECTION), &late)),
            folder(|folder| {
                database(
                    &folder.join(COLLECTION),
                    &format!("pragma page_size = 65536; {late}"),
                );
            }),
            folder(|folder| {
                database(&folder.join(MEDIA_DATABASE), media);
                fs::create_dir(folder.join(MEDIA)).unwrap();
            }),
        ] {
            assert!(is_users_folder(known.path()) && may_be_users_folder(known.path()));
        }
    }

    #[test]
    fn what_others_have_is_not_given_away() {
        let elsewhere = folder(|folder| database(&folder.join("db"), "create table col (id)"));
        for other in [
            folder(|_| {}),
            folder(|folder| fs::create_dir(folder.join(MEDIA)).unwrap()),
            folder(|folder| {
                database(&folder.join(MEDIA_DATABASE), "create table media (fname)");
                fs::create_dir(folder.join(MEDIA)).unwrap();
            }),
            folder(|folder| fs::write(folder.join(COLLECTION), "my anki cards").unwrap()),
            folder(|folder| fs::write(folder.join(COLLECTION), [0xff; 8192]).unwrap()),
            folder(|folder| {
                let mut damaged = MAGIC.to_vec();
                damaged.resize(8192, 0x05);
                fs::write(folder.join(COLLECTION), damaged).unwrap();
            }),
            folder(|folder| database(&folder.join(COLLECTION), "create table cols (id)")),
            folder(|folder| {
                symlink(elsewhere.path().join("db"), folder.join(COLLECTION)).unwrap();
                symlink(elsewhere.path(), folder.join(OWN)).unwrap();
            }),
            folder(|folder| fs::write(folder.join(OWN), "").unwrap()),
        ] {
            assert!(!is_users_folder(other.path()));
        }
        assert!(!is_users_folder(Path::new("/dev/null")));
    }
}
