//! Reads the users file again when it has changed.
//!
//! Commands request a reload themselves. This handles a command that was killed before it could do
//! so, and files that are edited by hand. A credential is not watched, since the server has a copy.

use std::time::Duration;

use tokio::{
    task::spawn_blocking,
    time::{MissedTickBehavior, interval},
};

use super::reload::Reloader;
use crate::files::Stamp;

/// Editors write in several steps: a file that is still changing is read in the next round.
const PERIOD: Duration = Duration::from_secs(1);

/// Reads the settings again when the users file has changed, for as long as it is polled.
pub async fn run(reloader: &Reloader) {
    let mut ticks = interval(PERIOD);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = None;
    loop {
        ticks.tick().await;
        let Some((path, read)) = reloader.users_file() else {
            continue;
        };
        let now = spawn_blocking(move || Stamp::at(&path))
            .await
            .ok()
            .flatten();
        // Many programs first empty a file before they write it. Reading it then would log all
        // users out. An operator who wants an empty list can reload.
        let is_written = now.is_some_and(|now| now.size > 0);
        if is_written && now == last && now != read {
            // A mistake in it has been logged once.
            let _ = reloader.reload().await;
        }
        last = now;
    }
}
