//! The settings: TOML file and `SYNC_*` environment, read once, validated whole.
//!
//! Each source becomes a [`fragment`]; the environment's lies over the file's;
//! what comes out is complete and valid, or a list of everything that is wrong.

pub mod client_address;
pub mod environment;
mod file;
mod fragment;
pub mod problem;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::account::{name::UserName, password::Credential};
use client_address::ClientAddress;
use environment::Variables;
use fragment::{Fragment, Given};
use problem::Problems;

const MIB: u64 = 1024 * 1024;
/// As the reference server: the decoded limit follows from the one as sent.
const DECODED_PER_SENT: u64 = 3;

/// Everything that the daemon needs to know before it starts.
#[derive(Debug)]
pub struct Settings {
    /// Where the users' folders are (`SYNC_BASE`).
    pub base: PathBuf,
    /// Host name or address to listen on.
    pub host: String,
    /// Port to listen on; 0 lets the system choose.
    pub port: u16,
    /// Where a client's address is to be found.
    pub client_address: ClientAddress,
    /// The users with their passwords.
    pub users: HashMap<UserName, Credential>,
    /// What a client may ask of us.
    pub limits: Limits,
    /// What works, but is probably not meant; to be logged.
    pub warnings: Vec<String>,
}

/// What a client may ask of us.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of a request body as sent.
    pub sent: u64,
    /// Bytes of a request body once decoded.
    pub decoded: u64,
    /// Connections at a time; further ones wait to be accepted.
    pub connections: usize,
    /// How long the head of a request may take, and a connection may be idle.
    pub header_timeout: Duration,
    /// How long a body may stand still, in either direction.
    pub body_timeout: Duration,
}

impl Settings {
    /// Reads file and environment, the latter winning.
    ///
    /// # Errors
    /// Everything that is wrong, each with its setting and a remedy. Nothing is created on disk.
    pub fn load(file: Option<&Path>, variables: &Variables) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let mut warnings = Vec::new();
        let from_environment = environment::read(variables, &mut problems, &mut warnings);
        let from_file = file
            .map(|path| file::read(path, &mut problems))
            .unwrap_or_default();
        let fragment = from_environment.over(from_file);
        let settings = Self::complete(fragment, variables, &mut problems, warnings);
        if problems.0.is_empty() {
            Ok(settings)
        } else {
            Err(problems)
        }
    }

    fn complete(
        fragment: Fragment,
        variables: &Variables,
        problems: &mut Problems,
        mut warnings: Vec<String>,
    ) -> Self {
        let hashed = fragment.passwords_hashed.is_some_and(|given| given.value);
        let users = users(fragment.users, hashed, problems, &mut warnings);
        if users.is_empty() && problems.0.is_empty() {
            problems.add("SYNC_USER1", "no user is configured: set it to name:password, or list `users` in the configuration file");
        }
        let base = match fragment.base {
            Some(given) => given.value,
            None => default_base(variables, problems),
        };
        let sent = whole(fragment.payload_megs, 100, problems);
        let limits = Limits {
            sent: sent.saturating_mul(MIB),
            decoded: sent.saturating_mul(MIB).saturating_mul(DECODED_PER_SENT),
            connections: usize::try_from(whole(
                fragment.max_connections.map(as_u64),
                256,
                problems,
            ))
            .unwrap_or(usize::MAX),
            header_timeout: Duration::from_secs(whole(fragment.header_timeout_secs, 60, problems)),
            body_timeout: Duration::from_secs(whole(fragment.body_timeout_secs, 60, problems)),
        };
        Self {
            base,
            host: fragment
                .host
                .map_or_else(|| "0.0.0.0".to_owned(), |given| given.value),
            port: fragment.port.map_or(8080, |given| given.value),
            client_address: fragment
                .client_address
                .map(|given| given.value)
                .unwrap_or_default(),
            users,
            limits,
            warnings,
        }
    }
}

fn as_u64(given: Given<usize>) -> Given<u64> {
    Given {
        setting: given.setting,
        value: given.value as u64,
    }
}

/// A number of which zero makes no sense.
fn whole(given: Option<Given<u64>>, default: u64, problems: &mut Problems) -> u64 {
    match given {
        Some(Given { setting, value: 0 }) => {
            problems.add(
                setting,
                format_args!("must be at least 1; the default is {default}"),
            );
            default
        }
        Some(given) => given.value,
        None => default,
    }
}

/// `~/.syncserver`, as the reference server has it.
fn default_base(variables: &Variables, problems: &mut Problems) -> PathBuf {
    match variables
        .get(std::ffi::OsStr::new("HOME"))
        .filter(|home| !home.is_empty())
    {
        Some(home) => Path::new(home).join(".syncserver"),
        None => {
            problems.add("SYNC_BASE", "is not set, and there is no HOME to default to: set it to the folder for the users' data");
            PathBuf::new()
        }
    }
}

/// Splits `name:password` at the first colon, so that a password may have colons.
fn users(
    given: Vec<Given<String>>,
    hashed: bool,
    problems: &mut Problems,
    warnings: &mut Vec<String>,
) -> HashMap<UserName, Credential> {
    let mut users = HashMap::new();
    for Given { setting, value } in given {
        let Some((name, password)) = value.split_once(':') else {
            problems.add(setting, "has no colon: write name:password");
            continue;
        };
        let credential = if hashed {
            Credential::hashed(password)
        } else {
            Credential::plain(password)
        };
        match (name.parse::<UserName>(), credential) {
            (Ok(name), Ok(credential)) => {
                if !hashed && password.starts_with('$') && Credential::hashed(password).is_ok() {
                    warnings.push(format!("{setting}: the password of {name} looks like a hash, but PASSWORDS_HASHED is off, so it is taken as the password itself"));
                }
                if users.insert(name.clone(), credential).is_some() {
                    problems.add(
                        setting,
                        format_args!("there is a user {name} already: each name may be used once"),
                    );
                }
            }
            (name, credential) => {
                for what in [
                    name.err().map(|e| e.to_string()),
                    credential.err().map(|e| e.to_string()),
                ]
                .iter()
                .flatten()
                {
                    problems.add(setting.clone(), what);
                }
            }
        }
    }
    users
}

#[cfg(test)]
mod tests;
