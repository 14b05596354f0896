//! The server that is checked: its settings, its account, and its answers if it runs.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use nix::unistd::{Gid, Uid, User};

use crate::{
    account::{name::UserName, users_file},
    config::{Settings, Sources, Written, environment, problem::Problems},
    control::{
        Status,
        ask::{self, Ask},
        client::{self, Address, AskError},
    },
    layout::users_folder::may_be_users_folder,
    service::unit::{Unit, UsersCredential},
};

/// The server that is checked, running or not.
pub struct Subject {
    pub settings: Result<Settings, Problems>,
    /// systemd's unit, if that is checked.
    pub unit: Option<Unit>,
    /// The files that list users.
    pub lists: Vec<UsersList>,
    /// Whether only systemd can read the list of users.
    pub has_sealed_users: bool,
    /// `SYNC_BASE`; known also if other settings have mistakes.
    pub base: Option<PathBuf>,
    /// The account that should own the files.
    pub account: Option<Account>,
    /// The status of the running server, if it answers.
    pub running: Option<Status>,
    /// The data folder of systemd's server, if it is not `base`.
    pub elsewhere: Option<PathBuf>,
    /// Why a server that may be running does not answer.
    pub silent: Option<AskError>,
}

/// A file that lists users.
pub struct UsersList {
    pub path: PathBuf,
    /// Whether systemd reads it as root.
    pub is_credential: bool,
    pub text: io::Result<String>,
}

/// The account that the server runs as.
#[derive(Debug, Clone)]
pub struct Account {
    /// Its number, if it has no name.
    pub name: String,
    pub uid: Uid,
    pub gid: Gid,
}

impl Subject {
    /// The server of these settings, or systemd's if none are given. Asks it if it runs.
    pub fn find(given: &Sources) -> Self {
        let mut subject = Self::gather(given);
        subject.ask_status();
        subject
    }

    /// The same without asking the server.
    pub fn gather(given: &Sources) -> Self {
        let mut sources = given.clone();
        let unit = of_unit(&mut sources);
        let written = Written::read(&sources);
        let (base, run_as) = (written.base.clone(), written.run_as().map(str::to_owned));
        let lists = lists(&sources, unit.as_ref(), written.users_file());
        if let Some(list) = lists.iter().find(|list| list.is_credential) {
            let text = list.text.as_ref().ok();
            sources.users = Some(text.cloned().unwrap_or_default());
        }
        let credential = unit.as_ref().and_then(|unit| unit.users.as_ref());
        let has_sealed_users = credential == Some(&UsersCredential::Sealed)
            && !environment::lists_users(&sources.variables);
        if has_sealed_users {
            sources.users = Some(String::new());
        }
        let settings = written.complete(&sources);
        let base = match &settings {
            Ok(settings) => Some(settings.base.clone()),
            Err(_) => base.or_else(|| sources.state.clone()),
        };
        let run_as = unit.as_ref().and_then(|unit| unit.user.clone()).or(run_as);
        let account = account(run_as, base.as_deref());
        Self {
            settings,
            unit,
            lists,
            has_sealed_users,
            base,
            account,
            running: None,
            elsewhere: None,
            silent: None,
        }
    }

    /// Asks the running server. Does not make systemd start it.
    pub fn ask<A: Ask>(&self, request: A) -> Result<A::Answer, AskError> {
        let address = Address {
            base: self.base.clone(),
            is_units: self.unit.as_ref().is_some_and(Unit::is_running),
        };
        client::ask(&address, request)
    }

    fn ask_status(&mut self) {
        let address = |base: Option<PathBuf>| Address {
            is_units: base.is_none() && self.unit.as_ref().is_some_and(Unit::is_running),
            base,
        };
        let status = |at| client::ask(&at, ask::Status {});
        // A server that answers on the folder's own socket has that folder, also if the folder has
        // another path in the server's container.
        let met = match status(address(self.base.clone())) {
            Err(AskError::NotRunning { .. }) => {
                status(address(None)).map(|status| (Some(status.base.clone()), status))
            }
            own => own.map(|status| (self.base.clone(), status)),
        };
        match met.map_err(|error| self.explain(error)) {
            Ok((base, status)) if base == self.base => self.running = Some(status),
            Ok((base, _)) => self.elsewhere = base,
            Err(AskError::NotRunning { .. }) => {}
            Err(error) => self.silent = Some(error),
        }
    }

    /// Whether all users are known that the server has, or will have when it starts.
    pub fn knows_users(&self) -> bool {
        !self.has_sealed_users && self.lists.iter().all(|list| list.text.is_ok())
    }
}

/// The users that have a folder in a data folder.
pub fn users_in(base: &Path) -> io::Result<Vec<UserName>> {
    let mut users = Vec::new();
    for entry in fs::read_dir(base)? {
        let entry = entry?;
        let name = entry.file_name().into_string().ok();
        let name = name.filter(|_| may_be_users_folder(&entry.path()));
        users.extend(name.and_then(|name| name.parse().ok()));
    }
    users.sort();
    Ok(users)
}

/// systemd's unit, unless other settings were given. Adds the unit's settings to the sources.
pub fn of_unit(sources: &mut Sources) -> Option<Unit> {
    let mut variables = sources.variables.keys();
    if variables.any(|name| environment::concerns_us(name)) {
        return None;
    }
    let is_meant = |unit: &Unit| sources.file.is_none() || sources.file == unit.configuration;
    let unit = Unit::ask().filter(is_meant)?;
    let variables = unit.variables.iter().cloned();
    let variables = variables.map(|(name, value)| (name.into(), value.into()));
    sources.variables.extend(variables);
    sources.file.clone_from(&unit.configuration);
    sources.state.clone_from(&unit.folder);
    if unit.users.is_none() {
        // The package's list of users is not this server's.
        sources.credentials = None;
    }
    Some(unit)
}

fn lists(sources: &Sources, unit: Option<&Unit>, users_file: Option<&Path>) -> Vec<UsersList> {
    if environment::lists_users(&sources.variables) {
        return Vec::new();
    }
    let read = |path: PathBuf, is_credential| UsersList {
        text: users_file::read(&path),
        path,
        is_credential,
    };
    let credential = match unit.map(|unit| &unit.users) {
        Some(Some(UsersCredential::File(path))) => Some(path.clone()),
        Some(_) => None,
        None => {
            let folder = sources.credentials.as_ref();
            let path = folder.map(|folder| folder.join("users"));
            path.filter(|path| path.exists())
        }
    };
    let credential = credential.map(|path| read(path, true));
    let file = users_file.map(|path| read(path.to_owned(), false));
    credential.into_iter().chain(file).collect()
}

/// The account that a setting names, or else the owner of the data folder.
fn account(run_as: Option<String>, base: Option<&Path>) -> Option<Account> {
    if let Some(name) = run_as {
        let User { uid, gid, .. } = User::from_name(&name).ok().flatten()?;
        return Some(Account { name, uid, gid });
    }
    let metadata = fs::metadata(base?).ok()?;
    let (uid, gid) = (Uid::from_raw(metadata.uid()), Gid::from_raw(metadata.gid()));
    let name = User::from_uid(uid).ok().flatten().map(|user| user.name);
    let name = name.unwrap_or_else(|| uid.to_string());
    Some(Account { name, uid, gid })
}
