//! The definition of each setting, and of all settings together.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    time::Duration,
};

use ipnet::IpNet;

use super::{
    Limits, Sources, UserLists,
    backups::Backups,
    client_address::{ClientAddress, trusted_proxies},
    file,
    given::Given,
    host_key_secret,
    keys::Keys,
    problem::Problems,
    users,
};
use crate::{
    account::{Secret, users::Users},
    disk::MIB,
    vault::{retention::Retention, room::Room},
};

/// The data folder of the unit, and of a server that gives up root's rights, unless a setting names
/// another one.
pub const SYSTEM_STATE: &str = "/var/lib/anki-syncd";

/// All settings of the daemon.
#[derive(Debug)]
pub struct Settings {
    /// Where the users' folders are (`SYNC_BASE`).
    pub base: PathBuf,
    /// Host name or address to listen on.
    pub host: String,
    /// Port to listen on; 0 lets the system choose.
    pub port: u16,
    /// The settings that name host and port, as the user wrote them; none if both are the default.
    pub address_given_by: Vec<String>,
    /// The header that contains a client's address.
    pub client_address: ClientAddress,
    /// Limits on what a client may ask for.
    pub limits: Limits,
    /// The users with their passwords, and the entries that have a mistake.
    pub users: Users,
    /// Where the users are listed.
    pub user_lists: UserLists,
    /// The secret behind all host keys; none if it is the one in `SYNC_BASE`.
    pub host_key_secret: Option<Secret>,
    /// The account to run as when started as root.
    pub run_as: Option<String>,
    /// The proxies whose headers about clients' addresses are believed. Peers over a unix socket
    /// always are.
    pub trusted_proxies: Vec<IpNet>,
    /// How long a socket-activated daemon stays without work; none for ever.
    pub idle_exit: Option<Duration>,
    /// How much may be stored.
    pub room: Room,
    /// How many snapshots each user's collection gets.
    pub retention: Retention,
    /// The folder and the time of backups.
    pub backups: Backups,
    /// Settings that work but are probably a mistake.
    pub warnings: Vec<String>,
}

impl Settings {
    /// Reads file and environment. The environment replaces the file.
    ///
    /// # Errors
    /// All mistakes, each with its setting and a remedy. Nothing is created on disk.
    pub fn load(sources: &Sources) -> Result<Self, Problems> {
        Written::read(sources).complete(sources)
    }

    /// The same for a server. It does not start if no entry of its users can be used.
    pub fn load_to_serve(sources: &Sources) -> Result<Self, Problems> {
        let settings = Self::load(sources)?;
        let users = &settings.users;
        if !users.able.is_empty() || users.mistakes.is_empty() {
            return Ok(settings);
        }
        let mut problems = Problems::default();
        for mistake in &users.mistakes {
            problems.add(mistake.place.as_str(), &mistake.what);
        }
        problems.add(
            "users",
            "nobody can log in, so the server does not start: correct at least one of these entries",
        );
        Err(problems)
    }

    /// Settings that are probably a mistake, and the users that are shut out by a mistake.
    pub fn all_warnings(&self) -> Vec<String> {
        self.users.warnings().chain(self.warnings.clone()).collect()
    }

    /// Where a server with these settings listens, unless systemd passes it sockets. The users are
    /// not read for this.
    ///
    /// # Errors
    /// All mistakes in the file or the environment.
    pub fn address(sources: &Sources) -> Result<(String, u16), Problems> {
        let Written {
            settings, problems, ..
        } = Written::read(sources);
        problems.or((settings.host, settings.port))
    }
}

/// The settings of file and environment, before the lists of users and the credentials are read.
pub(crate) struct Written {
    /// `SYNC_BASE`, if it is set.
    pub base: Option<PathBuf>,
    users: users::Written,
    /// Complete except for base, users and secret.
    settings: Settings,
    problems: Problems,
    unfit: Problems,
}

impl Written {
    pub fn read(sources: &Sources) -> Self {
        let mut unread = Problems::default();
        let path = sources.file.as_deref();
        let text = path.map_or_else(String::new, |path| file::text(path, &mut unread));
        let mut keys = Keys::new(path.unwrap_or(Path::new("")), &text, &sources.variables);
        keys.problems.0.append(&mut unread.0);

        let mut warnings = Vec::new();
        let base = value(keys.path("base"));
        let host = keys.text("host");
        let port = keys.number("port", "a port number from 0 to 65535, such as 8080");
        let users = users::Written::read(&mut keys, &sources.variables, &mut warnings);
        let settings = Settings {
            base: PathBuf::new(),
            address_given_by: [place(host.as_ref()), place(port.as_ref())]
                .into_iter()
                .flatten()
                .collect(),
            host: value(host).unwrap_or_else(|| "0.0.0.0".to_owned()),
            port: value(port).unwrap_or(8080),
            client_address: ClientAddress::read(&mut keys),
            limits: Limits::read(&mut keys),
            users: Users::default(),
            user_lists: UserLists::default(),
            host_key_secret: None,
            run_as: value(keys.text("run_as")),
            trusted_proxies: trusted_proxies(&mut keys),
            idle_exit: idle_exit(&mut keys),
            room: room(&mut keys),
            retention: retention(&mut keys),
            backups: Backups::read(&mut keys),
            warnings,
        };
        keys.refuse_the_rest();
        Self {
            base,
            users,
            settings,
            problems: keys.problems,
            unfit: keys.unfit,
        }
    }

    /// The file that lists users, if it is in use.
    pub fn users_file(&self) -> Option<&Path> {
        self.users.file.as_deref()
    }

    pub fn run_as(&self) -> Option<&str> {
        self.settings.run_as.as_deref()
    }

    /// Reads the lists of users and the credentials. Nothing is created on disk.
    pub fn complete(self, sources: &Sources) -> Result<Settings, Problems> {
        let (mut settings, mut problems) = (self.settings, self.problems);
        (settings.users, settings.user_lists) =
            users::all(self.users, sources, &mut problems, &mut settings.warnings);
        settings.base = self
            .base
            .unwrap_or_else(|| default_base(sources, &mut settings, &mut problems));
        problems.0.extend(self.unfit.0);
        settings.host_key_secret =
            host_key_secret::read(sources.credentials.as_deref(), &mut problems);
        problems.or(settings)
    }
}

fn value<T>(given: Option<Given<T>>) -> Option<T> {
    given.map(|given| given.value)
}

fn place<T>(given: Option<&Given<T>>) -> Option<String> {
    given.map(|given| given.setting.clone())
}

fn idle_exit(keys: &mut Keys) -> Option<Duration> {
    let needed = "a whole number of seconds, such as 300, or 0 for never";
    let secs = value(keys.number("idle_exit_secs", needed)).unwrap_or(300);
    (secs > 0).then(|| Duration::from_secs(secs))
}

fn room(keys: &mut Keys) -> Room {
    let free = keys.number("min_free_megs", "a whole number of MiB, such as 64");
    let needed = "a whole number of MiB, such as 2000, or 0 for no limit";
    let quota = value(keys.number("quota_megs", needed)).unwrap_or(0);
    Room {
        reserve: MIB.saturating_mul(value(free).unwrap_or(64)),
        quota: (quota > 0).then(|| MIB.saturating_mul(quota)),
    }
}

fn retention(keys: &mut Keys) -> Retention {
    let default = Retention::default();
    let newest = keys.number("snapshots_keep", "a whole number, such as 5, or 0 for none");
    let days = keys.number("snapshots_days", "a whole number of days, such as 14");
    let most = default.bytes / MIB;
    let most = keys.at_least_one("snapshots_max_megs", "a whole number of MiB", most);
    Retention {
        newest: value(newest).unwrap_or(default.newest),
        days: value(days).unwrap_or(default.days),
        bytes: MIB.saturating_mul(most),
    }
}

/// The folder that systemd provides, or `~/.syncserver`, like the reference server. Other accounts
/// cannot enter root's home, so a server that gives up root's rights uses another folder. But if
/// `run_as` has used a folder there so far, it stays in use.
fn default_base(sources: &Sources, settings: &mut Settings, problems: &mut Problems) -> PathBuf {
    let home = sources
        .variables
        .get(OsStr::new("HOME"))
        .filter(|home| !home.is_empty())
        .map(|home| Path::new(home).join(".syncserver"));
    match (&sources.state, home) {
        (Some(state), _) => state.clone(),
        (None, home) if sources.gives_up_root => match home.filter(|home| home.exists()) {
            Some(home) if settings.run_as.is_some() => home,
            Some(home) => {
                settings.warnings.push(format!(
                    "{} is not used: a server that was started as root keeps its data in {SYSTEM_STATE}, unless SYNC_BASE names another folder. If your collections are in {0}, stop the server and move them to {SYSTEM_STATE}",
                    home.display()
                ));
                SYSTEM_STATE.into()
            }
            None => SYSTEM_STATE.into(),
        },
        (None, Some(home)) => home,
        (None, None) => {
            problems.add("SYNC_BASE", "is not set, and neither is HOME, which the default depends on: set it to the folder for the users' data, such as /var/lib/anki-syncd");
            PathBuf::new()
        }
    }
}
