//! Writes that have to survive a power cut.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::{MetadataExt, fchown},
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    fcntl::{PosixFadviseAdvice, posix_fadvise},
};
use rusqlite::{Connection, backup::Backup};
use tempfile::NamedTempFile;

/// A pause after this many pages lets other threads use the database.
const PAGES_PER_STEP: i32 = 4096;

/// How the names of unfinished files begin.
const UNFINISHED: &str = ".tmp";

/// Makes added and removed names in a folder durable.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Makes files durable. All are on their way to the disk before the first is waited for. A sync of
/// the whole file system would also wait for what other programs write: three seconds for each batch
/// of media, as measured beside a copy of large files.
pub fn sync_files(paths: impl Iterator<Item = PathBuf>) -> io::Result<()> {
    let files = paths.map(File::open).collect::<io::Result<Vec<_>>>()?;
    for file in &files {
        // Linux begins to write what it does not need to keep. Without it, this is only slower.
        let _ = posix_fadvise(file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED);
    }
    files.iter().try_for_each(File::sync_all)
}

/// A file's new content, written beside it and not in its place yet.
#[derive(Debug)]
pub struct Replacement {
    new: NamedTempFile,
    path: PathBuf,
}

impl Replacement {
    /// Writes the content with the mode and owner of the file that it replaces. A new file is
    /// readable by its owner only. Links are followed, not replaced.
    ///
    /// # Errors
    /// As the file system says; the file stays as it is.
    pub fn prepare(path: &Path, content: &[u8]) -> io::Result<Self> {
        let path = match fs::canonicalize(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
            found => found?,
        };
        let mut new = unfinished_in(folder_of(&path))?;
        match fs::metadata(&path) {
            Ok(old) => {
                let own = new.as_file().metadata()?;
                if (old.uid(), old.gid()) != (own.uid(), own.gid()) {
                    fchown(new.as_file(), Some(old.uid()), Some(old.gid()))?;
                }
                new.as_file().set_permissions(old.permissions())?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        new.write_all(content)?;
        new.as_file().sync_all()?;
        Ok(Self { new, path })
    }

    /// Puts the new content in place. After a power cut, the file has its old or its new content,
    /// and never half of it.
    pub fn commit(self) -> io::Result<()> {
        self.new.persist(&self.path)?;
        sync_folder(folder_of(&self.path))
    }
}

/// Whether this is the name of an unfinished file. The owner of the folder removes such files when
/// no writer can be at work any more.
pub fn is_unfinished(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(UNFINISHED.as_bytes())
}

fn unfinished_in(folder: &Path) -> io::Result<NamedTempFile> {
    tempfile::Builder::new()
        .prefix(UNFINISHED)
        .tempfile_in(folder)
}

/// The folder that contains a file.
pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Gives a file a second name, or copies it where the file system has no links.
///
/// # Errors
/// As the file system says; there is no new name then.
pub fn link(from: &Path, to: &Path) -> io::Result<()> {
    let Err(error) = fs::hard_link(from, to) else {
        return Ok(());
    };
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EPERM | Errno::EOPNOTSUPP | Errno::ENOSYS | Errno::EMLINK) => {
            let mut copy = unfinished_in(folder_of(to))?;
            io::copy(&mut File::open(from)?, copy.as_file_mut())?;
            copy.as_file().sync_all()?;
            copy.persist_noclobber(to)?;
            Ok(())
        }
        _ => Err(error),
    }
}

/// Copies a database, as this connection sees it, to a new single file.
///
/// # Errors
/// As `SQLite` or the file system says; the new file is then unusable.
pub fn copy_database(from: &Connection, to: &Path) -> Result<(), CopyError> {
    let mut copy = Connection::open(to)?;
    copy.pragma_update(None, "synchronous", "off")?;
    {
        let backup = Backup::new(from, &mut copy)?;
        while backup.step(PAGES_PER_STEP)? != rusqlite::backup::StepResult::Done {}
    }
    copy.pragma_update(None, "journal_mode", "delete")?;
    drop(copy);
    Ok(File::open(to)?.sync_all()?)
}

/// Why a database could not be copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// As `SQLite` says.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// The copy cannot be made durable.
    #[error(transparent)]
    Io(#[from] io::Error),
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_replaced_file_keeps_its_mode_and_a_new_one_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let (old, link, new) = (
            folder.path().join("old"),
            folder.path().join("link"),
            folder.path().join("new"),
        );
        fs::write(&old, "before").unwrap();
        fs::set_permissions(&old, fs::Permissions::from_mode(0o640)).unwrap();
        symlink(&old, &link).unwrap();
        let replacement = Replacement::prepare(&link, b"after").unwrap();
        assert_eq!(fs::read(&old).unwrap(), b"before");
        replacement.commit().unwrap();
        assert_eq!(fs::read(&old).unwrap(), b"after");
        assert!(link.is_symlink());
        assert_eq!(mode(&old), 0o640);
        Replacement::prepare(&new, b"x").unwrap().commit().unwrap();
        assert_eq!(mode(&new), 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
    }
}
