//! Slows down attackers who guess passwords, and locks no user out.
//!
//! After a few failures, attempts on one user from one address are verified one at a time, at most
//! one in [`LONGEST`]. The others wait, and are turned away before their client gives up. That
//! alone would lock out a device that shares its address with an attacker. So the next turn goes to
//! the password that was turned away most often: a person tries the same password again, while an
//! attacker tries thousands of different ones. The order does not change how many guesses are
//! verified.

use std::{
    cmp::Reverse,
    collections::{HashMap, VecDeque},
    hash::{BuildHasher, Hash, RandomState},
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};

use super::subscriber::network;

/// The failures that cause no delay: people mistype.
const FREE: usize = 5;
/// The longest delay, below the 30 s after which clients give up.
pub const LONGEST: Duration = Duration::from_secs(20);
/// How long an attempt waits for its turn: clients give up after 30 s.
const PATIENCE: Duration = Duration::from_secs(25);
/// How many attempts of one address on one user may wait at a time.
const WAITING: usize = 16;
/// Failures are forgotten after this long without another.
const MEMORY: Duration = Duration::from_secs(600);
/// The most origins that are remembered, so that made-up names do not fill the memory. Those with
/// most attempts stay.
const ENTRIES: usize = 10_000;
/// How many names of one address are counted separately, so that one address cannot fill the
/// memory.
const NAMES: u64 = 256;
/// How many passwords are remembered of each origin.
const PASSWORDS: usize = 64;

/// Where an attempt comes from: a network and the name that it tried, whether or not that user
/// exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Origin {
    network: Option<IpAddr>,
    /// A hash of the name, since names can be long.
    name: u64,
}

/// The recent attempts of one origin.
struct Attempts {
    failed: usize,
    last_failure: Instant,
    /// How many are being verified.
    running: usize,
    waiting: Vec<Waiting>,
    /// Passwords that were turned away without being verified, and how often.
    turned_away: VecDeque<(u64, u32)>,
    /// Passwords that were wrong. Trying one again tells an attacker nothing, so it needs no turn.
    wrong: VecDeque<u64>,
    changed: Arc<Notify>,
}

#[derive(Clone, Copy)]
struct Waiting {
    id: u64,
    password: u64,
    turned_away: u32,
}

/// The recent attempts of all origins.
#[derive(Default)]
pub struct Throttle {
    origins: Mutex<HashMap<Origin, Attempts>>,
    hasher: RandomState,
    last_id: AtomicU64,
}

/// Why an attempt is not verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The same password was wrong a moment ago.
    KnownToBeWrong,
    /// The attempt waited too long for its turn.
    TurnedAway,
}

/// Held while an attempt is being verified.
pub struct Turn<'a> {
    throttle: &'a Throttle,
    origin: Origin,
    password: u64,
}

/// An attempt that waits; removed when its client leaves.
struct Queued<'a> {
    throttle: &'a Throttle,
    origin: Origin,
    waiting: Waiting,
}

impl Throttle {
    /// Waits for this attempt's turn. `password` must be the same for the same password compared
    /// with the same credential, and different otherwise. The address is none over a unix socket.
    pub async fn attempt(
        &self,
        address: Option<IpAddr>,
        name: &str,
        password: impl Hash,
    ) -> Result<Turn<'_>, Refusal> {
        let origin = Origin {
            network: address.map(network),
            name: self.hasher.hash_one(name) % NAMES,
        };
        let password = self.hasher.hash_one((name, password));
        let queued = self.queue(origin, password)?;
        let end = Instant::now() + PATIENCE;
        loop {
            let changed = queued.changed();
            let mut changed = std::pin::pin!(changed.notified());
            // Registered before the state is read, so that no change is missed.
            changed.as_mut().enable();
            let next = match queued.state()? {
                State::Begun(turn) => return Ok(turn),
                State::Until(at) => at,
            };
            let _ = timeout_at(next.unwrap_or(end).min(end), changed).await;
            if Instant::now() >= end {
                return Err(Refusal::TurnedAway);
            }
        }
    }

    fn queue(&self, origin: Origin, password: u64) -> Result<Queued<'_>, Refusal> {
        let mut origins = self.lock();
        make_room(&mut origins, &origin);
        let attempts = origins.entry(origin).or_insert_with(Attempts::new);
        if attempts.wrong.contains(&password) {
            return Err(Refusal::KnownToBeWrong);
        }
        let waiting = Waiting {
            id: self.last_id.fetch_add(1, Ordering::Relaxed),
            password,
            turned_away: attempts.times_turned_away(password),
        };
        attempts.waiting.push(waiting);
        // The attempt that was turned away least often, or else came last, makes room.
        if attempts.waiting.len() > WAITING
            && let Some(last) = attempts.waiting.iter().copied().max_by_key(Waiting::order)
        {
            attempts.turn_away(last);
            if last.id == waiting.id {
                return Err(Refusal::TurnedAway);
            }
        }
        Ok(Queued {
            throttle: self,
            origin,
            waiting,
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Origin, Attempts>> {
        self.origins.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a waiting attempt does next.
enum State<'a> {
    Begun(Turn<'a>),
    /// Wait until this time, or until something changes.
    Until(Option<Instant>),
}

impl Queued<'_> {
    fn changed(&self) -> Arc<Notify> {
        let origins = self.throttle.lock();
        let attempts = origins.get(&self.origin);
        attempts.map_or_else(Arc::default, |attempts| Arc::clone(&attempts.changed))
    }
}

impl<'a> Queued<'a> {
    fn state(&self) -> Result<State<'a>, Refusal> {
        let mut origins = self.throttle.lock();
        let attempts = origins.get_mut(&self.origin).ok_or(Refusal::TurnedAway)?;
        let mine = |other: &Waiting| other.id == self.waiting.id;
        if attempts.wrong.contains(&self.waiting.password) {
            return Err(Refusal::KnownToBeWrong);
        }
        if !attempts.waiting.iter().any(mine) {
            return Err(Refusal::TurnedAway);
        }
        let now = Instant::now();
        let at = attempts.next_turn(now);
        let is_next = attempts.waiting.iter().min_by_key(|other| other.order());
        if !is_next.is_some_and(mine) || at.is_none_or(|at| at > now) {
            return Ok(State::Until(at.filter(|at| *at > now)));
        }
        attempts.waiting.retain(|other| !mine(other));
        attempts.running += 1;
        attempts.changed.notify_waiters();
        Ok(State::Begun(Turn {
            throttle: self.throttle,
            origin: self.origin,
            password: self.waiting.password,
        }))
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        let mut origins = self.throttle.lock();
        if let Some(attempts) = origins.get_mut(&self.origin)
            && attempts
                .waiting
                .iter()
                .any(|other| other.id == self.waiting.id)
        {
            attempts.turn_away(self.waiting);
        }
    }
}

impl Waiting {
    /// The smallest in this order has the next turn.
    fn order(&self) -> (Reverse<u32>, u64) {
        (Reverse(self.turned_away), self.id)
    }
}

impl Attempts {
    fn new() -> Self {
        Self {
            failed: 0,
            last_failure: Instant::now(),
            running: 0,
            waiting: Vec::new(),
            turned_away: VecDeque::new(),
            wrong: VecDeque::new(),
            changed: Arc::default(),
        }
    }

    /// When the next attempt may begin; none while another one must end first.
    fn next_turn(&self, now: Instant) -> Option<Instant> {
        if self.failed + self.running < FREE {
            return Some(now);
        }
        let doublings = self.failed.saturating_sub(FREE).min(10);
        let delay = Duration::from_secs(1 << doublings).min(LONGEST);
        (self.running == 0).then(|| self.last_failure + delay)
    }

    fn times_turned_away(&self, password: u64) -> u32 {
        let found = self
            .turned_away
            .iter()
            .find(|(other, _)| *other == password);
        found.map_or(0, |(_, times)| *times)
    }

    fn turn_away(&mut self, attempt: Waiting) {
        self.waiting.retain(|other| other.id != attempt.id);
        let times = self.times_turned_away(attempt.password) + 1;
        self.forget(attempt.password);
        remember(&mut self.turned_away, (attempt.password, times));
        self.changed.notify_waiters();
    }

    fn forget(&mut self, password: u64) {
        self.turned_away.retain(|(other, _)| *other != password);
    }

    fn is_busy(&self) -> bool {
        self.running > 0 || !self.waiting.is_empty()
    }
}

fn remember<T>(list: &mut VecDeque<T>, item: T) {
    if list.len() >= PASSWORDS {
        list.pop_front();
    }
    list.push_back(item);
}

/// Forgets old origins. If there are still too many, forgets one with few attempts.
fn make_room(origins: &mut HashMap<Origin, Attempts>, newcomer: &Origin) {
    if origins.contains_key(newcomer) && origins[newcomer].last_failure.elapsed() < MEMORY {
        return;
    }
    origins.retain(|_, attempts| attempts.is_busy() || attempts.last_failure.elapsed() < MEMORY);
    if origins.len() >= ENTRIES {
        let idle = origins.iter().filter(|(_, attempts)| !attempts.is_busy());
        let least = idle.min_by_key(|(_, attempts)| (attempts.failed, attempts.last_failure));
        let least = least.map(|(origin, _)| *origin);
        least.and_then(|origin| origins.remove(&origin));
    }
}

impl Turn<'_> {
    /// Reports that the password was wrong.
    pub fn failed(self) {
        let mut origins = self.throttle.lock();
        if let Some(attempts) = origins.get_mut(&self.origin) {
            attempts.failed += 1;
            attempts.last_failure = Instant::now();
            attempts.forget(self.password);
            remember(&mut attempts.wrong, self.password);
        }
    }

    /// Reports that the password was right: the failures before were typing mistakes. While others
    /// wait, an attacker is guessing, so the failures keep counting.
    pub fn succeeded(self) {
        let mut origins = self.throttle.lock();
        if let Some(attempts) = origins.get_mut(&self.origin)
            && attempts.waiting.is_empty()
        {
            attempts.failed = 0;
            attempts.turned_away.clear();
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut origins = self.throttle.lock();
        if let Some(attempts) = origins.get_mut(&self.origin) {
            attempts.running -= 1;
            attempts.changed.notify_waiters();
            if attempts.failed == 0 && !attempts.is_busy() {
                origins.remove(&self.origin);
            }
        }
    }
}

#[cfg(test)]
mod tests;
