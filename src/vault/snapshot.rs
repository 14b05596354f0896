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

use super::retention::{Candidate, Retention};
use crate::{
    clock,
    disk::{Disk, Purpose},
    durable::{link, sync_folder},
    files::{create_private, if_there},
    sqlite::{WAL, beside},
};

/// Fast, and on real collections hardly larger than what takes several times as long.
const LEVEL: i32 = 3;
const BLOCK: usize = 256 * 1024;
/// Of a file as it was, and once it is compressed.
const RAW: &str = ".anki2";
const COMPRESSED: &str = ".anki2.zst";

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
    disk: Disk,
}

impl Snapshots {
    /// Those in this folder, which need not exist; temporary files go to the other one.
    #[must_use]
    pub fn new(folder: PathBuf, temporary: PathBuf, disk: Disk) -> Self {
        Self {
            folder,
            temporary,
            disk,
        }
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
        let Some(entries) = if_there(fs::read_dir(&self.folder))? else {
            return Ok(Vec::new());
        };
        let mut snapshots = Vec::new();
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            // Others' files are none of our business.
            if let Some(mut snapshot) = name.to_str().and_then(|name| Snapshot::parse(name, 0)) {
                let journal = journal(&entry.path()).metadata();
                snapshot.bytes = entry.metadata()?.len() + journal.map_or(0, |file| file.len());
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
    /// takes away its first one, or [takes back](Self::take_back) this.
    ///
    /// # Errors
    /// As the file system says; there is no new snapshot then.
    pub fn keep(&self, collection: &Path, why: Why) -> io::Result<Snapshot> {
        if !self.folder.exists() {
            create_private(&self.folder)?;
            self.folder.parent().map_or(Ok(()), sync_folder)?;
        }
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
            if_there(link(&journal(collection), &journal(&kept)))?;
        }
        link(collection, &kept)
            .and_then(|()| sync_folder(&self.folder))
            .inspect_err(|_| self.discard(&snapshot))?;
        Ok(snapshot)
    }

    /// Undoes [`Snapshots::keep`], while the collection still has its first name: also when
    /// the journal of a damaged one has lost its own.
    ///
    /// # Errors
    /// As the file system says; the snapshot stays then.
    pub fn take_back(&self, kept: &Snapshot, collection: &Path) -> io::Result<()> {
        // A full disk may refuse a new name, and so only what has a journal is to need one.
        if kept.why == Why::Damaged && !journal(collection).exists() {
            let kept = journal(&self.path(kept));
            if_there(fs::rename(kept, journal(collection)))?;
        }
        self.discard(kept);
        Ok(())
    }

    /// Removes one, as far as that is possible.
    pub fn discard(&self, snapshot: &Snapshot) {
        let path = self.path(snapshot);
        for path in [journal(&path), path] {
            if let Err(error) = if_there(fs::remove_file(&path)) {
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
                self.take_back(&snapshot, collection)?;
            }
        }
        Ok(())
    }

    /// Compresses what is not, and lets go what is too much. `go_on` is asked from time to
    /// time; what is left undone can be done another time.
    ///
    /// # Errors
    /// As the file system says, of the first that cannot be compressed; the rest is done.
    pub fn tidy(&self, retention: &Retention, go_on: &dyn Fn() -> bool) -> io::Result<()> {
        // First what goes however small it becomes, or a full disk would stay full.
        let by_number = Retention {
            bytes: u64::MAX,
            ..*retention
        };
        self.thin_out(&by_number, &[])?;
        let mut result = Ok(());
        let mut failed = Vec::new();
        for snapshot in self.uncompressed()? {
            if snapshot.why == Why::Damaged {
                continue;
            }
            match self.compress(&snapshot, go_on) {
                Ok(true) => {}
                Ok(false) => return result,
                Err(error) => {
                    let told = format!("{}: {error}", snapshot.name());
                    result = result.and(Err(io::Error::new(error.kind(), told)));
                    failed.push(snapshot.at_ms);
                }
            }
        }
        self.thin_out(retention, &failed)?;
        result
    }

    /// Some are larger than they are to be, and push out no others by that.
    fn thin_out(&self, retention: &Retention, too_large: &[i64]) -> io::Result<()> {
        let snapshots = self.list()?;
        let candidates: Vec<_> = snapshots
            .iter()
            .map(|snapshot| Candidate {
                at_ms: snapshot.at_ms,
                bytes: if too_large.contains(&snapshot.at_ms) {
                    0
                } else {
                    snapshot.bytes
                },
                damaged: snapshot.why == Why::Damaged,
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
        snapshots.sort_by_key(|snapshot| snapshot.at_ms);
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
        let mut encoder = zstd::Encoder::new(
            // What it makes room for is soon more than it takes.
            self.disk.file(&self.temporary, Purpose::Pass)?,
            LEVEL,
        )?;
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
        let compressed = encoder.finish()?.into_inner();
        compressed.as_file().sync_all()?;
        Ok(Some(compressed))
    }

    /// A private copy of what was kept; gone when dropped.
    ///
    /// # Errors
    /// As the file system says, or when the snapshot is damaged.
    pub fn unpack(&self, snapshot: &Snapshot) -> io::Result<NamedTempFile> {
        let mut copy = self.disk.file(&self.temporary, Purpose::Keep)?;
        let (file, compressed) = self.open(snapshot)?;
        if compressed {
            io::copy(&mut zstd::Decoder::new(file)?, &mut copy)?;
        } else {
            io::copy(&mut { file }, &mut copy)?;
        }
        Ok(copy.into_inner())
    }

    /// Its file, and whether it is compressed: it may have been since it was listed.
    fn open(&self, snapshot: &Snapshot) -> io::Result<(File, bool)> {
        match File::open(self.path(snapshot)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && !snapshot.compressed => {
                let compressed = Snapshot {
                    compressed: true,
                    ..snapshot.clone()
                };
                Ok((File::open(self.path(&compressed))?, true))
            }
            opened => Ok((opened?, snapshot.compressed)),
        }
    }
}

fn journal(path: &Path) -> PathBuf {
    beside(path, WAL)
}

#[cfg(test)]
mod tests;
