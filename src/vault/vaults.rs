//! All users' vaults, each prepared when it is first asked for.

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

/// Between two requests of one sync: `status` would else say that nobody is syncing.
const MOMENT: Duration = Duration::from_secs(1);

/// All users' vaults.
pub struct Vaults {
    pub(super) base: Base,
    upload_queue: UploadQueue,
    pub(super) janitor: Arc<SnapshotJanitor>,
    /// Held while users are renamed: two renames at once could both find that a name is free.
    pub(super) moving: TurnMutex<()>,
    workers: Workers,
    pub(super) served: Served,
    disk: Disk,
    /// Held for some instructions. The cell of each user is what others of that user wait for
    /// while the vault is prepared, so that a slow disk of one user is not waited for by all.
    by_user: Mutex<HashMap<UserName, Arc<OnceCell<Arc<Vault>>>>>,
}

impl Vaults {
    /// The vaults in this folder, none of them open yet.
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

    /// Room for what comes from clients that are not known yet.
    pub fn upload_queue(&self) -> &UploadQueue {
        &self.upload_queue
    }

    /// The threads for work on users' data.
    pub fn workers(&self) -> &Workers {
        &self.workers
    }

    /// The disk that they are on.
    pub fn disk(&self) -> &Disk {
        &self.disk
    }

    /// Changes how many snapshots are kept from now on.
    pub fn retain(&self, retention: Retention) {
        self.janitor.retain(retention);
    }

    /// A user's vault. The first time, what a crash left behind is cleared away.
    ///
    /// # Errors
    /// When the folder cannot be created or cleared; [`Error::Absent`] when it has vanished.
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
                // No reason to keep data from their user that are there.
                Err(error) if disk::fault(&error) == Some(Fault::Full) => {
                    tracing::warn!(%error, "cannot save yet that {} has synced with this server", user.as_str());
                }
                noted => noted?,
            }
            Ok::<_, Error>(vault)
        };
        let share = self.workers.share();
        // Goes on when the client leaves: another one's must not begin beside it, or what is
        // cleared away might be that one's by then.
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

    /// Closes, from time to time, what nobody uses, and settles what could not be settled.
    pub async fn close_idle(&self) {
        let mut ticks = tokio::time::interval(IDLE / 5);
        loop {
            ticks.tick().await;
            for vault in self.prepared() {
                vault.close_if_idle(IDLE).await;
                vault.settle_media_again();
            }
        }
    }

    /// Closes what no request and no sync is using just now: whoever wants to look into a database
    /// need not wait until it has been idle for long.
    pub async fn rest(&self) {
        for vault in self.prepared() {
            vault.close_if_idle(Duration::ZERO).await;
        }
    }

    /// Closes everything, with all of it brought into the main files, as soon as nobody is
    /// working on it: an upgrade or a recovery may be. A sync that is under way is rolled back;
    /// what goes on in the background is left for another time. None of it waits for another.
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

    /// What is left of the disk that they are on.
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

    /// Whether a normal sync is under way whose device has not fallen silent.
    pub fn is_in_conversation(&self) -> bool {
        self.prepared()
            .iter()
            .any(|vault| vault.is_in_conversation())
    }

    /// A user's vault, if anybody has used it since the start.
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
