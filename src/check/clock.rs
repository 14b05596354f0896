//! The time of day: devices whose clocks differ by more than five minutes refuse to sync.

use std::process::Command;

use super::finding::{Findings, Id};
use crate::clock;

/// No machine with this program has a clock before this: 1 November 2026.
const RELEASED_SECS: i64 = 1_793_491_200;

/// How far a device's clock may be off.
pub const TOLERANCE_SECS: i64 = 5 * 60;

pub(super) fn check(findings: &mut Findings) {
    judge(clock::now_secs(), findings);
    if synchronised() == Some(false) {
        findings.add(
            Id::ClockUnsynchronised,
            "clock",
            "this machine's clock is not synchronised over the network; if it is wrong by more than five minutes, devices refuse to sync",
        );
    }
}

fn judge(now_secs: i64, findings: &mut Findings) {
    if now_secs < RELEASED_SECS {
        findings.add(
            Id::ClockInThePast,
            "clock",
            "this machine's clock shows a time before this program was built, so every device refuses to sync",
        );
    }
}

/// What systemd knows; none where there is none to ask.
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
