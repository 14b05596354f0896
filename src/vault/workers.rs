//! Threads for work on data, of which nobody gets so many that others have to wait.
//!
//! Whoever has to wait does so without a thread. What the server does for itself and for the
//! operator takes none of these: see [`RESERVED`].

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

/// Threads for all users together. They wait for the disk more than they work, and each may take
/// some MiB: with hundreds, a Raspberry Pi would run out of memory.
const USERS: usize = 16;
/// Of these at most for one user, whatever the user's devices do: of ten that upload at once, all
/// but a few wait, and another user's sync finds a thread.
const USER: usize = USERS / 4;
/// Bodies that are decoded while they come, each with up to some 8 MiB of memory.
const DECODERS: usize = 8;
/// Of these for one user, whose uploads from a slow network would else keep others' on the disk.
const USER_DECODERS: usize = DECODERS / 4;
/// Threads for what comes from clients that have not shown a host key: none of the users' wait
/// for a flood of them.
const STRANGERS: usize = 4;
/// Threads for work on data that the operator asks for, who has to be able to look into a server
/// all of whose other threads are stuck.
const OPERATOR: usize = 4;
/// Threads that are left for passwords, small questions of the operator and the server itself:
/// nobody could log in, and the watchdog would end the server, while sixteen uploads are checked.
const RESERVED: usize = 8;
/// From so many bytes on, decoding a body takes long.
const LARGE: u64 = 64 * 1024;
/// What is interrupted returns within a few milliseconds.
const MARGIN: Duration = Duration::from_millis(500);
/// All of them.
pub const THREADS: usize = USERS + STRANGERS + OPERATOR + RESERVED;

fn processors() -> usize {
    available_parallelism().map_or(1, usize::from)
}

/// More threads at work than there are processors would hold up everybody else's short requests;
/// three, so that a sync goes on beside the same user's upload that is checked and media batch.
fn threads_of_a_user() -> usize {
    processors().clamp(3, USER)
}

/// What the system does first when there is more to do than processors.
#[derive(Clone, Copy)]
enum Priority {
    Usual,
    /// On the threads of [`Background`].
    Low,
}

/// What work fails with.
pub trait WorkError: From<Interrupted> + From<JoinError> + Send + 'static {}

impl<E: From<Interrupted> + From<JoinError> + Send + 'static> WorkError for E {}

/// All threads.
#[derive(Clone)]
pub struct Workers(Arc<Threads>);

struct Threads {
    users: Arc<Semaphore>,
    strangers: Arc<Semaphore>,
    operator: Arc<Semaphore>,
    /// Looking through whole files takes a processor for long.
    files: Arc<Semaphore>,
    decoders: Arc<Semaphore>,
    background: Background,
    stop: Stop,
    stopping: CancellationToken,
    /// For the watchdog, which ends a server whose threads do not come back.
    running: Mutex<BTreeMap<u64, Arc<Job>>>,
    next: AtomicU64,
}

/// What one user, all strangers together or the operator may have of them.
#[derive(Clone)]
pub struct Share {
    threads: Arc<Threads>,
    /// Whose turn it has to be for any work, one after the other.
    turns: Vec<Arc<Semaphore>>,
    /// And before these, for work on a whole file: who waited for it with a thread in hand would
    /// keep that from all others for minutes.
    file_turns: Vec<Arc<Semaphore>>,
    /// Of what takes a processor for long.
    long_work: Priority,
    decoders: Arc<Semaphore>,
}

/// The right to hold a decoder between two pieces of a body.
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
    /// For a user.
    pub fn share(&self) -> Share {
        let own = Arc::new(Semaphore::new(threads_of_a_user()));
        // Only one of several uploads can count anyway.
        let file = Arc::new(Semaphore::new(1));
        self.share_of(
            vec![own, Arc::clone(&self.0.users)],
            vec![file, Arc::clone(&self.0.files)],
            Priority::Low,
        )
    }

    /// For all who have not shown a host key, together.
    pub fn strangers(&self) -> Share {
        let turns = vec![Arc::clone(&self.0.strangers)];
        self.share_of(turns, Vec::new(), Priority::Low)
    }

    /// For the operator's commands, which wait for no user's devices. It is devices that wait for
    /// them, as while a backup reads.
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

    /// Ends what takes long, after a few seconds; what is short is done as ever.
    pub fn begin_to_stop(&self) {
        self.0.stop.begin();
        self.0.stopping.cancel();
    }

    /// Ends everything that can be interrupted.
    pub fn stop(&self) {
        self.0.stop.at_once();
        self.0.stopping.cancel();
    }

    /// Whether work that cannot be interrupted has all threads of users.
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
    /// To decode a body while it comes. None while there are enough: nobody waits for a body
    /// that may take hours.
    #[must_use]
    pub fn decoding(&self) -> Option<Decoding> {
        Some(Decoding {
            _own: Arc::clone(&self.decoders).try_acquire_owned().ok()?,
            _all: Arc::clone(&self.threads.decoders)
                .try_acquire_owned()
                .ok()?,
        })
    }

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
        E: WorkError,
    {
        self.job(Budget::REQUEST, &[], Priority::Usual, work).await
    }

    /// As [`Share::run`], for decoding a body of which so much has come: a large one takes a
    /// processor for long.
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

    /// As [`Share::run`], for work on a whole file of this size that came from outside.
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
