//! The unit that the packages install, as systemd knows it, for commands that run outside of it.

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
};

use super::{
    socket_unit::SocketUnit,
    systemctl::{SERVICE, settings, systemctl, words},
};
use crate::config::NO_USERS_FILE;

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
    /// The variables that `Environment=` and `EnvironmentFile=` set, the latter winning.
    pub variables: Vec<(String, String)>,
    /// The files of variables that cannot be read, and why.
    pub unread: Vec<(PathBuf, String)>,
    /// Where the credential that lists the users comes from.
    pub users: Option<UsersCredential>,
    /// The configuration file that its command line names.
    pub configuration: Option<PathBuf>,
    /// What the server said of itself last, in its latest run.
    pub said: String,
    /// Its process, while there is one.
    pub process: Option<i32>,
    /// The unit of its sockets; none when that is masked, and the server listens by itself.
    pub socket: Option<SocketUnit>,
}

/// Where systemd takes the credential `users` from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UsersCredential {
    /// A file that it copies.
    File(PathBuf),
    /// What only systemd reads: encrypted, or a part of the unit.
    Sealed,
}

impl Unit {
    /// Asks systemd; none where there is no systemd, or no such unit.
    pub fn ask() -> Option<Self> {
        let properties = "LoadState,ActiveState,Result,ExecMainStatus,MainPID,StatusText,User,StateDirectory,Environment,ExecStart";
        let shown = systemctl(&["show", "--property", properties, SERVICE])?;
        let mut unit = Self::parse(&shown)?;
        // Older ones do not show credentials as a property.
        let text = systemctl(&["cat", SERVICE]).unwrap_or_default();
        unit.users = users_credential(&text);
        for path in environment_files(&text) {
            match fs::read_to_string(&path) {
                Ok(text) => unit.variables.extend(assignments(&text)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => unit.unread.push((path, error.to_string())),
            }
        }
        unit.socket = SocketUnit::ask();
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
            unread: Vec::new(),
            users: None,
            configuration: words(value("ExecStart"))
                .iter()
                .skip_while(|word| *word != "--config")
                .nth(1)
                .map(PathBuf::from),
            said: value("StatusText").to_owned(),
            process: value("MainPID").parse().ok().filter(|pid| *pid > 0),
            socket: None,
        })
    }

    /// Whether its process is there or just being started.
    pub fn is_running(&self) -> bool {
        ["active", "activating", "reloading"].contains(&self.state.as_str())
            && self.result != "exit-code"
    }

    /// Whether its variables list the users, in place of all other lists.
    pub fn has_users_in_variables(&self) -> bool {
        let mut names = self.variables.iter().map(|(name, _)| name);
        names.any(|name| name.starts_with("SYNC_USER"))
    }

    /// Whether its socket is being listened on.
    pub fn is_listening(&self) -> bool {
        self.socket.as_ref().is_some_and(SocketUnit::is_active)
    }

    /// Whether it is just being started, and has not failed with that yet.
    pub fn is_starting(&self) -> bool {
        self.state == "activating" && self.result == "success"
    }

    /// Whether it was started and ended badly.
    pub fn has_failed(&self) -> bool {
        self.state == "failed" || (self.state != "active" && self.result != "success")
    }
}

/// The last word of a unit's text on the users' credential; an empty one takes it back. What
/// the unit holds itself counts if there is none to be loaded.
fn users_credential(text: &str) -> Option<UsersCredential> {
    let (mut loaded, mut held) = (None, None);
    for (name, value) in settings(text) {
        let kind = match name {
            "LoadCredential" | "LoadCredentialEncrypted" => &mut loaded,
            "SetCredential" | "SetCredentialEncrypted" => &mut held,
            _ => continue,
        };
        let (id, source) = value.split_once(':').unwrap_or((value, ""));
        if value.is_empty() || (id == "users" && source == NO_USERS_FILE) {
            *kind = None;
        } else if id == "users" {
            let is_file = name == "LoadCredential" && source.starts_with('/');
            *kind = Some(if is_file {
                UsersCredential::File(source.into())
            } else {
                UsersCredential::Sealed
            });
        }
    }
    match loaded {
        Some(UsersCredential::File(path)) if held.is_some() && !path.exists() => held,
        loaded => loaded.or(held),
    }
}

/// The files of variables that a unit's text names; an empty one takes those before back.
fn environment_files(text: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for (_, value) in settings(text).filter(|(name, _)| *name == "EnvironmentFile") {
        match value.trim_start_matches('-') {
            "" => files.clear(),
            path => files.push(PathBuf::from(path)),
        }
    }
    files
}

/// What a file of variables sets.
fn assignments(text: &str) -> Vec<(String, String)> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.starts_with(['#', ';']))
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.trim().to_owned(), unquoted(value.trim())))
        .collect()
}

/// Without quotes, and with what backslashes protect. Not `shlex`: blanks, `#` and a quote that
/// is not closed are parts of the value here, and not the end of a word.
fn unquoted(value: &str) -> String {
    let (mut text, mut quote) = (String::new(), None);
    let mut chars = value.chars();
    while let Some(char) = chars.next() {
        match (char, quote) {
            ('\'' | '"', None) => quote = Some(char),
            (char, Some(open)) if char == open => quote = None,
            ('\\', None | Some('"')) => text.extend(chars.next()),
            _ => text.push(char),
        }
    }
    text
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
        let file = |path: &str| Some(UsersCredential::File(path.into()));
        let sealed = Some(UsersCredential::Sealed);
        for (text, expected) in [
            (
                "LoadCredential=users:/a\n[Service]\nLoadCredential=\nLoadCredential=users:/b\n",
                file("/b"),
            ),
            (
                "LoadCredential=users:/a\nLoadCredential=host-key-secret:/b\n",
                file("/a"),
            ),
            (
                "LoadCredential=users:/a\nLoadCredential=\nLoadCredentialEncrypted=users:/b\n",
                sealed.clone(),
            ),
            (
                "LoadCredential=users:/not/there\nSetCredential=users:anna:secret\n",
                sealed.clone(),
            ),
            (
                "LoadCredential=users:/not/there\nSetCredential=users:#no-users-file\n",
                file("/not/there"),
            ),
            (
                "LoadCredential=users:/\nSetCredential=users:anna:secret\n",
                file("/"),
            ),
            (
                "LoadCredential=users:/a\nLoadCredential=\nSetCredentialEncrypted=users: abc\n",
                sealed,
            ),
            (
                "LoadCredential=users:/a\nLoadCredential=\n#SetCredential=users:b\n",
                None,
            ),
        ] {
            assert_eq!(users_credential(text), expected, "{text}");
        }
    }

    #[test]
    fn files_of_variables_are_read_as_systemd_does() {
        let text =
            "EnvironmentFile=/a\nEnvironmentFile=\nEnvironmentFile=-/b\nEnvironmentFile=/c\n";
        assert_eq!(environment_files(text), [Path::new("/b"), Path::new("/c")]);
        let text = "# A=1\n; B=2\n SYNC_BASE = /srv/an ki \nC='a \"b\" \\'\nD=\"it's \\\"$x\\\"\"\nE=a\\ b=c\n";
        let expected = [
            ("SYNC_BASE", "/srv/an ki"),
            ("C", "a \"b\" \\"),
            ("D", "it's \"$x\""),
            ("E", "a b=c"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(assignments(text), expected);
    }
}
