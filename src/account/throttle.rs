//! Slows down whoever guesses passwords, without locking anybody out.
//!
//! After a few failures, attempts on one user from one address are taken one at
//! a time and each waits longer, up to [`LONGEST`]; the right password still gets
//! in. More than [`WAITING`] at once are turned away.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use ipnet::Ipv6Net;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep},
};

/// Failures that cost nothing: people mistype.
const FREE: u32 = 5;
/// Below the 30 s after which clients give up.
pub const LONGEST: Duration = Duration::from_secs(20);
/// Attempts of one address on one user that may wait at a time.
const WAITING: usize = 3;
/// Failures are forgotten after this long without another.
const MEMORY: Duration = Duration::from_secs(600);
/// Remembered at most, so that made-up names do not fill the memory. Whoever tried most stays.
const ENTRIES: usize = 10_000;
/// What one subscriber has of IPv6, and can draw new addresses from.
const SUBSCRIBER: u8 = 64;

/// Who tried: a network and the name it tried, whether or not there is such a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Origin {
    network: Option<IpAddr>,
    /// Names can be long.
    name: u64,
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
    hasher: RandomState,
}

/// Held while an attempt is being verified; the next one of its origin waits for it.
pub struct Turn {
    _permits: Option<(OwnedSemaphorePermit, OwnedSemaphorePermit)>,
}

impl Throttle {
    /// Who tried this name from this address; none over a unix socket.
    #[must_use]
    pub fn origin(&self, address: Option<IpAddr>, name: &str) -> Origin {
        Origin {
            network: address.map(network),
            name: self.hasher.hash_one(name),
        }
    }

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
            let least = failures
                .iter()
                .min_by_key(|(_, entry)| (entry.count, entry.last))
                .map(|(origin, _)| *origin);
            least.and_then(|origin| failures.remove(&origin));
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

fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Net::new(address, SUBSCRIBER)
            .map_or(Ipv6Addr::UNSPECIFIED, |net| net.network())
            .into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    async fn waited(throttle: &Throttle, name: &str) -> Duration {
        waited_at(throttle, ADDRESS, name).await
    }

    async fn waited_at(throttle: &Throttle, address: IpAddr, name: &str) -> Duration {
        let before = Instant::now();
        let origin = throttle.origin(Some(address), name);
        assert!(throttle.wait(&origin).await.is_some());
        before.elapsed()
    }

    fn fail(throttle: &Throttle, name: &str) {
        throttle.failed(throttle.origin(Some(ADDRESS), name));
    }

    #[tokio::test(start_paused = true)]
    async fn mistyping_a_few_times_costs_nothing_and_guessing_costs_more_and_more() {
        let throttle = Throttle::default();
        for _ in 0..FREE {
            assert_eq!(waited(&throttle, "alice").await, Duration::ZERO);
            fail(&throttle, "alice");
        }
        for expected in [1, 2, 4, 8, 16, 20, 20] {
            let waited = waited(&throttle, "alice").await;
            assert_eq!(waited.as_secs(), expected);
            fail(&throttle, "alice");
        }
        assert_eq!(waited(&throttle, "bob").await, Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn success_or_time_makes_failures_forgotten() {
        let throttle = Throttle::default();
        for _ in 0..2 {
            for _ in 0..FREE {
                fail(&throttle, "alice");
            }
            throttle.succeeded(&throttle.origin(Some(ADDRESS), "alice"));
            assert_eq!(waited(&throttle, "alice").await, Duration::ZERO);
            for _ in 0..FREE {
                fail(&throttle, "alice");
            }
            sleep(MEMORY).await;
            assert_eq!(waited(&throttle, "alice").await, Duration::ZERO);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_few_attempts_of_one_origin_wait_at_a_time() {
        let throttle = Throttle::default();
        for _ in 0..FREE {
            fail(&throttle, "alice");
        }
        let alice = throttle.origin(Some(ADDRESS), "alice");
        let attempts = (0..WAITING + 2).map(|_| throttle.wait(&alice));
        let turns = futures_util::future::join_all(
            attempts.map(|attempt| async { attempt.await.is_some() }),
        )
        .await;
        assert_eq!(turns.iter().filter(|taken| **taken).count(), WAITING);
    }

    #[tokio::test(start_paused = true)]
    async fn made_up_names_do_not_make_guessing_free() {
        let throttle = Throttle::default();
        for _ in 0..FREE {
            fail(&throttle, "alice");
        }
        for number in 0..ENTRIES + 10 {
            fail(&throttle, &number.to_string());
        }
        assert_eq!(waited(&throttle, "alice").await.as_secs(), 1);
        for _ in 0..FREE {
            fail(&throttle, "bob");
        }
        assert_eq!(waited(&throttle, "bob").await.as_secs(), 1);
        assert_eq!(throttle.failures.lock().unwrap().len(), ENTRIES);
    }

    #[tokio::test(start_paused = true)]
    async fn new_addresses_of_one_subscriber_do_not_make_guessing_free() {
        let throttle = Throttle::default();
        for host in 0..FREE {
            let address = format!("2001:db8::{host}").parse().ok();
            throttle.failed(throttle.origin(address, "alice"));
        }
        let neighbour = "2001:db8::ffff:1".parse().unwrap();
        assert_eq!(waited_at(&throttle, neighbour, "alice").await.as_secs(), 1);
        let another = "2001:db8:0:1::1".parse().unwrap();
        assert_eq!(waited_at(&throttle, another, "alice").await, Duration::ZERO);
    }
}
