//! Whether systemd and the server listen at the addresses of the socket unit.

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
        let what = format_args!("nobody can sync: {}", socket.failure());
        let remedy = format_args!("{}.", socket.remedy());
        findings.advise(Id::SocketFailed, PLACE, what, remedy);
    } else if socket.is_outdated {
        let what = "the unit file has been changed, but systemd has not read it again";
        let remedy = format_args!("Run `systemctl daemon-reload`, then {RESTART}");
        findings.advise(Id::SocketOutdated, PLACE, what, remedy);
    } else if let Some(what) = difference(subject, socket) {
        findings.advise(
            Id::SocketChanged,
            PLACE,
            what,
            format_args!("Run {RESTART}"),
        );
    }
    let settings = subject.settings.as_ref().ok();
    if let Some(what) = settings.and_then(|settings| ignored_address(settings, &socket.places)) {
        let remedy = format_args!("Remove the setting. To listen on another port: {ANOTHER_PORT}.");
        findings.advise(Id::AddressIgnored, "settings", what, remedy);
    }
}

/// Addresses of the unit at which nobody listens, or addresses of the server that the unit lacks.
fn difference(subject: &Subject, socket: &SocketUnit) -> Option<String> {
    let deserted = socket.is_active().then(|| socket.deserted());
    if let Some(deserted) = deserted.filter(|deserted| !deserted.is_empty()) {
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
    match (one.parse::<SocketAddr>(), other.parse()) {
        (Ok(one), Ok(other)) => is_same(one, other),
        _ => one == other,
    }
}
