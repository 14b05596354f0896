//! When to end: a daemon that a connection has started ends after a while without work. A daemon
//! that has to stop first finishes what is under way.

use std::{pin::pin, time::Duration};

use tokio::time::{Instant, sleep, timeout};

use super::notify;
use crate::state::Server;

/// The longest wait, below the unit's `TimeoutStopSec=`.
const LONGEST_DRAIN: Duration = Duration::from_secs(75);
/// The pause that is expected between two requests of one client. Its connection must not be closed
/// in between.
const LULL: Duration = Duration::from_secs(2);
/// For the requests that are still left after that. It fits into the time that systemd was last
/// asked for.
pub const PARTING: Duration = Duration::from_secs(60);
/// For closing the databases, when nothing that can be interrupted is left. A database that is not
/// closed by then is in the state after a crash, in which nothing is lost.
const LONGEST_CLOSING: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// How much more time systemd is asked for while work goes on, and how often.
const EXTENSION: Duration = Duration::from_secs(60);
const ASK_AGAIN: Duration = Duration::from_secs(10);

/// Asks systemd for more time during long work before the daemon is ready.
#[derive(Default)]
pub struct Patience {
    asked: Option<std::time::Instant>,
}

impl Patience {
    /// Call this repeatedly during the work.
    pub fn working(&mut self) {
        if self.asked.is_none_or(|asked| asked.elapsed() >= ASK_AGAIN) {
            notify::extend_timeout(EXTENSION);
            self.asked = Some(std::time::Instant::now());
        }
    }
}

/// Waits until there was no work for this long.
pub async fn until_idle(server: &Server, idle: Duration) {
    let mut since = Instant::now();
    while since.elapsed() < idle {
        sleep(LOOK_AGAIN.min(idle)).await;
        if server.statistics.connections() > 0 || is_busy(server) || server.vaults.is_tidying() {
            since = Instant::now();
        }
    }
}

/// Waits for a moment without a request or conversation under way. The moment must be longer while
/// clients are connected, since they may be about to send the next request. Until then everything
/// is served as usual, since a conversation may continue over a new connection.
pub async fn until_quiet(server: &Server) {
    let began = Instant::now();
    let mut since = began;
    while began.elapsed() < LONGEST_DRAIN {
        if is_busy(server) {
            notify::extend_timeout(LONGEST_DRAIN);
            since = Instant::now();
        } else if server.statistics.connections() == 0 || since.elapsed() >= LULL {
            return;
        }
        sleep(LOOK_AGAIN).await;
    }
}

/// Waits for work on data, and asks systemd for more time meanwhile. Returns whether the work
/// ended.
pub async fn patiently(work: impl Future<Output = ()>) -> bool {
    asking(work, || notify::extend_timeout(EXTENSION)).await
}

async fn asking(work: impl Future<Output = ()>, ask: impl Fn()) -> bool {
    let mut work = pin!(timeout(LONGEST_CLOSING, work));
    loop {
        ask();
        if let Ok(ended) = timeout(ASK_AGAIN, &mut work).await {
            return ended.is_ok();
        }
    }
}

fn is_busy(server: &Server) -> bool {
    server.statistics.requests() > 0 || server.vaults.is_in_conversation()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    async fn waited_for(work: Duration) -> (bool, u32) {
        let asked = Cell::new(0);
        let ended = asking(sleep(work), || asked.set(asked.get() + 1)).await;
        (ended, asked.get())
    }

    #[tokio::test(start_paused = true)]
    async fn systemd_is_asked_to_wait_as_long_as_work_goes_on() {
        assert!(ASK_AGAIN < EXTENSION);
        assert_eq!(waited_for(Duration::from_secs(5)).await, (true, 1));
        assert_eq!(waited_for(Duration::from_secs(25)).await, (true, 3));
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_never_ends_is_not_waited_for_for_ever() {
        let (ended, asked) = waited_for(Duration::MAX).await;
        assert!(!ended);
        assert_eq!(u64::from(asked), LONGEST_CLOSING.as_secs() / 10);
    }
}
