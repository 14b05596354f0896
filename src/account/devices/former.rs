//! Takes over `SYNC_BASE/.anki-syncd/devices.db`, where earlier versions kept all users' devices, and
//! sets it aside.

use std::{
    collections::HashMap,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use nix::unistd::syncfs;
use rusqlite::{
    Connection, OpenFlags, Row,
    types::{FromSql, FromSqlError, FromSqlResult, ValueRef},
};

use super::{
    folder::{Folder, NOT_KNOWN},
    record::Record,
};
use crate::{
    account::{device::DeviceId, name::UserName, secret::PasswordMark},
    clock,
    durable::{folder_of, sync_folder},
    layout::{self, is_absent},
    sqlite::is_environment,
};

/// Why the earlier versions' file cannot be taken over.
#[derive(Debug, thiserror::Error)]
pub enum FormerError {
    /// The file cannot be read, and its content is not the reason.
    #[error("cannot read {}: {source}. It lists the revoked devices, so the server does not start without it", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
    /// The records cannot be written to the users' folders.
    #[error("the devices listed in {} cannot be written to the users' folders: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Takes the file over, if it exists. Records of removed users who have no folder are not taken
/// over.
///
/// # Errors
/// [`FormerError`]; all is as it was, and can be tried again.
pub fn take_over(
    base: &Path,
    path: &Path,
    is_user: impl Fn(&UserName) -> bool,
) -> Result<(), FormerError> {
    let records = match read(path) {
        Ok(Some(records)) => records,
        Ok(None) => return Ok(()),
        Err(source) if is_environment(&source) => {
            let path = path.to_owned();
            return Err(FormerError::Read { path, source });
        }
        Err(error) => {
            set_aside(path, &error);
            return Ok(());
        }
    };
    let taken = records.len();
    let failed = |source| FormerError::Write {
        path: path.to_owned(),
        source,
    };
    if !spread(base, records, is_user).map_err(failed)? {
        return Ok(());
    }
    let kept = retire(base, path).map_err(failed)?;
    tracing::info!(
        "moved {taken} devices from {} to the users' folders; the old file is kept as {}",
        path.display(),
        kept.file_name().unwrap_or_default().display()
    );
    Ok(())
}

/// Whether the records of all users were taken over. A user whose disk is missing gets them at a
/// later start.
fn spread(
    base: &Path,
    records: Vec<Record>,
    is_user: impl Fn(&UserName) -> bool,
) -> io::Result<bool> {
    let mut all = true;
    let mut by_user: HashMap<UserName, Vec<Record>> = HashMap::new();
    for record in records {
        if let Ok(user) = record.user.parse() {
            by_user.entry(user).or_default().push(record);
        }
    }
    for (user, records) in by_user {
        let folder = Folder::of(base, &user);
        if !folder.has_user() && !is_user(&user) {
            continue;
        }
        if is_absent(base, user.as_str())? {
            tracing::warn!(
                "{user}'s folder is missing: the list of {user}'s devices stays in the old file until the folder is back"
            );
            all = false;
            continue;
        }
        let present = folder.read(&user)?;
        for record in records {
            // The list exists already if an earlier version was used again meanwhile.
            let known = present.iter().find(|known| known.id == record.id);
            folder.write(&merged(known, record))?;
        }
    }
    Ok(all)
}

fn merged(known: Option<&Record>, record: Record) -> Record {
    let Some(known) = known else { return record };
    let revoked = known.revoked.or(record.revoked);
    let later = if known.last_seen > record.last_seen {
        known.clone()
    } else {
        record
    };
    let name = known.name.clone();
    Record {
        name,
        revoked,
        ..later
    }
}

/// All records are on disk before the old file is moved away.
fn retire(base: &Path, path: &Path) -> io::Result<PathBuf> {
    let kept = base.join(layout::FORMER_DEVICES_KEPT);
    syncfs(File::open(base)?)?;
    fs::rename(path, &kept)?;
    sync_folder(folder_of(path))?;
    Ok(kept)
}

/// After this, revoked devices are not known any more. Refusing all devices for that would stop
/// every sync.
fn set_aside(path: &Path, error: &rusqlite::Error) {
    let mut aside = path.as_os_str().to_owned();
    aside.push(format!(".damaged-{}", clock::now_secs()));
    let name = path.display();
    let outcome = match fs::rename(path, &aside) {
        Ok(()) => format!("is kept as {}", Path::new(&aside).display()),
        Err(error) => format!("cannot be renamed: {error}"),
    };
    tracing::error!("{name} is damaged ({error}) and {outcome}. {NOT_KNOWN}");
}

/// None if there is no file.
fn read(path: &Path) -> rusqlite::Result<Option<Vec<Record>>> {
    if !path.is_file() {
        return Ok(None);
    }
    // Opened for writing, since SQLite may have to recover the journal of a crash.
    let conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let mut rows = conn.prepare(
        "select id, user, first_seen, last_seen, client, address, last_sync, last_action, revoked, password from device",
    )?;
    let records = rows.query_map([], record)?;
    records.collect::<Result<_, _>>().map(Some)
}

fn record(row: &Row) -> rusqlite::Result<Record> {
    Ok(Record {
        id: row.get(0)?,
        user: row.get(1)?,
        name: None,
        first_seen: row.get(2)?,
        last_seen: row.get(3)?,
        client: row.get(4)?,
        address: row.get(5)?,
        last_sync: row.get(6)?,
        last_action: row.get(7)?,
        revoked: row.get(8)?,
        modified: None,
        password: PasswordMark(row.get(9)?),
    })
}

impl FromSql for DeviceId {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let digits = value.as_str()?;
        digits.parse().map_err(FromSqlError::other)
    }
}
