//! Work that is interrupted when its client leaves, when the server stops, or when it exceeds its
//! budget.
//!
//! A thread does one [`Job`] at a time. Every thousand instructions, `SQLite` asks the thread's job
//! whether to go on, on each connection with [`watch`]. So a connection that stays open between
//! requests follows the present request's job.

use std::{
    cell::RefCell,
    io,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use rusqlite::Connection;

/// How often `SQLite` asks: some microseconds apart, so that asking costs nothing.
const INSTRUCTIONS: i32 = 1000;
/// A stopping server ends work after this time, if the work was requested longer than [`SHORT`]
/// ago.
const GRACE: Duration = Duration::from_secs(4);
/// Longer than a step of a normal sync takes, so that these steps are completed.
const SHORT: Duration = Duration::from_secs(5);

/// Why work was interrupted. Its changes do not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Interrupted {
    /// The server stops. The client can try again later.
    #[error("the server is stopping; try again")]
    Stopping,
    /// The client has left.
    #[error("the client has disconnected")]
    Left,
    /// The budget is used up, for example by a file that was made to be slow.
    #[error("it took far more work than any collection that Anki makes")]
    Exhausted,
}

impl From<Interrupted> for io::Error {
    fn from(interrupted: Interrupted) -> Self {
        Self::other(interrupted)
    }
}

/// The limits of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Instructions of `SQLite`, so that slow and fast machines may do the same.
    instructions: u64,
    /// For work that takes long with few instructions.
    time: Duration,
}

impl Budget {
    /// The budget of a request on a collection in use. The longest step of a sync takes some 100
    /// million instructions on a collection of 1 GiB, far less than this.
    pub const REQUEST: Self = Self {
        instructions: 20_000_000_000,
        time: Duration::from_secs(15 * 60),
    };

    /// The budget for checking and upgrading a whole file. Checking takes about one instruction for
    /// each byte, with any rows, and upgrading less than another.
    #[must_use]
    pub const fn of_file(bytes: u64) -> Self {
        Self {
            instructions: 50_000_000 + 50 * bytes,
            time: Duration::from_secs(60 + (bytes >> 20)),
        }
    }
}

/// Signals to all jobs that the server stops.
#[derive(Clone, Default)]
pub struct Stop(Arc<StopState>);

#[derive(Default)]
struct StopState {
    since: OnceLock<Instant>,
    at_once: AtomicBool,
}

impl Stop {
    /// From now on, long work has four seconds left.
    pub fn begin(&self) {
        let _ = self.0.since.set(Instant::now());
    }

    /// Ends everything that can be interrupted.
    pub fn at_once(&self) {
        self.0.at_once.store(true, Ordering::Relaxed);
    }

    /// How much longer a job may take that was requested at this time; none if the server does not
    /// stop.
    fn leaves(&self, asked: Instant) -> Option<Duration> {
        let since = self.0.since.get()?;
        let grace = GRACE.saturating_sub(since.elapsed());
        Some(grace.max(SHORT.saturating_sub(asked.elapsed())))
    }

    fn is_at_once(&self) -> bool {
        self.0.at_once.load(Ordering::Relaxed)
    }
}

/// One piece of work.
pub struct Job {
    budget: Budget,
    stop: Stop,
    asked: Instant,
    began: OnceLock<Instant>,
    used: AtomicU64,
    left: AtomicBool,
    to_the_end: AtomicBool,
    interrupted: OnceLock<Interrupted>,
}

impl Job {
    /// A job that is requested now, and may have to wait.
    #[must_use]
    pub fn new(budget: Budget, stop: Stop) -> Self {
        Self {
            budget,
            stop,
            asked: Instant::now(),
            began: OnceLock::new(),
            used: AtomicU64::new(0),
            left: AtomicBool::new(false),
            to_the_end: AtomicBool::new(false),
            interrupted: OnceLock::new(),
        }
    }

    /// The client has left.
    pub fn abandon(&self) {
        self.left.store(true, Ordering::Relaxed);
    }

    /// How long it may still take after the server begins to stop.
    #[must_use]
    pub fn grace(&self) -> Duration {
        self.stop.leaves(self.asked).unwrap_or(GRACE)
    }

    fn must_end(&self) -> bool {
        self.stop.leaves(self.asked) == Some(Duration::ZERO)
    }

    /// How long it has been on a thread.
    #[must_use]
    pub fn working(&self) -> Duration {
        self.began.get().map_or(Duration::ZERO, Instant::elapsed)
    }

    /// Whether it still runs although it should have ended: then its work cannot be interrupted.
    #[must_use]
    pub fn is_stuck(&self) -> bool {
        self.working() >= 2 * self.budget.time
    }

    /// Runs the work on this thread. If the job was interrupted, that is reported as the cause of
    /// any error.
    ///
    /// # Errors
    /// As the work does, or [`Interrupted`].
    pub fn run<R, E: From<Interrupted>>(
        self: &Arc<Self>,
        work: impl FnOnce() -> Result<R, E>,
    ) -> Result<R, E> {
        self.began.get_or_init(Instant::now);
        self.may_go_on()?;
        let _current = Current::enter(Arc::clone(self));
        work().map_err(|error| match self.interrupted.get() {
            Some(interrupted) => (*interrupted).into(),
            None => error,
        })
    }

    /// How many instructions it has used.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    fn step(&self) -> Result<(), Interrupted> {
        let used = u64::from(INSTRUCTIONS.unsigned_abs());
        self.used.fetch_add(used, Ordering::Relaxed);
        self.may_go_on()
    }

    /// After one refusal it always refuses. Only work [to its end](to_the_end) is judged anew, such
    /// as settling what the interruption has left.
    fn may_go_on(&self) -> Result<(), Interrupted> {
        let to_the_end = self.to_the_end.load(Ordering::Relaxed);
        let reason = if self.left.load(Ordering::Relaxed) && !to_the_end {
            Some(Interrupted::Left)
        } else if self.stop.is_at_once() || self.must_end() && !to_the_end {
            Some(Interrupted::Stopping)
        } else if self.used() > self.budget.instructions || self.working() > self.budget.time {
            Some(Interrupted::Exhausted)
        } else {
            None
        };
        match reason {
            Some(reason) => drop(self.interrupted.set(reason)),
            None if to_the_end => return Ok(()),
            None => {}
        }
        self.interrupted.get().map_or(Ok(()), |reason| Err(*reason))
    }
}

thread_local! {
    static CURRENT: RefCell<Option<Arc<Job>>> = const { RefCell::new(None) };
}

/// This thread's job. It ends when this is dropped, also by a panic.
struct Current;

impl Current {
    fn enter(job: Arc<Job>) -> Self {
        CURRENT.set(Some(job));
        Self
    }
}

impl Drop for Current {
    fn drop(&mut self) {
        CURRENT.set(None);
    }
}

/// Whether this thread's job may go on. Call it where an interrupted query could be taken for an
/// answer.
///
/// # Errors
/// [`Interrupted`]; never outside a job.
pub fn check() -> Result<(), Interrupted> {
    CURRENT.with_borrow(|job| job.as_ref().map_or(Ok(()), |job| job.may_go_on()))
}

/// Counts work that takes as long as a thousand instructions of `SQLite`, and checks whether to go
/// on. For loops whose length the sender of the data decides.
///
/// # Errors
/// [`Interrupted`]; never outside a job.
pub fn step() -> Result<(), Interrupted> {
    CURRENT.with_borrow(|job| job.as_ref().map_or(Ok(()), |job| job.step()))
}

/// Runs work that every later request would have to begin again, such as the upgrade of a large
/// collection. It goes on when the client leaves, and when the server stops, until it has to end.
pub fn to_the_end<R>(work: impl FnOnce() -> R) -> R {
    let set = |value| {
        CURRENT.with_borrow(|job| {
            if let Some(job) = job {
                job.to_the_end.store(value, Ordering::Relaxed);
            }
        });
    };
    set(true);
    let result = work();
    set(false);
    result
}

/// Makes queries on this connection follow the job of their thread.
pub fn watch(conn: &mut Connection) -> rusqlite::Result<()> {
    conn.progress_handler(INSTRUCTIONS, Some(|| step().is_err()))
}

#[cfg(test)]
mod tests;
