//! When each device of a user last had a request.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{Vault, conversation::ABANDONED};
use crate::{account::DeviceId, wire::Usn};

/// A request counts until it ends: otherwise a device that uploads for a minute would seem silent,
/// and lose its sync to a device that waits.
///
/// The lock is held for some instructions only, also while the collection's lock is held: never
/// wait with it.
#[derive(Default)]
pub(super) struct Activity(Mutex<HashMap<DeviceId, Seen>>);

struct Seen {
    requests: usize,
    last: Instant,
    meta: Option<MetaAnswer>,
    stale_usn: Option<StaleUsn>,
}

/// The stamps that `meta` last answered a device; the device decides by them how to sync.
#[derive(Debug, Clone, Copy)]
pub struct MetaAnswer {
    /// The collection's schema stamp.
    pub schema: i64,
    /// The collection's USN.
    pub usn: Usn,
}

/// A device continues from what `meta` answered. If another device has finished a sync since, the
/// device claims to have seen less than it has.
#[derive(Debug, Clone, Copy)]
struct StaleUsn {
    believed: Usn,
    actual: Usn,
}

impl Activity {
    /// The last answer of `meta` to the device, if it is recent.
    pub(super) fn meta(&self, device: DeviceId) -> Option<MetaAnswer> {
        self.lock().get(&device)?.meta
    }

    /// Notes that the device has finished a sync whose objects have this number.
    pub(super) fn finished(&self, device: DeviceId, usn: Usn) {
        self.with(device, |seen| {
            seen.stale_usn = seen
                .meta
                .filter(|meta| meta.usn != usn)
                .map(|meta| StaleUsn {
                    believed: meta.usn.next(),
                    actual: usn.next(),
                });
        });
    }

    /// How long the device has had no request under way.
    pub(super) fn silence(&self, device: DeviceId) -> Duration {
        match self.lock().get(&device) {
            Some(seen) if seen.requests > 0 => Duration::ZERO,
            Some(seen) => seen.last.elapsed(),
            None => Duration::MAX,
        }
    }

    /// How many devices have a request under way, or had one within this time.
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
    /// The number before which the device has seen everything. Without the correction, its own
    /// objects would count as another device's, and would replace a change that it made within the
    /// same second.
    pub fn seen_before(&self, device: DeviceId, claimed: Usn) -> Usn {
        let stale_usn = self
            .activity
            .lock()
            .get(&device)
            .and_then(|seen| seen.stale_usn);
        match stale_usn {
            Some(StaleUsn { believed, actual }) if believed == claimed => actual,
            _ => claimed,
        }
    }

    /// Notes that a request of this device is under way, until the result is dropped.
    #[must_use]
    pub fn active_request(self: &Arc<Self>, device: DeviceId) -> ActiveRequest {
        let now = Instant::now();
        let mut devices = self.activity.lock();
        devices.retain(|_, seen| {
            seen.requests > 0 || seen.stale_usn.is_some() || now - seen.last < ABANDONED
        });
        let seen = Seen {
            requests: 0,
            last: now,
            meta: None,
            stale_usn: None,
        };
        devices.entry(device).or_insert(seen).requests += 1;
        drop(devices);
        ActiveRequest {
            vault: Arc::clone(self),
            device,
            since: now,
        }
    }
}

/// A request of a device is under way.
pub struct ActiveRequest {
    vault: Arc<Vault>,
    device: DeviceId,
    since: Instant,
}

impl ActiveRequest {
    /// When the request came.
    pub fn since(&self) -> Instant {
        self.since
    }

    /// Notes the answer of `meta` to the device; none if the device itself has made the last answer
    /// obsolete.
    pub fn answered_meta(&self, meta: Option<MetaAnswer>) {
        let activity = &self.vault.activity;
        activity.with(self.device, |seen| seen.meta = meta);
    }
}

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        self.vault.activity.with(self.device, |seen| {
            seen.requests -= 1;
            seen.last = Instant::now();
        });
    }
}
