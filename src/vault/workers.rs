//! Threads for work on data. They are shared so that no user makes all others wait.
//!
//! Waiting requests do not use a thread. Work of the server itself and of the operator uses none of
//! these threads: see [`RESERVED`].

mod background;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread::available_parallelism,
    time::Duration,
};

use background::Background;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::{JoinError, spawn_blocking},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use crate::work::{Budget, Interrupted, Job, Stop};

/// Threads for all users together. They mostly wait for the disk, and each may take some MiB: with
/// hundreds, a Raspberry Pi would run out of memory.
const USERS: usize = 16;
/// The most threads of one user. If ten devices of a user upload at once, most of them wait, and
/// another user's sync finds a thread.
const USER: usize = USERS / 4;
/// How many bodies are decoded while they arrive, each with up to some 8 MiB of memory.
const DECODERS: usize = 8;
/// The most decoders of one user: otherwise the user's uploads from a slow network would force
/// others' bodies to the disk.
const USER_DECODERS: usize = DECODERS / 4;
/// Threads for clients that have not shown a host key, so that a flood of them does not block
/// users.
const STRANGERS: usize = 4;
/// Threads for the operator's work on data: the operator must be able to examine a server whose
/// other threads are all stuck.
const OPERATOR: usize = 4;
/// Threads for passwords, small requests of the operator and the server itself. Otherwise logins
/// would fail, and the watchdog would end the server, while sixteen uploads are checked.
const RESERVED: usize = 8;
/// Decoding a body takes long from this many bytes on.
const LARGE: u64 = 64 * 1024;
/// Interrupted work returns within a few milliseconds.
const MARGIN: Duration = Duration::from_millis(500);
/// All of them.
pub const THREADS: usize = USERS + STRANGERS + OPERATOR + RESERVED;

fn processors() -> usize {
    available_parallelism().map_or(1, usize::from)
}

/// More busy threads than processors would delay all short requests. At least three, so that a sync
/// goes on beside a checked upload and a media batch of the same user.
fn threads_of_a_user() -> usize {
    processors().clamp(3, USER)
}

/// What the system runs first when there is more work than processors.
#[derive(Clone, Copy)]
enum Priority {
    Usual,
    /// On the threads of [`Background`].
    Low,
}

/// The error of work.
pub trait WorkError: From<Interrupted> + From<JoinError> + Send + 'static {}

impl<E: From<Interrupted> + From<JoinError> + Send + 'static> WorkError for E {}

/// All threads.
#[derive(Clone)]
pub struct Workers(Arc<Threads>);

struct Threads {
    users: Arc<Semaphore>,
    strangers: Arc<Semaphore>,
    operator: Arc<Semaphore>,
    /// Reading whole files takes a processor for long.
    files: Arc<Semaphore>,
    decoders: Arc<Semaphore>,
    background: Background,
    stop: Stop,
    stopping: CancellationToken,
    /// For the watchdog, which ends a server whose threads do not return.
    running: Mutex<BTreeMap<u64, Arc<Job>>>,
    next: AtomicU64,
}

/// The share of one user, of all strangers together, or of the operator.
#[derive(Clone)]
pub struct Share {
    threads: Arc<Threads>,
    /// The semaphores that any work needs, in this order.
    turns: Vec<Arc<Semaphore>>,
    /// Acquired before these, for work on a whole file: waiting for them with a thread would block
    /// that thread for minutes.
    file_turns: Vec<Arc<Semaphore>>,
    /// The priority of work that takes a processor for long.
    long_work: Priority,
    decoders: Arc<Semaphore>,
}

/// The right to keep a decoder between two pieces of a body.
pub struct Decoding {
    _own: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

impl Default for Workers {
    fn default() -> Self {
        Self(Arc::new(Threads {
            users: Arc::new(Semaphore::new(USERS)),
            strangers: Arc::new(Semaphore::new(STRANGERS)),
            operator: Arc::new(Semaphore::new(OPERATOR)),
            files: Arc::new(Semaphore::new((processors() / 2).max(2))),
            decoders: Arc::new(Semaphore::new(DECODERS)),
            background: Background::new(USERS + STRANGERS),
            stop: Stop::default(),
            stopping: CancellationToken::new(),
            running: Mutex::default(),
            next: AtomicU64::new(0),
        }))
    }
}

impl Workers {
    /// The share of a user.
    pub fn share(&self) -> Share {
        let own = Arc::new(Semaphore::new(threads_of_a_user()));
        // Only one of several uploads can win anyway.
        let file = Arc::new(Semaphore::new(1));
        self.share_of(
            vec![own, Arc::clone(&self.0.users)],
            vec![file, Arc::clone(&self.0.files)],
            Priority::Low,
        )
    }

    /// The share of all clients that have not shown a host key.
    pub fn strangers(&self) -> Share {
        let turns = vec![Arc::clone(&self.0.strangers)];
        self.share_of(turns, Vec::new(), Priority::Low)
    }

    /// The share of the operator's commands. They do not wait for users' devices; devices may have
    /// to wait for them, as while a backup reads.
    pub fn operator(&self) -> Share {
        let turns = vec![Arc::clone(&self.0.operator)];
        self.share_of(turns, Vec::new(), Priority::Usual)
    }

    fn share_of(
        &self,
        turns: Vec<Arc<Semaphore>>,
        file_turns: Vec<Arc<Semaphore>>,
        long_work: Priority,
    ) -> Share {
        Share {
            threads: Arc::clone(&self.0),
            turns,
            file_turns,
            long_work,
            decoders: Arc::new(Semaphore::new(USER_DECODERS)),
        }
    }

    /// Ends long work after a few seconds; short work is completed.
    pub fn begin_to_stop(&self) {
        self.0.stop.begin();
        self.0.stopping.cancel();
    }

    /// Ends everything that can be interrupted.
    pub fn stop(&self) {
        self.0.stop.at_once();
        self.0.stopping.cancel();
    }

    /// Whether work that cannot be interrupted uses all threads of users.
    pub fn are_stuck(&self) -> bool {
        let running = self.0.running();
        running.values().filter(|job| job.is_stuck()).count() >= USERS
    }
}

impl Threads {
    fn running(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Job>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Held until the thread is free again, even if the request was dropped.
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

/// Interrupts a job when its request is dropped.
struct Client(Arc<Job>);

impl Drop for Client {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

impl Share {
    /// A decoder for a body that is arriving; none if all are in use, since a body may take hours.
    #[must_use]
    pub fn decoding(&self) -> Option<Decoding> {
        Some(Decoding {
            _own: Arc::clone(&self.decoders).try_acquire_owned().ok()?,
            _all: Arc::clone(&self.threads.decoders)
                .try_acquire_owned()
                .ok()?,
        })
    }

    /// Runs work on a thread, in turn.
    ///
    /// # Errors
    /// As the work does; [`Interrupted`]; or if it panics.
    pub async fn run<R, E>(
        &self,
        work: impl FnOnce() -> Result<R, E> + Send + 'static,
    ) -> Result<R, E>
    where
        R: Send + 'static,
        E: WorkError,
    {
        self.job(Budget::REQUEST, &[], Priority::Usual, work).await
    }

    /// Like [`Share::run`], for decoding this much of a body: decoding much takes a processor for
    /// long.
    pub async fn run_on_body<R, E>(
        &self,
        bytes: u64,
        work: impl FnOnce() -> Result<R, E> + Send + 'static,
    ) -> Result<R, E>
    where
        R: Send + 'static,
        E: WorkError,
    {
        let priority = if bytes < LARGE {
            Priority::Usual
        } else {
            self.long_work
        };
        self.job(Budget::REQUEST, &[], priority, work).await
    }

    /// Like [`Share::run`], for work on a whole file of this size that came from outside.
    pub async fn run_on_file<R, E>(
        &self,
        bytes: u64,
        work: impl FnOnce() -> Result<R, E> + Send + 'static,
    ) -> Result<R, E>
    where
        R: Send + 'static,
        E: WorkError,
    {
        let budget = Budget::of_file(bytes);
        self.job(budget, &self.file_turns, self.long_work, work)
            .await
    }

    /// When the server stops, no request waits for a thread that does not return.
    async fn job<R, E>(
        &self,
        budget: Budget,
        first: &[Arc<Semaphore>],
        priority: Priority,
        work: impl FnOnce() -> Result<R, E> + Send + 'static,
    ) -> Result<R, E>
    where
        R: Send + 'static,
        E: WorkError,
    {
        let job = Arc::new(Job::new(budget, self.threads.stop.clone()));
        let client = Client(Arc::clone(&job));
        let cut_off = async {
            self.threads.stopping.cancelled().await;
            sleep(job.grace() + MARGIN).await;
        };
        let worked = tokio::select! {
            worked = self.in_turn(&job, first, priority, work) => worked,
            () = cut_off => Err(Interrupted::Stopping.into()),
        };
        drop(client);
        worked
    }

    async fn in_turn<R, E>(
        &self,
        job: &Arc<Job>,
        first: &[Arc<Semaphore>],
        priority: Priority,
        work: impl FnOnce() -> Result<R, E> + Send + 'static,
    ) -> Result<R, E>
    where
        R: Send + 'static,
        E: WorkError,
    {
        let job = Arc::clone(job);
        let mut taken = Vec::new();
        for turn in first.iter().chain(&self.turns) {
            // They are never closed.
            taken.extend(Arc::clone(turn).acquire_owned().await);
        }
        let occupied = Occupied {
            threads: Arc::clone(&self.threads),
            number: self.threads.next.fetch_add(1, Ordering::Relaxed),
            _turns: taken,
        };
        let running = (occupied.number, Arc::clone(&job));
        self.threads.running().insert(running.0, running.1);
        let work = move || {
            let _occupied = occupied;
            job.run(work)
        };
        let worked = match priority {
            Priority::Low => self.threads.background.spawn(work),
            Priority::Usual => spawn_blocking(work),
        };
        worked.await?
    }
}

#[cfg(test)]
mod tests;
