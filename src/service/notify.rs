//! What systemd is told, when it listens; otherwise nothing happens.

use std::time::Duration;

use sd_notify::NotifyState;

/// How the line begins that `systemctl status` keeps showing of a daemon that did not start.
pub const CANNOT_START: &str = "Cannot start: ";

/// The daemon is about to end without having started. systemd keeps the reason until the next
/// start, where `systemctl status` and the operator's commands find it.
pub fn cannot_start(reason: &str) {
    failed(&format!("{CANNOT_START}{reason}"));
}

/// A command that systemd started is about to fail; it keeps the reason as above.
pub fn failed(reason: &str) {
    status(&reason.replace('\n', "; "));
}

/// The daemon can answer.
pub fn ready() {
    send(&[NotifyState::Ready]);
}

/// The daemon is about to end.
pub fn stopping() {
    send(&[NotifyState::Stopping]);
}

/// Settings are being read again; [`ready`] ends that. Newer systemd wants the time with it.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => send(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!(%error, "the monotonic clock cannot be read"),
    }
}

/// The line that `systemctl status` shows.
pub fn status(sentence: &str) {
    send(&[NotifyState::Status(sentence)]);
}

/// The daemon is alive.
pub fn alive() {
    send(&[NotifyState::Watchdog]);
}

/// Starting or stopping takes this much longer.
pub fn extend_timeout(by: Duration) {
    let usec = u32::try_from(by.as_micros()).unwrap_or(u32::MAX);
    send(&[NotifyState::ExtendTimeoutUsec(usec)]);
}

/// How often systemd wants to hear that the daemon is alive.
pub fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

fn send(states: &[NotifyState]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "cannot report the state to systemd");
    }
}
