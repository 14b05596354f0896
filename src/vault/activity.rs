//! When each device of a user was last heard of, and how much went over the wire.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{Vault, conversation::ABANDONED};
use crate::account::host_key::DeviceId;

/// Bytes of a device's requests and answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Of requests, decompressed.
    pub received: u64,
    /// Of answers, before compression.
    pub sent: u64,
}

/// A request counts for as long as it takes, since a body may be long under way.
#[derive(Clone, Default)]
pub(super) struct Activity(Arc<Mutex<HashMap<DeviceId, Seen>>>);

struct Seen {
    requests: usize,
    last: Instant,
    traffic: Traffic,
    schema_told: Option<i64>,
}

impl Activity {
    /// Which schema stamp the device has seen last, if it has lately.
    pub(super) fn schema_told(&self, device: DeviceId) -> Option<i64> {
        self.lock().get(&device)?.schema_told
    }

    /// For how long the device has had no request under way.
    pub(super) fn silence(&self, device: DeviceId) -> Duration {
        match self.lock().get(&device) {
            Some(seen) if seen.requests > 0 => Duration::ZERO,
            Some(seen) => seen.last.elapsed(),
            None => Duration::MAX,
        }
    }

    /// How many devices have a request under way, or had one this shortly ago.
    pub(super) fn devices(&self, shortly: Duration) -> usize {
        let is_active = |seen: &&Seen| seen.requests > 0 || seen.last.elapsed() < shortly;
        self.lock().values().filter(is_active).count()
    }

    fn with(&self, device: DeviceId, change: impl FnOnce(&mut Seen)) {
        if let Some(seen) = self.lock().get_mut(&device) {
            change(seen);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<DeviceId, Seen>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Vault {
    /// Notes that a request of this device is under way, as long as the result lives.
    #[must_use]
    pub fn attend(&self, device: DeviceId) -> Attendance {
        let now = Instant::now();
        let mut devices = self.activity.lock();
        devices.retain(|_, seen| seen.requests > 0 || now - seen.last < ABANDONED);
        let seen = Seen {
            requests: 0,
            last: now,
            traffic: Traffic::default(),
            schema_told: None,
        };
        devices.entry(device).or_insert(seen).requests += 1;
        drop(devices);
        Attendance {
            activity: self.activity.clone(),
            device,
        }
    }
}

/// A request of a device is under way.
pub struct Attendance {
    activity: Activity,
    device: DeviceId,
}

impl Attendance {
    /// Notes the schema stamp that the device is told, or that what it was told is out of date
    /// by its own doing.
    pub fn tell_schema(&self, stamp: Option<i64>) {
        self.activity
            .with(self.device, |seen| seen.schema_told = stamp);
    }

    /// Counts a request's body.
    pub fn received(&self, bytes: u64) {
        self.activity
            .with(self.device, |seen| seen.traffic.received += bytes);
    }

    /// Counts an answer.
    pub fn answered(&self, bytes: u64) {
        self.activity
            .with(self.device, |seen| seen.traffic.sent += bytes);
    }

    /// What has been counted since this was last asked.
    #[must_use]
    pub fn take_traffic(&self) -> Traffic {
        let mut taken = Traffic::default();
        self.activity.with(self.device, |seen| {
            taken = std::mem::take(&mut seen.traffic);
        });
        taken
    }
}

impl Drop for Attendance {
    fn drop(&mut self) {
        self.activity.with(self.device, |seen| {
            seen.requests -= 1;
            seen.last = Instant::now();
        });
    }
}
