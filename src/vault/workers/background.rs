//! Threads of a lower priority.

use rustix::process::setpriority_process;
use tokio::{
    runtime::{Builder, Runtime},
    task::{JoinHandle, spawn_blocking},
};

/// Threads for work that takes a processor for long. The system interrupts them for short requests.
pub(super) struct Background(Option<Runtime>);

impl Background {
    /// A third of the usual share of a processor: enough to stay within the budget for a file and a
    /// client's patience while others keep the processors busy.
    const NICE: i32 = 5;

    pub(super) fn new(threads: usize) -> Self {
        let runtime = Builder::new_current_thread()
            .max_blocking_threads(threads)
            .on_thread_start(|| {
                if let Err(error) = setpriority_process(None, Self::NICE) {
                    tracing::debug!(%error, "work on whole files runs with the usual priority");
                }
            })
            .build();
        Self(runtime.ok())
    }

    /// If there are no such threads, it uses the usual ones.
    pub(super) fn spawn<R: Send + 'static>(
        &self,
        work: impl FnOnce() -> R + Send + 'static,
    ) -> JoinHandle<R> {
        match &self.0 {
            Some(threads) => threads.spawn_blocking(work),
            None => spawn_blocking(work),
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
