//! One user's data: opening, closing when idle, replacing as a whole, crash recovery.
//!
//! A vault is the folder `SYNC_BASE/<user>` in the reference server's layout: `collection.anki2`,
//! `media/` and `media.db`. Our own files are in `.anki-syncd/` below it, which the reference
//! server ignores. Users share no lock.
//!
//! The methods of [`Vault`] are in the files of their subjects: [`conversation`] and `turns`;
//! `media`; [`download`], `replace` and [`backup`] for the collection as a whole. [`Vaults`]
//! handles the users: `vaults`, `moving`, [`renames`], [`upkeep`] and `leftovers`.

pub mod activity;
pub mod backup;
pub mod base;
pub mod conversation;
pub mod download;
mod error;
pub mod hand_over;
mod leftovers;
mod media;
mod moving;
pub mod renames;
mod replace;
mod restored;
pub mod retention;
pub mod room;
mod served;
mod slot;
pub mod snapshot;
mod snapshot_janitor;
mod turns;
pub mod upkeep;
pub mod upload_queue;
pub mod usage;
mod vaults;
mod waiting;
pub mod workers;

use std::{
    io,
    path::PathBuf,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use tempfile::NamedTempFile;
use tokio::sync::{Mutex, MutexGuard};

use crate::{
    account::DeviceId,
    clock,
    collection::open::Collection,
    disk::{Bounded, Disk, Purpose, Spool},
    files::{create_private, if_there},
    layout,
    media::MediaStore,
    work::to_the_end,
};
use activity::Activity;
use base::{empty_folder, remove_unfinished};
use conversation::{ABANDONED, Conversation, Reviews};
use download::Copies;
use media::Unsettled;
use restored::Restores;
use room::{Free, Room};
use slot::Slot;
use snapshot::Snapshots;
use snapshot_janitor::SnapshotJanitor;
use turns::Turns;
use workers::{Share, Workers};

pub use error::Error;
pub use vaults::Vaults;

/// After this time without a request, a user's databases are closed, so that `sqlite3`, rsync and
/// file system snapshots see plain files.
const IDLE: Duration = Duration::from_secs(5);
/// Received or packed data go to a file when they are larger than this. So most requests never
/// touch the disk, and a hundred of them at once take some 50 MiB.
const IN_MEMORY: usize = 512 * 1024;

/// One user's data.
pub struct Vault {
    folder: PathBuf,
    collection: Slot<Open>,
    media: Slot<MediaStore>,
    unsettled: Unsettled,
    /// Held by a request that takes much memory, before it asks for a part of the budget for all
    /// users. Otherwise two such requests of one user could each hold half of what they need and
    /// wait forever.
    large_request: Mutex<()>,
    activity: Activity,
    /// Whether the folder was renamed or removed. If the user comes back under the old name, there
    /// will be another vault.
    taken_away: AtomicBool,
    /// An `Arc`, since conversations hold it: holding the vault, they would keep it alive.
    turns: Arc<Turns>,
    snapshots: Snapshots,
    restores: Restores,
    copies: Copies,
    disk: Disk,
    janitor: Arc<SnapshotJanitor>,
    share: Share,
    operator: Share,
}

/// The open collection, and the normal sync of its transaction.
struct Open {
    collection: Collection,
    conversation: Option<Conversation>,
    reviews: Reviews,
}

impl Vault {
    fn prepare(
        folder: PathBuf,
        disk: Disk,
        janitor: Arc<SnapshotJanitor>,
        workers: &Workers,
    ) -> Result<Self, Error> {
        let temporary = folder.join(layout::TEMPORARY);
        let vault = Self {
            snapshots: Snapshots::new(folder.join(layout::SNAPSHOTS), temporary, disk.clone()),
            restores: Restores::new(&folder),
            folder,
            collection: Slot::default(),
            media: Slot::default(),
            unsettled: Unsettled::default(),
            large_request: Mutex::default(),
            activity: Activity::default(),
            taken_away: AtomicBool::new(false),
            turns: Arc::default(),
            copies: Copies::default(),
            disk,
            janitor,
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
    pub fn share(&self) -> &Share {
        &self.share
    }

    /// The user's snapshots.
    pub fn snapshots(&self) -> &Snapshots {
        &self.snapshots
    }

    /// Compresses and removes snapshots in the background.
    fn tidy_snapshots(&self) {
        Arc::clone(&self.janitor).tidy(self.snapshots.clone());
    }

    /// Runs work on the collection. It is opened, or created empty, if needed.
    ///
    /// # Errors
    /// [`Error`]; [`Error::Occupied`] if another device's normal sync takes too long.
    pub async fn collection<R: Send + 'static>(
        self: &Arc<Self>,
        device: DeviceId,
        work: impl FnOnce(&Collection) -> Result<R, Error> + Send + 'static,
    ) -> Result<R, Error> {
        let vault = Arc::clone(self);
        self.in_turn(device, move |open| work(&vault.opened(open)?.collection))
            .await
    }

    fn opened<'a>(&self, open: &'a mut Option<Open>) -> Result<&'a mut Open, Error> {
        if let Some(open) = open {
            return Ok(open);
        }
        served::check_is_there(&self.folder)?;
        let open_it = if self.turns.is_being_read() {
            Collection::open_listed
        } else {
            Collection::open
        };
        let collection = to_the_end(|| open_it(&self.collection_path(), clock::now_ms()))?;
        Ok(open.insert(Open {
            collection,
            conversation: None,
            reviews: Reviews::default(),
        }))
    }

    /// Admits one request that takes much memory at a time, first come, first served.
    pub async fn one_at_a_time(&self) -> MutexGuard<'_, ()> {
        self.large_request.lock().await
    }

    /// A vault that is in use counts as in conversation.
    fn is_in_conversation(&self) -> bool {
        self.collection
            .look(|open| {
                let conversation = open.and_then(|open| open.conversation.as_ref());
                conversation.is_some_and(|conversation| {
                    self.activity.silence(conversation.device()) < waiting::SILENCE
                })
            })
            .unwrap_or(true)
    }

    /// A collection that is in use counts as open.
    fn is_open(&self) -> bool {
        self.collection.look(|open| open.is_some()).unwrap_or(true)
    }

    /// Closes each database that was not used for this long. During a sync the collection is in
    /// use.
    async fn close_if_idle(&self, least: Duration) {
        self.collection
            .close_if(|open, idle| match &open.conversation {
                None => idle >= least,
                Some(conversation) => self.activity.silence(conversation.device()) >= ABANDONED,
            })
            .await;
        self.media.close_if(|_, idle| idle >= least).await;
    }

    /// Checked before anything is stored, so that syncs under way keep enough space.
    pub async fn admit(&self, room: Room) -> Result<(), Error> {
        let folder = self.folder.clone();
        self.share
            .run(move || Ok(room.admit(Free::at(&folder)?)?))
            .await
    }

    /// The bytes of the collection's file; 0 if there is none yet.
    pub fn collection_bytes(&self) -> Result<u64, Error> {
        let file = if_there(self.collection_path().metadata())?;
        Ok(file.map_or(0, |file| file.len()))
    }

    /// A file in the user's folder for an upload; gone when dropped.
    pub fn upload_file(&self) -> io::Result<Bounded<NamedTempFile>> {
        self.disk.file(&self.temporary(), Purpose::Keep)
    }

    /// A spool for other received data: in memory while they are small.
    pub fn spool(&self) -> Spool {
        self.disk.spool(IN_MEMORY, &self.temporary(), Purpose::Keep)
    }

    /// The same, but always on disk.
    pub fn file(&self) -> Spool {
        self.disk.spool(0, &self.temporary(), Purpose::Keep)
    }

    /// The same for data that are packed to be sent.
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

/// Moves the journal into the main file, or fails if another program prevents it.
fn fold(collection: &Collection) -> Result<(), Error> {
    if collection.checkpoint()? {
        Ok(())
    } else {
        Err(Error::Busy)
    }
}

#[cfg(test)]
mod tests;
