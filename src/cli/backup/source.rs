//! What the server has prepared. Root fetches it, and the server's account has fewer rights than
//! root. So only files of that account are taken: a link of the account could name any other file.

use std::{
    ffi::{OsStr, OsString},
    fs::{File, Metadata, OpenOptions},
    io,
    os::{
        fd::AsRawFd,
        unix::{
            ffi::OsStrExt,
            fs::{MetadataExt, OpenOptionsExt},
        },
    },
    path::{Path, PathBuf},
};

use nix::{
    dir::Dir,
    fcntl::{AT_FDCWD, AtFlags, OFlag, openat},
    sys::stat::Mode,
    unistd::{Uid, linkat},
};

use crate::beneath;

pub struct Source {
    folder: File,
    path: PathBuf,
    /// The account that must own all files; none without root's rights, where it does not matter.
    owner: Option<u32>,
}

pub struct Original {
    pub file: File,
    pub metadata: Metadata,
    path: PathBuf,
}

impl Source {
    /// Opens the folder that a server of this account has named.
    ///
    /// Fails also when another account owns it.
    pub fn open(path: &Path, server: Uid) -> io::Result<Self> {
        let is_theirs = Uid::effective().is_root() && !server.is_root();
        let folder = OpenOptions::new()
            .read(true)
            .custom_flags((OFlag::O_DIRECTORY | OFlag::O_NONBLOCK).bits())
            .open(path);
        let source = Self {
            folder: folder.map_err(|error| at(path, &error))?,
            path: path.to_owned(),
            owner: is_theirs.then_some(server.as_raw()),
        };
        source.check(&source.folder, path)?;
        Ok(source)
    }

    /// Fails also when another account owns it.
    pub fn folder(&self, name: &str) -> io::Result<Self> {
        let path = self.path.join(name);
        let folder =
            beneath::open(&self.folder, name.as_ref()).map_err(|error| at(&path, &error))?;
        self.check(&folder, &path)?;
        let owner = self.owner;
        Ok(Self {
            folder,
            path,
            owner,
        })
    }

    /// Fails also when it is not a file, or another account owns it.
    pub fn file(&self, name: impl AsRef<Path>) -> io::Result<Original> {
        let path = self.path.join(&name);
        let file = beneath::open(&self.folder, name.as_ref()).map_err(|error| at(&path, &error))?;
        let metadata = self.check(&file, &path)?;
        if !metadata.is_file() {
            return Err(at(&path, &"is not a file"));
        }
        Ok(Original {
            file,
            metadata,
            path,
        })
    }

    pub fn names(&self) -> io::Result<Vec<OsString>> {
        let list = || {
            let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
            let again = openat(&self.folder, c".", flags, Mode::empty())?;
            let mut names = Vec::new();
            for entry in Dir::from_fd(again)?.iter() {
                let name = entry?.file_name().to_owned();
                if name.as_c_str() != c"." && name.as_c_str() != c".." {
                    names.push(OsStr::from_bytes(name.to_bytes()).to_owned());
                }
            }
            Ok(names)
        };
        list().map_err(|error: nix::Error| at(&self.path, &error))
    }

    fn check(&self, file: &File, path: &Path) -> io::Result<Metadata> {
        let metadata = file.metadata().map_err(|error| at(path, &error))?;
        match self.owner {
            Some(owner) if owner != metadata.uid() => {
                let other = metadata.uid();
                let why = format!(
                    "belongs to account {other}, not to the server's account, {owner}; `anki-syncd check` may show more"
                );
                Err(at(path, &why))
            }
            _ => Ok(metadata),
        }
    }
}

impl Original {
    /// Gives the open file a second name, even if its first name now belongs to another file.
    pub fn link(&self, to: &Path) -> io::Result<()> {
        let itself = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        let flags = AtFlags::AT_SYMLINK_FOLLOW;
        Ok(linkat(AT_FDCWD, itself.as_str(), AT_FDCWD, to, flags)?)
    }

    /// Copies the content to a new file. The kernel shares the blocks where it can.
    pub fn copy(&self, to: &File) -> io::Result<()> {
        let copied = io::copy(&mut &self.file, &mut &*to);
        copied.map(|_| ()).map_err(|error| at(&self.path, &error))
    }
}

/// An error that names the path.
pub fn at(path: &Path, why: &dyn std::fmt::Display) -> io::Error {
    io::Error::other(format!("{}: {why}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use nix::{sys::stat::Mode, unistd::mkfifo};

    use super::*;

    fn source(path: &Path, owner: Option<u32>) -> Source {
        Source {
            folder: File::open(path).unwrap(),
            path: path.to_owned(),
            owner,
        }
    }

    #[test]
    fn neither_links_nor_pipes_nor_what_is_another_accounts_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let ours = Uid::effective().as_raw();
        fs::write(path("file"), "content").unwrap();
        fs::create_dir(path("folder")).unwrap();
        symlink("/etc", path("etc")).unwrap();
        symlink(path("file"), path("link")).unwrap();
        mkfifo(&path("pipe"), Mode::S_IRWXU).unwrap();
        let fine = source(folder.path(), Some(ours));
        assert!(fine.file("file").is_ok() && fine.folder("folder").is_ok());
        for name in ["link", "pipe", "folder", "gone"] {
            let error = fine.file(name).err().unwrap().to_string();
            assert!(error.contains(path(name).to_str().unwrap()), "{error}");
        }
        assert!(fine.folder("etc").is_err());
        let others = source(folder.path(), Some(ours + 1));
        assert!(others.file("file").is_err() && others.folder("folder").is_err());
    }

    #[test]
    fn a_second_name_is_that_of_the_file_that_was_looked_at() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("file"), "ours").unwrap();
        let original = source(folder.path(), None).file("file").unwrap();
        fs::write(path("other"), "another").unwrap();
        fs::rename(path("other"), path("file")).unwrap();
        // The kernel gives no new name to a file that has none left.
        assert!(original.link(&path("second")).is_err());
        let original = source(folder.path(), None).file("file").unwrap();
        fs::rename(path("file"), path("elsewhere")).unwrap();
        symlink("/etc/hostname", path("file")).unwrap();
        original.link(&path("second")).unwrap();
        assert_eq!(fs::read_to_string(path("second")).unwrap(), "another");
    }
}
