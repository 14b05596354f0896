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

/// When a user was last backed up, in seconds since 1970, as far as the server was told.
pub fn last_of(folder: &Path) -> Option<i64> {
    let time = fs::read_to_string(folder.join(layout::LAST_BACKUP)).ok()?;
    Some(clock::from_name(&time)? / 1000)
}

/// A copy, which is gone some time after it was dropped.
pub struct Backup {
    folder: Folder,
    /// What the collection holds; none if no device has synced yet, or it is damaged.
    pub collection: Option<Summary>,
    /// Why the collection is damaged and none of the copy.
    pub damage: Option<Error>,
    /// What there is of media; none if no device has synced any yet.
    pub media: Option<Media>,
}

impl Backup {
    /// Has `collection.anki2`, `media.db` and `media/`, whose files are second names of the
    /// user's own: the server never writes to one that is there.
    pub fn folder(&self) -> &Path {
        &self.folder.path
    }
}

/// Removed where that keeps no request waiting: there may be a hundred thousand names in it.
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
    /// Copies the collection as it was after some sync, and then the media. Normal syncs go
    /// on meanwhile; uploads and downloads wait for the copy of the collection. Without a
    /// collection because that is damaged, which no backup cures, there are still the media.
    pub async fn back_up(self: &Arc<Self>) -> Result<Backup, Error> {
        let parent = self.folder.join(layout::BACKUP);
        // It is there, unless the user is gone.
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

    /// Remembers that the user was backed up just now.
    pub async fn backed_up(&self) -> Result<(), Error> {
        let path = self.folder.join(layout::LAST_BACKUP);
        let write = move || Ok(fs::write(path, clock::as_name(clock::now_ms()))?);
        self.operator.run(write).await
    }

    /// What the collection holds; none when there is none, or a damaged one.
    ///
    /// # Errors
    /// [`Error`]; another time it may be known.
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
            // As long as it reads, also when nobody waits for it any more.
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
            // Whoever opens it first may have to change the journal's mode, alone.
            vault.opened(open)?;
            // In this turn, so that nobody takes the file away.
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

    /// Nearly all of the work is done before it is the backup's turn, for which devices wait.
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

    /// Makes room for copies, and removes those that nobody has fetched when the server ended.
    pub(super) fn prepare_backups(folder: &Path) -> io::Result<()> {
        let copies = folder.join(layout::BACKUP);
        create_private(&copies)?;
        empty_folder(&copies)
    }
}
