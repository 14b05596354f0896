//! Changes of the media folder that survive a power cut at any point.
//!
//! New content is first written to the staging folder and made durable. Then the changes are
//! written to a journal there. Then `media.db` commits. Only then are files moved into, replaced in
//! and removed from the media folder. If a batch was interrupted, the next opening finds its
//! journal, and completes the batch if `media.db` has committed it; otherwise it drops the batch.
//! So folder and database agree again.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    time::SystemTime,
};

use serde::{Deserialize, Serialize};

use super::name::MediaName;
use crate::{
    durable::{sync_files, sync_folder},
    files::{create_private, if_there},
    layout::BATCH_JOURNAL,
};

/// The change of one name.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub enum Change {
    /// The staged file of this number takes the name.
    Put(usize),
    /// The file is removed.
    Remove,
}

#[derive(Serialize, Deserialize)]
struct Journal {
    /// The media database's last USN after the commit of this batch.
    last_usn: i32,
    changes: BTreeMap<String, Change>,
}

/// The media folder and the staging folder beside it, on one file system.
pub struct Folders {
    /// Where the files are.
    pub media: PathBuf,
    /// Where a batch is prepared.
    pub staging: PathBuf,
}

impl Folders {
    /// Creates both if they are missing, for the server's account only. With the umask's mode,
    /// every account on the machine could read the media of a user whose own folder is open, as
    /// other servers create it.
    pub fn create(media: PathBuf, staging: PathBuf) -> io::Result<Self> {
        for folder in [&media, &staging] {
            create_private(folder)?;
        }
        Ok(Self { media, staging })
    }

    /// When a name was last added to or removed from the media folder; none if there is no such
    /// folder.
    pub fn changed(&self) -> io::Result<Option<SystemTime>> {
        let folder = if_there(fs::metadata(&self.media))?;
        folder.map(|folder| folder.modified()).transpose()
    }

    /// Begins a batch. It leaves no staged file behind unless [`intend`](Self::intend) was called.
    pub fn begin(&self) -> Batch<'_> {
        Batch(self)
    }

    /// A fresh file for new content.
    pub fn stage(&self, number: usize) -> io::Result<File> {
        File::create(self.staged(number))
    }

    /// Makes the staged files durable, and then the journal of the changes.
    pub fn intend(&self, changes: &BTreeMap<MediaName, Change>, last_usn: i32) -> io::Result<()> {
        let staged = changes.values().filter_map(|change| match change {
            Change::Put(number) => Some(self.staged(*number)),
            Change::Remove => None,
        });
        let changes = changes
            .iter()
            .map(|(name, change)| (name.to_string(), change.clone()))
            .collect();
        let mut journal = tempfile::NamedTempFile::new_in(&self.staging)?;
        journal.write_all(&serde_json::to_vec(&Journal { last_usn, changes })?)?;
        // Before the journal has its name: otherwise, after a power cut, it could move an empty
        // file into place, which clients take for a removed one.
        sync_files(staged.chain([journal.path().to_owned()]))?;
        journal.persist(self.journal())?;
        // The journal must be durable before `media.db` commits. Otherwise a power cut could lose
        // the journal of a committed batch, and the device, which got a confirmation, would not
        // send it again.
        sync_folder(&self.staging)
    }

    /// Completes a batch that was committed, and drops one that was not. This is cheap if no batch
    /// was begun.
    /// # Errors
    /// As the file system says; the journal stays, so that another attempt is possible.
    pub fn settle(&self, last_usn: i32) -> io::Result<()> {
        if let Some(journal) = self
            .read_journal()?
            .filter(|journal| journal.last_usn <= last_usn)
        {
            for (name, change) in &journal.changes {
                // The names were checked before they were written, and only the server writes the
                // journal.
                self.carry_out(&self.media.join(name), change)?;
            }
            // Before the journal is removed: otherwise nothing would record moves that a power cut
            // takes back.
            sync_folder(&self.media)?;
        }
        self.clear()
    }

    /// Empties the staging folder. The journal is removed first and durably: otherwise it could
    /// come back after a power cut, and claim a later batch's staged files.
    fn clear(&self) -> io::Result<()> {
        if if_there(fs::remove_file(self.journal()))?.is_some() {
            sync_folder(&self.staging)?;
        }
        self.remove_staged()
    }

    fn remove_staged(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.staging)? {
            fs::remove_file(entry?.path())?;
        }
        Ok(())
    }

    fn carry_out(&self, path: &Path, change: &Change) -> io::Result<()> {
        let done = match change {
            // The file is missing if an earlier attempt was interrupted after the move.
            Change::Put(number) => fs::rename(self.staged(*number), path),
            Change::Remove => fs::remove_file(path),
        };
        if_there(done).map(drop)
    }

    fn read_journal(&self) -> io::Result<Option<Journal>> {
        let bytes = if_there(fs::read(self.journal()))?;
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    fn journal(&self) -> PathBuf {
        self.staging.join(BATCH_JOURNAL)
    }

    fn staged(&self, number: usize) -> PathBuf {
        self.staging.join(number.to_string())
    }
}

/// A batch that is being staged. If it ends before its journal is written, by an error or a panic,
/// its files are removed at once: a gibibyte of them would fill the disk for all users.
pub struct Batch<'a>(&'a Folders);

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        // Once there is a journal, `media.db` decides whether the batch counts. It may have
        // committed even if the commit reported an error, and then `settle` needs the files.
        let is_open = |exists| matches!(exists, Ok(false));
        if is_open(self.0.journal().try_exists())
            && let Err(error) = self.0.remove_staged()
        {
            tracing::warn!(%error, "temporary media files cannot be removed yet");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folders() -> (tempfile::TempDir, Folders) {
        let dir = tempfile::tempdir().unwrap();
        let folders =
            Folders::create(dir.path().join("media"), dir.path().join("staging")).unwrap();
        fs::write(folders.media.join("old"), "old").unwrap();
        fs::write(folders.media.join("both"), "before").unwrap();
        (dir, folders)
    }

    fn intend(folders: &Folders) {
        folders.stage(0).unwrap().write_all(b"new").unwrap();
        folders.stage(1).unwrap().write_all(b"after").unwrap();
        let name = |name: &str| MediaName::new(name.into()).unwrap();
        let changes = [
            ("new", Change::Put(0)),
            ("both", Change::Put(1)),
            ("old", Change::Remove),
        ];
        folders
            .intend(&changes.map(|(key, change)| (name(key), change)).into(), 7)
            .unwrap();
    }

    fn content(folders: &Folders) -> Vec<(String, String)> {
        let mut files: Vec<_> = fs::read_dir(&folders.media)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| {
                (
                    path.file_name().unwrap().to_str().unwrap().to_owned(),
                    fs::read_to_string(path).unwrap(),
                )
            })
            .collect();
        files.sort();
        files
    }

    fn pairs(files: &[(&str, &str)]) -> Vec<(String, String)> {
        files
            .iter()
            .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
            .collect()
    }

    #[test]
    fn a_batch_that_was_not_committed_changes_nothing() {
        let (_dir, folders) = folders();
        intend(&folders);
        folders.settle(6).unwrap();
        assert_eq!(
            content(&folders),
            pairs(&[("both", "before"), ("old", "old")])
        );
        assert_eq!(fs::read_dir(&folders.staging).unwrap().count(), 0);
    }

    #[test]
    fn a_committed_batch_is_carried_out_wherever_it_was_interrupted() {
        for done in 0..=3 {
            let (_dir, folders) = folders();
            intend(&folders);
            let steps = [
                ("both", Change::Put(1)),
                ("new", Change::Put(0)),
                ("old", Change::Remove),
            ];
            for (name, change) in &steps[..done] {
                folders
                    .carry_out(&folders.media.join(name), change)
                    .unwrap();
            }
            folders.settle(7).unwrap();
            assert_eq!(
                content(&folders),
                pairs(&[("both", "after"), ("new", "new")]),
                "after {done} steps"
            );
            assert_eq!(fs::read_dir(&folders.staging).unwrap().count(), 0);
        }
    }

    #[test]
    fn a_batch_that_ends_without_a_journal_leaves_nothing_and_one_with_a_journal_everything() {
        let (_dir, folders) = folders();
        let staged = || fs::read_dir(&folders.staging).unwrap().count();
        let batch = folders.begin();
        folders.stage(0).unwrap();
        drop(batch);
        assert_eq!(staged(), 0);
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _batch = folders.begin();
            folders.stage(0).unwrap();
            panic!("on purpose");
        }));
        assert!(panicked.is_err());
        assert_eq!(staged(), 0);
        let batch = folders.begin();
        intend(&folders);
        drop(batch);
        assert_eq!(staged(), 3);
    }

    #[test]
    fn staged_files_without_a_whole_journal_are_forgotten() {
        let (_dir, folders) = folders();
        folders.stage(0).unwrap();
        fs::write(folders.journal(), "{\"last_usn\":1,").unwrap();
        folders.settle(7).unwrap();
        assert_eq!(fs::read_dir(&folders.staging).unwrap().count(), 0);
        assert_eq!(content(&folders).len(), 2);
    }
}
