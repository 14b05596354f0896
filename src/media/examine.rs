//! Differences between the media folder and `media.db`, and their repair.

use std::{
    fmt,
    fs::{self, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

use nix::libc::{O_NOFOLLOW, O_NONBLOCK};
use rusqlite::{Connection, Transaction};
use serde::{Deserialize, Serialize};

use super::{
    Error, MediaStore,
    database::{self, Entry, entry_of},
    name::{MediaName, NameError},
};
use crate::{durable::sync_folder, wire::media::FILE_BYTES};

/// How folder and database differ about a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Difference {
    /// Recorded, but not in the folder.
    Missing,
    /// In the folder, but not recorded, or recorded as removed.
    Extra,
    /// In the folder with other content than recorded.
    Changed,
    /// In the folder under a name that cannot be synced.
    Name(NameError),
    /// In the folder, but too large to be synced.
    Large,
    /// In the folder, but empty; clients take that for removed.
    Empty,
    /// In the folder, but a file of the system that clients ignore.
    Hidden,
    /// Not a file.
    NotFile,
}

/// How folder and database differ about a name, if they do.
pub fn difference(
    conn: &Connection,
    folder: &Path,
    name: &str,
) -> Result<Option<Difference>, Error> {
    let recorded = database::entry(conn, name)?.filter(|entry| entry.size > 0);
    let checked = MediaName::new(name.to_owned());
    let path = match &checked {
        // Such a name may lead out of the folder.
        Err(NameError::Unsafe | NameError::Empty) => {
            return Ok(recorded.map(|_| Difference::Missing));
        }
        _ => folder.join(name),
    };
    let metadata = match fs::symlink_metadata(&path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(recorded.map(|_| Difference::Missing));
        }
        Err(error) => return Err(error.into()),
    };
    if !metadata.is_file() {
        return Ok(Some(Difference::NotFile));
    }
    Ok(match recorded {
        Some(recorded) if recorded.size != metadata.len() => Some(Difference::Changed),
        Some(recorded) => (entry_at(&path)? != recorded).then_some(Difference::Changed),
        None => Some(kind_of_extra(checked.err(), name, metadata.len())),
    })
}

fn kind_of_extra(wrong: Option<NameError>, name: &str, size: u64) -> Difference {
    match (wrong, size) {
        (Some(wrong), _) => Difference::Name(wrong),
        _ if name.starts_with('.') || name.eq_ignore_ascii_case("thumbs.db") => Difference::Hidden,
        (None, 0) => Difference::Empty,
        (None, FILE_BYTES..) => Difference::Large,
        (None, _) => Difference::Extra,
    }
}

fn entry_at(path: &Path) -> io::Result<Entry> {
    // It was a file a moment ago. Opening its replacement, such as a FIFO, must not block.
    let mut options = OpenOptions::new();
    let flags = O_NONBLOCK | O_NOFOLLOW;
    let file = options.read(true).custom_flags(flags).open(path)?;
    entry_of(file, |error| error, |_| Ok(()))
}

/// Calls `work` with every name that has a file according to the database.
pub fn recorded(
    conn: &Connection,
    mut work: impl FnMut(&str) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut statement = conn.prepare("select fname from media where size > 0")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        work(&row.get::<_, String>(0)?)?;
    }
    Ok(())
}

/// Whether the name has an entry; a removed file has one too.
pub fn is_recorded(conn: &Connection, name: &str) -> rusqlite::Result<bool> {
    Ok(database::entry(conn, name)?.is_some_and(|entry| entry.size > 0))
}

/// How many files are recorded.
pub fn files(conn: &Connection) -> rusqlite::Result<i64> {
    database::files(conn)
}

/// The repairs that were made.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settled {
    /// Entries removed, so that a device that has the file sends it again.
    pub forgotten: usize,
    /// Files recorded, so that devices fetch them.
    pub recorded: usize,
    /// Files moved aside and their entries removed, so that a device with the right content sends
    /// it again.
    pub set_aside: usize,
}

impl fmt::Display for Settled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            forgotten,
            recorded,
            set_aside,
        } = self;
        write!(
            f,
            "media.db: {forgotten} missing files removed, {recorded} files added; {set_aside} damaged files set aside"
        )
    }
}

impl MediaStore {
    /// Makes the database agree with the folder about these names, and with itself. No file is
    /// removed. A file with other content than recorded may be half of a good one: it is moved to
    /// `aside`, so that it neither spreads nor blocks the good one.
    pub fn settle_names(
        &mut self,
        names: &[String],
        aside: &Path,
        now_secs: i64,
    ) -> Result<Settled, Error> {
        let transaction = self.conn.transaction()?;
        let media = &self.folders.media;
        let mut settled = Settled::default();
        for name in names {
            match difference(&transaction, media, name)? {
                Some(Difference::Missing) => {
                    database::forget(&transaction, name)?;
                    settled.forgotten += 1;
                }
                Some(Difference::Extra) => {
                    let entry = entry_at(&media.join(name))?;
                    database::record(&transaction, name, entry, now_secs)?;
                    settled.recorded += 1;
                }
                Some(Difference::Changed) => {
                    set_aside(media, name, aside)?;
                    database::forget(&transaction, name)?;
                    settled.set_aside += 1;
                }
                _ => {}
            }
        }
        sum_up(&transaction)?;
        transaction.commit()?;
        Ok(settled)
    }
}

/// Uses the file's own name, or adds a number if the name is taken.
fn set_aside(media: &Path, name: &str, aside: &Path) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(aside)?;
    let mut to = aside.join(name);
    let mut number = 1;
    while to.try_exists()? {
        to = aside.join(format!("{number} {name}"));
        number += 1;
    }
    fs::rename(media.join(name), to)?;
    sync_folder(aside)?;
    sync_folder(media)
}

fn sum_up(transaction: &Transaction) -> rusqlite::Result<()> {
    transaction
        .execute(
            "update meta set
               total_bytes = (select coalesce(sum(size), 0) from media),
               total_nonempty_files = (select count(*) from media where size > 0),
               last_usn = max(last_usn, (select coalesce(max(usn), 0) from media))",
            [],
        )
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::{
        super::fault::{Fault, database_fault},
        *,
    };

    fn store(folder: &Path) -> MediaStore {
        let path = |name: &str| folder.join(name);
        MediaStore::open(&path("media.db"), path("media"), path("staging")).unwrap()
    }

    /// `kept`, `lost` and `broken` are recorded; `found` is not.
    fn disagreeing(folder: &Path) -> MediaStore {
        let mut store = store(folder);
        let media = folder.join("media");
        let names = ["kept", "lost", "broken"].map(String::from);
        for name in &names {
            fs::write(media.join(name), name).unwrap();
        }
        let settled = store
            .settle_names(&names, &folder.join("aside"), 1)
            .unwrap();
        assert_eq!(settled.recorded, 3);
        fs::remove_file(media.join("lost")).unwrap();
        fs::write(media.join("broken"), "BROKEN").unwrap();
        fs::write(media.join("found"), "found").unwrap();
        store
    }

    #[test]
    fn each_kind_of_difference_is_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let store = disagreeing(folder.path());
        let media = folder.path().join("media");
        for (name, content) in [(".DS_Store", "x"), ("empty", ""), ("e\u{301}", "x")] {
            fs::write(media.join(name), content).unwrap();
        }
        fs::create_dir(media.join("folder")).unwrap();
        for (name, expected) in [
            ("kept", None),
            ("never there", None),
            ("../media.db", None),
            ("lost", Some(Difference::Missing)),
            ("broken", Some(Difference::Changed)),
            ("found", Some(Difference::Extra)),
            (".DS_Store", Some(Difference::Hidden)),
            ("empty", Some(Difference::Empty)),
            ("e\u{301}", Some(Difference::Name(NameError::NotNfc))),
            ("folder", Some(Difference::NotFile)),
        ] {
            assert_eq!(
                difference(&store.conn, &media, name).unwrap(),
                expected,
                "{name}"
            );
        }
    }

    #[test]
    fn settling_forgets_records_and_sets_aside_and_removes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = disagreeing(folder.path());
        let names = ["kept", "lost", "broken", "found"].map(String::from);
        let aside = folder.path().join("aside");
        fs::create_dir(&aside).unwrap();
        fs::write(aside.join("broken"), "earlier").unwrap();
        let settled = store.settle_names(&names, &aside, 1).unwrap();
        let expected = Settled {
            forgotten: 1,
            recorded: 1,
            set_aside: 1,
        };
        assert_eq!(settled, expected);
        assert_eq!(fs::read(aside.join("broken")).unwrap(), b"earlier");
        assert_eq!(fs::read(aside.join("1 broken")).unwrap(), b"BROKEN");
        let changes: Vec<_> = store
            .changes_after(0)
            .unwrap()
            .into_iter()
            .map(|change| change.0)
            .collect();
        assert_eq!(changes, ["kept", "found"]);
        assert_eq!(database_fault(&store.conn).unwrap(), None);
        assert_eq!(
            store.settle_names(&names, &aside, 1).unwrap(),
            Settled::default()
        );
    }

    #[test]
    fn sums_that_do_not_fit_are_found_and_made_anew() {
        for damage in [
            "update meta set total_bytes = 0",
            "update meta set total_nonempty_files = 9",
            "update meta set last_usn = 1",
        ] {
            let folder = tempfile::tempdir().unwrap();
            let mut store = disagreeing(folder.path());
            store.conn.execute_batch(damage).unwrap();
            assert_eq!(database_fault(&store.conn).unwrap(), Some(Fault::Sums));
            store
                .settle_names(&[], &folder.path().join("aside"), 1)
                .unwrap();
            assert_eq!(database_fault(&store.conn).unwrap(), None);
        }
    }
}
