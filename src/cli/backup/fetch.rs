//! Copies what the server has prepared of a user into the backup, using as little space as the
//! disks allow.

use std::{
    fs::{self, File, FileTimes, Metadata},
    io,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use indicatif::HumanBytes;
use rustix::fs::ioctl_ficlone;

use super::source::{Original, Source, at};
use crate::{
    control::BackedUp,
    files::create_private,
    layout::{COLLECTION, MEDIA, MEDIA_DATABASE},
    media::Media,
    vault::room::Free,
};

/// How to save space on the disk.
#[derive(Debug, Clone, Copy)]
pub struct Saving {
    /// Whether files of media, which never change, may share space with the server's: blocks if
    /// possible, otherwise whole files. Files of earlier backups are always shared.
    pub shares: bool,
    /// Bytes that must stay free.
    pub reserve: u64,
}

/// The destination, and an earlier backup.
pub struct Fetch {
    pub to: PathBuf,
    pub former: Option<PathBuf>,
    pub saving: Saving,
}

impl Fetch {
    /// Copies everything that the server has prepared of a user, or fails. Returns which media are
    /// new. Calls `done` for each file.
    ///
    /// Fails also when the disk has no space.
    pub fn fetch(&self, copy: &BackedUp, from: &Source, done: &dyn Fn()) -> io::Result<Media> {
        if copy.collection.is_none() && copy.media.is_none() {
            return Ok(Media::default());
        }
        create_private(&self.to)?;
        if copy.collection.is_some() {
            self.copy_database(from, COLLECTION)?;
        }
        let Some(expected) = copy.media else {
            return Ok(Media::default());
        };
        self.copy_database(from, MEDIA_DATABASE)?;
        let (all, new) = self.fetch_media(&from.folder(MEDIA)?, done)?;
        if all != expected {
            let why = format!(
                "{} files ({} bytes) were copied, of {} files ({} bytes)",
                all.files, all.bytes, expected.files, expected.bytes
            );
            return Err(at(&copy.folder.join(MEDIA), &why));
        }
        Ok(new)
    }

    fn copy_database(&self, from: &Source, name: &str) -> io::Result<()> {
        let original = from.file(name)?;
        self.copy(&original, &self.to.join(name), original.metadata.len())
    }

    /// Returns all media, and the new ones among them.
    fn fetch_media(&self, from: &Source, done: &dyn Fn()) -> io::Result<(Media, Media)> {
        let to = self.to.join(MEDIA);
        create_private(&to)?;
        let (mut all, mut new) = (Media::default(), Media::default());
        let mut names = Vec::new();
        for name in from.names()? {
            let original = from.file(&name)?.metadata;
            all.add(original.len());
            let former = self.former.as_ref().map(|former| former.join(&name));
            if former.is_some_and(|former| link_if_same(&former, &original, &to.join(&name))) {
                done();
            } else {
                new.add(original.len());
                names.push(name);
            }
        }
        let mut left = new.bytes;
        for name in names {
            let original = from.file(&name)?;
            self.take(&original, &to.join(&name), left)?;
            left = left.saturating_sub(original.metadata.len());
            done();
        }
        Ok((all, new))
    }

    fn take(&self, original: &Original, to: &Path, left: u64) -> io::Result<()> {
        if self.saving.shares {
            if let Ok(copy) = new_file(to) {
                if ioctl_ficlone(&copy, &original.file).is_ok() {
                    return keep_time(original, &copy);
                }
                fs::remove_file(to)?;
            }
            // The server never writes to an existing media file.
            if original.link(to).is_ok() {
                return Ok(());
            }
        }
        self.copy(original, to, left)
    }

    /// `left` is how many bytes are still to be copied, including this file.
    fn copy(&self, original: &Original, to: &Path, left: u64) -> io::Result<()> {
        let free = Free::at(&self.to)?.bytes;
        let reserve = self.saving.reserve;
        if free < left.saturating_add(reserve) {
            return Err(io::Error::other(format!(
                "the disk is too full: {} remain to be copied, but only {} are free, of which {} have to stay free (min_free_megs). Free space, or choose a folder on another disk with --to",
                HumanBytes(left),
                HumanBytes(free),
                HumanBytes(reserve)
            )));
        }
        let copy = new_file(to)?;
        original.copy(&copy)?;
        keep_time(original, &copy)
    }
}

fn new_file(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.write(true).create_new(true).mode(0o600);
    options.open(path).map_err(|error| at(path, &error))
}

fn keep_time(original: &Original, copy: &File) -> io::Result<()> {
    copy.set_times(FileTimes::new().set_modified(original.metadata.modified()?))
}

/// New content of a media file comes with a new file, and so with a new time.
fn link_if_same(former: &Path, original: &Metadata, to: &Path) -> bool {
    let same = |former: Metadata| {
        former.is_file()
            && former.len() == original.len()
            && (former.mtime(), former.mtime_nsec()) == (original.mtime(), original.mtime_nsec())
    };
    former.symlink_metadata().is_ok_and(same) && fs::hard_link(former, to).is_ok()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use nix::unistd::Uid;
    use tempfile::TempDir;

    use super::*;
    use crate::collection::file::Summary;

    const COPYING: Saving = Saving {
        shares: false,
        reserve: 0,
    };

    /// What a server has prepared, in a folder that also has space for backups.
    fn prepared(media: &[(&str, &str)]) -> (TempDir, BackedUp) {
        let folder = tempfile::tempdir().unwrap();
        let copy = prepare(folder.path(), media);
        (folder, copy)
    }

    fn prepare(folder: &Path, media: &[(&str, &str)]) -> BackedUp {
        let prepared = folder.join("prepared");
        let _ = fs::remove_dir_all(&prepared);
        fs::create_dir_all(prepared.join("media")).unwrap();
        fs::write(prepared.join("collection.anki2"), "cards").unwrap();
        fs::write(prepared.join("media.db"), "names").unwrap();
        let mut all = Media::default();
        for (name, content) in media {
            let path = prepared.join("media").join(name);
            fs::write(&path, content).unwrap();
            let time = UNIX_EPOCH + Duration::from_secs(content.len() as u64);
            let file = File::options().write(true).open(path).unwrap();
            file.set_times(FileTimes::new().set_modified(time)).unwrap();
            all.add(content.len() as u64);
        }
        BackedUp {
            folder: prepared,
            collection: Some(Summary {
                cards: 1,
                notes: 1,
                reviews: 0,
                last_review_ms: None,
                modified_ms: 0,
                schema_changed: 0,
            }),
            damage: None,
            media: Some(all),
        }
    }

    fn part(folder: &TempDir, name: &str, former: Option<&str>, saving: Saving) -> Fetch {
        Fetch {
            to: folder.path().join(name),
            former: former.map(|former| folder.path().join(former).join("media")),
            saving,
        }
    }

    fn fetch(part: &Fetch, copy: &BackedUp) -> io::Result<Media> {
        let source = Source::open(&copy.folder, Uid::effective())?;
        part.fetch(copy, &source, &|| ())
    }

    fn inode(part: &Fetch, name: &str) -> u64 {
        part.to.join("media").join(name).metadata().unwrap().ino()
    }

    #[test]
    fn what_a_former_backup_has_is_on_the_disk_only_once() {
        let (folder, copy) = prepared(&[("same", "a"), ("changed", "b"), ("gone", "c")]);
        let first = part(&folder, "first", None, COPYING);
        assert_eq!(fetch(&first, &copy).unwrap().files, 3);
        let copy = prepare(
            folder.path(),
            &[("same", "a"), ("changed", "longer"), ("new", "d")],
        );
        let second = part(&folder, "second", Some("first"), COPYING);
        assert_eq!(fetch(&second, &copy).unwrap(), Media { files: 2, bytes: 7 });
        assert_eq!(inode(&first, "same"), inode(&second, "same"));
        assert_ne!(inode(&first, "changed"), inode(&second, "changed"));
        let read = |part: &Fetch, name: &str| fs::read_to_string(part.to.join(name)).unwrap();
        assert_eq!(read(&first, "media/changed"), "b");
        assert_eq!(read(&second, "media/changed"), "longer");
        assert_eq!(read(&second, "collection.anki2"), "cards");
        assert!(!second.to.join("media/gone").exists());
    }

    #[test]
    fn media_may_be_the_servers_own_files_or_not() {
        for shares in [true, false] {
            let (folder, copy) = prepared(&[("one", "a")]);
            let saving = Saving { shares, reserve: 0 };
            let part = part(&folder, "to", None, saving);
            fetch(&part, &copy).unwrap();
            let original = copy.folder.join("media/one").metadata().unwrap();
            // Where the file system shares blocks, the two files have different inodes.
            assert!(shares || original.ino() != inode(&part, "one"));
            let copy = part.to.join("media/one").metadata().unwrap();
            assert_eq!(copy.mtime(), original.mtime());
        }
    }

    #[test]
    fn what_the_server_has_prepared_is_there_or_it_is_no_backup() {
        for gone in ["collection.anki2", "media.db", "media/one", "media"] {
            let (folder, copy) = prepared(&[("one", "a"), ("two", "b")]);
            let gone = copy.folder.join(gone);
            if gone.is_dir() {
                fs::remove_dir_all(&gone).unwrap();
            } else {
                fs::remove_file(&gone).unwrap();
            }
            let error = fetch(&part(&folder, "to", None, COPYING), &copy).unwrap_err();
            let named = gone.parent().unwrap().to_str().unwrap();
            assert!(error.to_string().contains(named), "{error}");
        }
    }

    #[test]
    fn what_vanishes_while_it_is_fetched_is_missed() {
        let (folder, copy) = prepared(&[("one", "a"), ("two", "b")]);
        let source = Source::open(&copy.folder, Uid::effective()).unwrap();
        let part = part(&folder, "to", None, COPYING);
        let vanish = || {
            let _ = fs::remove_dir_all(&copy.folder);
        };
        assert!(part.fetch(&copy, &source, &vanish).is_err());
    }

    #[test]
    fn of_a_user_without_data_there_is_nothing() {
        let (folder, mut copy) = prepared(&[]);
        (copy.collection, copy.media) = (None, None);
        let part = part(&folder, "to", None, COPYING);
        assert_eq!(fetch(&part, &copy).unwrap(), Media::default());
        assert!(!part.to.exists());
    }

    #[test]
    fn a_copy_that_would_fill_the_disk_is_not_begun() {
        let (folder, mut copy) = prepared(&[("one", "a")]);
        let former = part(&folder, "former", None, COPYING);
        fetch(&former, &copy).unwrap();
        copy.collection = None;
        let full = Saving {
            shares: false,
            reserve: u64::MAX,
        };
        let error = fetch(&part(&folder, "to", None, full), &copy).unwrap_err();
        assert!(
            error.to_string().contains("the disk is too full"),
            "{error}"
        );
        // Files that are on the disk already need no space.
        let source = Source::open(&copy.folder, Uid::effective()).unwrap();
        let again = part(&folder, "again", Some("former"), full);
        fs::create_dir(&again.to).unwrap();
        let media = again.fetch_media(&source.folder("media").unwrap(), &|| ());
        assert_eq!(media.unwrap().1, Media::default());
    }
}
