//! What is remembered of devices: when they were seen, what they did last, and which of
//! them were revoked.
//!
//! Each user's records are in the user's own folder, and are read when the first device comes. From
//! then on the records in memory count, and the files follow some seconds later. A revocation is
//! different: it is on disk before it is confirmed.
//!
//! Forgetting a device only takes it off the list. Its host key still works, and the device is
//! listed again when it uses the key. A revoked device is never forgotten, only hidden.

mod folder;
pub mod former;
mod loaded;
mod name;
mod own;
mod record;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    task::spawn_blocking,
    time::{MissedTickBehavior, interval},
};

use super::{
    device::{Device, DeviceId},
    name::UserName,
};
use crate::clock;
use folder::{Folder, NOT_KNOWN};
use loaded::Loaded;
use own::Own;

pub use loaded::NotRead;
pub use name::DeviceName;
pub use record::{ClientInfo, Record, version_and_platform};

/// The longest time between a request and the write that records it.
const BATCH: Duration = Duration::from_secs(5);

/// A device was revoked, but the file could not be written.
#[derive(Debug, thiserror::Error)]
#[error(
    "the device is logged out, but this could not be saved: {0}. After a restart of the server it can sync again"
)]
pub struct NotStored(String);

/// All devices of all users.
#[derive(Clone)]
pub struct Devices(Arc<Inner>);

struct Inner {
    loaded: Loaded,
    /// Whether the failure to write is logged already.
    failing: AtomicBool,
}

impl Devices {
    /// The devices of the users whose folders are in this folder.
    pub fn below(base: &Path) -> Self {
        Self::new(Some(base.to_owned()))
    }

    /// An empty list, of which nothing is stored on disk.
    pub fn in_memory() -> Self {
        Self::new(None)
    }

    fn new(base: Option<PathBuf>) -> Self {
        Self(Arc::new(Inner {
            loaded: Loaded::new(base),
            failing: AtomicBool::new(false),
        }))
    }

    /// Whether this device was revoked. Its key is known to be genuine.
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

    /// Whether this device is known and not revoked. Nothing is kept in memory, since strangers may
    /// ask.
    pub async fn is_listed(&self, user: &UserName, id: DeviceId) -> bool {
        if let Some(own) = self.loaded(user) {
            let known = own.known();
            return known
                .records
                .get(&id)
                .is_some_and(|device| !device.is_revoked());
        }
        let Some(folder) = self.0.loaded.folder(user) else {
            return false;
        };
        let listed = spawn_blocking(move || folder.lists(id)).await;
        listed.unwrap_or(false)
    }

    /// Reads a user's devices, unless they were read before.
    pub async fn prepare(&self, user: &UserName) -> Result<(), NotRead> {
        self.of(user).await.map(drop)
    }

    /// Notes that a device has logged in, or shown a genuine key.
    pub fn seen(&self, device: &Device, client_info: ClientInfo) {
        self.update(device, client_info, |_, _| {});
    }

    /// Notes that a device has synced, what it did, and the modification stamp of its collection if
    /// that has changed.
    pub fn synced(
        &self,
        device: &Device,
        client_info: ClientInfo,
        action: String,
        modified: Option<i64>,
    ) {
        self.update(device, client_info, |record, now| {
            record.last_sync = Some(now);
            record.last_action = Some(action);
            record.modified = modified.or(record.modified);
        });
    }

    /// The device's name, if its user's devices have been read.
    pub fn name(&self, device: &Device) -> Option<DeviceName> {
        let own = self.loaded(&device.user)?;
        let known = own.known();
        known.records.get(&device.id)?.name.clone()
    }

    /// Sets or removes the name of a device.
    ///
    /// # Errors
    /// When the name cannot be stored. It counts until the server ends even then.
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

    /// Whether the device's last sync ended with the collection of this modification stamp.
    pub fn has(&self, device: &Device, modified: i64) -> bool {
        self.loaded(&device.user).is_some_and(|own| {
            let known = own.known();
            let record = known.records.get(&device.id);
            record.is_some_and(|record| record.modified == Some(modified))
        })
    }

    fn update(
        &self,
        device: &Device,
        client_info: ClientInfo,
        change: impl FnOnce(&mut Record, i64),
    ) {
        let now = clock::now_secs();
        // None if the user was renamed or removed after the device was let in.
        let Some(own) = self.loaded(&device.user) else {
            return;
        };
        own.known().update(device, now, |record| {
            record.see(device, client_info, now);
            change(record, now);
        });
    }

    /// All records of one user or of all users, the most recently seen first.
    ///
    /// # Errors
    /// [`NotRead`] for one user. For all users, the error is only logged.
    pub async fn list(&self, user: Option<&UserName>) -> Result<Vec<Record>, NotRead> {
        let mut records = match user {
            Some(user) => self.of(user).await?.records(),
            None => {
                let devices = self.clone();
                let everybody = spawn_blocking(move || devices.0.loaded.everybodys()).await;
                everybody.unwrap_or_else(|panicked| {
                    tracing::error!("internal error: {panicked}");
                    Vec::new()
                })
            }
        };
        records.sort_by_key(|record| (-record.last_seen, record.id.to_string()));
        Ok(records)
    }

    /// Revokes devices: all their requests are refused from now on.
    ///
    /// # Errors
    /// [`NotStored`]; the devices are revoked in this process even then.
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

    /// Drops a user's records from memory after the folder was moved or removed.
    pub fn forget(&self, user: &UserName) {
        self.0.loaded.forget(user);
    }

    /// Writes changes to the files, for as long as it is polled.
    pub async fn keep_stored(&self) {
        let mut ticks = interval(BATCH);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            // `store` has logged the error; the next round tries again.
            let _ = self.store().await;
        }
    }

    /// Writes all changes to the files.
    ///
    /// # Errors
    /// As the file system says. Records that were not written are tried again.
    pub async fn store(&self) -> Result<(), String> {
        self.write(self.0.loaded.all()).await
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

    /// Logs when writing begins to fail, and when it works again.
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

    /// Removes what a crash has left beside the files. Waiting for the user's next sync is not
    /// enough: the user may never come back.
    pub async fn clear_leftovers(&self) {
        let devices = self.clone();
        let found = spawn_blocking(move || devices.0.loaded.with_leftovers()).await;
        for user in found.unwrap_or_default() {
            let Ok(own) = self.of(&user).await else {
                continue;
            };
            if let Ok(Err(error)) = spawn_blocking(move || own.clear()).await {
                tracing::warn!(%error, "{user}: temporary files that a crash left in the list of devices cannot be removed yet");
            }
        }
    }

    async fn of(&self, user: &UserName) -> Result<Arc<Own>, NotRead> {
        self.0.loaded.of(user).await
    }

    fn loaded(&self, user: &UserName) -> Option<Arc<Own>> {
        self.0.loaded.get(user)
    }
}

#[cfg(test)]
mod tests;
