//! Work that can be interrupted: when its client has left, when the server stops, and when it
//! takes more than what it works on can explain.
//!
//! A thread that works does one [`Job`] at a time. `SQLite` asks the thread's job every
//! thousand instructions whether to go on, on each connection that [`watch`] was called for.
//! So a connection that stays open between requests obeys whoever uses it just now.

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

/// `SQLite` asks this often: some microseconds apart, so that asking costs nothing.
const INSTRUCTIONS: i32 = 1000;
/// After this, a server that was told to stop ends work that was asked for longer ago than
/// [`SHORT`].
const GRACE: Duration = Duration::from_secs(4);
/// More than a step of a normal sync takes; those are finished even then.
const SHORT: Duration = Duration::from_secs(5);

/// Why work was ended before it was done. Nothing of it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Interrupted {
    /// The client will find the server again later.
    #[error("the server is stopping; try again")]
    Stopping,
    /// Nobody waits for the result.
    #[error("the client has disconnected")]
    Left,
    /// The budget is used up, as by a file that was made to be slow.
    #[error("it took far more work than any collection that Anki makes")]
    Exhausted,
}

impl From<Interrupted> for io::Error {
    fn from(interrupted: Interrupted) -> Self {
        Self::other(interrupted)
    }
}

/// What one job may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Of `SQLite`, so that a slow machine may do the same as a fast one.
    instructions: u64,
    /// For what takes long without many instructions.
    time: Duration,
}

impl Budget {
    /// One request on a collection that is in use: far above any step of a sync, of which the
    /// longest, on a collection of 1 GiB, take some 100 million instructions.
    pub const REQUEST: Self = Self {
        instructions: 20_000_000_000,
        time: Duration::from_secs(15 * 60),
    };

    /// Looking through a whole file, and bringing it up to date. Checking takes about one
    /// instruction for each byte, whatever the rows are, and upgrading less than another.
    #[must_use]
    pub const fn of_file(bytes: u64) -> Self {
        Self {
            instructions: 50_000_000 + 50 * bytes,
            time: Duration::from_secs(60 + (bytes >> 20)),
        }
    }
}

/// Tells all jobs that the server stops.
#[derive(Clone, Default)]
pub struct Stop(Arc<StopState>);

#[derive(Default)]
struct StopState {
    since: OnceLock<Instant>,
    at_once: AtomicBool,
}

impl Stop {
    /// From now on there are but four seconds for what takes long.
    pub fn begin(&self) {
        let _ = self.0.since.set(Instant::now());
    }

    /// Ends everything that can be interrupted.
    pub fn at_once(&self) {
        self.0.at_once.store(true, Ordering::Relaxed);
    }

    /// How long a job may still take that was asked for then; none while nothing stops.
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
    /// One that somebody asks for now, and that may have to wait.
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

    /// Nobody waits for the result any more.
    pub fn abandon(&self) {
        self.left.store(true, Ordering::Relaxed);
    }

    /// How long it may still take once the server stops.
    #[must_use]
    pub fn grace(&self) -> Duration {
        self.stop.leaves(self.asked).unwrap_or(GRACE)
    }

    fn must_end(&self) -> bool {
        self.stop.leaves(self.asked) == Some(Duration::ZERO)
    }

    /// For how long it has been on a thread.
    #[must_use]
    pub fn working(&self) -> Duration {
        self.began.get().map_or(Duration::ZERO, Instant::elapsed)
    }

    /// Whether it is still there although it should have ended by itself: what it does cannot
    /// be interrupted.
    #[must_use]
    pub fn is_stuck(&self) -> bool {
        self.working() >= 2 * self.budget.time
    }

    /// Does the work on this thread. Whatever error comes of an interrupted job, the
    /// interruption is its cause.
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

    /// Once it says no, it always does; only what goes on [to its end](to_the_end) is asked for
    /// anew, such as settling what the interruption has left.
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

/// This thread's job, until dropped, also by a panic.
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

/// Whether this thread's job may go on: asked where an interrupted query must not be taken for
/// an answer.
///
/// # Errors
/// [`Interrupted`]; never outside a job.
pub fn check() -> Result<(), Interrupted> {
    CURRENT.with_borrow(|job| job.as_ref().map_or(Ok(()), |job| job.may_go_on()))
}

/// Counts work that takes about as long as a thousand instructions of `SQLite`, and says whether
/// there may be more of it: for loops whose number of turns is up to whoever sent the data.
///
/// # Errors
/// [`Interrupted`]; never outside a job.
pub fn step() -> Result<(), Interrupted> {
    CURRENT.with_borrow(|job| job.as_ref().map_or(Ok(()), |job| job.step()))
}

/// Does what every later request would have to begin again, such as the upgrade of a large
/// collection: while it goes on, neither the client's leaving ends it, nor the server's stop
/// before it has to.
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

/// Has queries on this connection obey the job of the thread that they run on.
///
/// # Errors
/// As `SQLite` says.
pub fn watch(conn: &mut Connection) -> rusqlite::Result<()> {
    conn.progress_handler(INSTRUCTIONS, Some(|| step().is_err()))
}

#[cfg(test)]
mod tests;
