//! The settings: TOML file and `SYNC_*` environment, read once, validated whole.
//!
//! Each source becomes a [`fragment`]; the environment's lies over the file's;
//! what comes out is complete and valid, or a list of everything that is wrong.

pub mod backups;
pub mod client_address;
pub mod environment;
mod file;
mod fragment;
mod host_key_secret;
mod literal;
pub mod problem;
mod users;

use std::{
    ffi::OsStr,
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
    path::{Path, PathBuf},
    time::Duration,
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::{
    account::{Secret, users::Users},
    disk::MIB,
    vault::{retention::Retention, room::Room},
};
use backups::Backups;
use client_address::ClientAddress;
use environment::Variables;
use fragment::{Fragment, Given};
use problem::Problems;
pub use users::{NO_USERS, NO_USERS_FILE, UserLists, bring_back};

/// Where the unit, and a server that gives up root's rights, keep the data unless told otherwise.
pub const SYSTEM_STATE: &str = "/var/lib/anki-syncd";
/// Bytes of a list of users from which on the limit of systemd's credentials, 1 MB, is near.
pub const LONG_CREDENTIAL: u64 = 900_000;
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
    /// Which settings name the two, as the person wrote them; none where both are the default.
    pub address_given_by: Vec<String>,
    /// Where a client's address is to be found.
    pub client_address: ClientAddress,
    /// The users with their passwords, and the entries that cannot be used.
    pub users: Users,
    /// The secret behind all host keys; none when it is the one in `SYNC_BASE`.
    pub host_key_secret: Option<Secret>,
    /// Where they are listed.
    pub user_lists: UserLists,
    /// The account to run as when started as root.
    pub run_as: Option<String>,
    /// Whose word about clients' addresses is taken, beside that of a unix socket's peers.
    pub trusted_proxies: Vec<IpNet>,
    /// How long without work a socket-activated daemon stays; none for ever.
    pub idle_exit: Option<Duration>,
    /// What a client may ask of us.
    pub limits: Limits,
    /// How much may be stored.
    pub room: Room,
    /// How many snapshots each user's collection gets.
    pub retention: Retention,
    /// Where backups are made, and when.
    pub backups: Backups,
    /// What works, but is probably not meant.
    pub warnings: Vec<String>,
}

/// Where settings come from.
#[derive(Debug, Default, Clone)]
pub struct Sources {
    /// The TOML file.
    pub file: Option<PathBuf>,
    /// The environment.
    pub variables: Variables,
    /// The folder of the credentials that systemd passes on.
    pub credentials: Option<PathBuf>,
    /// The folder that systemd keeps for our data.
    pub state: Option<PathBuf>,
    /// Whether the server is started as root and does not stay root.
    pub gives_up_root: bool,
    /// What stands in place of the credential's list of users, which was changed since.
    pub users: Option<String>,
}

impl Sources {
    /// The credential that lists users, if one was passed.
    #[must_use]
    pub fn credential(&self) -> Option<PathBuf> {
        let path = self.credentials.as_ref()?.join(users::CREDENTIAL);
        path.exists().then_some(path)
    }
}

/// What a client may ask of us.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of a request body as sent.
    pub sent: u64,
    /// Bytes of a request body once decoded.
    pub decoded: u64,
    /// Connections at a time; a further one takes the place of a stranger's.
    pub connections: usize,
    /// Connections of one address that have not shown a valid host key.
    pub connections_per_address: usize,
    /// Bytes that all requests together may hold in memory.
    pub memory: u64,
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
    pub fn load(sources: &Sources) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let mut warnings = Vec::new();
        let fragment = Fragment::gather(sources, &mut problems, &mut warnings);
        let settings = Self::complete(fragment, sources, &mut problems, warnings);
        if problems.0.is_empty() {
            Ok(settings)
        } else {
            Err(problems)
        }
    }

    /// The same for a server, which does not start if no entry of its users can be used.
    ///
    /// # Errors
    /// As [`Settings::load`].
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
    #[must_use]
    pub fn all_warnings(&self) -> Vec<String> {
        self.users.warnings().chain(self.warnings.clone()).collect()
    }

    /// Where a server of these settings listens, unless systemd passes it sockets. The users need
    /// not be known for that.
    ///
    /// # Errors
    /// Everything that is wrong with the file or the environment.
    pub fn address(sources: &Sources) -> Result<(String, u16), Problems> {
        let mut problems = Problems::default();
        let fragment = Fragment::gather(sources, &mut problems, &mut Vec::new());
        if problems.0.is_empty() {
            Ok(fragment.address())
        } else {
            Err(problems)
        }
    }

    fn complete(
        fragment: Fragment,
        sources: &Sources,
        problems: &mut Problems,
        mut warnings: Vec<String>,
    ) -> Self {
        let (host, port) = fragment.address();
        let (users, user_lists) = users::all(&fragment, sources, problems, &mut warnings);
        let base = match fragment.base {
            Some(given) => given.value,
            None => default_base(sources, fragment.run_as.is_some(), problems, &mut warnings),
        };
        let sent = whole(fragment.payload_megs, 100, problems);
        let limits = Limits {
            sent: sent.saturating_mul(MIB),
            decoded: sent.saturating_mul(MIB).saturating_mul(DECODED_PER_SENT),
            connections: whole(fragment.max_connections, 256, problems),
            connections_per_address: whole(fragment.max_connections_per_address, 64, problems),
            memory: whole(fragment.memory_megs, 64, problems).saturating_mul(MIB),
            header_timeout: Duration::from_secs(whole(fragment.header_timeout_secs, 60, problems)),
            body_timeout: Duration::from_secs(whole(fragment.body_timeout_secs, 60, problems)),
        };
        let default = Retention::default();
        let most = whole(fragment.snapshots_max_megs, default.bytes / MIB, problems);
        let retention = Retention {
            newest: fragment
                .snapshots_keep
                .map_or(default.newest, |given| given.value),
            days: fragment
                .snapshots_days
                .map_or(default.days, |given| given.value),
            bytes: most.saturating_mul(MIB),
        };
        let host_given = fragment.host.map(|given| given.setting);
        let port_given = fragment.port.map(|given| given.setting);
        Self {
            base,
            host,
            port,
            address_given_by: host_given.into_iter().chain(port_given).collect(),
            client_address: fragment
                .client_address
                .map(|given| given.value)
                .unwrap_or_default(),
            users,
            host_key_secret: host_key_secret::read(sources.credentials.as_deref(), problems),
            user_lists,
            run_as: fragment.run_as.map(|given| given.value),
            trusted_proxies: fragment
                .trusted_proxies
                .map_or_else(loopback, |given| given.value),
            idle_exit: match fragment.idle_exit_secs.map_or(300, |given| given.value) {
                0 => None,
                secs => Some(Duration::from_secs(secs)),
            },
            limits,
            room: Room {
                reserve: megs(fragment.min_free_megs).unwrap_or(64 * MIB),
                quota: megs(fragment.quota_megs).filter(|bytes| *bytes > 0),
            },
            retention,
            backups: Backups::from(
                fragment.backup_to,
                fragment.backup_keep,
                fragment.backup_at,
                problems,
            ),
            warnings,
        }
    }
}

fn megs(given: Option<Given<u64>>) -> Option<u64> {
    given.map(|given| given.value.saturating_mul(MIB))
}

/// A number of which zero makes no sense.
fn whole<T: Copy + Default + PartialEq + fmt::Display>(
    given: Option<Given<T>>,
    default: T,
    problems: &mut Problems,
) -> T {
    match given {
        Some(Given { setting, value }) if value == T::default() => {
            problems.add(
                setting,
                format_args!("has to be at least 1; the default is {default}"),
            );
            default
        }
        Some(given) => given.value,
        None => default,
    }
}

/// The folder that systemd gives us, or `~/.syncserver`, as the reference server has it. Root's home
/// is closed to other accounts, so that a server that gives up root's rights has a folder elsewhere;
/// but what `run_as` has found there so far goes on to be used.
fn default_base(
    sources: &Sources,
    has_run_as: bool,
    problems: &mut Problems,
    warnings: &mut Vec<String>,
) -> PathBuf {
    let home = sources
        .variables
        .get(OsStr::new("HOME"))
        .filter(|home| !home.is_empty())
        .map(|home| Path::new(home).join(".syncserver"));
    match (&sources.state, home) {
        (Some(state), _) => state.clone(),
        (None, home) if sources.gives_up_root => match home.filter(|home| home.exists()) {
            Some(home) if has_run_as => home,
            Some(home) => {
                warnings.push(format!(
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

/// A proxy on the same machine.
fn loopback() -> Vec<IpNet> {
    [
        Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8).into(),
        Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128).into(),
    ]
    .into()
}

#[cfg(test)]
mod tests;
