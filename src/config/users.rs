//! The users, from wherever they are listed.

use std::{collections::HashMap, fs, io, path::Path};

use super::{
    Sources,
    fragment::{Fragment, Given},
    problem::Problems,
};
use crate::account::{
    name::UserName,
    password::{Credential, CredentialError},
};

/// The credential that lists them.
const CREDENTIAL: &str = "users";
/// Where a person finds what the credential is a copy of.
const CREDENTIAL_SOURCE: &str =
    "/etc/anki-syncd/users (or what else the unit's LoadCredential=users: names)";

type Users = HashMap<UserName, Credential>;
type ReadPassword = fn(&str) -> Result<Credential, CredentialError>;

/// The users of the environment; or else those of the file, of the users file and of the
/// credential together. There may be none yet if a place for them is known.
pub fn all(
    fragment: &Fragment,
    sources: &Sources,
    problems: &mut Problems,
    warnings: &mut Vec<String>,
) -> Users {
    let mut users = Users::new();
    let hashed = fragment
        .passwords_hashed
        .as_ref()
        .is_some_and(|given| given.value);
    let read_password: ReadPassword = if hashed {
        Credential::hashed
    } else {
        Credential::plain
    };
    for Given { setting, value } in &fragment.users {
        add(&mut users, setting, value, read_password, problems);
        if !hashed
            && value
                .split_once(':')
                .is_some_and(|(_, password)| is_hash(password))
        {
            warnings.push(format!("{setting}: the password looks like a hash, but PASSWORDS_HASHED is off, so it is taken as the password itself"));
        }
    }
    let from_environment = fragment
        .users
        .iter()
        .any(|given| given.setting.starts_with("SYNC_USER"));
    let in_file = fragment
        .users_file
        .as_ref()
        .map(|given| (given.value.display().to_string(), read(&given.value)));
    let credential = credential(sources).map(|text| (CREDENTIAL_SOURCE.to_owned(), text));
    let lists: Vec<_> = [in_file, credential]
        .into_iter()
        .flatten()
        .filter(|_| !from_environment)
        .collect();
    for (name, text) in &lists {
        match text {
            Ok(text) => add_list(&mut users, name, text, problems),
            Err(what) => problems.add(name, what),
        }
    }
    if users.is_empty() && problems.0.is_empty() {
        match lists.last() {
            Some((name, _)) => warnings.push(format!(
                "there are no users yet, so nobody can log in: add a line name:password to {name}, then restart the server"
            )),
            None => problems.add("SYNC_USER1", "no user is configured: set it to name:password, or list `users` in the configuration file"),
        }
    }
    users
}

fn is_hash(password: &str) -> bool {
    password.starts_with('$') && Credential::hashed(password).is_ok()
}

/// The list that systemd passed, or what stands in its place by now.
fn credential(sources: &Sources) -> Option<Result<String, String>> {
    let passed = || {
        let path = sources.credentials.as_ref()?.join(CREDENTIAL);
        path.exists().then(|| read(&path))
    };
    sources.users.clone().map(Ok).or_else(passed)
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => "is not UTF-8".to_owned(),
        _ => format!("cannot be read: {error}"),
    })
}

/// One `name:password` a line; `#` begins a comment.
fn add_list(users: &mut Users, name: &str, text: &str, problems: &mut Problems) {
    for (number, line) in (1..).zip(text.lines()) {
        if !line.trim().is_empty() && !line.starts_with('#') {
            let setting = format!("{name}, line {number}");
            add(users, &setting, line, Credential::plain_or_hashed, problems);
        }
    }
}

/// Splits at the first colon, so that a password may have colons.
fn add(users: &mut Users, setting: &str, value: &str, read: ReadPassword, problems: &mut Problems) {
    let Some((name, password)) = value.split_once(':') else {
        return problems.add(setting, "has no colon: write name:password");
    };
    match (name.parse::<UserName>(), read(password)) {
        (Ok(name), Ok(credential)) => {
            if users.insert(name.clone(), credential).is_some() {
                problems.add(
                    setting,
                    format_args!("there is a user {name} already: each name may be used once"),
                );
            }
        }
        (name, credential) => {
            let wrong = [
                name.err().map(|error| error.to_string()),
                credential.err().map(|error| error.to_string()),
            ];
            for what in wrong.iter().flatten() {
                problems.add(setting, what);
            }
        }
    }
}
