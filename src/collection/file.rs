//! Whole files that nobody else has open: an upload of any schema, and a copy for an old client.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};
use serde::{Deserialize, Serialize};

use super::{
    Error, Result,
    distrust::{distrust, open_untouched},
    downgrade, sanity, schema, screen, upgrade,
    upload::{self, CheckError, Checked, Fault, Refusal},
};
use crate::wire::Usn;

/// Checks, repairs and upgrades a file that nobody else has open. Objects that compute are removed. The stamps stay as
/// the client set them.
///
/// # Errors
/// [`CheckError`]; the file is then unusable.
pub fn accept_upload(path: &Path, now_secs: i64) -> std::result::Result<(), CheckError> {
    leave_foreign_behind(path)?;
    let Checked { version, maimed } = upload::check(path)?;
    agree(path, screen::wrong_value_in_col)?;
    if !maimed.is_empty() {
        mend(path, &maimed)?;
        tracing::info!(
            "rebuilt tables of an upload that lacked columns or keys: {}",
            maimed.join(", ")
        );
    }
    if version != schema::VERSION {
        bring_up(path, now_secs).map_err(|error| match error {
            Error::Version(version) => Refusal::Schema(version).into(),
            error if error.is_environment() => CheckError::Upgrade(error),
            error => {
                tracing::warn!("an upload of schema version {version} cannot be upgraded: {error}");
                CheckError::Refused(Refusal::Corrupt)
            }
        })?;
    }
    complete(path)?;
    Ok(agree(path, screen::wrong_value)?)
}

/// Removes triggers, views, virtual tables and indexes that compute. An add-on may have made them, and makes them again
/// on each device.
fn leave_foreign_behind(path: &Path) -> std::result::Result<(), CheckError> {
    loop {
        let foreign = upload::foreign(path)?;
        if foreign.is_empty() {
            return Ok(());
        }
        let left = open_alone(path).and_then(|conn| screen::leave_behind(&conn, &foreign));
        left.map_err(Fault::from)?;
        for foreign in foreign {
            tracing::info!("removed from an upload, since Anki never makes it: {foreign}");
        }
    }
}

fn mend(path: &Path, maimed: &[&str]) -> std::result::Result<(), Fault> {
    Ok(screen::rebuild(&open_alone(path)?, maimed)?)
}

fn bring_up(path: &Path, now_secs: i64) -> Result<()> {
    let mut conn = open_alone(path)?;
    upgrade(&mut conn, Usn::UNSENT, now_secs)?;
    // Rows that the client believes to be unsent would fail every sanity check from now on.
    sanity::mark_all_sent(&conn)
}

/// Whether the file now has everything of schema 18.
fn complete(path: &Path) -> std::result::Result<(), Fault> {
    match schema::missing(&open_untouched(path)?) {
        Ok(None) => Ok(()),
        Ok(Some(_)) => Err(Refusal::Foreign.into()),
        Err(Error::Sql(error)) => Err(error.into()),
        Err(_) => Err(Refusal::Corrupt.into()),
    }
}

/// Whether no value would make every sync fail.
fn agree(
    path: &Path,
    wrong_value: fn(&Connection) -> rusqlite::Result<Option<String>>,
) -> std::result::Result<(), Fault> {
    match wrong_value(&open_untouched(path)?)? {
        None => Ok(()),
        Some(wrong) => Err(Refusal::Wrong(wrong).into()),
    }
}

/// Downgrades a copy of a collection to schema 11.
///
/// # Errors
/// [`Error`]; the copy is then unusable.
pub fn downgrade_copy(path: &Path) -> Result<()> {
    downgrade(&mut open_alone(path)?)
}

/// What shows a person which collection it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// How many cards.
    pub cards: u64,
    /// How many notes.
    pub notes: u64,
    /// How many entries in the log of reviews.
    pub reviews: u64,
    /// When the last review was, in milliseconds since 1970.
    pub last_review_ms: Option<i64>,
    /// Last modification, in milliseconds since 1970.
    pub modified_ms: i64,
    /// The schema stamp.
    pub schema_changed: i64,
}

/// The summary of a collection of the present schema that nobody has open.
pub fn summary(path: &Path) -> rusqlite::Result<Summary> {
    summary_of(&open_untouched(path)?)
}

/// The summary through an open connection.
pub fn summary_of(conn: &Connection) -> rusqlite::Result<Summary> {
    conn.query_row(
        "select (select count() from cards), (select count() from notes), \
         (select count() from revlog), (select max(id) from revlog), mod, scm from col",
        [],
        |row| {
            Ok(Summary {
                cards: row.get(0)?,
                notes: row.get(1)?,
                reviews: row.get(2)?,
                last_review_ms: row.get(3)?,
                modified_ms: row.get(4)?,
                schema_changed: row.get(5)?,
            })
        },
    )
}

/// Gives a collection new stamps, so that every device has to download it and cannot merge with it.
///
/// # Errors
/// [`Error`]; the file is then unusable.
pub fn stamp_restored(path: &Path, now_ms: i64) -> Result<()> {
    let conn = open_alone(path)?;
    conn.execute("update col set scm = ?1, mod = ?1", [now_ms])?;
    // A device's own file has rows that it has not sent yet.
    sanity::mark_all_sent(&conn)
}

/// Opens a file with settings that are safe only because the file is thrown away after any failure.
fn open_alone(path: &Path) -> rusqlite::Result<Connection> {
    let mut conn = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    distrust(&mut conn)?;
    conn.pragma_update(None, "journal_mode", "delete")?;
    conn.pragma_update(None, "synchronous", "off")?;
    Ok(conn)
}

#[cfg(test)]
mod tests {
    use std::{path::PathBuf, sync::Arc};

    use super::*;
    use crate::{
        collection::testing::rows,
        work::{Budget, Interrupted, Job, Stop},
    };

    const NOW: i64 = 1_800_000_000;

    /// A recorded file in a folder of its own.
    fn upload(name: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("upload");
        let recorded = format!("{}/tests/vectors/{name}.anki2", env!("CARGO_MANIFEST_DIR"));
        std::fs::copy(recorded, &path).unwrap();
        (folder, path)
    }

    fn open(path: &Path) -> Connection {
        let mut conn = Connection::open(path).unwrap();
        distrust(&mut conn).unwrap();
        conn
    }

    fn refused(path: &Path) -> Refusal {
        match accept_upload(path, NOW) {
            Err(CheckError::Refused(refusal)) => refusal,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_file_of_schema_11_is_upgraded_and_keeps_its_stamps() {
        let (folder, path) = upload("upgrade_in_schema11");
        let stamps = "select mod, scm, usn, ls, crt from col";
        let before = rows(&open(&path), stamps);
        accept_upload(&path, NOW).unwrap();
        let names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(names.len(), 1, "nothing is left beside the file");
        let conn = open(&path);
        assert_eq!(rows(&conn, stamps), before);
        assert_eq!(schema::version(&conn).unwrap(), schema::VERSION);
        assert_eq!(rows(&conn, "pragma integrity_check"), [["ok"]]);
    }

    #[test]
    fn nothing_in_an_upgraded_file_waits_to_be_sent() {
        let (_folder, path) = upload("upgrade_in_schema11");
        open(&path)
            .execute_batch("update notes set usn = -1; update cards set usn = -1")
            .unwrap();
        accept_upload(&path, NOW).unwrap();
        let conn = open(&path);
        for table in ["notes", "cards", "decks", "tags"] {
            let unsent = format!("select count(*) from {table} where usn = -1");
            assert_eq!(rows(&conn, &unsent), [[0]], "{table}");
        }
    }

    #[test]
    fn a_file_of_schema_18_is_not_written_to() {
        let (_folder, path) = upload("upgrade_out_schema18");
        let before = std::fs::read(&path).unwrap();
        accept_upload(&path, NOW).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), before);
    }

    #[test]
    fn a_copy_becomes_one_file_that_old_clients_read() {
        let (folder, path) = upload("upgrade_out_schema18");
        downgrade_copy(&path).unwrap();
        assert_eq!(std::fs::read(&path).unwrap()[18..20], [1, 1]);
        let names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(names.len(), 1);
        assert_eq!(schema::version(&open(&path)).unwrap(), 11);
    }

    #[test]
    fn a_restored_collection_has_new_stamps_and_nothing_to_be_sent() {
        let (folder, path) = upload("upgrade_out_schema18");
        let before = summary(&path).unwrap();
        open(&path)
            .execute_batch("update notes set usn = -1")
            .unwrap();
        stamp_restored(&path, NOW * 1000).unwrap();
        let names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(names.len(), 1, "nothing is left beside the file");
        let stamped = Summary {
            modified_ms: NOW * 1000,
            schema_changed: NOW * 1000,
            ..before
        };
        assert_eq!(summary(&path).unwrap(), stamped);
        assert!(before.notes > 0 && before.schema_changed != stamped.schema_changed);
        let unsent = "select count(*) from notes where usn = -1";
        assert_eq!(rows(&open(&path), unsent), [[0]]);
    }

    #[test]
    fn what_cannot_be_upgraded_is_refused() {
        for (change, sentence) in [
            ("update col set decks = '[]'", "is damaged"),
            ("update col set models = ''", "is damaged"),
            // Two million numbers would take a hundred megabytes of memory.
            (
                "update col set conf = '{\"a\":[' || replace(hex(zeroblob(1000001)), '0', '1,') || '1]}'",
                "is damaged",
            ),
            ("alter table notes drop column data", "is not an Anki"),
            ("update col set ver = 10", "schema version 10"),
            ("update col set ver = 13", "schema version 13"),
            ("update col set ver = 19", "schema version 19"),
        ] {
            let (_folder, path) = upload("upgrade_in_schema11");
            open(&path).execute_batch(change).unwrap();
            let told = refused(&path).to_string();
            assert!(told.contains(sentence), "{change}: {told}");
        }
    }

    #[test]
    fn checking_and_upgrading_the_smallest_rows_takes_a_tenth_of_the_budget_at_most() {
        let (_folder, path) = upload("upgrade_in_schema11");
        let numbers = "with recursive n(i) as \
                       (select 2000000000000 union all select i + 1 from n limit 30000)";
        open(&path)
            .execute_batch(&format!(
                "{numbers} insert into cards
                   select i, i, 1, 0, 1, -1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, '' from n;
                 {numbers} insert into notes
                   select i, i, (select mid from notes), 1, -1, '', '', '', 1, 0, '' from n;
                 {numbers} insert into revlog select i, i, -1, 1, 1, 1, 1, 1, 1 from n;
                 {numbers} insert into graves select -1, i, 1 from n;"
            ))
            .unwrap();
        let bytes = path.metadata().unwrap().len();
        let job = Arc::new(Job::new(Budget::of_file(bytes), Stop::default()));
        job.run(|| accept_upload(&path, NOW).map_err(|error| Failed(error.to_string())))
            .unwrap();
        let per_byte = job.used() * 10 / bytes;
        assert!(bytes > 5_000_000, "{bytes}");
        assert!((5..50).contains(&per_byte), "{per_byte} tenths");
    }

    #[derive(Debug)]
    struct Failed(#[expect(dead_code, reason = "shown")] String);

    impl From<Interrupted> for Failed {
        fn from(interrupted: Interrupted) -> Self {
            Self(interrupted.to_string())
        }
    }

    #[test]
    fn a_damaged_file_of_schema_11_is_refused_as_such() {
        let (_folder, path) = upload("upgrade_in_schema11");
        let mut bytes = std::fs::read(&path).unwrap();
        let end = bytes.len();
        bytes[end - 4096 * 4..].fill(0x55);
        std::fs::write(&path, bytes).unwrap();
        assert!(matches!(refused(&path), Refusal::Corrupt));
    }
}
