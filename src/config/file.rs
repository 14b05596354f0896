//! The TOML file.

use std::{
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
};

use ipnet::IpNet;
use serde::Deserialize;
use toml::Spanned;

use super::{
    client_address::ClientAddress,
    fragment::{Fragment, Given, parse},
    literal::can_be_meant,
    problem::Problems,
};

/// Every key that the file may have.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    base: Option<Spanned<PathBuf>>,
    host: Option<Spanned<String>>,
    port: Option<Spanned<u16>>,
    ip_header: Option<Spanned<String>>,
    max_sync_payload_megs: Option<Spanned<u64>>,
    passwords_hashed: Option<Spanned<bool>>,
    #[serde(default)]
    users: Vec<Spanned<String>>,
    users_file: Option<Spanned<PathBuf>>,
    run_as: Option<Spanned<String>>,
    trusted_proxies: Option<Spanned<Vec<Network>>>,
    idle_exit_secs: Option<Spanned<u64>>,
    max_connections: Option<Spanned<usize>>,
    max_connections_per_address: Option<Spanned<usize>>,
    memory_megs: Option<Spanned<u64>>,
    header_timeout_secs: Option<Spanned<u64>>,
    body_timeout_secs: Option<Spanned<u64>>,
    min_free_megs: Option<Spanned<u64>>,
    quota_megs: Option<Spanned<u64>>,
    snapshots_keep: Option<Spanned<usize>>,
    snapshots_days: Option<Spanned<u32>>,
    snapshots_max_megs: Option<Spanned<u64>>,
    backup_to: Option<Spanned<PathBuf>>,
    backup_keep: Option<Spanned<u32>>,
    backup_at: Option<Spanned<String>>,
}

/// As people write it: a network, or one address.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Network(IpNet);

impl TryFrom<String> for Network {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let address = || text.parse::<IpAddr>().map(IpNet::from);
        text.parse()
            .or_else(|_| address())
            .map(Self)
            .map_err(|_| format!("{text:?} is neither an address nor a network (192.168.1.0/24)"))
    }
}

/// Reads and parses the file.
#[must_use]
pub fn read(path: &Path, problems: &mut Problems) -> Fragment {
    match fs::read_to_string(path) {
        Ok(text) => parse_text(path, &text, problems),
        Err(error) => {
            problems.add(
                path.display().to_string(),
                format_args!("cannot be read: {error}"),
            );
            Fragment::default()
        }
    }
}

fn parse_text(path: &Path, text: &str, problems: &mut Problems) -> Fragment {
    let place = |offset: usize| {
        let line = text
            .bytes()
            .take(offset)
            .filter(|byte| *byte == b'\n')
            .count()
            + 1;
        format!("{}, line {line}", path.display())
    };
    let keys: Keys = match toml::from_str(text) {
        Ok(keys) => keys,
        Err(error) => {
            // Not the error's own rendering: it quotes the line, which may hold a password.
            problems.add(
                place(error.span().map_or(0, |span| span.start)),
                error.message(),
            );
            return Fragment::default();
        }
    };
    let setting = |key: &str, offset| format!("{key} ({})", place(offset));
    let client_address = keys.ip_header.and_then(|given| {
        let setting = setting("ip_header", given.span().start);
        parse(
            &setting,
            given.get_ref(),
            format_args!("one of {}", ClientAddress::names()),
            problems,
        )
    });
    macro_rules! given {
        ($key:ident) => {
            keys.$key
                .map(|spanned| given(setting(stringify!($key), spanned.span().start), spanned))
        };
    }
    let mut path = |given: Option<Given<PathBuf>>| {
        given.filter(|given| can_be_meant(&given.setting, &given.value.to_string_lossy(), problems))
    };
    let (base, users_file) = (path(given!(base)), path(given!(users_file)));
    let backup_to = path(given!(backup_to));
    let mut text = |given: Option<Given<String>>| {
        given.filter(|given| can_be_meant(&given.setting, &given.value, problems))
    };
    let (host, run_as) = (text(given!(host)), text(given!(run_as)));
    let users = keys.users.into_iter().map(|spanned| {
        let setting = setting("users", spanned.span().start);
        text(Some(given(setting, spanned)))
    });
    let users = users.collect::<Vec<_>>().into_iter().flatten().collect();
    Fragment {
        base,
        host,
        port: given!(port),
        client_address,
        payload_megs: given!(max_sync_payload_megs),
        passwords_hashed: given!(passwords_hashed),
        max_connections: given!(max_connections),
        max_connections_per_address: given!(max_connections_per_address),
        memory_megs: given!(memory_megs),
        header_timeout_secs: given!(header_timeout_secs),
        body_timeout_secs: given!(body_timeout_secs),
        min_free_megs: given!(min_free_megs),
        quota_megs: given!(quota_megs),
        snapshots_keep: given!(snapshots_keep),
        snapshots_days: given!(snapshots_days),
        snapshots_max_megs: given!(snapshots_max_megs),
        backup_to,
        backup_keep: given!(backup_keep),
        backup_at: given!(backup_at),
        users_file,
        run_as,
        trusted_proxies: given!(trusted_proxies).map(|given| Given {
            setting: given.setting,
            value: given.value.into_iter().map(|network| network.0).collect(),
        }),
        idle_exit_secs: given!(idle_exit_secs),
        users,
    }
}

fn given<T>(setting: String, spanned: Spanned<T>) -> Given<T> {
    Given {
        setting,
        value: spanned.into_inner(),
    }
}
