//! What all operator's commands need: the settings, and the way to the server.

use std::{
    cell::{OnceCell, RefCell},
    ffi::OsStr,
    io::{self, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde::Serialize;

use crate::{
    account::users_file::{self, FileError},
    check::silence::explain,
    config::{SYSTEM_STATE, Settings, Sources, problem::Problems},
    control::{
        ask::{self, Ask},
        client::{self, Address, AskError, Held},
    },
    service::{
        backup_unit::BackupUnit,
        exit::Exit,
        manager,
        socket_unit::{self, SocketUnit},
        sockets::resolve,
        unit::{Unit, UsersCredential},
    },
};

/// Where the packages keep the settings, and the list of users that the unit passes on with
/// `LoadCredential=`.
const SYSTEM_FOLDER: &str = "/etc/anki-syncd";
/// After a server has not answered, it is not asked again for this long. A command that asks
/// several questions so waits only once.
const GIVEN_UP: Duration = Duration::from_secs(10);

/// Why a command failed. Each text is a sentence for the operator.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    #[error(transparent)]
    Ask(#[from] AskError),
    #[error("{0}")]
    Settings(Problems),
    #[error("{0}")]
    Refused(String),
    #[error(transparent)]
    UsersFile(#[from] FileError),
    /// Writing failed: the disk is full, for example.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// A check found problems, and has printed them.
    #[error("{0} found")]
    Found(String),
    #[error("{0}")]
    Failed(String),
}

impl CommandError {
    pub fn exit(&self) -> Exit {
        match self {
            Self::Ask(_) | Self::Failed(_) => Exit::Unavailable,
            Self::Settings(_) => Exit::Config,
            Self::Refused(_) => Exit::Usage,
            Self::UsersFile(_) | Self::Io(_) => Exit::CannotCreate,
            Self::Found(_) => Exit::Problems,
        }
    }
}

/// The settings of the server that the command is about.
pub struct Context {
    sources: Sources,
    /// Whether it is the server that systemd runs.
    is_units: bool,
    /// The data folder of the settings; kept, since reading a long list of users takes a while.
    base: OnceCell<Option<PathBuf>>,
    /// Whether the command is about systemd's server and systemd cannot start it.
    obstructed: OnceCell<bool>,
    /// When a server last gave no answer, and why.
    silent: RefCell<Option<(Instant, AskError)>>,
}

impl Context {
    /// Uses the settings given to the command, or else those of the packages.
    pub fn new(mut sources: Sources) -> Self {
        let folder = Path::new(SYSTEM_FOLDER);
        let file = folder.join("anki-syncd.toml");
        if sources.file.is_none() && file.exists() {
            sources.file = Some(file.clone());
        }
        // The unit has the credential; a server with other settings or data does not.
        let is_units = manager::is_beside_main()
            || sources.file.as_ref().is_none_or(|given| *given == file)
                && !sources.variables.contains_key(OsStr::new("SYNC_BASE"));
        if sources.credentials.is_none() && is_units && folder.join("users").exists() {
            sources.credentials = Some(folder.to_owned());
        }
        if sources.state.is_none() && is_units && Path::new(SYSTEM_STATE).exists() {
            sources.state = Some(SYSTEM_STATE.into());
        }
        // Without this folder, the server may have been set to stay root.
        sources.gives_up_root &= Path::new(SYSTEM_STATE).exists();
        Self {
            sources,
            is_units,
            base: OnceCell::new(),
            obstructed: OnceCell::new(),
            silent: RefCell::default(),
        }
    }

    /// The file that the unit passes on as a credential, if this is about systemd's server.
    pub fn credential(&self) -> Option<PathBuf> {
        self.sources.credential()
    }

    /// The present content of the file that systemd copies as the list of users. None if that
    /// server has its users from elsewhere.
    ///
    /// Refuses when the file cannot be read.
    pub fn users_to_hand_over(&self) -> Result<Option<String>, CommandError> {
        let unit = self.is_units.then(Unit::ask).flatten();
        match unit.filter(|unit| !unit.has_users_in_variables()) {
            Some(Unit {
                users: Some(UsersCredential::File(path)),
                ..
            }) => users_file::read(&path).map(Some).map_err(|error| {
                CommandError::Refused(format!(
                    "not reloaded: {} cannot be read: {error}",
                    path.display()
                ))
            }),
            _ => Ok(None),
        }
    }

    /// The settings that this account may read.
    pub fn settings(&self) -> Result<Settings, Problems> {
        let settings = Settings::load(&self.sources);
        let base = settings.as_ref().ok().map(|settings| settings.base.clone());
        // The value is the same every time.
        let _ = self.base.set(base);
        settings
    }

    pub fn sources(&self) -> &Sources {
        &self.sources
    }

    /// Whether this is about systemd's server and its socket unit cannot listen, so that systemd
    /// cannot start it. A request to it then fails with the reason.
    pub fn is_obstructed(&self) -> bool {
        let look = || self.is_units && socket_unit::prevents_start();
        *self.obstructed.get_or_init(look)
    }

    /// Why the last nightly backup failed, if it did and this is about systemd's server.
    pub fn failed_backup(&self) -> Option<String> {
        self.is_units.then(BackupUnit::ask_failure).flatten()
    }

    /// The list of users that systemd passes to its server, if the file is missing.
    pub fn missing_list(&self) -> Option<PathBuf> {
        match self.is_units.then(Unit::ask).flatten()?.users? {
            UsersCredential::File(path) if matches!(path.try_exists(), Ok(false)) => Some(path),
            _ => None,
        }
    }

    pub fn ask<A: Ask>(&self, request: A) -> Result<A::Answer, AskError> {
        self.ask_and_hold(request, io::empty())
            .map(|(answer, _)| answer)
    }

    /// Where the server listens for devices, now or once it runs.
    pub fn listening(&self) -> Vec<String> {
        let running = self.ask(ask::Listening {}).ok();
        let of_unit = || {
            let unit = self.is_units.then(SocketUnit::ask).flatten()?;
            Some(unit.places).filter(|places| !places.is_empty())
        };
        running.or_else(of_unit).unwrap_or_else(|| {
            let (host, port) = Settings::address(&self.sources).unwrap_or_default();
            let addresses = resolve(&host, port).unwrap_or_default();
            addresses.iter().map(ToString::to_string).collect()
        })
    }

    /// The same for a request that is followed by data, or whose answer names something that exists
    /// for a while only.
    pub fn ask_and_hold<A: Ask>(
        &self,
        request: A,
        rest: impl io::Read,
    ) -> Result<(A::Answer, Held), AskError> {
        if let Some((since, error)) = &*self.silent.borrow()
            && since.elapsed() < GIVEN_UP
        {
            return Err(error.clone());
        }
        let asked = client::ask_and_hold(&self.address(), request, rest);
        asked.map_err(|error| {
            let waited = matches!(error, AskError::Silent { .. });
            let error = explain(&self.sources, error);
            if waited {
                *self.silent.borrow_mut() = Some((Instant::now(), error.clone()));
            }
            error
        })
    }

    /// Systemd's server can be asked even if its settings have mistakes.
    fn address(&self) -> Address {
        if self.base.get().is_none() {
            // Reading the settings stores the base.
            drop(self.settings());
        }
        Address {
            base: self.base.get().cloned().flatten(),
            is_units: self.is_units && !self.is_obstructed(),
        }
    }
}

pub fn print_json(answer: &impl Serialize) -> io::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, answer)?;
    writeln!(out)
}
