//! The users, from wherever they are listed.

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
};

use super::{
    Sources,
    fragment::{Fragment, Given},
    problem::Problems,
};
use crate::account::{
    name::UserName,
    password::Credential,
    users_file::{self, ReadPassword},
};

/// The credential that lists them.
pub(super) const CREDENTIAL: &str = "users";
/// Where a person finds what the credential is a copy of.
const CREDENTIAL_SOURCE: &str =
    "/etc/anki-syncd/users (or what else the unit's LoadCredential=users: names)";

/// How the warning begins when nobody is listed yet.
pub const NO_USERS: &str = "there are no users yet, so nobody can log in";

/// Where users are listed, for whoever wants to change them.
#[derive(Debug, Default)]
pub struct UserLists {
    /// By which setting, or in which line of which file, each user is given.
    pub places: HashMap<UserName, String>,
    /// The `users_file` of the settings.
    pub file: Option<PathBuf>,
    /// Whether `SYNC_USER1` and so on stand in place of all lists.
    pub from_environment: bool,
}

#[derive(Default)]
struct Users {
    credentials: HashMap<UserName, Credential>,
    places: HashMap<UserName, String>,
}

/// The users of the environment; or else those of the file, of the users file and of the
/// credential together. There may be none yet if a place for them is known.
pub fn all(
    fragment: &Fragment,
    sources: &Sources,
    problems: &mut Problems,
    warnings: &mut Vec<String>,
) -> (HashMap<UserName, Credential>, UserLists) {
    let mut users = Users::default();
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
        let entry = users_file::entry(value, read_password);
        users.add(setting.clone(), entry, problems);
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
            // One `name:password` a line; `#` begins a comment.
            Ok(text) => users_file::entries(text).for_each(|(line, entry)| {
                users.add(format!("{name}, line {line}"), entry, problems);
            }),
            Err(what) => problems.add(name, what),
        }
    }
    if users.credentials.is_empty() && problems.0.is_empty() {
        match lists.last() {
            Some((name, _)) => warnings.push(format!(
                "{NO_USERS}: `anki-syncd user add NAME` adds one to {name}"
            )),
            None => problems.add("SYNC_USER1", "no user is configured: set it to name:password, or list `users` or name a `users_file` in the configuration file"),
        }
    }
    let lists = UserLists {
        places: users.places,
        file: fragment
            .users_file
            .as_ref()
            .map(|given| given.value.clone()),
        from_environment,
    };
    (users.credentials, lists)
}

fn is_hash(password: &str) -> bool {
    password.starts_with('$') && Credential::hashed(password).is_ok()
}

/// The list that systemd passed, or what stands in its place by now.
fn credential(sources: &Sources) -> Option<Result<String, String>> {
    let passed = || sources.credential().map(|path| read(&path));
    sources.users.clone().map(Ok).or_else(passed)
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => "is not UTF-8".to_owned(),
        _ => format!("cannot be read: {error}"),
    })
}

impl Users {
    fn add(
        &mut self,
        setting: String,
        entry: Result<(UserName, Credential), Vec<String>>,
        problems: &mut Problems,
    ) {
        match entry {
            Ok((name, _)) if self.credentials.contains_key(&name) => problems.add(
                setting,
                format_args!("there is a user {name} already: each name may be used once"),
            ),
            Ok((name, credential)) => {
                self.places.insert(name.clone(), setting);
                self.credentials.insert(name, credential);
            }
            Err(wrong) => wrong
                .iter()
                .for_each(|what| problems.add(setting.as_str(), what)),
        }
    }
}
