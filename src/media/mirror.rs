//! Hard links to all media files, for a backup.

use std::{
    collections::HashMap,
    ffi::OsString,
    fs::{self, File, FileTimes, Metadata},
    io::{self, ErrorKind},
    os::unix::fs::{DirEntryExt, MetadataExt},
    path::Path,
};

use nix::unistd::geteuid;

use super::Media;

/// Makes a folder contain hard links to all media files. Links are enough, since new content always
/// comes with a new file. Existing links are not checked, so a second run is quick.
///
/// If files change meanwhile, the folder is complete only after another run without changes.
pub fn mirror(media: &Path, copy: &Path) -> io::Result<()> {
    let mut copies: HashMap<OsString, u64> = HashMap::new();
    for entry in fs::read_dir(copy)? {
        let entry = entry?;
        copies.insert(entry.file_name(), entry.ino());
    }
    for entry in fs::read_dir(media)? {
        let entry = entry?;
        let name = entry.file_name();
        if copies.get(&name) == Some(&entry.ino()) {
            copies.remove(&name);
            continue;
        }
        let original = unless_changed(entry.metadata())?.filter(Metadata::is_file);
        if let Some(original) = original {
            let present = copies.remove(&name).is_some();
            follow(&entry.path(), &original, &copy.join(name), present)?;
        }
    }
    for gone in copies.into_keys() {
        fs::remove_file(copy.join(gone))?;
    }
    Ok(())
}

/// Counts the files in such a folder. No other task may use it.
pub fn count(copy: &Path) -> io::Result<Media> {
    let mut media = Media::default();
    for entry in fs::read_dir(copy)? {
        media.add(entry?.metadata()?.len());
    }
    Ok(media)
}

fn follow(path: &Path, original: &Metadata, to: &Path, present: bool) -> io::Result<()> {
    if present {
        if is_same(&to.symlink_metadata()?, original) {
            return Ok(());
        }
        fs::remove_file(to)?;
    }
    unless_changed(take(path, original, to))?;
    Ok(())
}

/// Where there are no hard links, files are copied with their times.
fn is_same(copy: &Metadata, original: &Metadata) -> bool {
    let time = |file: &Metadata| (file.mtime(), file.mtime_nsec());
    copy.ino() == original.ino() || (copy.len(), time(copy)) == (original.len(), time(original))
}

/// Root fetches the copy later, and takes only files that the server's account owns.
fn take(path: &Path, original: &Metadata, to: &Path) -> io::Result<()> {
    let is_ours = geteuid().is_root() || original.uid() == geteuid().as_raw();
    if is_ours && fs::hard_link(path, to).is_ok() {
        return Ok(());
    }
    let mut from = File::open(path)?;
    let mut copy = File::create_new(to)?;
    io::copy(&mut from, &mut copy)?;
    copy.set_times(FileTimes::new().set_modified(original.modified()?))
}

/// If a folder changes while it is listed, names can be missing or appear twice.
fn unless_changed<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::AlreadyExists) => {
            Ok(None)
        }
        result => result.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    struct Folders(tempfile::TempDir);

    impl Folders {
        fn new(files: &[(&str, &str)]) -> Self {
            let folders = Self(tempfile::tempdir().unwrap());
            fs::create_dir(folders.media()).unwrap();
            fs::create_dir(folders.copy()).unwrap();
            for (name, content) in files {
                fs::write(folders.media().join(name), content).unwrap();
            }
            folders
        }

        fn media(&self) -> PathBuf {
            self.0.path().join("media")
        }

        fn copy(&self) -> PathBuf {
            self.0.path().join("copy")
        }

        fn replace(&self, name: &str, content: &str) {
            let new = self.0.path().join("new");
            fs::write(&new, content).unwrap();
            fs::rename(new, self.media().join(name)).unwrap();
        }

        fn mirror(&self) -> (u64, u64) {
            mirror(&self.media(), &self.copy()).unwrap();
            let media = count(&self.copy()).unwrap();
            (media.files, media.bytes)
        }

        fn copied(&self) -> Vec<(String, String)> {
            let mut copied: Vec<_> = fs::read_dir(self.copy())
                .unwrap()
                .map(|entry| entry.unwrap())
                .map(|entry| {
                    let content = fs::read_to_string(entry.path()).unwrap();
                    (entry.file_name().into_string().unwrap(), content)
                })
                .collect();
            copied.sort();
            copied
        }
    }

    fn pairs(files: &[(&str, &str)]) -> Vec<(String, String)> {
        let owned = |(name, content): &(&str, &str)| ((*name).into(), (*content).into());
        files.iter().map(owned).collect()
    }

    #[test]
    fn what_changed_since_the_first_time_is_followed_and_the_rest_is_left() {
        let folders = Folders::new(&[
            ("gone", "a"),
            ("folder now", ""),
            ("new content", "b"),
            ("same", "c"),
        ]);
        fs::create_dir(folders.media().join("folder")).unwrap();
        assert_eq!(folders.mirror(), (4, 3));
        let links = |name: &str| {
            let file = folders.copy().join(name).metadata().unwrap();
            (file.nlink(), file.ctime(), file.ctime_nsec())
        };
        let before = links("same");
        assert_eq!(before.0, 2);
        fs::remove_file(folders.media().join("gone")).unwrap();
        folders.replace("new content", "longer");
        folders.replace("new", "d");
        fs::remove_file(folders.media().join("folder now")).unwrap();
        fs::create_dir(folders.media().join("folder now")).unwrap();
        assert_eq!(folders.mirror(), (3, 8));
        let expected = [("new", "d"), ("new content", "longer"), ("same", "c")];
        assert_eq!(folders.copied(), pairs(&expected));
        assert_eq!(links("same"), before);
    }

    #[test]
    fn files_that_had_to_be_copied_are_not_copied_again() {
        let folders = Folders::new(&[("one", "a")]);
        let original = folders.media().join("one");
        let metadata = original.metadata().unwrap();
        fs::copy(&original, folders.copy().join("one")).unwrap();
        File::options()
            .write(true)
            .open(folders.copy().join("one"))
            .unwrap()
            .set_times(FileTimes::new().set_modified(metadata.modified().unwrap()))
            .unwrap();
        assert_eq!(folders.mirror(), (1, 1));
        assert_eq!(original.metadata().unwrap().nlink(), 1);
    }
}
