//! The socket unit that the packages install, for commands outside of it: its addresses, and why it
//! cannot listen.

use std::net::SocketAddr;

use super::{
    listeners::{holder, is_listened_at},
    systemctl::{SERVICE, is_active, settings, systemctl},
};

const SOCKET: &str = "anki-syncd.socket";
/// How to choose another port; the documentation has the same text.
pub const ANOTHER_PORT: &str = "`sudo systemctl edit anki-syncd.socket`, with the lines `[Socket]`, `ListenStream=` and `ListenStream=27701`; then `sudo systemctl restart anki-syncd.socket`";
/// How to apply a changed socket unit.
pub const RESTART: &str =
    "`systemctl restart anki-syncd.socket`; running syncs are completed first.";

/// The unit's definition and state.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct SocketUnit {
    /// `active`, `inactive`, `failed` and so on.
    state: String,
    /// The result of its last start: `success`, `resources` and so on.
    result: String,
    /// Where it listens: addresses and paths.
    pub places: Vec<String>,
    /// Whether its files were changed after systemd read them.
    pub is_outdated: bool,
}

impl SocketUnit {
    /// Asks systemd; none if there is no systemd, no such unit, or the unit is masked.
    pub fn ask() -> Option<Self> {
        let properties = "LoadState,ActiveState,Result,Listen,NeedDaemonReload";
        Self::parse(&systemctl(&["show", "--property", properties, SOCKET])?)
    }

    fn parse(shown: &str) -> Option<Self> {
        let mut unit = Self::default();
        let mut is_loaded = false;
        for (name, value) in settings(shown) {
            match name {
                "LoadState" => is_loaded = value == "loaded",
                "ActiveState" => value.clone_into(&mut unit.state),
                "Result" => value.clone_into(&mut unit.result),
                "NeedDaemonReload" => unit.is_outdated = value == "yes",
                "Listen" => unit
                    .places
                    .extend(value.strip_suffix(" (Stream)").map(str::to_owned)),
                _ => {}
            }
        }
        is_loaded.then_some(unit)
    }

    /// Whether systemd holds its sockets, and its files were not changed since.
    pub fn is_active(&self) -> bool {
        self.state == "active"
    }

    /// Whether it could not be started, or systemd has given it up.
    pub fn has_failed(&self) -> bool {
        self.state == "failed"
    }

    /// Whether it failed because it could not listen, and not because of its service.
    pub fn cannot_listen(&self) -> bool {
        self.has_failed() && self.result == "resources"
    }

    /// The places of the active unit at which no process listens.
    pub fn deserted(&self) -> Vec<&str> {
        let places = self.places.iter().map(String::as_str);
        places.filter(|place| !is_listened_at(place)).collect()
    }

    /// Why it failed; names the processes that hold its ports, if that is the reason.
    pub fn failure(&self) -> String {
        let taken = self.ports().filter_map(|port| {
            let holder = holder(port)?;
            Some(format!("port {port} is in use by {holder}"))
        });
        let taken: Vec<_> = taken.collect();
        let ports: Vec<_> = self.ports().map(|port| format!("port {port}")).collect();
        if !taken.is_empty() {
            format!("{SOCKET} has failed: {}", taken.join("; "))
        } else if self.cannot_listen() && !ports.is_empty() {
            format!("{SOCKET} could not listen on {}", ports.join(" or "))
        } else {
            format!("{SOCKET} has failed ({})", self.result)
        }
    }

    /// The remedy.
    pub fn remedy(&self) -> String {
        if self.ports().any(|port| holder(port).is_some()) {
            format!(
                "To choose another port: {ANOTHER_PORT}. Or stop the program that uses the port, then run `sudo systemctl restart {SOCKET}`"
            )
        } else {
            format!(
                "`sudo systemctl restart {SOCKET}` tries again; `journalctl -u {SOCKET}` shows why it failed"
            )
        }
    }

    fn ports(&self) -> impl Iterator<Item = u16> {
        let addresses = self.places.iter().map(|place| place.parse::<SocketAddr>());
        addresses.flatten().map(|address| address.port())
    }
}

/// Whether systemd cannot start the server because its socket unit cannot listen. Without its
/// sockets, the service would be unreachable, and would fail as well.
pub fn prevents_start() -> bool {
    // A running service may still have the earlier sockets.
    SocketUnit::ask().is_some_and(|unit| unit.cannot_listen()) && !is_active(SERVICE)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn what_systemd_shows_is_read() {
        let unit = SocketUnit::parse(
            "Listen=[::]:8080 (Stream)\nListen=/run/anki-syncd.sock (Stream)\nListen=9 (Datagram)\n\
             Result=success\nLoadState=loaded\nActiveState=active\nNeedDaemonReload=yes\n",
        )
        .unwrap();
        assert_eq!(unit.places, ["[::]:8080", "/run/anki-syncd.sock"]);
        assert!(unit.is_active() && unit.is_outdated && !unit.has_failed());
        assert!(unit.ports().eq([8080]));
        assert_eq!(SocketUnit::parse("LoadState=masked\n"), None);
    }

    #[test]
    fn a_port_that_is_taken_is_told_with_its_holder_and_how_to_choose_another() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let unit = SocketUnit {
            state: "failed".to_owned(),
            result: "resources".to_owned(),
            places: vec![address.to_string()],
            is_outdated: false,
        };
        assert!(unit.cannot_listen());
        let start = format!(
            "anki-syncd.socket has failed: port {} is in use by ",
            address.port()
        );
        assert!(unit.failure().starts_with(&start), "{}", unit.failure());
        assert!(unit.remedy().contains("ListenStream=27701"));
        drop(listener);
        let told = format!("{SOCKET} could not listen on port {}", address.port());
        assert_eq!(unit.failure(), told);
        assert!(!unit.remedy().contains("ListenStream="));
    }
}
