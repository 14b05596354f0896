//! The folder that backups are in: `DIR/<time>/<user>/`, each of these times a whole that
//! could be served as it is.

use std::{
    collections::HashMap,
    fs::{self, DirBuilder, File, FileTimes, Metadata, OpenOptions, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use nix::unistd::syncfs;

use crate::{clock, durable::sync_folder, media::Media};

/// What is not complete, under a name that no backup has.
const PARTIAL: &str = ".partial";

/// Whether files of media that never change may be on the disk only once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// Blocks, or else whole files, are shared with the server's.
    WherePossible,
    /// With former backups only.
    Never,
}

/// The folder, and a backup in it that is being made.
pub struct Destination {
    folder: PathBuf,
    name: String,
    sharing: Sharing,
    _lock: File,
}

impl Destination {
    /// Takes hold of the folder, which is created if need be, and begins a backup. What a
    /// former one left undone is removed.
    ///
    /// # Errors
    /// As the file system says, and when another backup is being made there.
    pub fn open(folder: &Path, now_ms: i64, sharing: Sharing) -> io::Result<Self> {
        create_private(folder).map_err(|error| at(folder, &error))?;
        let lock = private_file(&folder.join(".lock")).map_err(|error| at(folder, &error))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => io::Error::other(format!(
                "{}: a backup is being made there",
                folder.display()
            )),
            TryLockError::Error(error) => at(folder, &error),
        })?;
        let destination = Self {
            folder: folder.to_owned(),
            name: clock::as_name(now_ms),
            sharing,
            _lock: lock,
        };
        remove(&destination.partial())?;
        create_private(&destination.partial())?;
        Ok(destination)
    }

    /// Copies what the server has prepared of a user. Media files that the newest backup of
    /// that user has as well are on the disk only once. Answers what is new of them.
    ///
    /// # Errors
    /// As the file system says.
    pub fn fetch(&self, user: &str, prepared: &Path, done: &dyn Fn()) -> io::Result<Media> {
        let to = self.partial().join(user);
        create_private(&to)?;
        for database in ["collection.anki2", "media.db"] {
            if prepared.join(database).exists() {
                copy(&prepared.join(database), &to.join(database))?;
            }
        }
        let mut new = Media::default();
        if !prepared.join("media").exists() {
            return Ok(new);
        }
        create_private(&to.join("media"))?;
        let former = self
            .newest_of(user)?
            .map(|backup| backup.join(user).join("media"));
        for entry in fs::read_dir(prepared.join("media"))? {
            let entry = entry?;
            let (from, to) = (entry.path(), to.join("media").join(entry.file_name()));
            let metadata = entry.metadata()?;
            let former = former.as_ref().map(|former| former.join(entry.file_name()));
            if !former.is_some_and(|former| link_if_same(&former, &metadata, &to)) {
                self.take(&from, &to)?;
                new.files += 1;
                new.bytes += metadata.len();
            }
            done();
        }
        Ok(new)
    }

    fn take(&self, from: &Path, to: &Path) -> io::Result<()> {
        if self.sharing == Sharing::WherePossible {
            if reflink_copy::reflink(from, to).is_ok() {
                return keep_time(from, to);
            }
            // The server never writes to a media file that is there.
            if fs::hard_link(from, to).is_ok() {
                return Ok(());
            }
        }
        copy(from, to)
    }

    /// Leaves a user out.
    ///
    /// # Errors
    /// As the file system says.
    pub fn forget(&self, user: &str) -> io::Result<()> {
        remove(&self.partial().join(user))
    }

    /// Gives the backup its name, once all of it is on the disk. Answers where it is.
    ///
    /// # Errors
    /// As the file system says; there is no new backup then.
    pub fn complete(&self) -> io::Result<PathBuf> {
        syncfs(File::open(self.partial())?)?;
        let complete = self.folder.join(&self.name);
        fs::rename(self.partial(), &complete)?;
        sync_folder(&self.folder)?;
        Ok(complete)
    }

    /// Removes backups that are not among the newest `keep` of any of their users. Answers
    /// which.
    ///
    /// # Errors
    /// As the file system says.
    pub fn prune(&self, keep: u32) -> io::Result<Vec<PathBuf>> {
        let mut newer: HashMap<String, u32> = HashMap::new();
        let mut removed = Vec::new();
        for backup in self.newest_first()? {
            let mut needed = false;
            for entry in fs::read_dir(&backup)? {
                let user = entry?.file_name().to_string_lossy().into_owned();
                let newer = newer.entry(user).or_default();
                needed |= *newer < keep;
                *newer += 1;
            }
            if !needed {
                // Whatever interrupts this, a backup that has its name is whole.
                remove(&self.partial())?;
                fs::rename(&backup, self.partial())?;
                remove(&self.partial())?;
                removed.push(backup);
            }
        }
        Ok(removed)
    }

    fn newest_of(&self, user: &str) -> io::Result<Option<PathBuf>> {
        let mut backups = self.newest_first()?.into_iter();
        Ok(backups.find(|backup| backup.join(user).exists()))
    }

    fn newest_first(&self) -> io::Result<Vec<PathBuf>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            // Others' files are none of our business.
            if let Ok(name) = entry?.file_name().into_string()
                && clock::from_name(&name).is_some()
            {
                names.push(name);
            }
        }
        names.sort();
        Ok(names
            .iter()
            .rev()
            .map(|name| self.folder.join(name))
            .collect())
    }

    fn partial(&self) -> PathBuf {
        self.folder.join(PARTIAL)
    }
}

impl Drop for Destination {
    fn drop(&mut self) {
        // The next backup would do it, too.
        let _ = remove(&self.partial());
    }
}

/// A media file's new content comes with a file of its own, and so with a new time.
fn link_if_same(former: &Path, metadata: &Metadata, to: &Path) -> bool {
    let same = |former: Metadata| {
        former.is_file()
            && former.len() == metadata.len()
            && (former.mtime(), former.mtime_nsec()) == (metadata.mtime(), metadata.mtime_nsec())
    };
    former.symlink_metadata().is_ok_and(same) && fs::hard_link(former, to).is_ok()
}

/// The kernel shares the blocks where the file system can.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    io::copy(&mut File::open(from)?, &mut private_file(to)?)?;
    keep_time(from, to)
}

fn keep_time(from: &Path, to: &Path) -> io::Result<()> {
    let modified = from.metadata()?.modified()?;
    File::options()
        .write(true)
        .open(to)?
        .set_times(FileTimes::new().set_modified(modified))
}

fn private_file(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
}

fn create_private(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn at(folder: &Path, error: &io::Error) -> io::Error {
    io::Error::new(
        error.kind(),
        format!("{}: {error}; --to names another folder", folder.display()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A user's data as the server prepares them, with media by name and content.
    fn prepared(folder: &Path, media: &[(&str, &str)]) -> PathBuf {
        let prepared = folder.join("prepared");
        remove(&prepared).unwrap();
        fs::create_dir_all(prepared.join("media")).unwrap();
        fs::write(prepared.join("collection.anki2"), "cards").unwrap();
        fs::write(prepared.join("media.db"), "names").unwrap();
        for (name, content) in media {
            let path = prepared.join("media").join(name);
            fs::write(&path, content).unwrap();
            let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(content.len() as u64);
            let file = File::options().write(true).open(path).unwrap();
            file.set_times(FileTimes::new().set_modified(time)).unwrap();
        }
        prepared
    }

    fn back_up(folder: &Path, day: i64, user: &str, media: &[(&str, &str)]) -> (PathBuf, u64) {
        let to = Destination::open(&folder.join("to"), day * 86_400_000, Sharing::Never).unwrap();
        let new = to.fetch(user, &prepared(folder, media), &|| ()).unwrap();
        (to.complete().unwrap(), new.files)
    }

    fn inode(backup: &Path, name: &str) -> u64 {
        backup
            .join("alice/media")
            .join(name)
            .metadata()
            .unwrap()
            .ino()
    }

    #[test]
    fn what_a_former_backup_has_is_on_the_disk_only_once() {
        let folder = tempfile::tempdir().unwrap();
        let media = [("same", "a"), ("changed", "b"), ("gone", "c")];
        let (first, new) = back_up(folder.path(), 1, "alice", &media);
        assert_eq!(new, 3);
        let media = [("same", "a"), ("changed", "longer"), ("new", "d")];
        let (second, new) = back_up(folder.path(), 2, "alice", &media);
        assert_eq!(new, 2);
        assert_eq!(inode(&first, "same"), inode(&second, "same"));
        assert_ne!(inode(&first, "changed"), inode(&second, "changed"));
        let content =
            |backup: &Path| fs::read_to_string(backup.join("alice/media/changed")).unwrap();
        assert_eq!(
            (content(&first), content(&second)),
            ("b".into(), "longer".into())
        );
        assert!(!second.join("alice/media/gone").exists());
        assert_eq!(
            fs::read_to_string(second.join("alice/collection.anki2")).unwrap(),
            "cards"
        );
    }

    #[test]
    fn media_may_be_the_servers_own_files_or_not() {
        for (sharing, linked) in [(Sharing::WherePossible, true), (Sharing::Never, false)] {
            let folder = tempfile::tempdir().unwrap();
            let to = Destination::open(&folder.path().join("to"), 0, sharing).unwrap();
            let prepared = prepared(folder.path(), &[("one", "a")]);
            to.fetch("alice", &prepared, &|| ()).unwrap();
            let backup = to.complete().unwrap();
            let original = prepared.join("media/one").metadata().unwrap();
            // Sharing blocks, as some file systems do, makes two inodes.
            let shared = original.ino() == inode(&backup, "one");
            assert!(!shared || linked, "{sharing:?}");
            let copy = backup.join("alice/media/one").metadata().unwrap();
            assert_eq!(copy.mtime(), original.mtime());
        }
    }

    #[test]
    fn only_what_is_complete_has_a_name_and_one_backup_is_made_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("to");
        let first = Destination::open(&to, 0, Sharing::Never).unwrap();
        assert!(Destination::open(&to, 0, Sharing::Never).is_err());
        first
            .fetch("alice", &prepared(folder.path(), &[]), &|| ())
            .unwrap();
        assert!(first.newest_first().unwrap().is_empty());
        drop(first);
        fs::create_dir(to.join(PARTIAL)).unwrap();
        fs::write(to.join(PARTIAL).join("left"), "").unwrap();
        let (backup, _) = back_up(folder.path(), 1, "alice", &[]);
        assert_eq!(fs::read_dir(backup).unwrap().count(), 1);
    }

    #[test]
    fn of_each_user_the_newest_stay() {
        let folder = tempfile::tempdir().unwrap();
        let mut backups = Vec::new();
        for (day, user) in (1..).zip(["bob", "alice", "bob", "alice", "alice"]) {
            backups.push(back_up(folder.path(), day, user, &[("one", "a")]).0);
        }
        let to = Destination::open(&folder.path().join("to"), 9, Sharing::Never).unwrap();
        fs::create_dir(folder.path().join("to/by hand")).unwrap();
        assert_eq!(to.prune(2).unwrap(), [backups[1].clone()]);
        assert_eq!(
            to.prune(1).unwrap(),
            [backups[3].clone(), backups[0].clone()]
        );
        assert!(folder.path().join("to/by hand").exists());
        assert!(backups[2].exists() && backups[4].exists());
    }
}
