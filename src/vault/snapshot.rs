//! A collection as it was before it was replaced, kept in the user's folder.
//!
//! Keeping one is a hard link, which costs neither time nor room and cannot be
//! half-done: the file that is replaced loses its old name and keeps this one. It is
//! compressed afterwards, in the background; one that was not is found by the next
//! opening.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use super::{
    base::create_folder,
    retention::{Candidate, Retention},
};
use crate::{
    clock,
    durable::{link, sync_folder},
};

/// Fast, and on real collections hardly larger than what takes several times as long.
const LEVEL: i32 = 3;
const BLOCK: usize = 256 * 1024;
/// Of a file as it was, and once it is compressed.
const RAW: &str = ".anki2";
const COMPRESSED: &str = ".anki2.zst";
const JOURNAL: &str = "-wal";

/// Why a snapshot was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// A device replaced the collection.
    BeforeUpload,
    /// The operator did.
    BeforeRestore,
    /// It could not be opened when it was replaced. Left as it was, with its journal, for
    /// tools that recover what they can.
    Damaged,
}

impl Why {
    const ALL: [Self; 3] = [Self::BeforeUpload, Self::BeforeRestore, Self::Damaged];

    /// As in names of files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::BeforeUpload => "before-upload",
            Self::BeforeRestore => "before-restore",
            Self::Damaged => "damaged",
        }
    }
}

/// One that there is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// When the collection was replaced, in milliseconds since 1970.
    pub at_ms: i64,
    /// Why.
    pub why: Why,
    /// What it takes on the disk.
    pub bytes: u64,
    /// Whether it has been compressed.
    pub compressed: bool,
}

impl Snapshot {
    /// What people call it: its file's name without the ending.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}-{}", clock::as_name(self.at_ms), self.why.name())
    }

    fn file_name(&self) -> String {
        self.name() + if self.compressed { COMPRESSED } else { RAW }
    }

    fn parse(file_name: &str, bytes: u64) -> Option<Self> {
        let (name, compressed) = match file_name.strip_suffix(COMPRESSED) {
            Some(name) => (name, true),
            None => (file_name.strip_suffix(RAW)?, false),
        };
        let (time, why) = name.split_once("Z-")?;
        Some(Self {
            at_ms: clock::from_name(&format!("{time}Z"))?,
            why: Why::ALL.into_iter().find(|known| known.name() == why)?,
            bytes,
            compressed,
        })
    }
}

/// A user's snapshots.
#[derive(Debug, Clone)]
pub struct Snapshots {
    folder: PathBuf,
    temporary: PathBuf,
}

impl Snapshots {
    /// Those in this folder, which need not exist; temporary files go to the other one.
    #[must_use]
    pub fn new(folder: PathBuf, temporary: PathBuf) -> Self {
        Self { folder, temporary }
    }

    /// All of them, from the oldest to the newest.
    ///
    /// # Errors
    /// As the file system says.
    pub fn list(&self) -> io::Result<Vec<Snapshot>> {
        let mut snapshots = self.files()?;
        // Where a crash has left both, the compressed one is whole.
        snapshots.sort_by_key(|snapshot| (snapshot.at_ms, !snapshot.compressed));
        snapshots.dedup_by_key(|snapshot| snapshot.at_ms);
        Ok(snapshots)
    }

    fn files(&self) -> io::Result<Vec<Snapshot>> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut snapshots = Vec::new();
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            // Others' files are none of our business.
            if let Some(mut snapshot) = name.to_str().and_then(|name| Snapshot::parse(name, 0)) {
                snapshot.bytes = entry.metadata()?.len();
                snapshots.push(snapshot);
            }
        }
        Ok(snapshots)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self, snapshot: &Snapshot) -> PathBuf {
        self.folder.join(snapshot.file_name())
    }

    /// Gives a collection that nobody has open a second, durable name here. The caller then
    /// takes away its first one, or [discards](Self::discard) this.
    ///
    /// # Errors
    /// As the file system says; there is no new snapshot then.
    pub fn keep(&self, collection: &Path, why: Why) -> io::Result<Snapshot> {
        create_folder(&self.folder)?;
        let newest = self.list()?.last().map(|newest| newest.at_ms);
        let snapshot = Snapshot {
            // The order is right even where the clock is not.
            at_ms: clock::now_ms().max(newest.map_or(0, |newest| newest + 1)),
            why,
            bytes: collection.metadata()?.len(),
            compressed: false,
        };
        let kept = self.path(&snapshot);
        if why == Why::Damaged {
            // First, since without it the file itself may be worth nothing.
            ignore_missing(link(&journal(collection), &journal(&kept)))?;
        }
        link(collection, &kept)
            .and_then(|()| sync_folder(&self.folder))
            .inspect_err(|_| self.discard(&snapshot))?;
        Ok(snapshot)
    }

    /// Removes one, as far as that is possible.
    pub fn discard(&self, snapshot: &Snapshot) {
        let path = self.path(snapshot);
        for path in [journal(&path), path] {
            if let Err(error) = ignore_missing(fs::remove_file(&path)) {
                tracing::warn!(%error, "{} cannot be removed", path.display());
            }
        }
    }

    /// Forgets what a crash has left of a collection that was about to be replaced, and was
    /// not: a second name of the present one, which would change with it.
    ///
    /// # Errors
    /// As the file system says.
    pub fn settle(&self, collection: &Path) -> io::Result<()> {
        let Ok(present) = collection.metadata() else {
            return Ok(());
        };
        for snapshot in self.uncompressed()? {
            let kept = self.path(&snapshot).metadata()?;
            if (kept.dev(), kept.ino()) == (present.dev(), present.ino()) {
                if !journal(collection).exists() {
                    ignore_missing(fs::rename(
                        journal(&self.path(&snapshot)),
                        journal(collection),
                    ))?;
                }
                self.discard(&snapshot);
            }
        }
        Ok(())
    }

    /// Compresses what is not, and lets go what is too much. `go_on` is asked from time to
    /// time; what is left undone can be done another time.
    ///
    /// # Errors
    /// As the file system says.
    pub fn tidy(&self, retention: &Retention, go_on: &dyn Fn() -> bool) -> io::Result<()> {
        for snapshot in self.uncompressed()? {
            if snapshot.why != Why::Damaged && !self.compress(&snapshot, go_on)? {
                return Ok(());
            }
        }
        let snapshots = self.list()?;
        let candidates: Vec<_> = snapshots
            .iter()
            .map(|snapshot| Candidate {
                at_ms: snapshot.at_ms,
                bytes: snapshot.bytes,
            })
            .collect();
        for number in retention.surplus(&candidates, clock::now_ms()) {
            self.discard(&snapshots[number]);
        }
        Ok(())
    }

    fn uncompressed(&self) -> io::Result<Vec<Snapshot>> {
        let mut snapshots = self.files()?;
        snapshots.retain(|snapshot| !snapshot.compressed);
        Ok(snapshots)
    }

    /// False when it was told to stop.
    fn compress(&self, snapshot: &Snapshot, go_on: &dyn Fn() -> bool) -> io::Result<bool> {
        let raw = self.path(snapshot);
        let to = self.path(&Snapshot {
            compressed: true,
            ..snapshot.clone()
        });
        if !to.exists() {
            let Some(compressed) = self.compressed(&raw, go_on)? else {
                return Ok(false);
            };
            compressed.persist(to)?;
            sync_folder(&self.folder)?;
        }
        fs::remove_file(raw)?;
        Ok(true)
    }

    fn compressed(
        &self,
        raw: &Path,
        go_on: &dyn Fn() -> bool,
    ) -> io::Result<Option<NamedTempFile>> {
        let mut from = File::open(raw)?;
        let mut encoder = zstd::Encoder::new(NamedTempFile::new_in(&self.temporary)?, LEVEL)?;
        encoder.include_checksum(true)?;
        let mut block = vec![0; BLOCK];
        loop {
            match from.read(&mut block)? {
                0 => break,
                read => encoder.write_all(&block[..read])?,
            }
            if !go_on() {
                return Ok(None);
            }
        }
        let compressed = encoder.finish()?;
        compressed.as_file().sync_all()?;
        Ok(Some(compressed))
    }

    /// A private copy of what was kept; gone when dropped.
    ///
    /// # Errors
    /// As the file system says, or when the snapshot is damaged.
    pub fn unpack(&self, snapshot: &Snapshot) -> io::Result<NamedTempFile> {
        let mut copy = NamedTempFile::new_in(&self.temporary)?;
        let path = self.path(snapshot);
        let file = File::open(&path)?;
        if snapshot.compressed {
            io::copy(&mut zstd::Decoder::new(file)?, copy.as_file_mut())?;
        } else {
            io::copy(&mut { file }, copy.as_file_mut())?;
        }
        Ok(copy)
    }
}

fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    result.or_else(|error| match error.kind() {
        io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    })
}

/// `SQLite`'s journal of a database.
fn journal(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(JOURNAL);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Place {
        folder: tempfile::TempDir,
        snapshots: Snapshots,
    }

    impl Place {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let snapshots = Snapshots::new(folder.path().join("snapshots"), folder.path().into());
            Self { folder, snapshots }
        }

        fn live(&self) -> PathBuf {
            self.folder.path().join("collection.anki2")
        }

        /// As an upload does it.
        fn replace(&self, content: &str, why: Why) -> Snapshot {
            let kept = self.snapshots.keep(&self.live(), why).unwrap();
            let new = self.folder.path().join("new");
            fs::write(&new, content).unwrap();
            fs::rename(&new, self.live()).unwrap();
            kept
        }

        fn tidy(&self, newest: usize) {
            let retention = Retention {
                newest,
                days: 0,
                bytes: u64::MAX,
            };
            self.snapshots.tidy(&retention, &|| true).unwrap();
        }

        fn contents(&self) -> Vec<String> {
            let content = |snapshot| {
                let copy = self.snapshots.unpack(&snapshot).unwrap();
                fs::read_to_string(copy.path()).unwrap()
            };
            let list = self.snapshots.list().unwrap();
            list.into_iter().map(content).collect()
        }

        fn files(&self) -> usize {
            fs::read_dir(&self.snapshots.folder).unwrap().count()
        }
    }

    #[test]
    fn what_was_kept_is_there_compressed_or_not() {
        let place = Place::new();
        fs::write(place.live(), "first").unwrap();
        for (content, why) in [
            ("second", Why::BeforeUpload),
            ("third", Why::BeforeRestore),
            ("fourth", Why::BeforeUpload),
        ] {
            place.replace(content, why);
        }
        assert_eq!(place.contents(), ["first", "second", "third"]);
        place.tidy(5);
        assert_eq!(place.contents(), ["first", "second", "third"]);
        let list = place.snapshots.list().unwrap();
        assert!(list.iter().all(|snapshot| snapshot.compressed));
        assert_eq!(list[1].why, Why::BeforeRestore);
        assert!(list.is_sorted_by_key(Snapshot::name));
        place.tidy(1);
        assert_eq!(place.contents(), ["third"]);
        assert_eq!(place.files(), 1);
        assert_eq!(fs::read_to_string(place.live()).unwrap(), "fourth");
    }

    #[test]
    fn a_crash_before_the_old_file_lost_its_name_leaves_no_snapshot_that_would_change() {
        let place = Place::new();
        fs::write(place.live(), "first").unwrap();
        place.replace("second", Why::BeforeUpload);
        place
            .snapshots
            .keep(&place.live(), Why::BeforeUpload)
            .unwrap();
        place.snapshots.settle(&place.live()).unwrap();
        assert_eq!(place.contents(), ["first"]);
        assert_eq!(fs::read_to_string(place.live()).unwrap(), "second");
    }

    #[test]
    fn a_compression_that_was_interrupted_anywhere_is_done_another_time() {
        let place = Place::new();
        fs::write(place.live(), "first").unwrap();
        let kept = place.replace("second", Why::BeforeUpload);
        let retention = Retention::default();
        place.snapshots.tidy(&retention, &|| false).unwrap();
        assert!(!place.snapshots.list().unwrap()[0].compressed);
        // Between the two steps at its end.
        let raw = place.snapshots.path(&kept);
        fs::copy(&raw, place.folder.path().join("aside")).unwrap();
        place.tidy(1);
        fs::rename(place.folder.path().join("aside"), &raw).unwrap();
        assert_eq!(place.contents(), ["first"]);
        place.tidy(1);
        assert_eq!(place.contents(), ["first"]);
        assert_eq!(place.files(), 1);
    }

    #[test]
    fn a_damaged_collection_is_left_as_it_was_with_its_journal() {
        let place = Place::new();
        fs::write(place.live(), "broken").unwrap();
        fs::write(journal(&place.live()), "its journal").unwrap();
        let kept = place.replace("second", Why::Damaged);
        place.tidy(1);
        let path = place.snapshots.path(&kept);
        assert_eq!(fs::read_to_string(&path).unwrap(), "broken");
        assert_eq!(fs::read_to_string(journal(&path)).unwrap(), "its journal");
        place.replace("third", Why::BeforeUpload);
        place.tidy(1);
        assert_eq!(place.contents(), ["second"]);
        assert_eq!(place.files(), 1);
    }

    #[test]
    fn a_crash_while_a_damaged_collection_was_replaced_gives_it_its_journal_back() {
        let place = Place::new();
        fs::write(place.live(), "broken").unwrap();
        fs::write(journal(&place.live()), "its journal").unwrap();
        place.snapshots.keep(&place.live(), Why::Damaged).unwrap();
        fs::remove_file(journal(&place.live())).unwrap();
        place.snapshots.settle(&place.live()).unwrap();
        let left = fs::read_to_string(journal(&place.live())).unwrap();
        assert_eq!((left.as_str(), place.files()), ("its journal", 0));
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_change_the_order() {
        let place = Place::new();
        fs::write(place.live(), "first").unwrap();
        let future = Snapshot {
            at_ms: clock::now_ms() + 1_000_000,
            why: Why::BeforeUpload,
            bytes: 0,
            compressed: false,
        };
        create_folder(&place.snapshots.folder).unwrap();
        fs::write(place.snapshots.path(&future), "earlier").unwrap();
        place.replace("second", Why::BeforeUpload);
        assert_eq!(place.contents(), ["earlier", "first"]);
    }

    #[test]
    fn a_damaged_snapshot_is_noticed() {
        let place = Place::new();
        fs::write(place.live(), "first ".repeat(1000)).unwrap();
        place.replace("second", Why::BeforeUpload);
        place.tidy(1);
        let kept = place.snapshots.list().unwrap().remove(0);
        let path = place.snapshots.path(&kept);
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&path, bytes).unwrap();
        assert!(place.snapshots.unpack(&kept).is_err());
    }
}
