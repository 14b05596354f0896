//! Slows down whoever guesses passwords, without locking anybody out.
//!
//! After a few failures, attempts on one user from one address are taken one at
//! a time and each waits longer, up to [`LONGEST`]; the right password still gets
//! in. More than [`WAITING`] at once are turned away.

use std::{
    collections::HashMap,
    hash::Hash,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep},
};

/// Failures that cost nothing: people mistype.
const FREE: u32 = 5;
/// Below the 30 s after which clients give up.
const LONGEST: Duration = Duration::from_secs(20);
/// Attempts of one address on one user that may wait at a time.
const WAITING: usize = 3;
/// Failures are forgotten after this long without another.
const MEMORY: Duration = Duration::from_secs(600);
/// Remembered at most, so that made-up names do not fill the memory.
const ENTRIES: usize = 10_000;

/// Who tried: an address, if known, and the name it tried.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    /// Where from; none over a unix socket.
    pub address: Option<IpAddr>,
    /// The name as sent, whether or not there is such a user.
    pub user: String,
}

struct Failures {
    count: u32,
    last: Instant,
    turn: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

/// The failures of late.
#[derive(Default)]
pub struct Throttle {
    failures: Mutex<HashMap<Origin, Failures>>,
}

/// Held while an attempt is being verified; the next one of its origin waits for it.
pub struct Turn {
    _permits: Option<(OwnedSemaphorePermit, OwnedSemaphorePermit)>,
}

impl Throttle {
    /// Waits as long as this origin deserves. None when too many of it wait already.
    pub async fn wait(&self, origin: &Origin) -> Option<Turn> {
        let Some((delay, turn, waiting)) = self.penalty(origin) else {
            return Some(Turn { _permits: None });
        };
        let place = waiting.try_acquire_owned().ok()?;
        let turn = turn.acquire_owned().await.ok()?;
        sleep(delay).await;
        Some(Turn {
            _permits: Some((place, turn)),
        })
    }

    /// Counts a wrong password.
    pub fn failed(&self, origin: Origin) {
        let now = Instant::now();
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.retain(|_, entry| now - entry.last < MEMORY);
        if failures.len() >= ENTRIES && !failures.contains_key(&origin) {
            return;
        }
        let entry = failures.entry(origin).or_insert_with(|| Failures {
            count: 0,
            last: now,
            turn: Arc::new(Semaphore::new(1)),
            waiting: Arc::new(Semaphore::new(WAITING)),
        });
        entry.count += 1;
        entry.last = now;
    }

    /// Forgets the failures of someone who then got it right.
    pub fn succeeded(&self, origin: &Origin) {
        self.failures
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(origin);
    }

    fn penalty(&self, origin: &Origin) -> Option<(Duration, Arc<Semaphore>, Arc<Semaphore>)> {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = failures
            .get(origin)
            .filter(|entry| entry.count >= FREE && entry.last.elapsed() < MEMORY)?;
        let delay = Duration::from_secs(1 << (entry.count - FREE).min(10)).min(LONGEST);
        Some((delay, Arc::clone(&entry.turn), Arc::clone(&entry.waiting)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(user: &str) -> Origin {
        Origin {
            address: Some([192, 0, 2, 1].into()),
            user: user.into(),
        }
    }

    async fn waited(throttle: &Throttle, origin: &Origin) -> Duration {
        let before = Instant::now();
        assert!(throttle.wait(origin).await.is_some());
        before.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn mistyping_a_few_times_costs_nothing_and_guessing_costs_more_and_more() {
        let throttle = Throttle::default();
        for _ in 0..FREE {
            assert_eq!(waited(&throttle, &origin("alice")).await, Duration::ZERO);
            throttle.failed(origin("alice"));
        }
        for expected in [1, 2, 4, 8, 16, 20, 20] {
            let waited = waited(&throttle, &origin("alice")).await;
            assert_eq!(waited.as_secs(), expected);
            throttle.failed(origin("alice"));
        }
        assert_eq!(waited(&throttle, &origin("bob")).await, Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn success_or_time_makes_failures_forgotten() {
        let throttle = Throttle::default();
        for _ in 0..2 {
            for _ in 0..FREE {
                throttle.failed(origin("alice"));
            }
            throttle.succeeded(&origin("alice"));
            assert_eq!(waited(&throttle, &origin("alice")).await, Duration::ZERO);
            for _ in 0..FREE {
                throttle.failed(origin("alice"));
            }
            sleep(MEMORY).await;
            assert_eq!(waited(&throttle, &origin("alice")).await, Duration::ZERO);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_few_attempts_of_one_origin_wait_at_a_time() {
        let throttle = Throttle::default();
        for _ in 0..FREE {
            throttle.failed(origin("alice"));
        }
        let alice = origin("alice");
        let attempts = (0..WAITING + 2).map(|_| throttle.wait(&alice));
        let turns = futures_util::future::join_all(
            attempts.map(|attempt| async { attempt.await.is_some() }),
        )
        .await;
        assert_eq!(turns.iter().filter(|taken| **taken).count(), WAITING);
    }
}
