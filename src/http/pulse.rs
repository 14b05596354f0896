//! What the server is doing and did last, for the status line and for ending when idle.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use crate::{account::name::UserName, clock};

/// Counts what is under way.
#[derive(Default)]
pub struct Pulse {
    connections: Arc<AtomicUsize>,
    requests: Arc<AtomicUsize>,
    last_sync: Mutex<Option<LastSync>>,
}

/// Who last synced, and when.
#[derive(Debug, Clone)]
pub struct LastSync {
    /// Whose device it was.
    pub user: UserName,
    /// When, in seconds since 1970.
    pub at_secs: i64,
}

/// Something under way, counted until this is dropped.
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

impl Pulse {
    /// Counts a connection.
    #[must_use]
    pub fn connected(&self) -> Counted {
        Counted::new(&self.connections)
    }

    /// Counts a request, from its head to the end of its answer.
    #[must_use]
    pub fn requested(&self) -> Counted {
        Counted::new(&self.requests)
    }

    /// Notes that a device has synced just now.
    pub fn synced(&self, user: &UserName) {
        *self.lock() = Some(LastSync {
            user: user.clone(),
            at_secs: clock::now_secs(),
        });
    }

    /// Connections that are open.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Requests under way.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    /// Who synced last since the start.
    pub fn last_sync(&self) -> Option<LastSync> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Option<LastSync>> {
        self.last_sync
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
