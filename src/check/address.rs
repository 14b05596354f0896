//! Whether systemd listens where the socket unit says, and the server where people expect it.

use std::net::SocketAddr;

use super::{
    finding::{Findings, Id},
    subject::Subject,
};
use crate::service::{
    fixed::ignored_address,
    listeners::is_same,
    socket_unit::{ANOTHER_PORT, RESTART, SocketUnit},
};

const PLACE: &str = "anki-syncd.socket";

pub(super) fn check(subject: &Subject, findings: &mut Findings) {
    let unit = subject.unit.as_ref();
    let Some(socket) = unit.and_then(|unit| unit.socket.as_ref()) else {
        return;
    };
    if socket.has_failed() {
        findings.advise(
            Id::SocketFailed,
            PLACE,
            format_args!("nobody can sync: {}", socket.failure()),
            format_args!("{}.", socket.remedy()),
        );
    } else if socket.is_outdated {
        findings.advise(
            Id::SocketOutdated,
            PLACE,
            "the unit file has been changed, but systemd has not read it again",
            format_args!("Run `systemctl daemon-reload`, then {RESTART}"),
        );
    } else if let Some(what) = difference(subject, socket) {
        findings.advise(
            Id::SocketChanged,
            PLACE,
            what,
            format_args!("Run {RESTART}"),
        );
    }
    let settings = subject.settings.as_ref().ok();
    if let Some(ignored) = settings.and_then(|settings| ignored_address(settings, &socket.places)) {
        findings.advise(
            Id::AddressIgnored,
            "settings",
            ignored,
            format_args!("Remove the setting. To listen on another port: {ANOTHER_PORT}."),
        );
    }
}

/// Addresses of the unit at which nobody listens, and of the server that the unit does not have.
fn difference(subject: &Subject, socket: &SocketUnit) -> Option<String> {
    let deserted = if socket.is_active() {
        socket.deserted()
    } else {
        Vec::new()
    };
    if !deserted.is_empty() {
        return Some(format!(
            "nothing listens on {}: the unit has been changed since it was started",
            deserted.join(" and ")
        ));
    }
    let listening = subject.running.iter().flat_map(|status| &status.listening);
    let former: Vec<_> = listening
        .filter(|place| place.starts_with('/') || place.parse::<SocketAddr>().is_ok())
        .filter(|place| !socket.places.iter().any(|named| is_place(place, named)))
        .map(String::as_str)
        .collect();
    (!former.is_empty()).then(|| {
        format!(
            "the server still listens on {}, which the unit no longer names",
            former.join(" and ")
        )
    })
}

fn is_place(one: &str, other: &str) -> bool {
    let parsed = (one.parse::<SocketAddr>(), other.parse());
    match parsed {
        (Ok(one), Ok(other)) => is_same(one, other),
        _ => one == other,
    }
}
