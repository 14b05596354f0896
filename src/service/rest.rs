//! When to end: a daemon that was started by a connection ends when there is nothing to
//! do, and one that is told to stop waits until nothing is under way.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::notify;
use crate::http::Server;

/// Below the unit's `TimeoutStopSec=`.
const LONGEST_DRAIN: Duration = Duration::from_secs(75);
/// Between two requests of one client, whose connection is not to be closed under it.
const LULL: Duration = Duration::from_secs(2);
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// How much longer systemd is asked to wait while work goes on, and how often.
const EXTENSION: Duration = Duration::from_secs(60);
const ASK_AGAIN: Duration = Duration::from_secs(10);

/// Asks systemd to wait for work that takes long, before the daemon is ready.
#[derive(Default)]
pub struct Patience {
    asked: Option<std::time::Instant>,
}

impl Patience {
    /// To be called again and again while the work goes on.
    pub fn working(&mut self) {
        if self.asked.is_none_or(|asked| asked.elapsed() >= ASK_AGAIN) {
            notify::extend_timeout(EXTENSION);
            self.asked = Some(std::time::Instant::now());
        }
    }
}

/// Waits until nothing has been going on for this long.
pub async fn until_idle(server: &Server, idle: Duration) {
    let mut since = Instant::now();
    while since.elapsed() < idle {
        sleep(LOOK_AGAIN.min(idle)).await;
        if server.pulse.connections() > 0 || is_busy(server) {
            since = Instant::now();
        }
    }
}

/// Waits for a moment without a request or conversation under way; a longer one while clients
/// are connected, who may be about to send the next request. Until then everything is served
/// as ever, since a conversation may go on over a new connection.
pub async fn until_quiet(server: &Server) {
    let began = Instant::now();
    let mut since = began;
    while began.elapsed() < LONGEST_DRAIN {
        if is_busy(server) {
            notify::extend_timeout(LONGEST_DRAIN);
            since = Instant::now();
        } else if server.pulse.connections() == 0 || since.elapsed() >= LULL {
            return;
        }
        sleep(LOOK_AGAIN).await;
    }
}

fn is_busy(server: &Server) -> bool {
    server.pulse.requests() > 0 || server.vaults.is_in_conversation()
}
