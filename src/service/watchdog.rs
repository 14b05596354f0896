//! Reports to systemd that the daemon is alive, as long as it can do work.

use std::time::Duration;

use tokio::{
    task::spawn_blocking,
    time::{MissedTickBehavior, interval, timeout},
};

use super::notify;
use crate::vault::workers::Workers;

/// Pings at half of the watchdog's time-out. A runtime that hangs does not ping, nor does one whose
/// own threads or users' threads are all stuck. Busy threads are not stuck: long work is
/// interrupted earlier.
/// are not, since work that takes too long is interrupted first.
pub async fn run(limit: Duration, workers: Workers) {
    let period = limit / 2;
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let has_a_thread = timeout(period, spawn_blocking(|| ())).await.is_ok();
        if has_a_thread && !workers.are_stuck() {
            notify::alive();
        } else {
            tracing::error!("all worker threads are stuck; systemd will restart the server");
        }
    }
}
