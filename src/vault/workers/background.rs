//! Threads of a lower priority.

use rustix::process::setpriority_process;
use tokio::{
    runtime::{Builder, Runtime},
    task::{JoinHandle, spawn_blocking},
};

/// Threads for work that takes a processor for long: the system interrupts them for everybody's
/// short requests.
pub(super) struct Background(Option<Runtime>);

impl Background {
    /// A third of the usual share: enough to stay within the budget for a file, and a client's
    /// patience, beside others who keep the processors busy.
    const NICE: i32 = 5;

    pub(super) fn new(threads: usize) -> Self {
        let runtime = Builder::new_current_thread()
            .max_blocking_threads(threads)
            .on_thread_start(|| {
                if let Err(error) = setpriority_process(None, Self::NICE) {
                    tracing::debug!(%error, "work on whole files has the priority of everything else");
                }
            })
            .build();
        Self(runtime.ok())
    }

    /// Without such threads, on the usual ones.
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
