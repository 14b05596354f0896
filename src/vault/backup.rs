//! Consistent copies of a user's data, made while devices sync.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use tempfile::TempDir;
use tokio::runtime::Handle;

use super::{Error, Vault, base::empty_folder, turns::Reading};
use crate::{
    clock,
    collection::{
        file::{Summary, summary, summary_of},
        open::Reader,
        upload::check_upload,
    },
    disk::Purpose,
    durable::copy_database,
    files::{create_private, if_there},
    layout,
    media::{
        Media,
        mirror::{count, mirror},
    },
};

/// When a user was last backed up, in seconds since 1970, if a command has reported it.
pub fn last_of(folder: &Path) -> Option<i64> {
    let time = fs::read_to_string(folder.join(layout::LAST_BACKUP)).ok()?;
    Some(clock::from_name(&time)? / 1000)
}

/// A copy. It is removed some time after it was dropped.
pub struct Backup {
    folder: Folder,
    /// The summary of the collection; none if no device has synced yet, or it is damaged.
    pub collection: Option<Summary>,
    /// Why the collection is damaged and was not copied.
    pub damage: Option<Error>,
    /// The media; none if no device has synced any yet.
    pub media: Option<Media>,
}

impl Backup {
    /// Contains `collection.anki2`, `media.db` and `media/`. The media files are hard links to the
    /// user's own: the server never writes to an existing one.
    pub fn folder(&self) -> &Path {
        &self.folder.path
    }
}

/// Removed in the background, so that no request waits: it may contain a hundred thousand names.
struct Folder {
    path: PathBuf,
    held: Option<TempDir>,
}

impl From<TempDir> for Folder {
    fn from(folder: TempDir) -> Self {
        let (path, held) = (folder.path().to_owned(), Some(folder));
        Self { path, held }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let held = self.held.take();
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn_blocking(move || drop(held));
        }
    }
}

impl Vault {
    /// Copies the collection as it is after some sync, and then the media. Normal syncs go on
    /// meanwhile; uploads and downloads wait for the copy of the collection. A damaged collection
    /// is left out, and the media are still copied.
    pub async fn back_up(self: &Arc<Self>) -> Result<Backup, Error> {
        let parent = self.folder.join(layout::BACKUP);
        // The folder exists, unless the user was removed.
        let folder = self
            .share
            .run(move || Ok::<_, Error>(tempfile::tempdir_in(parent)?));
        let folder = folder.await?;
        let folder = Folder::from(folder);
        let copied = self.copy_collection_to(folder.path.join(layout::COLLECTION));
        let (collection, damage) = match copied.await {
            Ok(collection) => (collection, None),
            Err(error) if error.is_damage() => (None, Some(error)),
            Err(error) => return Err(error),
        };
        Ok(Backup {
            collection,
            damage,
            media: self.copy_media_to(&folder.path).await?,
            folder,
        })
    }

    /// Records that the user was backed up just now.
    pub async fn backed_up(&self) -> Result<(), Error> {
        let path = self.folder.join(layout::LAST_BACKUP);
        let write = move || Ok(fs::write(path, clock::as_name(clock::now_ms()))?);
        self.operator.run(write).await
    }

    /// The summary of the collection; none if it is missing or damaged.
    ///
    /// # Errors
    /// [`Error`]; a later call may succeed.
    pub async fn summary(self: &Arc<Self>) -> Result<Option<Summary>, Error> {
        self.present_summary().await.or_else(|error| {
            if error.is_damage() {
                Ok(None)
            } else {
                Err(error)
            }
        })
    }

    async fn present_summary(self: &Arc<Self>) -> Result<Option<Summary>, Error> {
        let Some((reader, reading)) = self.read().await? else {
            return Ok(None);
        };
        let summary = move || {
            // Held as long as the copy reads, even if the request was dropped.
            let (_reading, reader) = (reading, reader);
            Ok(Some(summary_of(reader.connection())?))
        };
        self.operator.run(summary).await
    }

    pub(super) async fn read(self: &Arc<Self>) -> Result<Option<(Reader, Reading)>, Error> {
        let path = self.collection_path();
        if !path.try_exists()? {
            return Ok(None);
        }
        let vault = Arc::clone(self);
        let reader = self.collection.run(&self.operator, move |open| {
            // The first to open it may have to change the journal mode, which needs it alone.
            vault.opened(open)?;
            // In this turn, so that no upload replaces the file in between.
            let reading = vault.turns.read();
            // Dropped in this order: as long as it is open, others have to know.
            Ok(Some((Reader::open(&path)?, reading)))
        });
        reader.await
    }

    async fn copy_collection_to(self: &Arc<Self>, to: PathBuf) -> Result<Option<Summary>, Error> {
        let Some((reader, reading)) = self.read().await? else {
            return Ok(None);
        };
        let (disk, size) = (self.disk.clone(), self.collection_bytes()?);
        let copied = self.operator.run_on_file(size, move || {
            let _room = disk.promise(size, Purpose::Keep)?;
            copy_database(reader.connection(), &to)?;
            drop(reader);
            drop(reading);
            check_upload(&to)?;
            Ok(Some(summary(&to)?))
        });
        copied.await
    }

    /// Does nearly all of the work before the backup's turn, since devices wait during the turn.
    async fn copy_media_to(self: &Arc<Self>, folder: &Path) -> Result<Option<Media>, Error> {
        let media = self.folder.join(layout::MEDIA);
        if !self.folder.join(layout::MEDIA_DATABASE).try_exists()? {
            return Ok(None);
        }
        let (database, copy) = (
            folder.join(layout::MEDIA_DATABASE),
            folder.join(layout::MEDIA),
        );
        let mirrored = self.operator.run(move || {
            fs::create_dir(&copy)?;
            if_there(mirror(&media, &copy))?;
            Ok::<_, Error>(copy)
        });
        let copy = mirrored.await?;
        let in_turn = self.media(move |media| {
            media.copy_to(&database, &copy)?;
            Ok(copy)
        });
        let copy = in_turn.await?;
        self.operator.run(move || Ok(Some(count(&copy)?))).await
    }

    /// Creates the folder for copies, and removes copies that were left when the server ended.
    pub(super) fn prepare_backups(folder: &Path) -> io::Result<()> {
        let copies = folder.join(layout::BACKUP);
        create_private(&copies)?;
        empty_folder(&copies)
    }
}
