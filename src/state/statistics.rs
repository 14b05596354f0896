//! What the server is doing, did last, and has done so far: for the status line, for ending when
//! idle, and for metrics.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use serde::{Deserialize, Serialize};

use crate::{account::name::UserName, clock};

/// Counts of the present work, and of past syncs.
#[derive(Default)]
pub struct Statistics {
    connections: Arc<AtomicUsize>,
    requests: Arc<AtomicUsize>,
    last_sync: Mutex<Option<LastSync>>,
    counts: Mutex<HashMap<Option<UserName>, Counts>>,
}

/// The last sync of all users.
#[derive(Debug, Clone)]
pub struct LastSync {
    /// The user of the device.
    pub user: UserName,
    /// Its time, in seconds since 1970.
    pub at_secs: i64,
}

/// Counts since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Completed syncs, with or without changes.
    pub syncs: u64,
    /// Requests that failed.
    pub failures: u64,
    /// Logins.
    pub logins: u64,
    /// Bytes of requests, decompressed.
    pub received_bytes: u64,
    /// Bytes of answers, before compression.
    pub sent_bytes: u64,
}

/// Work under way. It is counted until this is dropped.
#[must_use]
pub struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(counter: &Arc<AtomicUsize>) -> Self {
        counter.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(counter))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Statistics {
    /// Counts a connection.
    pub fn connected(&self) -> Counted {
        Counted::new(&self.connections)
    }

    /// Counts a request, from its head to the end of its answer.
    pub fn requested(&self) -> Counted {
        Counted::new(&self.requests)
    }

    /// Notes that a device has synced just now.
    pub fn synced(&self, user: &UserName) {
        *self.lock() = Some(LastSync {
            user: user.clone(),
            at_secs: clock::now_secs(),
        });
        self.count(Some(user), |counts| counts.syncs += 1);
    }

    /// Counts for a user's devices, or for strangers. Call this only with users who have logged in,
    /// so that made-up names do not fill the memory.
    pub fn count(&self, user: Option<&UserName>, count: impl FnOnce(&mut Counts)) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        count(counts.entry(user.cloned()).or_default());
    }

    /// The counts of a user's devices, or of strangers.
    pub fn counts(&self, user: Option<&UserName>) -> Counts {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.get(&user.cloned()).copied().unwrap_or_default()
    }

    /// The number of open connections.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// The number of requests under way.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    /// The last sync since the start.
    pub fn last_sync(&self) -> Option<LastSync> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Option<LastSync>> {
        self.last_sync
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
