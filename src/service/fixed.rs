//! The settings that a reload does not change, and the warnings about changes of them.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use super::{listeners::is_same, socket_unit::ANOTHER_PORT, sockets::resolve};
use crate::config::Settings;

/// The settings that stay until the server ends.
pub struct Fixed {
    /// Where systemd listens for us; none if the settings name the address.
    passed: Option<Vec<String>>,
    base: PathBuf,
    address: (String, u16),
    run_as: Option<String>,
    idle_exit: Option<Duration>,
    connections: usize,
    memory: u64,
}

impl Fixed {
    /// For a server with these settings, and sockets at these places if systemd passes them.
    pub fn new(settings: &Settings, passed: Option<Vec<String>>) -> Self {
        Self {
            passed,
            base: settings.base.clone(),
            address: (settings.host.clone(), settings.port),
            run_as: settings.run_as.clone(),
            idle_exit: settings.idle_exit,
            connections: settings.limits.connections,
            memory: settings.limits.memory,
        }
    }

    /// The changed settings that have no effect, one sentence each.
    pub fn remarks(&self, now: &Settings) -> Vec<String> {
        let address = (now.host.clone(), now.port);
        let changed = [
            ("base", self.base != now.base),
            (
                "host or port",
                self.passed.is_none() && self.address != address,
            ),
            ("run_as", self.run_as != now.run_as),
            ("idle_exit_secs", self.idle_exit != now.idle_exit),
            (
                "max_connections",
                self.connections != now.limits.connections,
            ),
            ("memory_megs", self.memory != now.limits.memory),
        ];
        let changed = changed.iter().filter(|(_, is_changed)| *is_changed);
        let remarks = changed.map(|(setting, _)| {
            format!("{setting} has changed, which takes effect at the next start: run `systemctl restart anki-syncd` (without systemd, restart the server)")
        });
        let places = self.passed.as_deref().unwrap_or_default();
        let ignored = ignored_address(now, places)
            .map(|ignored| format!("{ignored}. To listen on another port: {ANOTHER_PORT}"));
        remarks.chain(ignored).collect()
    }
}

/// A warning if the settings name another address than systemd listens at.
pub fn ignored_address(settings: &Settings, places: &[String]) -> Option<String> {
    if settings.address_given_by.is_empty() || places.is_empty() {
        return None;
    }
    let wanted = resolve(&settings.host, settings.port).unwrap_or_default();
    let mut listening = places.iter().filter_map(|place| place.parse().ok());
    if listening.any(|place: SocketAddr| wanted.iter().any(|wanted| is_same(*wanted, place))) {
        return None;
    }
    Some(format!(
        "{} has no effect: systemd listens on {}",
        settings.address_given_by.join(" and "),
        places.join(" and ")
    ))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::config::Sources;

    fn settings(text: &str) -> Settings {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(
            file.path(),
            format!("users = ['a:b']\nbase = '/srv'\n{text}"),
        )
        .unwrap();
        Settings::load(&Sources {
            file: Some(file.path().into()),
            ..Sources::default()
        })
        .unwrap()
    }

    fn ignored(text: &str, place: &str) -> bool {
        ignored_address(&settings(text), &[place.to_owned()]).is_some()
    }

    #[test]
    fn an_address_that_systemd_does_not_listen_at_is_told_and_no_other() {
        for (text, place, expected) in [
            ("", "[::]:27701", false),
            ("port = 8080", "[::]:27701", true),
            ("port = 27701", "[::]:27701", false),
            ("port = 27701", "[::]:8080", true),
            ("host = '127.0.0.1'", "[::]:8080", true),
            ("host = 'localhost'", "127.0.0.1:8080", false),
            ("host = '[::]'", "[::]:8080", false),
            ("host = '127.0.0.1'", "/run/anki-syncd.sock", true),
        ] {
            assert_eq!(ignored(text, place), expected, "{text:?} {place}");
        }
        assert_eq!(ignored_address(&settings("port = 1"), &[]), None);
    }

    #[test]
    fn the_sentence_names_the_setting_and_its_line() {
        let told = ignored_address(&settings("port = 27701"), &["[::]:8080".to_owned()]).unwrap();
        assert!(told.starts_with("port ("), "{told}");
        assert!(told.contains("line 3) has no effect"), "{told}");
    }

    #[test]
    fn each_changed_setting_that_needs_a_start_is_named_and_no_other() {
        let places = Some(vec!["[::]:8080".to_owned()]);
        let fixed = Fixed::new(&settings(""), places);
        assert_eq!(fixed.remarks(&settings("quota_megs = 7")), [""; 0]);
        for setting in ["idle_exit_secs", "max_connections", "memory_megs"] {
            let remarks = fixed.remarks(&settings(&format!("{setting} = 7")));
            let named = format!("{setting} has changed");
            assert!(
                remarks.len() == 1 && remarks[0].starts_with(&named),
                "{remarks:?}"
            );
        }
        assert_eq!(fixed.remarks(&settings("run_as = 'anki'")).len(), 1);
        assert!(fixed.remarks(&settings("port = 7"))[0].contains("systemd listens"));
        let alone = Fixed::new(&settings(""), None);
        assert!(alone.remarks(&settings("port = 7"))[0].starts_with("host or port has changed"));
    }
}
