//! Tells systemd that the daemon is alive, as long as it can do work.

use std::time::Duration;

use tokio::{
    task::spawn_blocking,
    time::{MissedTickBehavior, interval, timeout},
};

use super::notify;

/// Pings at half of the watchdog's time. A runtime that stands still does not ping, and
/// neither does one whose blocking threads, on which all work on data is done, are stuck.
pub async fn run(limit: Duration) {
    let period = limit / 2;
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match timeout(period, spawn_blocking(|| ())).await {
            Ok(_) => notify::alive(),
            Err(_) => tracing::error!(
                "all threads that work on data are stuck; systemd will restart the daemon"
            ),
        }
    }
}
