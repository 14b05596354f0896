//! The definition of each setting, and how they are put together.

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

/// Where the unit, and a server that gives up root's rights, keep the data unless told otherwise.
pub const SYSTEM_STATE: &str = "/var/lib/anki-syncd";

/// Everything that the daemon needs to know before it starts.
#[derive(Debug)]
pub struct Settings {
    /// Where the users' folders are (`SYNC_BASE`).
    pub base: PathBuf,
    /// Host name or address to listen on.
    pub host: String,
    /// Port to listen on; 0 lets the system choose.
    pub port: u16,
    /// Which settings name the two, as the person wrote them; none where both are the default.
    pub address_given_by: Vec<String>,
    /// Where a client's address is to be found.
    pub client_address: ClientAddress,
    /// What a client may ask of us.
    pub limits: Limits,
    /// The users with their passwords, and the entries that cannot be used.
    pub users: Users,
    /// Where they are listed.
    pub user_lists: UserLists,
    /// The secret behind all host keys; none when it is the one in `SYNC_BASE`.
    pub host_key_secret: Option<Secret>,
    /// The account to run as when started as root.
    pub run_as: Option<String>,
    /// Whose word about clients' addresses is taken, beside that of a unix socket's peers.
    pub trusted_proxies: Vec<IpNet>,
    /// How long without work a socket-activated daemon stays; none for ever.
    pub idle_exit: Option<Duration>,
    /// How much may be stored.
    pub room: Room,
    /// How many snapshots each user's collection gets.
    pub retention: Retention,
    /// Where backups are made, and when.
    pub backups: Backups,
    /// What works, but is probably not meant.
    pub warnings: Vec<String>,
}

impl Settings {
    /// Reads file and environment, the latter winning.
    ///
    /// # Errors
    /// Everything that is wrong, each with its setting and a remedy. Nothing is created on disk.
    pub fn load(sources: &Sources) -> Result<Self, Problems> {
        Written::read(sources).complete(sources)
    }

    /// The same for a server, which does not start if no entry of its users can be used.
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

    /// What works, but is probably not meant, and who is kept out by a mistake.
    pub fn all_warnings(&self) -> Vec<String> {
        self.users.warnings().chain(self.warnings.clone()).collect()
    }

    /// Where a server of these settings listens, unless systemd passes it sockets. The users need
    /// not be known for that.
    ///
    /// # Errors
    /// Everything that is wrong with the file or the environment.
    pub fn address(sources: &Sources) -> Result<(String, u16), Problems> {
        let Written {
            settings, problems, ..
        } = Written::read(sources);
        problems.or((settings.host, settings.port))
    }
}

/// The settings as file and environment have them, before the lists of users and the credentials
/// are read.
pub(crate) struct Written {
    /// `SYNC_BASE`, if it is set.
    pub base: Option<PathBuf>,
    users: users::Written,
    /// Without what takes more than file and environment: base, users and secret.
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

    /// The file that lists users, if it is the one that counts.
    pub fn users_file(&self) -> Option<&Path> {
        self.users.file.as_deref()
    }

    pub fn run_as(&self) -> Option<&str> {
        self.settings.run_as.as_deref()
    }

    /// Reads what else there is. Nothing is created on disk.
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

/// The folder that systemd gives us, or `~/.syncserver`, as the reference server has it. Root's home
/// is closed to other accounts, so that a server that gives up root's rights has a folder elsewhere;
/// but what `run_as` has found there so far goes on to be used.
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
