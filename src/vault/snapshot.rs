//! A collection as it was before it was replaced, kept in the user's folder.
//!
//! Keeping one is a hard link, which costs neither time nor room and cannot be
//! half-done: the file that is replaced loses its old name and keeps this one. It is
//! [compressed](compress) afterwards, in the background; one that was not is found by the next
//! opening.

mod compress;

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{
    clock,
    disk::Disk,
    durable::{link, sync_folder},
    files::{create_private, if_there},
    sqlite::{WAL, beside},
};

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
    pub fn new(folder: PathBuf, temporary: PathBuf, disk: Disk) -> Self {
        Self {
            folder,
            temporary,
            disk,
        }
    }

    /// All of them, from the oldest to the newest.
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
                // The janitor may have put a compressed one in its place meanwhile.
                let Some(file) = if_there(entry.metadata())? else {
                    continue;
                };
                let journal = journal(&entry.path()).metadata();
                snapshot.bytes = file.len() + journal.map_or(0, |file| file.len());
                snapshots.push(snapshot);
            }
        }
        Ok(snapshots)
    }

    /// Where it is.
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
}

fn journal(path: &Path) -> PathBuf {
    beside(path, WAL)
}

#[cfg(test)]
mod tests;
