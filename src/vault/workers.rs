//! Threads for work on data, of which nobody gets so many that others have to wait.
//!
//! Whoever has to wait does so without a thread. What the server does for itself and for the
//! operator takes none of these: see [`RESERVED`].

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread::available_parallelism,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::{JoinError, spawn_blocking},
};

use crate::work::{Budget, Interrupted, Job, Stop};

/// Threads for all users together.
const USERS: usize = 16;
/// Of these for one user, whatever the user's devices do.
const USER: usize = USERS / 4;
/// Threads for what comes from clients that have not shown a host key.
const STRANGERS: usize = 4;
/// Threads that are left for passwords, the operator's commands and the server itself.
const RESERVED: usize = 12;
/// All of them.
pub const THREADS: usize = USERS + STRANGERS + RESERVED;

/// All threads.
#[derive(Clone)]
pub struct Workers(Arc<Threads>);

struct Threads {
    users: Arc<Semaphore>,
    strangers: Arc<Semaphore>,
    /// Looking through whole files takes a processor for long.
    files: Arc<Semaphore>,
    stop: Stop,
    running: Mutex<BTreeMap<u64, Arc<Job>>>,
    next: AtomicU64,
}

/// What one user, or all strangers together, may have of them.
#[derive(Clone)]
pub struct Share {
    threads: Arc<Threads>,
    all: Arc<Semaphore>,
    own: Arc<Semaphore>,
    /// Only one of several uploads can count anyway.
    file: Arc<Semaphore>,
}

impl Default for Workers {
    fn default() -> Self {
        let processors = available_parallelism().map_or(1, usize::from);
        Self(Arc::new(Threads {
            users: Arc::new(Semaphore::new(USERS)),
            strangers: Arc::new(Semaphore::new(STRANGERS)),
            files: Arc::new(Semaphore::new((processors / 2).max(2))),
            stop: Stop::default(),
            running: Mutex::default(),
            next: AtomicU64::new(0),
        }))
    }
}

impl Workers {
    /// For a user.
    #[must_use]
    pub fn share(&self) -> Share {
        self.share_of(&self.0.users, USER)
    }

    /// For all who have not shown a host key, together.
    #[must_use]
    pub fn strangers(&self) -> Share {
        self.share_of(&self.0.strangers, STRANGERS)
    }

    fn share_of(&self, all: &Arc<Semaphore>, threads: usize) -> Share {
        Share {
            threads: Arc::clone(&self.0),
            all: Arc::clone(all),
            own: Arc::new(Semaphore::new(threads)),
            file: Arc::new(Semaphore::new(1)),
        }
    }

    /// Tells work that the server stops.
    #[must_use]
    pub fn stop(&self) -> &Stop {
        &self.0.stop
    }

    /// Whether work that cannot be interrupted has all threads of users.
    #[must_use]
    pub fn are_stuck(&self) -> bool {
        let running = self.0.running();
        running.values().filter(|job| job.is_stuck()).count() >= USERS
    }

    /// How many jobs are on a thread.
    #[cfg(test)]
    pub(super) fn running(&self) -> usize {
        self.0.running().len()
    }
}

impl Threads {
    fn running(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Job>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is held until the thread is free again, even if nobody waits for it any more.
struct Occupied {
    threads: Arc<Threads>,
    number: u64,
    _turns: Vec<OwnedSemaphorePermit>,
}

impl Drop for Occupied {
    fn drop(&mut self) {
        self.threads.running().remove(&self.number);
    }
}

/// Interrupts a job when the request that waits for it is dropped.
struct Client(Arc<Job>);

impl Drop for Client {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

impl Share {
    /// Does some work on a thread, when it is its turn.
    ///
    /// # Errors
    /// As the work does; [`Interrupted`]; when it panics.
    pub async fn run<R, E>(
        &self,
        work: impl FnOnce() -> Result<R, E> + Send + 'static,
    ) -> Result<R, E>
    where
        R: Send + 'static,
        E: From<Interrupted> + From<JoinError> + Send + 'static,
    {
        self.job(Budget::REQUEST, &[&self.own, &self.all], work)
            .await
    }

    /// As [`Share::run`], for work on a whole file of this size that came from outside.
    ///
    /// # Errors
    /// As [`Share::run`].
    pub async fn run_on_file<R, E>(
        &self,
        bytes: u64,
        work: impl FnOnce() -> Result<R, E> + Send + 'static,
    ) -> Result<R, E>
    where
        R: Send + 'static,
        E: From<Interrupted> + From<JoinError> + Send + 'static,
    {
        let turns = [&self.file, &self.threads.files, &self.own, &self.all];
        self.job(Budget::of_file(bytes), &turns, work).await
    }

    async fn job<R, E>(
        &self,
        budget: Budget,
        turns: &[&Arc<Semaphore>],
        work: impl FnOnce() -> Result<R, E> + Send + 'static,
    ) -> Result<R, E>
    where
        R: Send + 'static,
        E: From<Interrupted> + From<JoinError> + Send + 'static,
    {
        let job = Arc::new(Job::new(budget, self.threads.stop.clone()));
        let client = Client(Arc::clone(&job));
        let mut taken = Vec::new();
        for turn in turns {
            // Nobody closes them.
            taken.extend(Arc::clone(turn).acquire_owned().await);
        }
        let occupied = Occupied {
            threads: Arc::clone(&self.threads),
            number: self.threads.next.fetch_add(1, Ordering::Relaxed),
            _turns: taken,
        };
        let running = (occupied.number, Arc::clone(&job));
        self.threads.running().insert(running.0, running.1);
        let worked = spawn_blocking(move || {
            let _occupied = occupied;
            job.run(work)
        });
        let worked = worked.await?;
        drop(client);
        worked
    }
}
