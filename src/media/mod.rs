//! One user's media: the folder and `media.db`, in the reference server's layout.

mod archive;
mod batch;
mod clash;
mod database;
mod error;
pub mod examine;
mod expected;
pub mod fault;
pub mod mirror;
pub mod name;
mod vanished;

use std::{
    collections::{BTreeMap, HashSet},
    fs::File,
    io::{Read, Seek, Write},
    ops::AddAssign,
    path::{Path, PathBuf},
    time::SystemTime,
};

use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use crate::{
    disk::{Disk, Purpose},
    durable::copy_database,
    wire::media::{self as wire, DOWNLOAD_TARGET_BYTES, FILES_PER_BATCH},
    work,
};
use archive::{Download, Upload};
use batch::{Change, Folders};
use database::Entry;
use expected::Expected;
use mirror::mirror;

pub use error::{Error, Refusal};

/// A user's open media. After a failure of the server, drop this and open it again: opening completes or drops an
/// interrupted batch.
pub struct MediaStore {
    conn: Connection,
    folders: Folders,
    disk: Disk,
    /// The folder's modification time at the last [`look`](Self::look).
    seen: Option<SystemTime>,
}

/// The number and size of a user's media.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Media {
    /// How many files.
    pub files: u64,
    /// The sum of their sizes.
    pub bytes: u64,
}

impl Media {
    /// Counts a file.
    pub fn add(&mut self, bytes: u64) {
        self.files += 1;
        self.bytes += bytes;
    }
}

impl AddAssign for Media {
    fn add_assign(&mut self, other: Self) {
        self.files += other.files;
        self.bytes += other.bytes;
    }
}

/// The result of a batch from a device.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Taken {
    /// The files that the device sent.
    pub files: Media,
    /// How many other files were removed.
    pub removed: u64,
}

impl MediaStore {
    /// Opens the media in a user's folder, and completes or drops an interrupted batch.
    pub fn open(database: &Path, media: PathBuf, staging: PathBuf) -> Result<Self, Error> {
        let mut conn = database::open(database)?;
        work::watch(&mut conn)?;
        let listed = usize::try_from(database::files(&conn)?).unwrap_or(0);
        if listed > 0 && !media.try_exists()? {
            return Err(Error::Absent(listed));
        }
        let disk = Disk::new(media.clone());
        let folders = Folders::create(media, staging)?;
        folders.settle(database::last_usn(&conn)?)?;
        Ok(Self {
            conn,
            folders,
            disk,
            seen: None,
        })
    }

    /// Limits uploads to the space that this disk allows.
    #[must_use]
    pub fn within(self, disk: Disk) -> Self {
        Self { disk, ..self }
    }

    /// The last USN handed out.
    pub fn last_usn(&self) -> Result<i32, Error> {
        Ok(database::last_usn(&self.conn)?)
    }

    /// The changes after a USN, without files that are missing here: a client asks for 25 files at a time, and gives up
    /// at the first that is missing.
    pub fn changes_after(&mut self, usn: i32) -> Result<Vec<wire::Change>, Error> {
        self.look()?;
        Ok(database::changes_after(&self.conn, usn)?)
    }

    /// How many files exist.
    pub fn files(&mut self) -> Result<i64, Error> {
        self.look()?;
        Ok(database::files(&self.conn)?)
    }

    /// Copies `media.db`, and updates a [mirror](mirror::mirror) of the media, which is quick if little has changed.
    /// # Errors
    /// [`Error::Copy`] or [`Error::Io`]; [`Error::Absent`], so that a backup without its media does not pass for a
    /// complete one.
    pub fn copy_to(&mut self, database: &Path, folder: &Path) -> Result<(), Error> {
        self.look()?;
        copy_database(&self.conn, database)?;
        Ok(mirror(&self.folders.media, folder)?)
    }

    /// The bytes of all files.
    pub fn bytes(&self) -> Result<u64, Error> {
        Ok(database::bytes(&self.conn)?)
    }

    /// Applies a client's batch of new, changed and removed files, all of it or nothing. Returns what was done and the
    /// answer to the client. A batch that leads to more than `allowed` bytes is refused, unless it makes the media
    /// smaller.
    ///
    /// # Errors
    /// [`Error::Refused`] for a batch outside the limits; [`Error::OverQuota`]; otherwise a failure of the server.
    pub fn upload(
        &mut self,
        zip: impl Read + Seek,
        now_secs: i64,
        allowed: u64,
    ) -> Result<(wire::Uploaded, Taken), Error> {
        self.look()?;
        let mut upload = Upload::open(zip)?;
        let entries = upload.entries()?;
        let transaction = self.conn.transaction()?;
        let mut promise = {
            let expected = Expected::new(&mut upload, &entries, &transaction)?;
            expected.check(allowed)?;
            self.disk.promise(expected.staged, Purpose::Keep)?
        };
        let batch = self.folders.begin();
        let mut changes = BTreeMap::new();
        let mut was_listed = HashSet::new();
        let mut taken = Taken::default();
        for (number, (name, in_zip)) in entries.iter().enumerate() {
            let recorded = database::entry(&transaction, name.as_str())?;
            if recorded.is_some_and(|entry| entry.size > 0) && !changes.contains_key(name) {
                was_listed.insert(name.clone());
            }
            let change = match in_zip {
                Some(in_zip) => {
                    let file = self.folders.stage(number)?;
                    let new = upload.extract(in_zip, promise.spending(file))?;
                    taken.files.add(new.size);
                    if recorded != Some(new) {
                        database::record(&transaction, name.as_str(), new, now_secs)?;
                    } else if is_whole(&self.folders.media.join(name), new) {
                        continue;
                    }
                    Change::Put(number)
                }
                None => match recorded.filter(|entry| entry.size > 0) {
                    Some(entry) => {
                        let removed = Entry { size: 0, ..entry };
                        database::record(&transaction, name.as_str(), removed, now_secs)?;
                        taken.removed += 1;
                        Change::Remove
                    }
                    None => continue,
                },
            };
            // If a name appears twice, the last entry counts.
            changes.insert(name.clone(), change);
        }
        clash::check(&self.folders.media, &changes, |name| {
            was_listed.contains(name)
        })?;
        let last_usn = database::last_usn(&transaction)?;
        if !changes.is_empty() {
            self.folders.intend(&changes, last_usn)?;
        }
        transaction.commit()?;
        let was_seen = self.folders.changed()? == self.seen;
        self.folders.settle(last_usn)?;
        drop(batch);
        if was_seen {
            // This change of the folder was our own.
            self.seen = self.folders.changed()?;
        }
        Ok((wire::Uploaded(entries.len(), last_usn), taken))
    }

    /// Packs the requested files, or the first of them up to the size of one answer, and returns their number and size.
    /// Clients ask again for the rest.
    /// # Errors
    /// [`Error::Missing`] for a file that is not recorded or has vanished from the folder. Entries of vanished files
    /// are removed, so that their loss does not spread.
    pub fn download<W: Write + Seek>(
        &mut self,
        names: &[String],
        to: W,
    ) -> Result<(W, Media), Error> {
        if names.is_empty() || names.len() > FILES_PER_BATCH {
            return Err(Refusal::Names.into());
        }
        self.look()?;
        self.forget_vanished(names)?;
        let mut download = Download::new(to);
        let mut packed = Media::default();
        for name in names {
            packed.add(download.add(name.clone(), File::open(self.folders.media.join(name))?)?);
            if packed.bytes > DOWNLOAD_TARGET_BYTES {
                break;
            }
        }
        Ok((download.finish()?, packed))
    }

    fn forget_vanished(&mut self, names: &[String]) -> Result<(), Error> {
        let transaction = self.conn.transaction()?;
        let mut missing = None;
        for name in names {
            match database::entry(&transaction, name)?.filter(|entry| entry.size > 0) {
                None => missing = Some(name),
                Some(_) if !self.folders.media.join(name).is_file() => {
                    tracing::warn!(
                        file = name,
                        "a media file is missing from the folder; its entry in media.db is removed"
                    );
                    database::forget(&transaction, name)?;
                    missing = Some(name);
                }
                Some(_) => {}
            }
        }
        transaction.commit()?;
        match missing {
            Some(name) => Err(Error::Missing(name.clone())),
            None => Ok(()),
        }
    }
}

/// Whether a file is as recorded, as far as that is known without reading it.
fn is_whole(path: &Path, entry: Entry) -> bool {
    path.metadata()
        .is_ok_and(|metadata| metadata.is_file() && metadata.len() == entry.size)
}

#[cfg(test)]
mod tests;
