//! `devices.db`: opened for a moment at a time, so that it is a plain file in between.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, OpenFlags, Row, params};

use super::{PasswordMark, Record};
use crate::{account::host_key::DeviceId, clock, collection::is_environment};

/// In `user_version`.
const VERSION: i64 = 1;
const SCHEMA: &str = "
    create table device (
        id text primary key,
        user text not null,
        first_seen integer not null,
        last_seen integer not null,
        client text not null,
        address text not null,
        last_sync integer,
        last_action text,
        revoked integer,
        password integer not null
    ) without rowid;
";
const NOT_KNOWN: &str = "If devices were revoked, they are let in again: to be sure, give their users new passwords, which logs out all of their devices";
const STORE: &str = "
    insert into device values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
    on conflict (id) do update set
        last_seen = excluded.last_seen,
        client = excluded.client,
        address = excluded.address,
        last_sync = excluded.last_sync,
        last_action = excluded.last_action,
        revoked = coalesce(revoked, excluded.revoked),
        password = excluded.password
";

/// The file, and whether the log has been told that it cannot be written.
pub struct File {
    path: PathBuf,
    failing: bool,
}

impl File {
    /// Reads what is in the file. One that is damaged is set aside; the log says aloud when
    /// revocations may be lost.
    pub fn open(path: PathBuf, had_devices: bool) -> (Self, Vec<Record>) {
        let file = Self {
            path,
            failing: false,
        };
        let name = file.path.display();
        let records = match read(&file.path) {
            Ok(Some(records)) => records,
            Ok(None) => {
                if had_devices {
                    tracing::warn!(
                        "there is no {name}, though devices have logged in before. {NOT_KNOWN}"
                    );
                }
                Vec::new()
            }
            Err(error) if is_environment(&error) => {
                tracing::error!(
                    "{name} cannot be read: {error}. Repair that and restart the server. {NOT_KNOWN}"
                );
                Vec::new()
            }
            Err(error) => {
                let aside = file.set_aside();
                tracing::error!("{name} is damaged ({error}), and {aside}. {NOT_KNOWN}");
                Vec::new()
            }
        };
        (file, records)
    }

    /// Stores and deletes records; all of them, if the file is not the one that it was.
    ///
    /// # Errors
    /// As SQLite and the file system say. The log is told once.
    pub fn write(
        &mut self,
        changed: &[Record],
        forgotten: &[DeviceId],
        all: impl Fn() -> Vec<Record>,
    ) -> Result<(), String> {
        if changed.is_empty() && forgotten.is_empty() && self.path.exists() {
            return Ok(());
        }
        let mut written = self.try_write(changed, forgotten, &all);
        if let Err(error) = &written
            && !is_environment(error)
        {
            let aside = self.set_aside();
            let name = self.path.display();
            tracing::warn!(
                "{name} is damaged ({error}), and {aside}; what was in it is written anew from memory"
            );
            written = self.try_write(changed, forgotten, &all);
        }
        self.note(written.as_ref().err());
        written.map_err(|error| format!("{}: {error}", self.path.display()))
    }

    fn try_write(
        &self,
        changed: &[Record],
        forgotten: &[DeviceId],
        all: impl Fn() -> Vec<Record>,
    ) -> rusqlite::Result<()> {
        let mut conn = Connection::open(&self.path)?;
        let transaction = conn.transaction()?;
        let everything;
        let changed = if version(&transaction)? == 0 {
            transaction.execute_batch(SCHEMA)?;
            transaction.pragma_update(None, "user_version", VERSION)?;
            everything = all();
            &everything
        } else {
            changed
        };
        for record in changed {
            store(&transaction, record)?;
        }
        for id in forgotten {
            transaction.execute(
                "delete from device where id = ? and revoked is null",
                [id.to_string()],
            )?;
        }
        transaction.commit()
    }

    /// Tells the log when it begins and when it ceases to fail.
    fn note(&mut self, error: Option<&rusqlite::Error>) {
        let name = self.path.display();
        match error {
            Some(error) if !self.failing => tracing::warn!(
                "{name} cannot be written: {error}; syncing goes on, and it is tried again"
            ),
            None if self.failing => tracing::info!("{name} can be written again"),
            _ => {}
        }
        self.failing = error.is_some();
    }

    /// Says what became of it.
    fn set_aside(&self) -> String {
        let mut aside = self.path.clone().into_os_string();
        aside.push(format!(".damaged-{}", clock::now_secs()));
        match fs::rename(&self.path, &aside) {
            Ok(()) => format!("is kept as {}", Path::new(&aside).display()),
            Err(error) => format!("cannot be set aside: {error}"),
        }
    }
}

/// None if there is no file.
fn read(path: &Path) -> rusqlite::Result<Option<Vec<Record>>> {
    if !path.exists() {
        return Ok(None);
    }
    // For writing, since SQLite may have to bring in what a crash has left.
    let conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let mut rows = conn.prepare(
        "select id, user, first_seen, last_seen, client, address, last_sync, last_action, revoked, password from device",
    )?;
    let records = rows.query_map([], record)?;
    records.collect::<Result<_, _>>().map(Some)
}

fn version(conn: &Connection) -> rusqlite::Result<i64> {
    conn.query_row("pragma user_version", [], |row| row.get(0))
}

fn record(row: &Row) -> rusqlite::Result<Record> {
    Ok(Record {
        id: row.get(0)?,
        user: row.get(1)?,
        first_seen: row.get(2)?,
        last_seen: row.get(3)?,
        client: row.get(4)?,
        address: row.get(5)?,
        last_sync: row.get(6)?,
        last_action: row.get(7)?,
        revoked: row.get(8)?,
        password: PasswordMark(row.get(9)?),
    })
}

fn store(conn: &Connection, record: &Record) -> rusqlite::Result<()> {
    let mut statement = conn.prepare_cached(STORE)?;
    statement.execute(params![
        record.id,
        record.user,
        record.first_seen,
        record.last_seen,
        record.client,
        record.address,
        record.last_sync,
        record.last_action,
        record.revoked,
        record.password.0,
    ])?;
    Ok(())
}
