//! What is remembered of devices: when they were seen, what they did last, and which of
//! them were revoked.
//!
//! Each user's are in the user's own folder, and are read when the first of them comes. What
//! counts from then on is in memory; the files follow some seconds later, except for a
//! revocation, which is on disk before anybody is told that it is done.
//!
//! Forgetting a device takes it off the list and nothing else: its host key still works,
//! and whoever comes with a genuine one is listed again. A revoked device is never
//! forgotten, only no longer shown.

mod folder;
pub mod former;
mod name;
mod own;
mod record;

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::OnceCell,
    task::spawn_blocking,
    time::{MissedTickBehavior, interval},
};

use super::{Device, host_key::DeviceId, name::UserName};
use crate::clock;
use folder::Folder;
use own::Own;

pub use name::DeviceName;
pub use record::{PasswordMark, Record, Sighting};

/// What follows from losing what was known.
const NOT_KNOWN: &str = "Devices that were revoked can sync again. To keep them out, give their users new passwords, which logs out all devices of these users";
/// At most this long after a request the file knows of it.
const BATCH: Duration = Duration::from_secs(5);
/// A device was revoked, but the file could not be written.
#[derive(Debug, thiserror::Error)]
#[error(
    "the device is logged out, but this could not be saved: {0}. After a restart of the server it can sync again"
)]
pub struct NotStored(String);

/// Nobody knows which of a user's devices were revoked.
#[derive(Debug, thiserror::Error)]
#[error(
    "the list of {user}'s devices, which says whether this one was revoked, cannot be read: {reason}"
)]
pub struct NotRead {
    user: UserName,
    reason: String,
}

/// All devices of all users.
#[derive(Clone)]
pub struct Devices(Arc<Inner>);

struct Inner {
    /// The folder of the users' folders; none where nothing is to be kept.
    base: Option<PathBuf>,
    users: Mutex<HashMap<UserName, Arc<OnceCell<Arc<Own>>>>>,
    /// Whether the log has been told that files cannot be written.
    failing: AtomicBool,
}

impl Devices {
    /// Those of the users whose folders are in this one.
    #[must_use]
    pub fn below(base: &Path) -> Self {
        Self::new(Some(base.to_owned()))
    }

    /// Nobody yet, and nothing is kept on disk.
    #[must_use]
    pub fn in_memory() -> Self {
        Self::new(None)
    }

    fn new(base: Option<PathBuf>) -> Self {
        Self(Arc::new(Inner {
            base,
            users: Mutex::default(),
            failing: AtomicBool::new(false),
        }))
    }

    /// Whether this device was revoked, of which the key is genuine.
    ///
    /// # Errors
    /// [`NotRead`].
    pub async fn is_revoked(&self, device: &Device) -> Result<bool, NotRead> {
        let own = self.of(&device.user).await?;
        let known = own.known();
        if known.records.is_empty() && own.folder.as_ref().is_some_and(Folder::is_lost) {
            tracing::warn!(
                "the list of {}'s devices is missing, although a device has logged in before. {NOT_KNOWN}",
                device.user
            );
        }
        let record = known.records.get(&device.id);
        Ok(record.is_some_and(Record::is_revoked))
    }

    /// Whether such a device is known, and not revoked. Nothing is kept in memory, since
    /// strangers may ask.
    pub async fn is_listed(&self, user: &UserName, id: DeviceId) -> bool {
        if let Some(own) = self.loaded(user) {
            let known = own.known();
            return known
                .records
                .get(&id)
                .is_some_and(|device| !device.is_revoked());
        }
        let Some(base) = &self.0.base else {
            return false;
        };
        let folder = Folder::of(base, user);
        let listed = spawn_blocking(move || folder.lists(id)).await;
        listed.unwrap_or(false)
    }

    /// Reads what is known of a user's devices, unless that was done before.
    ///
    /// # Errors
    /// [`NotRead`].
    pub async fn prepare(&self, user: &UserName) -> Result<(), NotRead> {
        self.of(user).await.map(drop)
    }

    /// Notes that a device has logged in, or shown a genuine key.
    pub fn seen(&self, device: &Device, sighting: Sighting) {
        self.update(device, sighting, |_, _| {});
    }

    /// Notes that a device has synced, what it did, and the modification stamp of the collection
    /// that it has since, if that is another one.
    pub fn synced(
        &self,
        device: &Device,
        sighting: Sighting,
        action: String,
        modified: Option<i64>,
    ) {
        self.update(device, sighting, |record, now| {
            record.last_sync = Some(now);
            record.last_action = Some(action);
            record.modified = modified.or(record.modified);
        });
    }

    /// What a device was named, as far as its user's devices have been read.
    #[must_use]
    pub fn name(&self, device: &Device) -> Option<DeviceName> {
        let own = self.loaded(&device.user)?;
        let known = own.known();
        known.records.get(&device.id)?.name.clone()
    }

    /// Gives a device a name, or takes it away.
    ///
    /// # Errors
    /// When it cannot be stored; the name counts until the server ends even then.
    pub async fn rename(
        &self,
        user: &UserName,
        id: DeviceId,
        name: Option<DeviceName>,
    ) -> Result<(), String> {
        let own = self.of(user).await.map_err(|error| error.to_string())?;
        own.known().rename(id, name);
        self.write(vec![(user.clone(), own)]).await
    }

    /// Whether a device has the collection with this modification stamp since its last sync.
    #[must_use]
    pub fn has(&self, device: &Device, modified: i64) -> bool {
        self.loaded(&device.user).is_some_and(|own| {
            let known = own.known();
            let record = known.records.get(&device.id);
            record.is_some_and(|record| record.modified == Some(modified))
        })
    }

    fn update(&self, device: &Device, sighting: Sighting, change: impl FnOnce(&mut Record, i64)) {
        let now = clock::now_secs();
        // None if the user has been renamed or removed since it was let in.
        let Some(own) = self.loaded(&device.user) else {
            return;
        };
        own.known().update(device, now, |record| {
            record.see(device, sighting, now);
            change(record, now);
        });
    }

    /// Everything that is known of a user's devices, or of everybody's, the most recently
    /// seen first.
    ///
    /// # Errors
    /// [`NotRead`] for one user; for everybody, it is logged.
    pub async fn list(&self, user: Option<&UserName>) -> Result<Vec<Record>, NotRead> {
        let mut records = match user {
            Some(user) => self.of(user).await?.records(),
            None => {
                let devices = self.clone();
                let everybody = spawn_blocking(move || devices.everybodys()).await;
                everybody.unwrap_or_else(|panicked| {
                    tracing::error!("internal error: {panicked}");
                    Vec::new()
                })
            }
        };
        records.sort_by_key(|record| (-record.last_seen, record.id.to_string()));
        Ok(records)
    }

    /// Of those who have not come since the start, nothing is kept in memory.
    fn everybodys(&self) -> Vec<Record> {
        let loaded: HashMap<UserName, Arc<Own>> = self.all_loaded().collect();
        let mut records: Vec<_> = loaded.values().flat_map(|own| own.records()).collect();
        let Some(base) = &self.0.base else {
            return records;
        };
        let folders = fs::read_dir(base).into_iter().flatten().flatten();
        let others = folders
            .filter_map(|folder| folder.file_name().into_string().ok()?.parse().ok())
            .filter(|user| !loaded.contains_key(user));
        for user in others {
            match Folder::of(base, &user).read(&user) {
                Ok(read) => records.extend(read),
                // What is beside the users' folders.
                Err(error) if error.kind() == io::ErrorKind::NotADirectory => {}
                Err(error) => tracing::warn!("{user}: the devices cannot be read: {error}"),
            }
        }
        records
    }

    /// Revokes devices: from now on none of their requests is granted, for good.
    ///
    /// # Errors
    /// [`NotStored`]; they are revoked in this process even then.
    pub async fn revoke(&self, devices: &[(UserName, DeviceId)]) -> Result<(), NotStored> {
        let mut ids: HashMap<&UserName, Vec<DeviceId>> = HashMap::new();
        for (user, id) in devices {
            ids.entry(user).or_default().push(*id);
        }
        let mut users = Vec::new();
        for (user, ids) in ids {
            let own = self
                .of(user)
                .await
                .map_err(|error| NotStored(error.to_string()))?;
            own.known().revoke(&ids, clock::now_secs());
            users.push((user.clone(), own));
        }
        self.write(users).await.map_err(NotStored)
    }

    /// Forgets what is in memory of a user whose folder has been moved or removed.
    pub fn forget(&self, user: &UserName) {
        self.users().remove(user);
    }

    /// Keeps the files up to date, for as long as it is polled.
    pub async fn keep_stored(&self) {
        let mut ticks = interval(BATCH);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            // What went wrong is in the log, and is tried again.
            let _ = self.store().await;
        }
    }

    /// Brings the files up to date.
    ///
    /// # Errors
    /// As the file system says. What was not written stays to be written.
    pub async fn store(&self) -> Result<(), String> {
        self.write(self.all_loaded().collect()).await
    }

    async fn write(&self, users: Vec<(UserName, Arc<Own>)>) -> Result<(), String> {
        let devices = self.clone();
        spawn_blocking(move || {
            let mut written = Ok(());
            for (user, own) in users {
                if let Err(error) = own.store(&user, clock::now_secs()) {
                    written = Err(format!("{user}'s devices: {error}"));
                }
            }
            devices.note(written.as_ref().err());
            written
        })
        .await
        .map_err(|error| error.to_string())?
    }

    /// Tells the log when writing begins and when it ceases to fail.
    fn note(&self, error: Option<&String>) {
        let was_failing = self.0.failing.swap(error.is_some(), Ordering::Relaxed);
        match error {
            Some(error) if !was_failing => tracing::warn!(
                "the list of devices cannot be saved: {error}. Syncing goes on; the server tries again"
            ),
            None if was_failing => tracing::info!("the list of devices can be saved again"),
            _ => {}
        }
    }

    /// Removes what a crash has left beside the files: its user may never come back.
    pub async fn clear_leftovers(&self) {
        let devices = self.clone();
        let found = spawn_blocking(move || devices.with_leftovers()).await;
        for user in found.unwrap_or_default() {
            let Ok(own) = self.of(&user).await else {
                continue;
            };
            if let Ok(Err(error)) = spawn_blocking(move || own.clear()).await {
                tracing::warn!(%error, "{user}: temporary files that a crash left in the list of devices cannot be removed yet");
            }
        }
    }

    fn with_leftovers(&self) -> Vec<UserName> {
        let Some(base) = &self.0.base else {
            return Vec::new();
        };
        let folders = fs::read_dir(base).into_iter().flatten().flatten();
        folders
            .filter_map(|folder| folder.file_name().into_string().ok()?.parse().ok())
            .filter(|user| Folder::of(base, user).has_unfinished())
            .collect()
    }

    async fn of(&self, user: &UserName) -> Result<Arc<Own>, NotRead> {
        let failed = |reason: &dyn std::fmt::Display| NotRead {
            user: user.clone(),
            reason: reason.to_string(),
        };
        let cell = Arc::clone(self.users().entry(user.clone()).or_default());
        let own = cell.get_or_try_init(|| async {
            let folder = self.0.base.as_ref().map(|base| Folder::of(base, user));
            let name = user.clone();
            let read = spawn_blocking(move || Own::read(&name, folder)).await;
            match read {
                Ok(own) => own.map(Arc::new).map_err(|error| failed(&error)),
                Err(panicked) => Err(failed(&panicked)),
            }
        });
        let own = Arc::clone(own.await?);
        if own.is_behind() {
            let (late, name) = (Arc::clone(&own), user.clone());
            let caught_up = spawn_blocking(move || late.catch_up(&name)).await;
            caught_up
                .map_err(|panicked| failed(&panicked))?
                .map_err(|error| failed(&error))?;
        }
        Ok(own)
    }

    fn loaded(&self, user: &UserName) -> Option<Arc<Own>> {
        self.users().get(user)?.get().cloned()
    }

    fn all_loaded(&self) -> impl Iterator<Item = (UserName, Arc<Own>)> + use<> {
        let users = self.users();
        let loaded = users
            .iter()
            .filter_map(|(user, own)| Some((user.clone(), Arc::clone(own.get()?))));
        loaded.collect::<Vec<_>>().into_iter()
    }

    fn users(&self) -> MutexGuard<'_, HashMap<UserName, Arc<OnceCell<Arc<Own>>>>> {
        self.0.users.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
