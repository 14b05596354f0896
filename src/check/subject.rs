//! What is checked: which settings, which folder, whose, and whether a server runs on it.

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
    /// What is wrong with them, or they.
    pub settings: Result<Settings, Problems>,
    /// systemd's unit, if that is what is checked.
    pub unit: Option<Unit>,
    /// The lists of users, as files.
    pub lists: Vec<UsersList>,
    /// Whether only systemd can read the list of users.
    pub has_sealed_users: bool,
    /// `SYNC_BASE`; known also when other settings are in disorder.
    pub base: Option<PathBuf>,
    /// Whose the files have to be.
    pub account: Option<Account>,
    /// The running server, if it answers.
    pub running: Option<Status>,
    /// The data folder of systemd's server, if it is another one.
    pub elsewhere: Option<PathBuf>,
    /// Why a running server cannot be asked.
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
    /// Its name, or else its number.
    pub name: String,
    pub uid: Uid,
    pub gid: Gid,
}

impl Subject {
    /// The server of these settings; without any, the one that systemd runs. If it runs, it is
    /// asked.
    pub fn find(given: &Sources) -> Self {
        let mut subject = Self::gather(given);
        subject.meet();
        subject
    }

    /// The same without asking.
    pub fn gather(given: &Sources) -> Self {
        let mut sources = given.clone();
        let unit = of_unit(&mut sources);
        let written = Written::read(&sources);
        let (base, run_as) = (written.base.clone(), written.run_as().map(str::to_owned));
        let lists = lists(&sources, unit.as_ref(), written.users_file());
        if let Some(list) = lists.iter().find(|list| list.is_credential) {
            sources.users = Some(
                list.text
                    .as_ref()
                    .map_or_else(|_| String::new(), Clone::clone),
            );
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

    /// Asks the running server; one that systemd has not started is left alone.
    pub fn ask<A: Ask>(&self, request: A) -> Result<A::Answer, AskError> {
        let address = Address {
            base: self.base.clone(),
            is_units: self.unit.as_ref().is_some_and(Unit::is_running),
        };
        client::ask(&address, request)
    }

    fn meet(&mut self) {
        let address = |base: Option<PathBuf>| Address {
            is_units: base.is_none() && self.unit.as_ref().is_some_and(Unit::is_running),
            base,
        };
        let status = |at| client::ask(&at, ask::Status {});
        // Its own socket is in the folder, whatever the folder is called where the server
        // runs, in a container for instance.
        let met = match status(address(self.base.clone())) {
            Err(AskError::NotRunning { .. }) => {
                status(address(None)).map(|status| (Some(status.base.clone()), status))
            }
            own => own.map(|status| (self.base.clone(), status)),
        };
        match met {
            Ok((base, status)) if base == self.base => self.running = Some(status),
            Ok((base, _)) => self.elsewhere = base,
            Err(error) => match self.explain(error) {
                AskError::NotRunning { .. } => {}
                error => self.silent = Some(error),
            },
        }
    }

    /// Whether all users are known that the server has, or will have when it starts.
    pub fn knows_users(&self) -> bool {
        !self.has_sealed_users && self.lists.iter().all(|list| list.text.is_ok())
    }
}

/// Those who have a folder in a data folder.
pub fn users_in(base: &Path) -> io::Result<Vec<UserName>> {
    let mut users = Vec::new();
    for entry in fs::read_dir(base)? {
        let entry = entry?;
        let name = entry.file_name().into_string().ok();
        users.extend(
            name.filter(|_| may_be_users_folder(&entry.path()))
                .and_then(|name| name.parse().ok()),
        );
    }
    users.sort();
    Ok(users)
}

/// The unit, if its settings are the ones in question; they are taken over then.
pub fn of_unit(sources: &mut Sources) -> Option<Unit> {
    let unit = Unit::ask().filter(|unit| is_meant(sources, unit))?;
    adopt(sources, &unit);
    Some(unit)
}

/// Whether the unit's settings are the ones in question: no others were given.
fn is_meant(given: &Sources, unit: &Unit) -> bool {
    let has_variables = given
        .variables
        .keys()
        .any(|name| environment::concerns_us(name));
    !has_variables && (given.file.is_none() || given.file == unit.configuration)
}

fn adopt(sources: &mut Sources, unit: &Unit) {
    let variables = unit.variables.iter().cloned();
    sources
        .variables
        .extend(variables.map(|(name, value)| (name.into(), value.into())));
    sources.file.clone_from(&unit.configuration);
    sources.state.clone_from(&unit.folder);
    if unit.users.is_none() {
        // The file that the packages have for it is none of this server's.
        sources.credentials = None;
    }
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
        None => sources
            .credentials
            .as_ref()
            .map(|folder| folder.join("users"))
            .filter(|path| path.exists()),
    };
    let credential = credential.map(|path| read(path, true));
    let file = users_file.map(|path| read(path.to_owned(), false));
    credential.into_iter().chain(file).collect()
}

fn account(run_as: Option<String>, base: Option<&Path>) -> Option<Account> {
    if let Some(name) = run_as {
        let user = User::from_name(&name).ok().flatten()?;
        return Some(Account {
            name,
            uid: user.uid,
            gid: user.gid,
        });
    }
    let metadata = fs::metadata(base?).ok()?;
    let (uid, gid) = (Uid::from_raw(metadata.uid()), Gid::from_raw(metadata.gid()));
    let name = User::from_uid(uid).ok().flatten().map(|user| user.name);
    Some(Account {
        name: name.unwrap_or_else(|| uid.to_string()),
        uid,
        gid,
    })
}
