//! The snapshot or file to restore.

use std::{
    fs::File,
    io::{self, Read, Seek},
    path::Path,
};

use crate::{
    account::name::UserName,
    cli::context::CommandError,
    clock,
    control::RestoreFrom,
    layout,
    sqlite::{WAL, beside},
    vault::snapshot::{Snapshot, Why},
};

pub enum Chosen {
    Snapshot(String),
    /// A file that the operator has.
    File(Collection),
}

impl Chosen {
    /// How the request names it.
    pub fn source(&self) -> RestoreFrom {
        match self {
            Self::Snapshot(name) => RestoreFrom::Snapshot(name.clone()),
            Self::File(collection) => RestoreFrom::Sent(collection.bytes),
        }
    }

    /// The data that follow the request.
    pub fn rest(&mut self) -> io::Result<Box<dyn Read>> {
        match self {
            Self::Snapshot(_) => Ok(Box::new(io::empty())),
            Self::File(collection) => collection.content(),
        }
    }

    pub fn describe(&self) -> &str {
        match self {
            Self::Snapshot(name) => name,
            Self::File(_) => "the file",
        }
    }
}

/// A collection in a file of the operator's.
pub struct Collection {
    file: File,
    compressed: bool,
    /// Its size, uncompressed.
    bytes: u64,
}

impl Collection {
    /// Opens the file itself, a compressed snapshot, or the user's collection in a backup.
    pub fn open(path: &Path, user: &UserName) -> Result<Self, CommandError> {
        let in_backup = path.join(user.as_str()).join(layout::COLLECTION);
        let path = if path.is_dir() { &in_backup } else { path };
        let failed =
            |error: io::Error| CommandError::Failed(format!("{}: {error}", path.display()));
        if beside(path, WAL)
            .metadata()
            .is_ok_and(|metadata| metadata.len() > 0)
        {
            return Err(CommandError::Failed(format!(
                "{0}: the latest changes are in a journal beside it, {0}-wal: merge them first with `sqlite3 {0} 'pragma wal_checkpoint(truncate)'`",
                path.display()
            )));
        }
        let mut collection = Self {
            file: File::open(path).map_err(failed)?,
            compressed: path.extension().is_some_and(|ending| ending == "zst"),
            bytes: 0,
        };
        // Unpacked each time it is read: a temporary copy might find no space.
        collection.bytes = if collection.compressed {
            let counted = collection.content();
            counted.and_then(|mut content| io::copy(&mut content, &mut io::sink()))
        } else {
            collection.file.metadata().map(|metadata| metadata.len())
        }
        .map_err(failed)?;
        Ok(collection)
    }

    fn content(&mut self) -> io::Result<Box<dyn Read>> {
        self.file.rewind()?;
        let file = self.file.try_clone()?;
        Ok(if self.compressed {
            Box::new(zstd::Decoder::new(file)?)
        } else {
            Box::new(file)
        })
    }
}

/// The snapshot that the last upload has made. After a restore it would be the collection that the
/// restore was to undo, so a program has to name a snapshot then.
pub fn newest(snapshots: &[Snapshot], unasked: bool) -> Result<&Snapshot, CommandError> {
    let whole = |snapshot: &&Snapshot| snapshot.why != Why::Damaged;
    match snapshots.iter().rfind(whole) {
        Some(newest) if unasked && newest.why == Why::BeforeRestore => {
            Err(CommandError::Refused(format!(
                "no upload has replaced the collection since the last restore. To undo that restore: --at {}",
                newest.name()
            )))
        }
        Some(newest) => Ok(newest),
        None => Err(CommandError::Failed(
            "there is no snapshot. One is kept when an upload or a restore replaces a collection that is not empty, unless snapshots_keep is 0".to_owned(),
        )),
    }
}

/// The snapshot that this name, beginning of a name, or time means, with that time.
pub fn named<'a>(
    snapshots: &'a [Snapshot],
    at: &str,
) -> Result<(&'a Snapshot, Option<i64>), CommandError> {
    let named: Vec<_> = snapshots
        .iter()
        .filter(|snapshot| snapshot.name().starts_with(at))
        .collect();
    if let [only] = named[..] {
        return Ok((only, None));
    }
    match clock::parse(at) {
        // Each snapshot holds the state from before its own time.
        Some(time) => snapshots
            .iter()
            .find(|snapshot| snapshot.at_ms >= time)
            .map(|snapshot| (snapshot, Some(time)))
            .ok_or_else(|| {
                CommandError::Failed(format!(
                    "no snapshot was made since {}: no upload or restore has replaced the collection since then, or snapshots_keep was 0. --list shows the snapshots",
                    clock::to_the_minute(time)
                ))
            }),
        None => Err(CommandError::Refused(format!(
            "--at {at}: neither a time nor a snapshot; --list shows the snapshots"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshots() -> Vec<Snapshot> {
        let snapshot = |at_ms, why| Snapshot {
            at_ms,
            why,
            bytes: 1,
            compressed: true,
        };
        [
            ("2026-11-20 08:00", Why::BeforeUpload),
            ("2026-11-21 12:00", Why::BeforeUpload),
            ("2026-11-21 12:05", Why::BeforeRestore),
            ("2026-11-22 12:00", Why::Damaged),
        ]
        .map(|(time, why)| snapshot(clock::parse(time).unwrap(), why))
        .into()
    }

    #[test]
    fn a_snapshot_is_named_by_its_beginning_or_by_a_time_that_it_shows() {
        let snapshots = snapshots();
        for (at, expected) in [
            ("2026-11-20T08-00-00.000Z-before-upload", 0),
            ("2026-11-20", 0),
            ("2026-11-21T12-05", 2),
            // If several begin with the same day, the first one is shown.
            ("2026-11-21", 1),
            ("2026-11-19", 0),
            ("2026-11-21 11:59", 1),
            ("2026-11-21T12:00:01Z", 2),
            ("2026-11-21 13:04+01", 2),
        ] {
            assert_eq!(
                named(&snapshots, at).unwrap().0,
                &snapshots[expected],
                "{at:?}"
            );
        }
    }

    #[test]
    fn what_is_not_there_is_not_guessed() {
        for at in ["2026-11-23", "yesterday", "2026-11-21T12-0"] {
            assert!(named(&snapshots(), at).is_err(), "{at}");
        }
        assert!(newest(&[], false).is_err());
    }

    #[test]
    fn without_a_name_it_is_the_newest_whole_one_and_unasked_no_restore_is_undone() {
        let mut snapshots = snapshots();
        assert_eq!(newest(&snapshots, false).unwrap(), &snapshots[2]);
        let told = newest(&snapshots, true).unwrap_err().to_string();
        assert!(told.contains(&snapshots[2].name()), "{told}");
        snapshots.remove(2);
        assert_eq!(newest(&snapshots, true).unwrap(), &snapshots[1]);
    }
}
