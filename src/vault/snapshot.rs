//! Collections that were replaced, kept in the user's folder.
//!
//! A snapshot is a hard link: it costs no time and no space, and cannot be half done. The replaced
//! file loses its old name and keeps this one. It is [compressed](compress) later in the
//! background; after an interruption, the next opening does that.

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

/// The endings of a snapshot, before and after it is compressed.
const RAW: &str = ".anki2";
const COMPRESSED: &str = ".anki2.zst";

/// Why a snapshot was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// A device replaced the collection.
    BeforeUpload,
    /// The operator restored a collection.
    BeforeRestore,
    /// The collection could not be opened when it was replaced. It stays unchanged, with its
    /// journal, for recovery tools.
    Damaged,
}

impl Why {
    const ALL: [Self; 3] = [Self::BeforeUpload, Self::BeforeRestore, Self::Damaged];

    /// The form in file names.
    pub fn name(self) -> &'static str {
        match self {
            Self::BeforeUpload => "before-upload",
            Self::BeforeRestore => "before-restore",
            Self::Damaged => "damaged",
        }
    }
}

/// An existing snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// When the collection was replaced, in milliseconds since 1970.
    pub at_ms: i64,
    /// The reason.
    pub why: Why,
    /// Its size on disk.
    pub bytes: u64,
    /// Whether it has been compressed.
    pub compressed: bool,
}

impl Snapshot {
    /// Its name for people: its file's name without the ending.
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
    /// The snapshots in this folder, which may be missing. Temporary files go to the other folder.
    pub fn new(folder: PathBuf, temporary: PathBuf, disk: Disk) -> Self {
        Self {
            folder,
            temporary,
            disk,
        }
    }

    /// All snapshots, from the oldest to the newest.
    pub fn list(&self) -> io::Result<Vec<Snapshot>> {
        let mut snapshots = self.files()?;
        // If a crash has left both, the compressed one is complete.
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
            // Ignores files that are not snapshots.
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

    /// The path of its file.
    pub fn path(&self, snapshot: &Snapshot) -> PathBuf {
        self.folder.join(snapshot.file_name())
    }

    /// Gives a closed collection a second, durable name in the snapshots. The caller then removes
    /// its first name, or [takes back](Self::take_back) this one.
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
            // Keeps the order even if the clock was set back.
            at_ms: clock::now_ms().max(newest.map_or(0, |newest| newest + 1)),
            why,
            bytes: collection.metadata()?.len(),
            compressed: false,
        };
        let kept = self.path(&snapshot);
        if why == Why::Damaged {
            // The journal comes first, since without it a damaged file may be worthless.
            if_there(link(&journal(collection), &journal(&kept)))?;
        }
        link(collection, &kept)
            .and_then(|()| sync_folder(&self.folder))
            .inspect_err(|_| self.discard(&snapshot))?;
        Ok(snapshot)
    }

    /// Undoes [`Snapshots::keep`] while the collection still has its first name, even if the
    /// journal of a damaged one has lost its own.
    ///
    /// # Errors
    /// As the file system says; the snapshot stays then.
    pub fn take_back(&self, kept: &Snapshot, collection: &Path) -> io::Result<()> {
        // A full disk may refuse a new name, so only a snapshot with a journal needs one.
        if kept.why == Why::Damaged && !journal(collection).exists() {
            let kept = journal(&self.path(kept));
            if_there(fs::rename(kept, journal(collection)))?;
        }
        self.discard(kept);
        Ok(())
    }

    /// Removes a snapshot, if possible.
    pub fn discard(&self, snapshot: &Snapshot) {
        let path = self.path(snapshot);
        for path in [journal(&path), path] {
            if let Err(error) = if_there(fs::remove_file(&path)) {
                tracing::warn!(%error, "{} cannot be removed", path.display());
            }
        }
    }

    /// Removes a snapshot of a crash: a second name of the present collection, which would change
    /// with it.
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
