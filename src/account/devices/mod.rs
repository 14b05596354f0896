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

pub mod former;
mod folder;

use std::{
    collections::{HashMap, HashSet},
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::{
    sync::OnceCell,
    task::spawn_blocking,
    time::{MissedTickBehavior, interval},
};

use super::{Device, host_key::DeviceId, name::UserName};
use crate::clock;
use folder::{Folder, Written};

/// What follows from losing what was known.
const NOT_KNOWN: &str = "If devices were revoked, they are let in again: to be sure, give their users new passwords, which logs out all of their devices";
/// At most this long after a request the file knows of it.
const BATCH: Duration = Duration::from_secs(5);
const DAY_SECS: i64 = 24 * 60 * 60;
/// One that logged in and never synced is forgotten when it has not been seen for so long.
const UNUSED_SECS: i64 = 30 * DAY_SECS;
/// Any other one.
const GONE_SECS: i64 = 400 * DAY_SECS;
/// Of each user; programs that log in anew for every sync would fill the list up.
const MOST: usize = 200;

/// What is known of one device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Which.
    pub id: DeviceId,
    /// Whose.
    pub user: String,
    /// When it was first seen, in seconds since 1970: mostly its login.
    pub first_seen: i64,
    /// When it was last seen.
    pub last_seen: i64,
    /// Its version, build and platform, as it says.
    pub client: String,
    /// Where it was last.
    pub address: String,
    /// When it last synced, uploaded or downloaded.
    pub last_sync: Option<i64>,
    /// What it did then.
    pub last_action: Option<String>,
    /// When it was revoked.
    pub revoked: Option<i64>,
    /// Which password its host key depends on, so that it can be told whether the key still works.
    #[serde(skip)]
    pub(super) password: PasswordMark,
}

/// Stands for a user's stored password without telling anything of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PasswordMark(pub(super) i64);

/// What a request tells of its device.
#[derive(Debug, Clone, Copy)]
pub struct Sighting<'a> {
    /// Its version, build and platform.
    pub client: &'a str,
    /// Where it is.
    pub address: &'a str,
}

/// A device was revoked, but the file could not be written.
#[derive(Debug, thiserror::Error)]
#[error("it is revoked until the server ends, but this could not be stored: {0}")]
pub struct NotStored(String);

/// Nobody knows which of a user's devices were revoked.
#[derive(Debug, thiserror::Error)]
#[error("the list of {user}'s devices cannot be read, and one of them may have been revoked: {reason}")]
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

/// One user's devices.
struct Own {
    folder: Option<Folder>,
    known: Mutex<Known>,
    /// Held while files are written: an older state of a record must not follow a newer one.
    writing: Mutex<()>,
}

#[derive(Default)]
struct Known {
    records: HashMap<DeviceId, Record>,
    /// What the files do not know of yet.
    changed: HashSet<DeviceId>,
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
                "there is no list of {}'s devices, though one has logged in before. {NOT_KNOWN}",
                device.user
            );
        }
        let record = known.records.get(&device.id);
        Ok(record.is_some_and(Record::is_revoked))
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

    /// Notes that a device has synced, and what it did.
    pub fn synced(&self, device: &Device, sighting: Sighting, action: String) {
        self.update(device, sighting, |record, now| {
            record.last_sync = Some(now);
            record.last_action = Some(action);
        });
    }

    fn update(&self, device: &Device, sighting: Sighting, change: impl FnOnce(&mut Record, i64)) {
        let now = clock::now_secs();
        // None if the user has been renamed or removed since it was let in.
        let Some(own) = self.loaded(&device.user) else {
            return;
        };
        let mut known = own.known();
        let record = known.records.entry(device.id).or_insert_with(|| Record {
            id: device.id,
            user: device.user.to_string(),
            first_seen: now,
            last_seen: now,
            client: String::new(),
            address: String::new(),
            last_sync: None,
            last_action: None,
            revoked: None,
            password: device.password,
        });
        record.last_seen = now;
        record.password = device.password;
        for (field, seen) in [
            (&mut record.client, sighting.client),
            (&mut record.address, sighting.address),
        ] {
            // A login of an old client does not say what it is.
            if !seen.is_empty() && field != seen {
                seen.clone_into(field);
            }
        }
        change(record, now);
        known.changed.insert(device.id);
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
                    tracing::error!("panicked: {panicked}");
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
            let own = self.of(user).await.map_err(|error| NotStored(error.to_string()))?;
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
                if let Err(error) = own.store(clock::now_secs()) {
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
                "what is known of devices cannot be stored: {error}; syncing goes on, and it is tried again"
            ),
            None if was_failing => tracing::info!("what is known of devices can be stored again"),
            _ => {}
        }
    }

    async fn of(&self, user: &UserName) -> Result<Arc<Own>, NotRead> {
        let cell = Arc::clone(self.users().entry(user.clone()).or_default());
        let own = cell.get_or_try_init(|| async {
            let folder = self.0.base.as_ref().map(|base| Folder::of(base, user));
            let name = user.clone();
            let read = spawn_blocking(move || Own::read(&name, folder)).await;
            let failed = |reason: &dyn std::fmt::Display| NotRead {
                user: user.clone(),
                reason: reason.to_string(),
            };
            match read {
                Ok(own) => own.map(Arc::new).map_err(|error| failed(&error)),
                Err(panicked) => Err(failed(&panicked)),
            }
        });
        Ok(Arc::clone(own.await?))
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

impl Own {
    fn read(user: &UserName, folder: Option<Folder>) -> io::Result<Self> {
        let records = match &folder {
            Some(folder) => folder.read(user)?,
            None => Vec::new(),
        };
        let records = records.into_iter().map(|record| (record.id, record));
        Ok(Self {
            folder,
            known: Mutex::new(Known {
                records: records.collect(),
                changed: HashSet::new(),
            }),
            writing: Mutex::default(),
        })
    }

    fn records(&self) -> Vec<Record> {
        self.known().records.values().cloned().collect()
    }

    fn store(&self, now: i64) -> io::Result<()> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let (changed, forgotten) = self.known().take_changes(now);
        let Some(folder) = &self.folder else {
            return Ok(());
        };
        let mut stored = Ok(());
        for record in &changed {
            match folder.write(record) {
                Ok(Written::Yes) => continue,
                Ok(Written::NoFolder) => {}
                Err(error) => stored = Err(error),
            }
            self.known().changed.insert(record.id);
        }
        for id in forgotten {
            // What stays is only listed longer.
            stored = stored.and(folder.remove(id));
        }
        stored
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn revoke(&mut self, ids: &[DeviceId], now: i64) {
        for id in ids {
            if let Some(record) = self.records.get_mut(id) {
                record.revoked.get_or_insert(now);
                self.changed.insert(*id);
            }
        }
    }

    /// What to store, and whom to forget.
    fn take_changes(&mut self, now: i64) -> (Vec<Record>, Vec<DeviceId>) {
        let changed = std::mem::take(&mut self.changed);
        let forgotten = if changed.is_empty() {
            Vec::new()
        } else {
            self.forget(now)
        };
        let changed = changed.iter().filter_map(|id| self.records.get(id));
        (changed.cloned().collect(), forgotten)
    }

    /// Takes out who has not been seen for long, or is one too many; never a revoked one.
    fn forget(&mut self, now: i64) -> Vec<DeviceId> {
        let mut records: Vec<_> = self
            .records
            .values()
            .filter(|record| !record.is_revoked())
            .collect();
        records.sort_by_key(|record| -record.last_seen);
        let gone = records.iter().enumerate().filter(|(place, record)| {
            *place >= MOST || now - record.last_seen > record.kept_for_secs()
        });
        let forgotten: Vec<_> = gone.map(|(_, record)| record.id).collect();
        for id in &forgotten {
            self.records.remove(id);
        }
        forgotten
    }
}

impl Record {
    fn is_revoked(&self) -> bool {
        self.revoked.is_some()
    }

    fn kept_for_secs(&self) -> i64 {
        if self.last_sync.is_some() {
            GONE_SECS
        } else {
            UNUSED_SECS
        }
    }
}

#[cfg(test)]
mod tests;
