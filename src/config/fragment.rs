//! The settings of one source, each optional, before they are put together.

use std::{fmt, path::PathBuf, str::FromStr};

use ipnet::IpNet;

use super::{Sources, client_address::ClientAddress, environment, file, problem::Problems};

/// A value, and where it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given<T> {
    /// The setting as the person wrote it.
    pub setting: String,
    /// Its value.
    pub value: T,
}

/// What one source says.
#[derive(Default)]
pub struct Fragment {
    /// Where the users' folders are.
    pub base: Option<Given<PathBuf>>,
    /// Host name or address to listen on.
    pub host: Option<Given<String>>,
    /// Port to listen on.
    pub port: Option<Given<u16>>,
    /// Where a client's address is to be found.
    pub client_address: Option<Given<ClientAddress>>,
    /// Limit of a request body as sent, MiB.
    pub payload_megs: Option<Given<u64>>,
    /// Whether passwords are PHC strings.
    pub passwords_hashed: Option<Given<bool>>,
    /// `name:password` each, or why an entry is none; the type has no `Debug`, so that none is
    /// ever printed.
    pub users: Vec<Given<Result<String, String>>>,
    /// A file of users, a line each.
    pub users_file: Option<Given<PathBuf>>,
    /// The account to run as when started as root.
    pub run_as: Option<Given<String>>,
    /// Whose word about clients' addresses is taken.
    pub trusted_proxies: Option<Given<Vec<IpNet>>>,
    /// Seconds without work after which a socket-activated daemon ends; 0 for never.
    pub idle_exit_secs: Option<Given<u64>>,
    /// Connections at a time.
    pub max_connections: Option<Given<usize>>,
    /// Connections of one address that have not shown a host key.
    pub max_connections_per_address: Option<Given<usize>>,
    /// MiB that all requests together may hold in memory.
    pub memory_megs: Option<Given<u64>>,
    /// Seconds that a client may take to send the head of a request.
    pub header_timeout_secs: Option<Given<u64>>,
    /// Seconds that a body may stand still.
    pub body_timeout_secs: Option<Given<u64>>,
    /// MiB of the disk that stay free.
    pub min_free_megs: Option<Given<u64>>,
    /// MiB that one user may fill; 0 for no limit.
    pub quota_megs: Option<Given<u64>>,
    /// How many of a user's newest snapshots are kept; 0 for making none.
    pub snapshots_keep: Option<Given<usize>>,
    /// For how many days one a day is kept.
    pub snapshots_days: Option<Given<u32>>,
    /// Limit of a user's snapshots together, MiB.
    pub snapshots_max_megs: Option<Given<u64>>,
    /// The folder for backups.
    pub backup_to: Option<Given<PathBuf>>,
    /// How many backups of each user the nightly one leaves.
    pub backup_keep: Option<Given<u32>>,
    /// The time of day of the nightly one.
    pub backup_at: Option<Given<String>>,
}

impl Fragment {
    /// What file and environment say, the latter winning.
    #[must_use]
    pub fn gather(sources: &Sources, problems: &mut Problems, warnings: &mut Vec<String>) -> Self {
        let from_environment = environment::read(&sources.variables, problems, warnings);
        let from_file = sources.file.as_ref().map(|path| file::read(path, problems));
        from_environment.over(from_file.unwrap_or_default())
    }

    /// Where to listen.
    #[must_use]
    pub fn address(&self) -> (String, u16) {
        let host = self.host.as_ref().map(|given| given.value.clone());
        let port = self.port.as_ref().map(|given| given.value);
        (
            host.unwrap_or_else(|| "0.0.0.0".to_owned()),
            port.unwrap_or(8080),
        )
    }

    /// This source's settings, and the other's where this one is silent.
    #[must_use]
    pub fn over(self, other: Self) -> Self {
        Self {
            base: self.base.or(other.base),
            host: self.host.or(other.host),
            port: self.port.or(other.port),
            client_address: self.client_address.or(other.client_address),
            payload_megs: self.payload_megs.or(other.payload_megs),
            passwords_hashed: self.passwords_hashed.or(other.passwords_hashed),
            users_file: self
                .users_file
                .or(other.users_file.filter(|_| self.users.is_empty())),
            users: if self.users.is_empty() {
                other.users
            } else {
                self.users
            },
            run_as: self.run_as.or(other.run_as),
            trusted_proxies: self.trusted_proxies.or(other.trusted_proxies),
            idle_exit_secs: self.idle_exit_secs.or(other.idle_exit_secs),
            max_connections: self.max_connections.or(other.max_connections),
            max_connections_per_address: self
                .max_connections_per_address
                .or(other.max_connections_per_address),
            memory_megs: self.memory_megs.or(other.memory_megs),
            header_timeout_secs: self.header_timeout_secs.or(other.header_timeout_secs),
            body_timeout_secs: self.body_timeout_secs.or(other.body_timeout_secs),
            min_free_megs: self.min_free_megs.or(other.min_free_megs),
            quota_megs: self.quota_megs.or(other.quota_megs),
            snapshots_keep: self.snapshots_keep.or(other.snapshots_keep),
            snapshots_days: self.snapshots_days.or(other.snapshots_days),
            snapshots_max_megs: self.snapshots_max_megs.or(other.snapshots_max_megs),
            backup_to: self.backup_to.or(other.backup_to),
            backup_keep: self.backup_keep.or(other.backup_keep),
            backup_at: self.backup_at.or(other.backup_at),
        }
    }
}

/// Parses a value that came as text, or notes what it should have been.
pub fn parse<T: FromStr>(
    setting: &str,
    text: &str,
    expected: impl fmt::Display,
    problems: &mut Problems,
) -> Option<Given<T>> {
    if let Ok(value) = text.parse() {
        Some(Given {
            setting: setting.to_owned(),
            value,
        })
    } else {
        problems.add(setting, format_args!("{text:?} is not {expected}"));
        None
    }
}
