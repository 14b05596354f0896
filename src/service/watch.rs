//! The users file is read again when it has changed.
//!
//! Commands ask for that themselves; this is for one that was killed before it could, and for
//! those who edit the file by hand. A credential is another matter: the server has a copy.

use std::time::Duration;

use tokio::{
    task::spawn_blocking,
    time::{MissedTickBehavior, interval},
};

use super::reload::{Reloader, stamp};

/// Editors write in several steps: a file that is still changing is left for the next time.
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
        let now = spawn_blocking(move || stamp(&path)).await.ok().flatten();
        // An empty one is how many programs begin to write it anew, and would log everybody
        // out: whoever means it says so with a reload.
        let is_written = now.is_some_and(|now| now.size > 0);
        if is_written && now == last && now != read {
            // What is wrong with it is in the log, once.
            let _ = reloader.reload().await;
        }
        last = now;
    }
}
