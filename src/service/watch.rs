//! The users file is read again when it has changed.
//!
//! Commands ask for that themselves; this is for one that was killed before it could, and for
//! those who edit the file by hand. A credential is another matter: the server has a copy.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::{
    task::spawn_blocking,
    time::{MissedTickBehavior, interval},
};

use super::reload::Reloader;

/// Editors write in several steps: a file that is still changing is left for the next time.
const PERIOD: Duration = Duration::from_secs(1);

/// What tells one state of a file from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    place: (u64, u64),
    modified: (i64, i64),
    size: u64,
}

impl Stamp {
    /// None if there is no such file, or it cannot be seen from here.
    pub fn of(path: &Path) -> Option<Self> {
        let file = fs::metadata(path).ok()?;
        Some(Self {
            place: (file.dev(), file.ino()),
            modified: (file.mtime(), file.mtime_nsec()),
            size: file.size(),
        })
    }
}

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
        let now = stamp(path).await;
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

async fn stamp(path: PathBuf) -> Option<Stamp> {
    spawn_blocking(move || Stamp::of(&path))
        .await
        .ok()
        .flatten()
}
