//! What all users' snapshots have in common: how many there may be, and the work in the
//! background.

use std::sync::{Arc, PoisonError, RwLock};

use tokio::{sync::Semaphore, task::spawn_blocking};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{retention::Retention, snapshot::Snapshots};

pub(super) struct SnapshotJanitor {
    /// Replaced whole by a reload; read for some instructions.
    retention: RwLock<Retention>,
    /// Compressing takes a processor, and uploads come in crowds: after an upgrade of Anki that
    /// asks for a full sync, devices would wait for the processors that snapshots take.
    one_at_a_time: Semaphore,
    stop: CancellationToken,
    work: TaskTracker,
}

impl SnapshotJanitor {
    pub(super) fn new(retention: Retention) -> Self {
        let work = TaskTracker::new();
        // Waiting for it means until there is none; more may come.
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

    /// Compresses and thins out a user's snapshots, when it is their turn.
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

    /// Leaves undone what is not done yet.
    pub(super) async fn stop(&self) {
        self.stop.cancel();
        self.work.wait().await;
    }
}
