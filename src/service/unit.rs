//! The unit that the packages install, for commands outside of it.

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

/// The unit's definition and state.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Unit {
    /// `active`, `inactive`, `failed` and so on.
    pub state: String,
    /// The result of its last run: `success`, `exit-code` and so on.
    pub result: String,
    /// The exit status of its last run.
    pub status: String,
    /// The account of the service.
    pub user: Option<String>,
    /// The folder that `StateDirectory=` provides.
    pub folder: Option<PathBuf>,
    /// The variables that `Environment=` and `EnvironmentFile=` set; the latter replace the former.
    pub variables: Vec<(String, String)>,
    /// The files of variables that cannot be read, with the reasons.
    pub unread: Vec<(PathBuf, String)>,
    /// The source of the credential that lists the users.
    pub users: Option<UsersCredential>,
    /// The configuration file on its command line.
    pub configuration: Option<PathBuf>,
    /// The last status line of its latest run.
    pub said: String,
    /// Its process id, while it runs.
    pub process: Option<i32>,
    /// The unit of its sockets; none if that is masked, so that the server listens itself.
    pub socket: Option<SocketUnit>,
}

/// The source of the credential `users`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UsersCredential {
    /// A file that it copies.
    File(PathBuf),
    /// A source that only systemd reads: encrypted, or a part of the unit.
    Sealed,
}

impl Unit {
    /// Asks systemd; none if there is no systemd or no such unit.
    pub fn ask() -> Option<Self> {
        let properties = "LoadState,ActiveState,Result,ExecMainStatus,MainPID,StatusText,User,StateDirectory,Environment,ExecStart";
        let shown = systemctl(&["show", "--property", properties, SERVICE])?;
        let mut unit = Self::parse(&shown)?;
        // Older versions do not list credentials as a property.
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

    /// Whether its process runs or is being started.
    pub fn is_running(&self) -> bool {
        ["active", "activating", "reloading"].contains(&self.state.as_str())
            && self.result != "exit-code"
    }

    /// Whether its variables list the users. They replace all other lists.
    pub fn has_users_in_variables(&self) -> bool {
        let mut names = self.variables.iter().map(|(name, _)| name);
        names.any(|name| name.starts_with("SYNC_USER"))
    }

    /// Whether its socket is active.
    pub fn is_listening(&self) -> bool {
        self.socket.as_ref().is_some_and(SocketUnit::is_active)
    }

    /// Whether it is being started, and has not failed yet.
    pub fn is_starting(&self) -> bool {
        self.state == "activating" && self.result == "success"
    }

    /// Whether its last run failed.
    pub fn has_failed(&self) -> bool {
        self.state == "failed" || (self.state != "active" && self.result != "success")
    }
}

/// The last setting of the users' credential in a unit's text; an empty one cancels those before.
/// The content in the unit itself counts if there is no file to load.
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

/// The files of variables that a unit's text names; an empty setting cancels those before.
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

/// The assignments in a file of variables.
fn assignments(text: &str) -> Vec<(String, String)> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.starts_with(['#', ';']))
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.trim().to_owned(), unquoted(value.trim())))
        .collect()
}

/// Removes quotes, and resolves backslashes. Not `shlex`: blanks, `#` and an unclosed quote are
/// part of the value here, and do not end it.
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
