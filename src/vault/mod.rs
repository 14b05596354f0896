//! One user's data: opening, closing when idle, replacing whole, crash recovery.
//!
//! A vault is the folder `SYNC_BASE/<user>` in the reference server's layout:
//! `collection.anki2`, `media/` and `media.db`. What is ours lies in `.anki-syncd/`
//! below it, which the reference server ignores. Users share no lock.

pub mod activity;
pub mod backup;
pub mod base;
pub mod conversation;
pub mod download;
mod error;
pub mod hand_over;
mod keeping;
mod leftovers;
pub mod lobby;
mod moving;
pub mod renames;
mod replace;
mod restored;
pub mod retention;
pub mod room;
mod served;
mod slot;
pub mod snapshot;
pub mod upkeep;
pub mod usage;
mod vaults;
pub mod workers;

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tempfile::NamedTempFile;
use tokio::sync::{Mutex, MutexGuard};

use crate::{
    account::DeviceId,
    clock,
    collection::open::Collection,
    disk::{Bounded, Disk, Purpose, Spool},
    durable::folder_of,
    files::create_private,
    layout,
    media::{self, MediaStore},
    work::to_the_end,
};
use activity::Activity;
use backup::Readers;
use base::{empty_folder, remove_unfinished};
use conversation::{ABANDONED, Conversation, SILENCE};
use download::Copies;
use keeping::Keeping;
use restored::Restores;
use slot::Slot;
use snapshot::Snapshots;
use workers::{Share, Workers};

pub use error::Error;
pub use vaults::Vaults;

/// After this long without a request, a user's databases are closed, so that
/// `sqlite3`, rsync and file system snapshots see plain files.
const IDLE: Duration = Duration::from_secs(5);
/// What is received or packed goes to a file once it is larger than this.
const IN_MEMORY: usize = 512 * 1024;

/// One user's data.
pub struct Vault {
    folder: PathBuf,
    collection: Slot<Open>,
    media: Slot<MediaStore>,
    /// Whether a batch of media was interrupted, and could not be settled yet.
    unsettled: Arc<AtomicBool>,
    turn: Mutex<()>,
    activity: Activity,
    /// Whether the folder has another name by now, or none.
    taken_away: AtomicBool,
    readers: Readers,
    snapshots: Snapshots,
    restores: Restores,
    copies: Copies,
    disk: Disk,
    keeping: Arc<Keeping>,
    share: Share,
    operator: Share,
}

/// The collection while it is open, and the normal sync that its transaction belongs to.
struct Open {
    collection: Collection,
    conversation: Option<Conversation>,
}

impl Vault {
    fn prepare(
        folder: PathBuf,
        disk: Disk,
        keeping: Arc<Keeping>,
        workers: &Workers,
    ) -> Result<Self, Error> {
        let temporary = folder.join(layout::TEMPORARY);
        let vault = Self {
            snapshots: Snapshots::new(folder.join(layout::SNAPSHOTS), temporary, disk.clone()),
            restores: Restores::new(&folder),
            folder,
            collection: Slot::default(),
            media: Slot::default(),
            unsettled: Arc::default(),
            turn: Mutex::default(),
            activity: Activity::default(),
            taken_away: AtomicBool::new(false),
            readers: Readers::default(),
            copies: Copies::default(),
            disk,
            keeping,
            share: workers.share(),
            operator: workers.operator(),
        };
        create_private(&vault.temporary())?;
        empty_folder(&vault.temporary())?;
        for folder in leftovers::PLACES {
            remove_unfinished(&vault.folder.join(folder))?;
        }
        Self::prepare_backups(&vault.folder)?;
        vault.snapshots.settle(&vault.collection_path())?;
        Ok(vault)
    }

    /// The threads for this user's requests.
    #[must_use]
    pub fn share(&self) -> &Share {
        &self.share
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

    /// Lets in one request that takes much memory, and then the next, in the order in which
    /// they come.
    pub async fn one_at_a_time(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().await
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

    /// Closes each of the databases that nobody has used for so long. A sync has its collection in
    /// use until it is given up.
    async fn close_if_idle(&self, least: Duration) {
        self.collection
            .close_if(|open, idle| match &open.conversation {
                None => idle >= least,
                Some(conversation) => self.activity.silence(conversation.device()) >= ABANDONED,
            })
            .await;
        self.media.close_if(|_, idle| idle >= least).await;
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
        let (database, folder) = (
            self.folder.join(layout::MEDIA_DATABASE),
            self.folder.join(layout::MEDIA),
        );
        let staging = self.folder.join(layout::STAGING);
        let (user, disk) = (self.folder.clone(), self.disk.clone());
        let unsettled = Arc::clone(&self.unsettled);
        let result = self.media.run(&self.share, move |open| {
            let reopen = || -> Result<_, Error> {
                served::check_is_there(&user)?;
                let opening = || MediaStore::open(&database, folder.clone(), staging.clone());
                Ok(to_the_end(opening)?.within(disk.clone()))
            };
            let worked = match open {
                Some(store) => work(store).map_err(Error::from),
                None => reopen().and_then(|store| Ok(work(open.insert(store))?)),
            };
            worked.map_err(|error| {
                *open = None;
                // At once, and not when there is a next time.
                if leftovers::is_occupied(&staging) {
                    *open = reopen().ok();
                    unsettled.store(open.is_none(), Ordering::Relaxed);
                }
                error.diagnosed(&user)
            })
        });
        result.await
    }

    /// Tries again to settle the media, in the background, if that has failed: what a full disk
    /// has stopped keeps its room, up to a gibibyte, until then.
    fn settle_media_again(self: &Arc<Self>) {
        if self.unsettled.swap(false, Ordering::Relaxed) {
            let vault = Arc::clone(self);
            tokio::spawn(async move { vault.media(|_| Ok(())).await });
        }
    }

    /// A file in the user's folder for an upload; gone when dropped.
    ///
    /// # Errors
    /// As the file system says.
    pub fn upload_file(&self) -> io::Result<Bounded<NamedTempFile>> {
        self.disk.file(&self.temporary(), Purpose::Keep)
    }

    /// Room for anything else that is received: memory while it is small.
    #[must_use]
    pub fn spool(&self) -> Spool {
        self.disk.spool(IN_MEMORY, &self.temporary(), Purpose::Keep)
    }

    /// The same, never in memory.
    #[must_use]
    pub fn file(&self) -> Spool {
        self.disk.spool(0, &self.temporary(), Purpose::Keep)
    }

    /// The same for what is packed to be sent.
    #[must_use]
    pub fn parcel(&self) -> Spool {
        self.disk.spool(IN_MEMORY, &self.temporary(), Purpose::Pass)
    }

    fn temporary(&self) -> PathBuf {
        self.folder.join(layout::TEMPORARY)
    }

    fn collection_path(&self) -> PathBuf {
        self.folder.join(layout::COLLECTION)
    }
}

fn opened<'a>(open: &'a mut Option<Open>, path: &Path) -> Result<&'a mut Open, Error> {
    match open {
        Some(open) => Ok(open),
        None => {
            served::check_is_there(folder_of(path))?;
            let collection = to_the_end(|| Collection::open(path, clock::now_ms()))?;
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
