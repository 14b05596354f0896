//! Hard links in backups. A backup on the same file system shares its media files with the server.

use std::{
    cell::OnceCell,
    collections::HashMap,
    fs::{self, Metadata},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use nix::unistd::Uid;

/// The hard links in the folder of backups, which is read when they are first needed.
pub struct Backups {
    folder: Option<PathBuf>,
    /// The number of links by device and inode.
    names: OnceCell<HashMap<(u64, u64), u64>>,
}

impl Backups {
    pub fn in_folder(folder: Option<PathBuf>) -> Self {
        Self {
            folder,
            names: OnceCell::new(),
        }
    }

    /// How many names a file has in the backups.
    pub fn names_of(&self, file: &Metadata) -> u64 {
        let names = self.names.get_or_init(|| {
            let mut names = HashMap::new();
            let folder = self.folder.as_deref();
            if let Some(folder) = folder.filter(|folder| is_ours_alone(folder)) {
                // A link in a folder that cannot be read does not count: then root refuses the file.
                let _ = count(folder, &mut names);
            }
            names
        });
        names.get(&(file.dev(), file.ino())).copied().unwrap_or(0)
    }
}

/// Another account that can write to the folder could link any file there, and so have root change
/// its owner.
fn is_ours_alone(folder: &Path) -> bool {
    folder.symlink_metadata().is_ok_and(|metadata| {
        metadata.is_dir()
            && metadata.uid() == Uid::effective().as_raw()
            && metadata.mode() & 0o777 == 0o700
    })
}

fn count(folder: &Path, names: &mut HashMap<(u64, u64), u64>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        if metadata.is_dir() {
            count(&entry.path(), names)?;
        } else if metadata.is_file() && metadata.nlink() > 1 {
            *names.entry((metadata.dev(), metadata.ino())).or_default() += 1;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{fs::Permissions, os::unix::fs::PermissionsExt};

    use super::*;

    #[test]
    fn names_count_where_nobody_else_can_have_put_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir_all(path("backups/2026/anna/media")).unwrap();
        fs::write(path("one"), "").unwrap();
        fs::hard_link(path("one"), path("backups/2026/anna/media/one")).unwrap();
        fs::hard_link(path("one"), path("elsewhere")).unwrap();
        let names = |mode| {
            let backups = path("backups");
            fs::set_permissions(&backups, Permissions::from_mode(mode)).unwrap();
            Backups::in_folder(Some(backups)).names_of(&path("one").metadata().unwrap())
        };
        assert_eq!(names(0o700), 1);
        assert_eq!(names(0o750), 0);
        let none = Backups::in_folder(None);
        assert_eq!(none.names_of(&path("one").metadata().unwrap()), 0);
    }
}
