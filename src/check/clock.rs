//! This machine's clock. Devices refuse to sync if theirs differs by more than five minutes.

use std::process::Command;

use super::finding::{Findings, Id};
use crate::clock;

/// 1 November 2026, before which no clock of a machine with this program can be right.
const RELEASED_SECS: i64 = 1_793_491_200;

/// The largest difference between the clocks of a device and the server.
pub const TOLERANCE_SECS: i64 = 5 * 60;

pub(super) fn check(findings: &mut Findings) {
    judge(clock::now_secs(), findings);
    if synchronised() == Some(false) {
        let what = "this machine's clock is not synchronised over the network; if it is wrong by more than five minutes, devices refuse to sync";
        findings.add(Id::ClockUnsynchronised, "clock", what);
    }
}

fn judge(now_secs: i64, findings: &mut Findings) {
    if now_secs < RELEASED_SECS {
        let what = "this machine's clock shows a time before this program was built, so every device refuses to sync";
        findings.add(Id::ClockInThePast, "clock", what);
    }
}

/// The answer of systemd; none without systemd.
fn synchronised() -> Option<bool> {
    let output = Command::new("timedatectl")
        .args(["show", "--property=NTPSynchronized", "--value"])
        .output()
        .ok()?;
    match String::from_utf8_lossy(&output.stdout).trim() {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_begins_in_1970_is_a_problem_and_the_present_is_none() {
        for (now, found) in [(1000, 1), (RELEASED_SECS - 1, 1), (RELEASED_SECS, 0)] {
            let mut findings = Findings::default();
            judge(now, &mut findings);
            assert_eq!(findings.0.len(), found);
        }
    }
}
