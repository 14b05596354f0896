//! `sd_notify` messages. Outside systemd they do nothing.

use std::time::Duration;

use sd_notify::NotifyState;

/// The beginning of the status line of a daemon that did not start. `systemctl status` keeps
/// showing it.
pub const CANNOT_START: &str = "Cannot start: ";

/// Reports that the daemon ends without having started. systemd keeps the reason until the next
/// start, for `systemctl status` and the operator's commands.
pub fn cannot_start(reason: &str) {
    failed(&format!("{CANNOT_START}{reason}"));
}

/// Reports that a command of a unit fails. systemd keeps the reason in the same way.
pub fn failed(reason: &str) {
    status(&reason.replace('\n', "; "));
}

/// Reports that the daemon is ready.
pub fn ready() {
    send(&[NotifyState::Ready]);
}

/// Reports that the daemon is about to end.
pub fn stopping() {
    send(&[NotifyState::Stopping]);
}

/// Reports that the settings are being read again, until the next [`ready`]. Newer systemd requires
/// the time.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => send(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!(%error, "the monotonic clock cannot be read"),
    }
}

/// Sets the line that `systemctl status` shows.
pub fn status(sentence: &str) {
    send(&[NotifyState::Status(sentence)]);
}

/// Reports that the daemon is alive.
pub fn alive() {
    send(&[NotifyState::Watchdog]);
}

/// Asks for more time to start or stop.
pub fn extend_timeout(by: Duration) {
    let usec = u32::try_from(by.as_micros()).unwrap_or(u32::MAX);
    send(&[NotifyState::ExtendTimeoutUsec(usec)]);
}

/// The watchdog's time-out, if the unit has one.
pub fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

fn send(states: &[NotifyState]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "cannot report the state to systemd");
    }
}
