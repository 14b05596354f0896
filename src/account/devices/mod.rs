//! What is remembered of devices: when they were seen, what they did last, and which of
//! them were revoked.
//!
//! Host keys are verified without any of it, so syncing goes on whatever happens to the
//! file. What counts is in memory; the file follows some seconds later, except for a
//! revocation, which is on disk before anybody is told that it is done.
//!
//! Forgetting a device takes it off the list and nothing else: its host key still works,
//! and whoever comes with a genuine one is listed again. A revoked device is never
//! forgotten, only no longer shown.

mod file;

use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::{
    task::spawn_blocking,
    time::{MissedTickBehavior, interval},
};

use super::{Device, host_key::DeviceId};
use crate::clock;
use file::File;

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

/// All devices of all users.
#[derive(Clone)]
pub struct Devices(Arc<Inner>);

struct Inner {
    known: Mutex<Known>,
    /// None where nothing is to be kept.
    file: Mutex<Option<File>>,
}

#[derive(Default)]
struct Known {
    records: HashMap<DeviceId, Record>,
    /// What the file does not know of yet.
    changed: HashSet<DeviceId>,
}

impl Devices {
    /// Reads the file, or begins a new one. Whatever is wrong with it is logged and never
    /// an error: a damaged file is set aside. One that is missing is remarkable if there
    /// have been devices before.
    #[must_use]
    pub fn open(path: PathBuf, had_devices: bool) -> Self {
        let (file, records) = File::open(path, had_devices);
        Self::new(Some(file), records)
    }

    /// Nobody yet, and nothing is kept on disk.
    #[must_use]
    pub fn in_memory() -> Self {
        Self::new(None, Vec::new())
    }

    fn new(file: Option<File>, records: Vec<Record>) -> Self {
        let records = records.into_iter().map(|record| (record.id, record));
        Self(Arc::new(Inner {
            known: Mutex::new(Known {
                records: records.collect(),
                changed: HashSet::new(),
            }),
            file: Mutex::new(file),
        }))
    }

    /// Whether this device was revoked.
    #[must_use]
    pub fn is_revoked(&self, id: DeviceId) -> bool {
        let known = self.known();
        known.records.get(&id).is_some_and(Record::is_revoked)
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
        let mut known = self.known();
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

    /// Everything that is known, the most recently seen first.
    #[must_use]
    pub fn all(&self) -> Vec<Record> {
        let mut records: Vec<_> = self.known().records.values().cloned().collect();
        records.sort_by_key(|record| (-record.last_seen, record.id.to_string()));
        records
    }

    /// Revokes devices: from now on none of their requests is granted, for good.
    ///
    /// # Errors
    /// [`NotStored`]; they are revoked in this process even then.
    pub async fn revoke(&self, ids: &[DeviceId]) -> Result<(), NotStored> {
        let now = clock::now_secs();
        {
            let mut known = self.known();
            for id in ids {
                if let Some(record) = known.records.get_mut(id) {
                    record.revoked.get_or_insert(now);
                    known.changed.insert(*id);
                }
            }
        }
        self.store().await.map_err(NotStored)
    }

    /// Keeps the file up to date, for as long as it is polled.
    pub async fn keep_stored(&self) {
        let mut ticks = interval(BATCH);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            // What went wrong is in the log, and is tried again.
            let _ = self.store().await;
        }
    }

    /// Brings the file up to date.
    ///
    /// # Errors
    /// As SQLite and the file system say. What was not written stays to be written.
    pub async fn store(&self) -> Result<(), String> {
        let devices = self.clone();
        spawn_blocking(move || devices.store_now())
            .await
            .map_err(|error| error.to_string())?
    }

    fn store_now(&self) -> Result<(), String> {
        // Held throughout: an older state of a record must not be written after a newer one.
        let mut file = self.0.file.lock().unwrap_or_else(PoisonError::into_inner);
        let (changed, forgotten) = self.known().take_changes(clock::now_secs());
        let Some(file) = file.as_mut() else {
            return Ok(());
        };
        file.write(&changed, &forgotten, || self.all())
            .inspect_err(|_| {
                let ids = changed.iter().map(|record| record.id);
                self.known().changed.extend(ids);
            })
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
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
        let mut by_user: HashMap<&str, Vec<&Record>> = HashMap::new();
        for record in self.records.values().filter(|record| !record.is_revoked()) {
            by_user.entry(&record.user).or_default().push(record);
        }
        let mut forgotten = Vec::new();
        for records in by_user.values_mut() {
            records.sort_by_key(|record| -record.last_seen);
            let gone = records.iter().enumerate().filter(|(place, record)| {
                *place >= MOST || now - record.last_seen > record.kept_for_secs()
            });
            forgotten.extend(gone.map(|(_, record)| record.id));
        }
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
