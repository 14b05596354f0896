//! The unit that the packages install, as systemd knows it, for commands that run outside of it.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    process::Command,
};

const SERVICE: &str = "anki-syncd.service";
const SOCKET: &str = "anki-syncd.socket";
const STATE_ROOT: &str = "/var/lib";

/// What the unit's definition and state say.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Unit {
    /// `active`, `inactive`, `failed` and so on.
    pub state: String,
    /// How its last run ended: `success`, `exit-code` and so on.
    pub result: String,
    /// The exit status of its last run.
    pub status: String,
    /// The account that it runs as.
    pub user: Option<String>,
    /// The folder that `StateDirectory=` keeps for it.
    pub folder: Option<PathBuf>,
    /// The variables that `Environment=` sets.
    pub variables: Vec<(String, String)>,
    /// The file that `LoadCredential=users:` copies.
    pub users: Option<PathBuf>,
    /// The configuration file that its command line names.
    pub configuration: Option<PathBuf>,
    /// Whether its socket is being listened on.
    pub listening: bool,
}

impl Unit {
    /// Asks systemd; none where there is no systemd, or no such unit.
    #[must_use]
    pub fn ask() -> Option<Self> {
        let properties = "LoadState,ActiveState,Result,ExecMainStatus,User,StateDirectory,Environment,LoadCredential,ExecStart";
        let shown = systemctl(&["show", "--property", properties, SERVICE])?;
        let mut unit = Self::parse(&shown)?;
        if unit.users.is_none() {
            // Older ones do not show credentials as a property.
            unit.users = systemctl(&["cat", SERVICE]).and_then(|text| loaded_users(&text));
        }
        unit.listening = systemctl(&["is-active", SOCKET]).is_some();
        Some(unit)
    }

    fn parse(shown: &str) -> Option<Self> {
        let values: HashMap<_, _> = shown
            .lines()
            .filter_map(|line| line.split_once('='))
            .collect();
        let value = |name| values.get(name).copied().unwrap_or_default();
        if value("LoadState") != "loaded" {
            return None;
        }
        let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        Some(Self {
            state: value("ActiveState").to_owned(),
            result: value("Result").to_owned(),
            status: value("ExecMainStatus").to_owned(),
            user: given(value("User")),
            folder: value("StateDirectory")
                .split_whitespace()
                .next()
                .map(|name| Path::new(STATE_ROOT).join(name)),
            variables: words(value("Environment"))
                .iter()
                .filter_map(|word| word.split_once('='))
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            users: value("LoadCredential")
                .split_whitespace()
                .find_map(|credential| credential.strip_prefix("users:"))
                .map(PathBuf::from),
            configuration: words(value("ExecStart"))
                .iter()
                .skip_while(|word| *word != "--config")
                .nth(1)
                .map(PathBuf::from),
            listening: false,
        })
    }

    /// Whether its process is there or just being started.
    #[must_use]
    pub fn is_running(&self) -> bool {
        ["active", "activating", "reloading"].contains(&self.state.as_str())
            && self.result != "exit-code"
    }

    /// Whether it was started and ended badly.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.state == "failed" || (self.state != "active" && self.result != "success")
    }
}

fn systemctl(arguments: &[&str]) -> Option<String> {
    let output = Command::new("systemctl").args(arguments).output().ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The last word of a unit's text on the users' credential; an empty one takes it back.
fn loaded_users(text: &str) -> Option<PathBuf> {
    let mut users = None;
    for value in text
        .lines()
        .filter_map(|line| line.strip_prefix("LoadCredential="))
    {
        match value.trim().strip_prefix("users:") {
            Some(path) => users = Some(PathBuf::from(path)),
            None if value.trim().is_empty() => users = None,
            None => {}
        }
    }
    users
}

/// Splits at blanks that are not in double quotes, as systemd shows lists.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let (mut word, mut quoted) = (String::new(), false);
    for char in text.chars() {
        match char {
            '"' => quoted = !quoted,
            blank if blank.is_whitespace() && !quoted => {
                words.extend(Some(std::mem::take(&mut word)).filter(|word| !word.is_empty()));
            }
            other => word.push(other),
        }
    }
    words.extend(Some(word).filter(|word| !word.is_empty()));
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_systemd_shows_is_read() {
        let unit = Unit::parse(
            "LoadState=loaded\nActiveState=inactive\nResult=success\nExecMainStatus=0\nUser=anki-syncd\n\
             StateDirectory=anki-syncd\nEnvironment=TMPDIR=/srv/anki \"SYNC_BASE=/srv/an ki\"\n\
             ExecStart={ path=/usr/bin/anki-syncd ; argv[]=/usr/bin/anki-syncd --config /etc/a.toml ; ignore_errors=no }\n",
        )
        .unwrap();
        assert_eq!(unit.user.as_deref(), Some("anki-syncd"));
        assert_eq!(unit.folder, Some("/var/lib/anki-syncd".into()));
        assert_eq!(
            unit.variables[1],
            ("SYNC_BASE".to_owned(), "/srv/an ki".to_owned())
        );
        assert_eq!(unit.configuration, Some("/etc/a.toml".into()));
        assert!(!unit.is_running() && !unit.has_failed());
    }

    #[test]
    fn a_unit_that_is_not_installed_is_none() {
        assert_eq!(
            Unit::parse("LoadState=not-found\nActiveState=inactive\n"),
            None
        );
    }

    #[test]
    fn the_last_credential_counts() {
        let text = "LoadCredential=users:/etc/a\n[Service]\nLoadCredential=\nLoadCredential=users:/etc/b\n";
        assert_eq!(loaded_users(text), Some("/etc/b".into()));
    }
}
