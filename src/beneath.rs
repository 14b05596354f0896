//! Opens files in folders of another account. Links are not followed: the other account could make
//! root open any file.

use std::{
    fs::File,
    io,
    os::fd::AsFd,
    path::{Component, Path},
};

use nix::{
    fcntl::{OFlag, openat},
    sys::stat::Mode,
};

/// Opens a file or folder below a folder, for reading. Opening a FIFO does not block.
///
/// # Errors
/// As the file system says; also when the path leaves the folder or contains a link.
pub fn open(folder: &File, path: &Path) -> io::Result<File> {
    let mut parts = path.components().collect::<Vec<_>>();
    let last = parts.pop().unwrap_or(Component::CurDir);
    let mut parent = None;
    for part in parts {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY;
        parent = Some(step(parent.as_ref().unwrap_or(folder), part, flags)?);
    }
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    step(parent.as_ref().unwrap_or(folder), last, flags)
}

fn step(folder: impl AsFd, part: Component<'_>, flags: OFlag) -> io::Result<File> {
    let (Component::Normal(_) | Component::CurDir) = part else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let flags = flags | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let opened = openat(folder, part.as_os_str(), flags, Mode::empty())?;
    Ok(File::from(opened))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    #[test]
    fn only_what_is_below_is_opened_and_no_link_is_followed() {
        let outside = tempfile::tempdir().unwrap();
        fs::create_dir(outside.path().join("folder")).unwrap();
        let secret = outside.path().join("secret");
        fs::write(&secret, "").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir_all(path("a/b")).unwrap();
        fs::write(path("a/b/c"), "").unwrap();
        symlink(&secret, path("link")).unwrap();
        symlink(outside.path(), path("linked")).unwrap();
        let open = |name: &str| open(&File::open(folder.path()).unwrap(), Path::new(name));
        for fine in ["", "a", "a/b", "a/b/c"] {
            assert!(open(fine).is_ok(), "{fine}");
        }
        let secret = secret.to_str().unwrap();
        for astray in [
            "link",
            "linked",
            "linked/secret",
            "linked/folder",
            "..",
            "a/../..",
            secret,
        ] {
            assert!(open(astray).is_err(), "{astray}");
        }
    }
}
