//! The status line that `systemctl status` shows: a sentence for the operator.

use std::{fmt::Write, time::Duration};

use jiff::{Timestamp, tz::TimeZone};
use tokio::time::interval;

use super::notify;
use crate::{
    state::{Server, statistics::LastSync},
    vault::room::NearlyFull,
};

/// Updates the status line.
pub async fn run(server: &Server) {
    let zone = TimeZone::system();
    let mut shown = String::new();
    let mut nearly_full = None;
    let mut ticks = interval(Duration::from_secs(1));
    loop {
        ticks.tick().await;
        let now = disk(server).await;
        log_change(nearly_full, now);
        nearly_full = now;
        let sentence = nearly_full.map_or_else(
            || {
                sentence(
                    server.vaults.devices(),
                    server.accounts.count(),
                    server.accounts.kept_out(),
                    server.statistics.last_sync(),
                    &zone,
                )
            },
            |nearly_full| format!("Not storing anything: {nearly_full}"),
        );
        if sentence != shown {
            notify::status(&sentence);
            shown = sentence;
        }
    }
}

/// The problem of the disk, if there is one. If the disk cannot be asked, the next write reports
/// that.
async fn disk(server: &Server) -> Option<NearlyFull> {
    let free = server.vaults.free().await.ok()?;
    server.policy().room.admit(free).err()
}

fn log_change(before: Option<NearlyFull>, now: Option<NearlyFull>) {
    match (before, now) {
        (None, Some(nearly_full)) => tracing::warn!("{nearly_full}"),
        (Some(_), None) => tracing::info!("the disk has enough free space again"),
        _ => {}
    }
}

fn sentence(
    devices: usize,
    users: usize,
    kept_out: usize,
    last: Option<LastSync>,
    zone: &TimeZone,
) -> String {
    match (devices, users) {
        (0, 0) => "No users yet: nobody can log in".to_owned(),
        (0, users) => {
            let mut users = if users == 1 {
                "1 user".to_owned()
            } else {
                format!("{users} users")
            };
            if kept_out > 0 {
                let _ = write!(
                    users,
                    ", {kept_out} more cannot log in because of mistakes in the list"
                );
            }
            let last = last.map_or_else(
                || "no sync since the start".to_owned(),
                |last| {
                    format!(
                        "last sync: {}, {}",
                        last.user,
                        time_of_day(last.at_secs, zone)
                    )
                },
            );
            format!("Idle; {users}; {last}")
        }
        (1, _) => "1 device syncing".to_owned(),
        (devices, _) => format!("{devices} devices syncing"),
    }
}

/// In local time, or UTC if the machine has no time zone.
fn time_of_day(secs: i64, zone: &TimeZone) -> String {
    let time = Timestamp::from_second(secs).unwrap_or_default();
    time.to_zoned(zone.clone()).strftime("%H:%M").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_sentence_that_a_person_understands() {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let last = LastSync {
            user: "alice".parse().unwrap(),
            at_secs: 1_700_000_000,
        };
        for (devices, users, kept_out, last, expected) in [
            (0, 0, 0, None, "No users yet: nobody can log in"),
            (0, 1, 0, None, "Idle; 1 user; no sync since the start"),
            (
                0,
                1,
                2,
                None,
                "Idle; 1 user, 2 more cannot log in because of mistakes in the list; no sync since the start",
            ),
            (
                0,
                3,
                0,
                Some(last.clone()),
                "Idle; 3 users; last sync: alice, 23:13",
            ),
            (1, 3, 0, Some(last.clone()), "1 device syncing"),
            (2, 3, 1, Some(last), "2 devices syncing"),
        ] {
            assert_eq!(sentence(devices, users, kept_out, last, &zone), expected);
        }
    }
}
