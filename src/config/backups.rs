//! The settings of backups. `anki-syncd backup` reads them, and the packages' generator passes them
//! to systemd. The server itself does not need them.

use std::path::{Path, PathBuf};

use regex::Regex;

use super::keys::Keys;

/// The folder for backups, unless a setting names another one.
pub const BACKUPS: &str = "/var/backups/anki-syncd";
const AT: &str = "03:30";

/// The folder and the time of backups.
#[derive(Debug, Clone)]
pub struct Backups {
    /// The folder.
    pub to: PathBuf,
    /// How many backups of each user the nightly backup keeps.
    pub keep: u32,
    /// The time of day of the nightly backup, such as `03:30`.
    pub at: String,
}

impl Backups {
    pub(super) fn read(keys: &mut Keys) -> Self {
        let to = keys.path("backup_to");
        let at = keys.text("backup_at");
        if let Some(given) = to.as_ref().filter(|given| !given.value.is_absolute()) {
            keys.unfit.add(
                &given.setting,
                format_args!(
                    "has to be a path that begins with a slash, such as /mnt/usb/anki, not {}",
                    given.value.display()
                ),
            );
        }
        let is_time = |text: &str| {
            Regex::new("^([01][0-9]|2[0-3]):[0-5][0-9]$").is_ok_and(|time| time.is_match(text))
        };
        if let Some(given) = at.as_ref().filter(|given| !is_time(&given.value)) {
            keys.unfit.add(
                &given.setting,
                format_args!(
                    "has to be a time of day from 00:00 to 23:59, such as {AT}, not {:?}",
                    given.value
                ),
            );
        }
        Self {
            to: to.map_or_else(|| BACKUPS.into(), |given| given.value),
            keep: keys.at_least_one("backup_keep", "a whole number", 14),
            at: at.map_or_else(|| AT.to_owned(), |given| given.value),
        }
    }

    /// Whether a setting names another folder. The operator has then created it.
    pub fn is_chosen(&self) -> bool {
        self.to != Path::new(BACKUPS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::environment::Variables;

    #[test]
    fn a_folder_that_could_be_anywhere_and_a_time_that_is_none_are_named() {
        for (to, keep, at, wrong) in [
            ("/mnt/usb", 1, "00:00", vec![]),
            ("backups", 14, "23:59", vec!["backup_to"]),
            ("/mnt/usb", 0, "24:00", vec!["backup_at", "backup_keep"]),
            ("/mnt/usb", 1, "3:30", vec!["backup_at"]),
        ] {
            let text = format!("backup_to = '{to}'\nbackup_keep = {keep}\nbackup_at = '{at}'");
            let mut keys = Keys::new(Path::new("x"), &text, &Variables::new());
            Backups::read(&mut keys);
            assert_eq!(keys.problems.0, []);
            let settings = keys.unfit.0.iter().map(|problem| {
                let key = problem.setting.split(' ').next();
                key.unwrap_or_default()
            });
            assert_eq!(settings.collect::<Vec<_>>(), wrong);
        }
    }
}
