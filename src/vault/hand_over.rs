//! Gives a `SYNC_BASE` of root's to the account that the server will use.
//!
//! An attacker may have had that account in an earlier run of the server, and may have prepared the
//! folder for the moment when root changes owners in it. So symbolic links are not followed, and a
//! file with another hard link is not given away.

use std::{
    ffi::CStr,
    fs::{self, File},
    io,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd},
        unix::{
            ffi::OsStrExt,
            fs::{MetadataExt, fchown, lchown},
        },
    },
    path::Path,
};

use nix::{
    dir::Dir,
    errno::Errno,
    fcntl::{AtFlags, OFlag, openat},
    sys::stat::{Mode, SFlag, fstat},
    unistd::{Gid, Uid, fchownat},
};

use super::base::{BaseError, failed};
use crate::{
    files::create_private,
    layout::{LOST_AND_FOUND, OWN, users_folder::is_users_folder},
};

/// Other names that may exist; the last one where a file system is mounted.
const BESIDE_USERS: [&str; 2] = [OWN, LOST_AND_FOUND];
const ROOT: u32 = 0;

/// Creates the folder if it is missing, and gives it to the account, with everything in it that
/// root owns. Other owners stay. `working` is called repeatedly meanwhile.
/// # Errors
/// [`BaseError`], also if root owns the folder and it contains other things than users' folders.
pub fn hand_over(
    base: &Path,
    uid: Uid,
    gid: Gid,
    working: &mut dyn FnMut(),
) -> Result<(), BaseError> {
    let io_failed = |source| failed(base, source);
    create_for(base, uid, gid).map_err(io_failed)?;
    let folder = File::open(base).map_err(io_failed)?;
    let owner = folder.metadata().map_err(io_failed)?.uid();
    if owner == ROOT {
        check_is_base(&folder, base)?;
    } else if owner != uid.as_raw() {
        return Ok(());
    }
    let mut giving = Giving { uid, gid, working };
    giving.give_all_in(folder.as_fd(), base)?;
    // The folder itself comes last, so that a killed process begins again.
    if owner == ROOT {
        fchown(&folder, Some(uid.as_raw()), Some(gid.as_raw())).map_err(io_failed)?;
    }
    Ok(())
}

/// Missing parents are created as well; the account must be able to pass through them.
fn create_for(base: &Path, uid: Uid, gid: Gid) -> io::Result<()> {
    let missing: Vec<_> = base
        .ancestors()
        .take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists())
        .collect();
    create_private(base)?;
    missing
        .into_iter()
        .try_for_each(|folder| lchown(folder, Some(uid.as_raw()), Some(gid.as_raw())))
}

/// Protects against a `SYNC_BASE` of `/srv`, or worse, instead of a folder below it. The open
/// folder is checked: its path may already name another one.
fn check_is_base(folder: &File, base: &Path) -> Result<(), BaseError> {
    let folder = Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string());
    for entry in fs::read_dir(folder).map_err(|source| failed(base, source))? {
        let entry = entry.map_err(|source| failed(base, source))?;
        let name = entry.file_name();
        let is_known =
            BESIDE_USERS.iter().any(|known| name == *known) || is_users_folder(&entry.path());
        if !is_known {
            return Err(BaseError::Shared {
                base: base.to_owned(),
                other: base.join(name),
            });
        }
    }
    Ok(())
}

struct Giving<'a> {
    uid: Uid,
    gid: Gid,
    working: &'a mut dyn FnMut(),
}

impl Giving<'_> {
    fn give_all_in(&mut self, folder: BorrowedFd<'_>, path: &Path) -> Result<(), BaseError> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let mut entries = Dir::openat(folder, c".", flags, Mode::empty())
            .map_err(|errno| failed(path, errno.into()))?;
        for entry in entries.iter() {
            let entry = entry.map_err(|errno| failed(path, errno.into()))?;
            let name = entry.file_name();
            if name != c"." && name != c".." {
                let path = path.join(std::ffi::OsStr::from_bytes(name.to_bytes()));
                self.give(folder, name, &path)?;
            }
        }
        Ok(())
    }

    /// Opens the file before it is checked, so that it cannot be exchanged before it is given away.
    /// Sockets are skipped: the server creates its own again.
    fn give(&mut self, folder: BorrowedFd<'_>, name: &CStr, path: &Path) -> Result<(), BaseError> {
        (self.working)();
        let io_failed = |errno: Errno| failed(path, errno.into());
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let file = openat(folder, name, flags, Mode::empty()).map_err(io_failed)?;
        let found = fstat(&file).map_err(io_failed)?;
        let kind = SFlag::from_bits_truncate(found.st_mode) & SFlag::S_IFMT;
        let is_single = kind == SFlag::S_IFREG && found.st_nlink == 1;
        if found.st_uid == ROOT && (kind == SFlag::S_IFDIR || is_single) {
            let itself = AtFlags::AT_EMPTY_PATH;
            fchownat(&file, c"", Some(self.uid), Some(self.gid), itself).map_err(io_failed)?;
        } else if found.st_uid == ROOT && kind != SFlag::S_IFSOCK {
            tracing::warn!(
                "{} still belongs to root, since it is a link or has several names: change its owner by hand if the server needs it",
                path.display()
            );
        }
        if kind == SFlag::S_IFDIR {
            self.give_all_in(file.as_fd(), path)?;
        }
        Ok(())
    }
}
