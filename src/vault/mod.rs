//! One user's data: opening, closing when idle, replacing whole, crash recovery.
//!
//! A vault is the folder `SYNC_BASE/<user>` in the reference server's layout:
//! `collection.anki2`, `media/` and `media.db`. What is ours lies in `.anki-syncd/`
//! below it, which the reference server ignores. Users share no lock.

pub mod activity;
pub mod backup;
pub mod base;
pub mod conversation;
pub mod hand_over;
mod keeping;
pub mod lobby;
mod moving;
mod replace;
mod restored;
pub mod retention;
pub mod room;
mod slot;
pub mod snapshot;
pub mod upkeep;
pub mod usage;

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Seek},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, atomic::AtomicBool},
    time::Duration,
};

use tempfile::{NamedTempFile, SpooledTempFile};
use tokio::{
    sync::OnceCell,
    task::{JoinError, spawn_blocking},
};

use crate::{
    account::{host_key::DeviceId, name::UserName},
    clock,
    collection::{
        self,
        file::downgrade_copy,
        open::{CheckError, Collection, OpenError},
    },
    durable::CopyError,
    media::{self, MediaStore},
};
use activity::Activity;
use backup::Readers;
use base::{Base, create_folder, empty_folder};
use conversation::{ABANDONED, Conversation, SILENCE};
use keeping::Keeping;
use lobby::Lobby;
use restored::Restored;
use retention::Retention;
use room::{Free, NearlyFull};
use slot::{Slot, SlotError};
use snapshot::Snapshots;

/// After this long without a request, a user's databases are closed, so that
/// `sqlite3`, rsync and file system snapshots see plain files.
const IDLE: Duration = Duration::from_secs(5);
/// Between two requests of one sync.
const MOMENT: Duration = Duration::from_secs(1);
/// What is received or packed goes to a file once it is larger than this.
const IN_MEMORY: usize = 512 * 1024;
/// Files in passing, in the user's folder.
const TEMPORARY: &str = ".anki-syncd/tmp";
/// What was replaced, in the user's folder.
const SNAPSHOTS: &str = ".anki-syncd/snapshots";

/// All users' vaults.
pub struct Vaults {
    base: Base,
    lobby: Lobby,
    keeping: Arc<Keeping>,
    by_user: Mutex<HashMap<UserName, Arc<OnceCell<Arc<Vault>>>>>,
}

impl Vaults {
    /// The vaults in this folder, none of them open yet.
    #[must_use]
    pub fn new(base: Base, retention: Retention) -> Self {
        Self {
            lobby: Lobby::new(base.temporary()),
            keeping: Arc::new(Keeping::new(retention)),
            base,
            by_user: Mutex::default(),
        }
    }

    /// Room for what comes from clients that are not known yet.
    #[must_use]
    pub fn lobby(&self) -> &Lobby {
        &self.lobby
    }

    /// Changes how many snapshots are kept from now on.
    pub fn retain(&self, retention: Retention) {
        self.keeping.retain(retention);
    }

    /// A user's vault. The first time, what a crash left behind is cleared away.
    ///
    /// # Errors
    /// When the folder cannot be created or cleared.
    pub async fn get(&self, user: &UserName) -> Result<Arc<Vault>, Error> {
        let cell = Arc::clone(self.lock().entry(user.clone()).or_default());
        let vault = cell.get_or_try_init(|| async {
            let (folder, keeping) = (self.base.user_folder(user), Arc::clone(&self.keeping));
            let vault = spawn_blocking(|| Vault::prepare(folder, keeping)).await??;
            vault.tidy_snapshots();
            Ok::<_, Error>(Arc::new(vault))
        });
        Ok(Arc::clone(vault.await?))
    }

    /// Closes, from time to time, what nobody uses.
    pub async fn close_idle(&self) {
        let mut ticks = tokio::time::interval(IDLE / 5);
        loop {
            ticks.tick().await;
            for vault in self.prepared() {
                vault
                    .collection
                    .close_if(|open, idle| vault.may_close(open, idle))
                    .await;
                vault.media.close_if(|_, idle| idle >= IDLE).await;
            }
        }
    }

    /// Closes everything, with all of it brought into the main files, as soon as nobody is
    /// working on it: an upgrade or a recovery may be. A sync that is under way is rolled back;
    /// what goes on in the background is left for another time.
    pub async fn close_all(&self) {
        self.keeping.stop().await;
        for vault in self.prepared() {
            vault.collection.close().await;
            vault.media.close().await;
        }
    }

    /// What is left of the disk that they are on.
    ///
    /// # Errors
    /// As the file system says.
    pub async fn free(&self) -> Result<Free, Error> {
        let folder = self.base.path().to_owned();
        Ok(spawn_blocking(move || Free::at(&folder)).await??)
    }

    /// How many devices are syncing: in a conversation or a request, or were a moment ago.
    #[must_use]
    pub fn devices(&self) -> usize {
        self.prepared()
            .iter()
            .map(|vault| vault.activity.devices(MOMENT))
            .sum()
    }

    /// Whether snapshots are being compressed.
    #[must_use]
    pub fn is_tidying(&self) -> bool {
        self.keeping.is_busy()
    }

    /// Whether a normal sync is under way whose device has not fallen silent.
    #[must_use]
    pub fn is_in_conversation(&self) -> bool {
        self.prepared()
            .iter()
            .any(|vault| vault.is_in_conversation())
    }

    /// A user's vault, if anybody has used it since the start.
    #[must_use]
    pub fn in_use(&self, user: &UserName) -> Option<Arc<Vault>> {
        self.lock().get(user)?.get().cloned()
    }

    fn prepared(&self) -> Vec<Arc<Vault>> {
        let vaults = self.lock();
        vaults
            .values()
            .filter_map(|cell| cell.get().cloned())
            .collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<UserName, Arc<OnceCell<Arc<Vault>>>>> {
        self.by_user.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a vault could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The collection cannot be opened.
    #[error("collection: {0}")]
    Open(#[from] OpenError),
    /// The collection's database failed.
    #[error("collection: {0}")]
    Database(#[from] rusqlite::Error),
    /// An operation on the collection failed, and ended the normal sync that it was part of.
    #[error(transparent)]
    Collection(#[from] collection::Error),
    /// No normal sync is under way, or another one.
    #[error("no sync is under way, or another one than this request belongs to")]
    NotInSync,
    /// Merging with another collection than the device had in mind would mix the two.
    #[error("another device has replaced the collection meanwhile; sync again")]
    Replaced,
    /// Another device of the user has been in the middle of a sync all the time.
    #[error("another device of this user is syncing; try again when it has finished")]
    Occupied,
    /// Another program has the collection open and keeps us from bringing it to one file.
    #[error("another program has the collection open; close it and sync again")]
    Busy,
    /// The disk is full or nearly so.
    #[error(transparent)]
    NearlyFull(#[from] NearlyFull),
    /// An upload was refused, or could not be checked.
    #[error(transparent)]
    Upload(#[from] CheckError),
    /// The media.
    #[error(transparent)]
    Media(#[from] media::Error),
    /// The user is being renamed, or the data removed.
    #[error("this user's data are being moved or removed; try again")]
    Moved,
    /// A copy for a backup.
    #[error("backup: {0}")]
    Copy(#[from] CopyError),
    /// The user's folder.
    #[error("user's folder: {0}")]
    Io(#[from] io::Error),
    /// A bug of ours, which cost this request; what it had begun was rolled back.
    #[error("panicked: {0}")]
    Panicked(#[from] JoinError),
}

impl From<SlotError> for Error {
    fn from(error: SlotError) -> Self {
        match error {
            SlotError::Panicked(error) => error.into(),
            SlotError::Sealed => Self::Moved,
        }
    }
}

/// One user's data.
pub struct Vault {
    folder: PathBuf,
    collection: Slot<Open>,
    media: Slot<MediaStore>,
    activity: Activity,
    /// Whether the folder has another name by now, or none.
    taken_away: AtomicBool,
    readers: Readers,
    snapshots: Snapshots,
    keeping: Arc<Keeping>,
}

/// The collection while it is open, and the normal sync that its transaction belongs to.
struct Open {
    collection: Collection,
    conversation: Option<Conversation>,
}

impl Vault {
    fn prepare(folder: PathBuf, keeping: Arc<Keeping>) -> Result<Self, Error> {
        let temporary = folder.join(TEMPORARY);
        let vault = Self {
            snapshots: Snapshots::new(folder.join(SNAPSHOTS), temporary),
            folder,
            collection: Slot::default(),
            media: Slot::default(),
            activity: Activity::default(),
            taken_away: AtomicBool::new(false),
            readers: Readers::default(),
            keeping,
        };
        create_folder(&vault.temporary())?;
        empty_folder(&vault.temporary())?;
        Self::prepare_backups(&vault.folder)?;
        vault.snapshots.settle(&vault.collection_path())?;
        Ok(vault)
    }

    /// The user's snapshots.
    #[must_use]
    pub fn snapshots(&self) -> &Snapshots {
        &self.snapshots
    }

    /// Compresses and thins them out, in the background.
    fn tidy_snapshots(&self) {
        Arc::clone(&self.keeping).tidy(self.snapshots.clone());
    }

    /// Does some work with the collection, which is opened, or created empty, as needed.
    ///
    /// # Errors
    /// [`Error`]; [`Error::Occupied`] when another device is in a normal sync for too long.
    pub async fn collection<R: Send + 'static>(
        &self,
        device: DeviceId,
        work: impl FnOnce(&Collection) -> Result<R, Error> + Send + 'static,
    ) -> Result<R, Error> {
        let path = self.collection_path();
        self.in_turn(device, move |open| work(&opened(open, &path)?.collection))
            .await
    }

    /// A vault that is being used counts as in conversation.
    fn is_in_conversation(&self) -> bool {
        self.collection
            .look(|open| {
                let conversation = open.and_then(|open| open.conversation.as_ref());
                conversation.is_some_and(|conversation| {
                    self.activity.silence(conversation.device()) < SILENCE
                })
            })
            .unwrap_or(true)
    }

    fn may_close(&self, open: &Open, idle: Duration) -> bool {
        match &open.conversation {
            None => idle >= IDLE,
            Some(conversation) => self.activity.silence(conversation.device()) >= ABANDONED,
        }
    }

    /// Does some work with the media. After a failure they are opened anew, which
    /// settles a batch that was interrupted.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn media<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut MediaStore) -> Result<R, media::Error> + Send + 'static,
    ) -> Result<R, Error> {
        let (database, folder) = (self.folder.join("media.db"), self.folder.join("media"));
        let staging = self.folder.join(".anki-syncd/media");
        let result = self.media.run(move |open| {
            let store = match open {
                Some(store) => store,
                None => open.insert(MediaStore::open(&database, folder, staging)?),
            };
            work(store).inspect_err(|_| *open = None)
        });
        Ok(result.await??)
    }

    /// A copy of the collection as one file, for a download, which counts as a modification.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn copy_collection(&self, device: DeviceId) -> Result<File, Error> {
        Ok(self.copy_into_file(device).await?.into_file())
    }

    /// As [`Vault::copy_collection`], in schema 11, the only one that old clients read.
    /// The collection itself stays as it is.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn copy_for_old_clients(&self, device: DeviceId) -> Result<File, Error> {
        let copy = self.copy_into_file(device).await?;
        let downgraded = spawn_blocking(move || {
            downgrade_copy(copy.path())?;
            Ok::<_, Error>(copy.into_file())
        });
        downgraded.await?
    }

    async fn copy_into_file(&self, device: DeviceId) -> Result<NamedTempFile, Error> {
        let (path, temporary) = (self.collection_path(), self.temporary());
        let folder = self.folder.clone();
        self.in_turn_alone(device, move |open| {
            let collection = &opened(open, &path)?.collection;
            collection.stamp_download(clock::now_ms())?;
            fold(collection)?;
            let mut copy = NamedTempFile::new_in(temporary)?;
            // The kernel shares the blocks where the file system can.
            io::copy(&mut File::open(&path)?, copy.as_file_mut())?;
            copy.rewind()?;
            if let Some(restored) = Restored::read(&folder, collection.stamps()?.schema_changed)? {
                restored.downloaded(device, &folder)?;
            }
            Ok(copy)
        })
        .await
    }

    /// A file in the user's folder for an upload; gone when dropped.
    ///
    /// # Errors
    /// As the file system says.
    pub fn upload_file(&self) -> io::Result<NamedTempFile> {
        NamedTempFile::new_in(self.temporary())
    }

    /// Room for anything else that is received or packed: memory while it is small.
    #[must_use]
    pub fn spool(&self) -> SpooledTempFile {
        tempfile::spooled_tempfile_in(IN_MEMORY, self.temporary())
    }

    fn temporary(&self) -> PathBuf {
        self.folder.join(TEMPORARY)
    }

    fn collection_path(&self) -> PathBuf {
        self.folder.join("collection.anki2")
    }
}

fn opened<'a>(open: &'a mut Option<Open>, path: &Path) -> Result<&'a mut Open, Error> {
    match open {
        Some(open) => Ok(open),
        None => {
            let collection = Collection::open(path, clock::now_ms())?;
            Ok(open.insert(Open {
                collection,
                conversation: None,
            }))
        }
    }
}

/// Brings everything into the main file, or says who is in the way.
fn fold(collection: &Collection) -> Result<(), Error> {
    if collection.checkpoint()? {
        Ok(())
    } else {
        Err(Error::Busy)
    }
}

#[cfg(test)]
mod tests;
