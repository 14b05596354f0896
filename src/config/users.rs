//! The users, from all kinds of lists.

use std::{collections::HashMap, io, path::PathBuf};

use super::{
    Sources,
    environment::{self, Variables},
    given::Given,
    keys::Keys,
    literal,
    problem::Problems,
};
use crate::account::{
    name::UserName,
    password::Credential,
    users::{Mistake, Users},
    users_file::{self, ReadPassword, Wrong},
};

/// The credential that lists them.
pub(super) const CREDENTIAL: &str = "users";
/// The file that the credential is a copy of.
const CREDENTIAL_SOURCE: &str = "/etc/anki-syncd/users";
/// The unit passes this text if that file is missing (`SetCredential=`).
pub const NO_USERS_FILE: &str = "#no-users-file";

/// The beginning of the warning when no user is listed yet.
pub const NO_USERS: &str = "there are no users yet, so nobody can log in";

/// The remedy where a list of users is missing.
pub fn bring_back(list: &str) -> String {
    format!("restore it, or create an empty one (`install -m 600 /dev/null {list}`)")
}

/// Where users are listed, for commands that change the lists.
#[derive(Debug, Default)]
pub struct UserLists {
    /// For each user, the setting or the line that lists the user.
    pub places: HashMap<UserName, String>,
    /// The `users_file` of the settings.
    pub file: Option<PathBuf>,
    /// Whether `SYNC_USER1` and so on replace all lists.
    pub from_environment: bool,
}

#[derive(Default)]
struct Reading {
    users: Users,
    places: HashMap<UserName, String>,
}

/// The users in file and environment.
pub(super) struct Written {
    /// `name:password` each, or the mistake in an entry. The type has no `Debug`, so that passwords
    /// are never printed.
    entries: Vec<Given<Result<String, String>>>,
    /// A file with further users.
    pub file: Option<PathBuf>,
    are_hashed: bool,
    from_environment: bool,
}

impl Written {
    pub fn read(keys: &mut Keys, variables: &Variables, warnings: &mut Vec<String>) -> Self {
        let mut entries = environment::users(variables, warnings);
        let from_environment = !entries.is_empty();
        let are_hashed = are_hashed(keys, warnings);
        let in_file = keys.list(
            "users",
            "a list of \"name:password\", such as [\"anna:secret\"]",
        );
        let file = keys.path("users_file").map(|given| given.value);
        if !from_environment {
            // A mistake in an entry is that user's, and does not make the file invalid.
            entries.extend(in_file.into_iter().flatten().map(|entry| {
                entry.map(|value| {
                    let text = value.as_str().map(ToOwned::to_owned);
                    text.ok_or_else(|| "has to be \"name:password\", in double quotes".to_owned())
                })
            }));
        }
        Self {
            entries,
            file: file.filter(|_| !from_environment),
            are_hashed,
            from_environment,
        }
    }
}

/// Whether the passwords are PHC strings.
fn are_hashed(keys: &mut Keys, warnings: &mut Vec<String>) -> bool {
    let in_file = keys.in_file("passwords_hashed", "true or false", |value| value.as_bool());
    let Some(Given { setting, value }) = keys.variable_as_it_is("passwords_hashed") else {
        return in_file.is_some_and(|given| given.value);
    };
    let on = !["", "0", "false"].contains(&value.trim().to_lowercase().as_str());
    if !on {
        warnings.push(format!(
            "{setting}={value} turns the setting off here, but on in the server that is bundled with Anki. Unset it if passwords are plain, set it to 1 if they are hashes"
        ));
    }
    on
}

/// The users of the environment; otherwise those of the file, the users file and the credential
/// together. No users at all are accepted only if a list of users exists or is named.
pub(super) fn all(
    written: Written,
    sources: &Sources,
    problems: &mut Problems,
    warnings: &mut Vec<String>,
) -> (Users, UserLists) {
    let mut reading = Reading::default();
    let hashed = written.are_hashed;
    let read_password: ReadPassword = if hashed {
        Credential::hashed
    } else {
        Credential::plain
    };
    for Given { setting, value } in &written.entries {
        let entry = value.as_deref().map_err(Wrong::nameless);
        reading.add(
            setting.clone(),
            entry.and_then(|text| given_entry(text, read_password)),
        );
        let password = value.as_deref().ok().and_then(|text| text.split_once(':'));
        if !hashed && password.is_some_and(|(_, password)| is_hash(password)) {
            warnings.push(format!("{setting}: the password looks like a hash, but PASSWORDS_HASHED (passwords_hashed) is off, so the hash itself is the password"));
        }
    }
    let from_environment = written.from_environment;
    let in_file = written
        .file
        .as_ref()
        .map(|path| (path.display().to_string(), users_file::read(path)));
    let credential = credential(sources).map(|text| (CREDENTIAL_SOURCE.to_owned(), text));
    let lists: Vec<_> = [in_file, credential]
        .into_iter()
        .flatten()
        .filter(|_| !from_environment)
        .collect();
    for (name, text) in &lists {
        match text {
            Ok(text) if text.trim() == NO_USERS_FILE => reading.add(
                name.clone(),
                Err(Wrong::nameless(format!(
                    "does not exist: {}; then `systemctl restart anki-syncd`",
                    bring_back(CREDENTIAL_SOURCE)
                ))),
            ),
            // One `name:password` a line; `#` begins a comment.
            Ok(text) => users_file::entries(text).for_each(|(line, entry)| {
                reading.add(format!("{name}, line {line}"), entry);
            }),
            Err(error) => problems.add(name, format_args!("cannot be read: {error}")),
        }
    }
    let Reading { users, places } = reading;
    if users.able.is_empty() && users.mistakes.is_empty() && problems.0.is_empty() {
        match lists.last() {
            Some((name, _)) => warnings.push(format!(
                "{NO_USERS}: `anki-syncd user add NAME` adds one to {name}"
            )),
            None => problems.add("SYNC_USER1", "no user is configured: set SYNC_USER1 to name:password, or add `users` or `users_file` to the configuration file"),
        }
    }
    let lists = UserLists {
        places,
        file: written.file,
        from_environment,
    };
    (users, lists)
}

fn is_hash(password: &str) -> bool {
    password.starts_with('$') && Credential::hashed(password).is_ok()
}

/// An entry of the environment or the configuration file, where more mistakes are recognised than
/// in a list.
fn given_entry(text: &str, read: ReadPassword) -> Result<(UserName, Credential), Wrong> {
    match literal::wrong(text) {
        None => users_file::entry(text, read),
        Some(what) => Err(Wrong {
            user: users_file::entry(text, read)
                .map_or_else(|wrong| wrong.user, |(name, _)| Some(name)),
            what,
        }),
    }
}

/// The list that systemd passed, or its later replacement.
fn credential(sources: &Sources) -> Option<io::Result<String>> {
    let passed = || sources.credential().map(|path| users_file::read(&path));
    sources.users.clone().map(Ok).or_else(passed)
}

impl Reading {
    fn add(&mut self, place: String, entry: Result<(UserName, Credential), Wrong>) {
        let wrong = match entry {
            Ok((name, _)) if let Some(first) = self.places.get(&name) => Wrong {
                what: format!("{name} is listed already, by {first}"),
                user: Some(name),
            },
            Ok((name, credential)) => {
                self.places.insert(name.clone(), place);
                self.users.able.insert(name, credential);
                return;
            }
            Err(wrong) => wrong,
        };
        self.users.mistakes.push(Mistake {
            place,
            user: wrong.user,
            what: wrong.what,
        });
    }
}
