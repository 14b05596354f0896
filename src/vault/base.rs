//! `SYNC_BASE`: the folder of the users' folders, and of the server's own one.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use crate::{
    account::Secret,
    disk::{self, Fault},
    durable::{Replacement, is_unfinished},
    files::{create_private, if_there},
    layout,
};

/// The folder, locked by this process.
#[derive(Debug)]
pub struct Base {
    path: PathBuf,
    _lock: File,
}

/// Why the folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BaseError {
    /// No permission, or a read-only or full file system.
    #[error("SYNC_BASE (base): {}: {source}; {}", path.display(), remedy(source))]
    Io {
        /// The path of the failure.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Another server uses the folder: two would undo each other's work.
    #[error("SYNC_BASE (base): {} is in use by another anki-syncd: stop that one first", .0.display())]
    InUse(PathBuf),
    /// Root owns it, and it is not a folder of users' folders.
    #[error("SYNC_BASE (base): {} belongs to root and contains {}, which does not belong to a sync server: choose a folder that contains nothing else, or give the folder to the account that is to run the server (chown)", base.display(), other.display())]
    Shared {
        /// The folder.
        base: PathBuf,
        /// Another program's file in it.
        other: PathBuf,
    },
    /// The secret's file has the wrong length, after an edit or on a full disk.
    #[error("{} does not have 32 bytes: put back a copy of it, or remove it, so that the server makes a new one and all devices have to log in again", .0.display())]
    Secret(PathBuf),
    /// The system's random source failed.
    #[error("the system has no random bytes for the host keys: {0}")]
    Random(#[from] getrandom::Error),
}

fn remedy(error: &io::Error) -> &'static str {
    match disk::fault(error) {
        Some(Fault::Full) => "the disk is full: free space on it",
        Some(Fault::Failed) => "check the disk, and whether it is mounted read-only",
        None if [io::ErrorKind::AlreadyExists, io::ErrorKind::NotADirectory]
            .contains(&error.kind()) =>
        {
            "it has to be a folder"
        }
        None => "the server needs to read and write there",
    }
}

impl Base {
    /// Creates the folder if it is missing, and locks it.
    pub fn open(path: &Path) -> Result<Self, BaseError> {
        let own = path.join(layout::OWN);
        create_private(path)
            .and_then(|()| create_private(&own))
            .map_err(|source| failed(path, source))?;
        let lock_path = path.join(layout::LOCK);
        let lock = private_file()
            .open(&lock_path)
            .map_err(|source| failed(&lock_path, source))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(BaseError::InUse(path.to_owned())),
            Err(TryLockError::Error(source)) => return Err(failed(&lock_path, source)),
        }
        let base = Self {
            path: path.to_owned(),
            _lock: lock,
        };
        let temporary = base.temporary();
        create_private(&temporary)
            .and_then(|()| empty_folder(&temporary))
            .and_then(|()| remove_unfinished(&own))
            .map_err(|source| failed(&temporary, source))?;
        Ok(base)
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The server's own folder for temporary files. It is empty at the start.
    pub fn temporary(&self) -> PathBuf {
        self.path.join(layout::TEMPORARY)
    }

    /// A user's folder.
    pub fn user_folder(&self, user: &crate::account::name::UserName) -> PathBuf {
        layout::user_folder(&self.path, user.as_str())
    }

    /// The file in which earlier versions recorded devices.
    pub fn former_devices_file(&self) -> PathBuf {
        self.path.join(layout::FORMER_DEVICES)
    }

    /// The file of the users that are being renamed.
    pub fn renames_file(&self) -> PathBuf {
        self.path.join(layout::RENAMES)
    }

    /// The secret behind all host keys. It is generated if there is none yet.
    pub fn host_key_secret(&self) -> Result<Secret, BaseError> {
        let path = self.path.join(layout::HOST_KEY_SECRET);
        let mut bytes = [0; Secret::BYTES];
        match File::open(&path) {
            Ok(mut file) => {
                let whole = file
                    .read_exact(&mut bytes)
                    .and_then(|()| Ok(file.read(&mut [0])? == 0));
                if whole.map_or(true, |whole| !whole) {
                    return Err(BaseError::Secret(path));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                getrandom::fill(&mut bytes)?;
                Replacement::prepare(&path, &bytes)
                    .and_then(Replacement::commit)
                    .map_err(|source| failed(&path, source))?;
            }
            Err(source) => return Err(failed(&path, source)),
        }
        Ok(Secret::new(bytes))
    }
}

pub(super) fn failed(path: &Path, source: io::Error) -> BaseError {
    BaseError::Io {
        path: path.to_owned(),
        source,
    }
}

fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600);
    options
}

/// Removes everything in a folder, but not the folder.
pub fn empty_folder(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Removes unfinished files in a folder that a crash has left.
pub(super) fn remove_unfinished(folder: &Path) -> io::Result<()> {
    for file in unfinished(folder)? {
        fs::remove_file(file)?;
    }
    Ok(())
}

/// The unfinished files in a folder.
///
/// # Errors
/// As the file system says; a missing folder contains none.
pub(super) fn unfinished(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let Some(entries) = if_there(fs::read_dir(folder))? else {
        return Ok(Vec::new());
    };
    let mut unfinished = Vec::new();
    for entry in entries {
        let entry = entry?;
        if is_unfinished(&entry.file_name()) && entry.file_type()?.is_file() {
            unfinished.push(entry.path());
        }
    }
    Ok(unfinished)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_secret_is_drawn_once_and_only_for_the_servers_eyes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("base");
        let base = Base::open(&path).unwrap();
        base.host_key_secret().unwrap();
        let file = path.join(".anki-syncd/host-key-secret");
        let first = fs::read(&file).unwrap();
        base.host_key_secret().unwrap();
        assert_eq!(fs::read(&file).unwrap(), first);
        assert_eq!(
            fs::metadata(&file).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o700
        );
    }

    #[test]
    fn a_damaged_secret_is_not_silently_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let base = Base::open(folder.path()).unwrap();
        for length in [0, 31, 33] {
            fs::write(
                folder.path().join(".anki-syncd/host-key-secret"),
                vec![1; length],
            )
            .unwrap();
            assert!(matches!(base.host_key_secret(), Err(BaseError::Secret(_))));
        }
    }

    #[test]
    fn what_a_crash_left_in_the_servers_own_folder_is_cleared_away() {
        let folder = tempfile::tempdir().unwrap();
        let leftover = Base::open(folder.path()).unwrap().temporary().join("half");
        fs::write(&leftover, "x").unwrap();
        let removed = leftover.with_file_name("removed");
        fs::create_dir_all(removed.join("media")).unwrap();
        let renames = folder.path().join(".anki-syncd/renames");
        // A killed process leaves this.
        std::mem::forget(Replacement::prepare(&renames, b"half").unwrap());
        let own = folder.path().join(layout::OWN);
        assert_eq!(unfinished(&own).unwrap().len(), 1);
        Base::open(folder.path()).unwrap();
        assert!(!leftover.exists() && !removed.exists());
        assert!(unfinished(&own).unwrap().is_empty());
    }

    #[test]
    fn a_second_server_is_kept_out() {
        let folder = tempfile::tempdir().unwrap();
        let first = Base::open(folder.path()).unwrap();
        assert!(matches!(
            Base::open(folder.path()),
            Err(BaseError::InUse(_))
        ));
        drop(first);
        assert!(Base::open(folder.path()).is_ok());
    }
}
