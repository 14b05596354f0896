//! The units of the nightly backup, for commands outside of them.

use std::path::PathBuf;

use super::systemctl::{settings, systemctl, words};

const BACKUP: &str = "anki-syncd-backup.service";
const TIMER: &str = "anki-syncd-backup.timer";

/// The units of the nightly backup.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct BackupUnit {
    /// Why the last backup failed, if it did.
    pub failure: Option<String>,
    /// Whether its timer is on.
    pub is_enabled: bool,
    /// Whether its command takes the folder and the number from the settings.
    pub goes_by_settings: bool,
    /// The folders that it may write to.
    pub writable: Vec<PathBuf>,
    /// When it starts, as in `*-*-* 03:30:00`.
    pub times: Vec<String>,
}

impl BackupUnit {
    /// Asks systemd; none if there is no such unit.
    pub fn ask() -> Option<Self> {
        let properties = "LoadState,ActiveState,StatusText,ExecStart,ReadWritePaths";
        let service = systemctl(&["show", "--property", properties, BACKUP])?;
        let properties = "ActiveState,TimersCalendar";
        let timer = systemctl(&["show", "--property", properties, TIMER])?;
        Self::parse(&service, &timer)
    }

    /// Only why the last backup failed, if it did.
    pub fn ask_failure() -> Option<String> {
        let properties = "ActiveState,StatusText";
        failure(&systemctl(&["show", "--property", properties, BACKUP])?)
    }

    fn parse(service: &str, timer: &str) -> Option<Self> {
        if value(service, "LoadState") != "loaded" {
            return None;
        }
        let writable = words(&value(service, "ReadWritePaths"));
        let calendars = settings(timer).filter(|(name, _)| *name == "TimersCalendar");
        Some(Self {
            failure: failure(service),
            is_enabled: value(timer, "ActiveState") == "active",
            goes_by_settings: words(&value(service, "ExecStart")).contains(&"--nightly".to_owned()),
            writable: writable
                .iter()
                .map(|path| path.trim_start_matches(['-', '+']).into())
                .collect(),
            times: calendars
                .filter_map(|(_, value)| Some(value.split_once("OnCalendar=")?.1.to_owned()))
                .collect(),
        })
    }
}

fn value(shown: &str, wanted: &str) -> String {
    let found = settings(shown).find(|(name, _)| *name == wanted);
    found.map_or_else(String::new, |(_, value)| value.to_owned())
}

fn failure(service: &str) -> Option<String> {
    (value(service, "ActiveState") == "failed").then(|| {
        let said = value(service, "StatusText");
        if said.is_empty() {
            "`journalctl -u anki-syncd-backup` says why".to_owned()
        } else {
            said
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn when_and_where_to_backups_are_made_is_read() {
        let unit = BackupUnit::parse(
            "LoadState=loaded\nActiveState=failed\nStatusText=the disk is full\nReadWritePaths=-/var/backups/a \"-/mnt/my usb\"\n\
             ExecStart={ path=/usr/bin/anki-syncd ; argv[]=/usr/bin/anki-syncd backup --nightly ; ignore_errors=no }\n",
            "ActiveState=active\nTimersCalendar={ OnCalendar=*-*-* 03:30:00 ; next_elapse=n/a }\n",
        )
        .unwrap();
        assert!(unit.is_enabled && unit.goes_by_settings);
        assert_eq!(unit.failure.as_deref(), Some("the disk is full"));
        assert_eq!(
            unit.writable,
            ["/var/backups/a", "/mnt/my usb"].map(PathBuf::from)
        );
        assert!(unit.times[0].starts_with("*-*-* 03:30"));
    }
}
