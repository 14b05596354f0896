//! All users' vaults. Each is prepared at its first use.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Mutex as TurnMutex, OnceCell},
    task::{JoinSet, spawn_blocking},
};

use super::{
    Error, IDLE, Vault, base::Base, retention::Retention, room::Free, served::Served,
    snapshot_janitor::SnapshotJanitor, upload_queue::UploadQueue, workers::Workers,
};
use crate::{
    account::name::UserName,
    disk::{self, Disk, Fault},
};

/// A device still counts as syncing this long after a request: otherwise `status` would miss it
/// between two requests.
const MOMENT: Duration = Duration::from_secs(1);

/// When more users than this have open databases, those that nobody uses are closed sooner: each takes some
/// hundred KiB of the memory that SQLite has for all of them.
pub(super) const MANY: usize = 100;

/// All users' vaults.
pub struct Vaults {
    pub(super) base: Base,
    upload_queue: UploadQueue,
    pub(super) janitor: Arc<SnapshotJanitor>,
    /// Held while users are renamed: otherwise two renames at once could both find a name free.
    pub(super) moving: TurnMutex<()>,
    workers: Workers,
    pub(super) served: Served,
    disk: Disk,
    /// Held for some instructions. While a vault is prepared, requests of that user wait for the
    /// cell, so that one user's slow disk does not block all users.
    by_user: Mutex<HashMap<UserName, Arc<OnceCell<Arc<Vault>>>>>,
}

impl Vaults {
    /// The vaults in this folder; none of them is open yet.
    pub fn new(base: Base, retention: Retention) -> Self {
        let workers = Workers::default();
        let disk = Disk::new(base.path().to_owned());
        Self {
            upload_queue: UploadQueue::new(base.temporary(), disk.clone(), workers.strangers()),
            janitor: Arc::new(SnapshotJanitor::new(retention)),
            served: Served::new(base.path()),
            base,
            moving: TurnMutex::default(),
            workers,
            disk,
            by_user: Mutex::default(),
        }
    }

    /// The queue of uploads from clients without a verified key.
    pub fn upload_queue(&self) -> &UploadQueue {
        &self.upload_queue
    }

    /// The threads for work on users' data.
    pub fn workers(&self) -> &Workers {
        &self.workers
    }

    /// The disk of the folder.
    pub fn disk(&self) -> &Disk {
        &self.disk
    }

    /// Changes the limits on snapshots from now on.
    pub fn retain(&self, retention: Retention) {
        self.janitor.retain(retention);
    }

    /// A user's vault. The first call removes what a crash has left.
    ///
    /// # Errors
    /// If the folder cannot be created or cleared; [`Error::Absent`] if it has vanished.
    pub async fn get(&self, user: &UserName) -> Result<Arc<Vault>, Error> {
        let cell = Arc::clone(self.lock().entry(user.clone()).or_default());
        if let Some(vault) = cell.get() {
            return Ok(Arc::clone(vault));
        }
        let (folder, janitor) = (self.base.user_folder(user), Arc::clone(&self.janitor));
        let (workers, served) = (self.workers.clone(), self.served.clone());
        let disk = self.disk.below(folder.clone());
        let user = user.clone();
        let prepare = move || {
            served.admit(&user)?;
            let vault = Vault::prepare(folder, disk, janitor, &workers)?;
            match served.note(&user) {
                // A full disk is no reason to withhold a user's data.
                Err(error) if disk::fault(&error) == Some(Fault::Full) => {
                    tracing::warn!(%error, "cannot save yet that {} has synced with this server", user.as_str());
                }
                noted => noted?,
            }
            Ok::<_, Error>(vault)
        };
        let share = self.workers.share();
        // Continues when the client leaves: a second preparation must not begin beside it, or the
        // first would remove files that the second has just written.
        let prepared = tokio::spawn(async move {
            let vault = cell.get_or_try_init(|| async {
                let vault = share.run(prepare).await?;
                vault.tidy_snapshots();
                Ok::<_, Error>(Arc::new(vault))
            });
            vault.await.map(Arc::clone)
        });
        prepared.await?
    }

    /// Periodically closes unused databases, and completes or drops interrupted batches of media.
    pub async fn close_idle(&self) {
        let mut ticks = tokio::time::interval(IDLE / 5);
        loop {
            ticks.tick().await;
            let vaults = self.prepared();
            let open = vaults.iter().filter(|vault| vault.is_open()).count();
            let least = if open > MANY { Duration::ZERO } else { IDLE };
            for vault in vaults {
                vault.close_if_idle(least).await;
                vault.settle_media_again();
            }
        }
    }

    /// Closes the databases that no request and no sync is using, so that a program that wants to
    /// read one need not wait until it is idle.
    pub async fn rest(&self) {
        for vault in self.prepared() {
            vault.close_if_idle(Duration::ZERO).await;
        }
    }

    /// Closes everything and moves all journals into the main files, as soon as no work, such as an
    /// upgrade or a recovery, uses them. Syncs under way are rolled back, and work in the
    /// background is left for later. The users' databases are closed independently.
    pub async fn close_all(&self) {
        let mut closing = JoinSet::new();
        let janitor = Arc::clone(&self.janitor);
        closing.spawn(async move { janitor.stop().await });
        for vault in self.prepared() {
            closing.spawn(async move {
                vault.collection.close().await;
                vault.media.close().await;
            });
        }
        while closing.join_next().await.is_some() {}
    }

    /// The free space of the disk.
    pub async fn free(&self) -> Result<Free, Error> {
        let folder = self.base.path().to_owned();
        Ok(spawn_blocking(move || Free::at(&folder)).await??)
    }

    /// How many devices are syncing: in a conversation or a request, or were a moment ago.
    pub fn devices(&self) -> usize {
        self.prepared()
            .iter()
            .map(|vault| vault.activity.devices(MOMENT))
            .sum()
    }

    /// Whether snapshots are being compressed.
    pub fn is_tidying(&self) -> bool {
        self.janitor.is_busy()
    }

    /// Whether a normal sync is under way whose device is not silent.
    pub fn is_in_conversation(&self) -> bool {
        self.prepared()
            .iter()
            .any(|vault| vault.is_in_conversation())
    }

    /// A user's vault, if it was used since the start.
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

    pub(super) fn lock(&self) -> MutexGuard<'_, HashMap<UserName, Arc<OnceCell<Arc<Vault>>>>> {
        self.by_user.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
