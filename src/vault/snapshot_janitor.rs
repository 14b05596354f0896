//! The limits on all users' snapshots, and the work on them in the background.

use std::sync::{Arc, PoisonError, RwLock};

use tokio::{sync::Semaphore, task::spawn_blocking};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{retention::Retention, snapshot::Snapshots};

pub(super) struct SnapshotJanitor {
    /// A reload replaces it as a whole; the lock is held for some instructions.
    retention: RwLock<Retention>,
    /// Compressing uses a processor, and uploads can come together: after an upgrade of Anki that
    /// requires a full sync, devices would have to wait for the compression of all snapshots.
    one_at_a_time: Semaphore,
    stop: CancellationToken,
    work: TaskTracker,
}

impl SnapshotJanitor {
    pub(super) fn new(retention: Retention) -> Self {
        let work = TaskTracker::new();
        // Closed, so that waiting ends when there is no work; new work is still accepted.
        work.close();
        Self {
            retention: RwLock::new(retention),
            one_at_a_time: Semaphore::new(1),
            stop: CancellationToken::new(),
            work,
        }
    }

    pub(super) fn retention(&self) -> Retention {
        *self
            .retention
            .read()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn retain(&self, retention: Retention) {
        *self
            .retention
            .write()
            .unwrap_or_else(PoisonError::into_inner) = retention;
    }

    /// Compresses and removes a user's snapshots, one user at a time.
    pub(super) fn tidy(self: Arc<Self>, snapshots: Snapshots) {
        let work = self.work.clone();
        work.spawn(async move {
            let Ok(_turn) = self.one_at_a_time.acquire().await else {
                return;
            };
            let (retention, stop) = (self.retention(), self.stop.clone());
            let tidying =
                spawn_blocking(move || snapshots.tidy(&retention, &|| !stop.is_cancelled()));
            match tidying.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::warn!(%error, "cannot compress or remove snapshots; the server tries again later");
                }
                Err(panicked) => tracing::error!("internal error: {panicked}"),
            }
        });
    }

    pub(super) fn is_busy(&self) -> bool {
        !self.work.is_empty()
    }

    /// Waits until there is no work.
    #[cfg(test)]
    pub(super) async fn done(&self) {
        self.work.wait().await;
    }

    /// Stops the work; the rest is done later.
    pub(super) async fn stop(&self) {
        self.stop.cancel();
        self.work.wait().await;
    }
}
