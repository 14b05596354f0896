//! The TOML file. All of its mistakes are found at once.

use std::{
    fmt, fs,
    net::IpAddr,
    path::{Path, PathBuf},
};

use ipnet::IpNet;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    client_address::ClientAddress,
    fragment::{Fragment, Given},
    literal::can_be_meant,
    problem::Problems,
};

/// How much alike two names of settings are when one is taken for a slip of the other.
const ALIKE: f64 = 0.8;

/// Reads and parses the file.
#[must_use]
pub fn read(path: &Path, problems: &mut Problems) -> Fragment {
    match fs::read_to_string(path) {
        Ok(text) => parse(path, &text, problems),
        Err(error) => {
            problems.add(
                path.display().to_string(),
                format_args!("cannot be read: {error}"),
            );
            Fragment::default()
        }
    }
}

fn parse(path: &Path, text: &str, problems: &mut Problems) -> Fragment {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut reader = Reader {
        path,
        text,
        table: table.into_inner(),
        unreadable: Vec::new(),
        asked_for: Vec::new(),
        problems,
    };
    for error in errors {
        let line = reader.line(error.span().map_or(0, |span| span.start));
        if !reader.unreadable.contains(&line) {
            reader.unreadable.push(line);
            // Not the error's own rendering: it quotes the line, which may hold a password.
            let what = format!(
                "this line cannot be read ({}). Write `name = value`, with text in double quotes",
                error.message()
            );
            reader.report(reader.place(line), what);
        }
    }
    let fragment = reader.fragment();
    reader.refuse_the_rest();
    fragment
}

struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
    /// What has not been asked for yet.
    table: DeTable<'a>,
    /// The lines of which nothing but that is reported.
    unreadable: Vec<usize>,
    asked_for: Vec<&'static str>,
    problems: &'a mut Problems,
}

impl<'a> Reader<'a> {
    fn fragment(&mut self) -> Fragment {
        Fragment {
            base: self.path("base"),
            host: self.text("host"),
            port: self.number("port", "a port number from 0 to 65535, such as 8080"),
            client_address: self.client_address(),
            payload_megs: self.number(
                "max_sync_payload_megs",
                "a whole number of MiB, at least 1, such as 100",
            ),
            passwords_hashed: self.value("passwords_hashed", "true or false", DeValue::as_bool),
            users: self.users(),
            users_file: self.path("users_file"),
            run_as: self.text("run_as"),
            trusted_proxies: self.trusted_proxies(),
            idle_exit_secs: self.number(
                "idle_exit_secs",
                "a whole number of seconds, such as 300, or 0 for never",
            ),
            max_connections: self
                .number("max_connections", "a whole number, at least 1, such as 256"),
            max_connections_per_address: self.number(
                "max_connections_per_address",
                "a whole number, at least 1, such as 64",
            ),
            memory_megs: self.number(
                "memory_megs",
                "a whole number of MiB, at least 1, such as 64",
            ),
            header_timeout_secs: self.number(
                "header_timeout_secs",
                "a whole number of seconds, at least 1, such as 60",
            ),
            body_timeout_secs: self.number(
                "body_timeout_secs",
                "a whole number of seconds, at least 1, such as 60",
            ),
            min_free_megs: self.number("min_free_megs", "a whole number of MiB, such as 64"),
            quota_megs: self.number(
                "quota_megs",
                "a whole number of MiB, such as 2000, or 0 for no limit",
            ),
            snapshots_keep: self
                .number("snapshots_keep", "a whole number, such as 5, or 0 for none"),
            snapshots_days: self.number("snapshots_days", "a whole number of days, such as 14"),
            snapshots_max_megs: self.number(
                "snapshots_max_megs",
                "a whole number of MiB, at least 1, such as 1024",
            ),
            backup_to: self.path("backup_to"),
            backup_keep: self.number("backup_keep", "a whole number, at least 1, such as 14"),
            backup_at: self.text("backup_at"),
        }
    }

    fn client_address(&mut self) -> Option<Given<ClientAddress>> {
        let needed = format!("one of {}, in double quotes", ClientAddress::names());
        self.value("ip_header", needed, |value| value.as_str()?.parse().ok())
    }

    /// An entry that is wrong is not a mistake of the file, but of that user.
    fn users(&mut self) -> Vec<Given<Result<String, String>>> {
        let entries = self.list(
            "users",
            "a list of \"name:password\", such as [\"anna:secret\"]",
        );
        let entries = entries.into_iter().flat_map(|entries| entries.value);
        let read = |entry: &DeValue| {
            let text = entry.as_str().map(ToOwned::to_owned);
            text.ok_or_else(|| "has to be \"name:password\", in double quotes".to_owned())
        };
        entries
            .map(|entry| Given {
                setting: self.setting("users", entry.span().start),
                value: read(entry.get_ref()),
            })
            .collect()
    }

    fn trusted_proxies(&mut self) -> Option<Given<Vec<IpNet>>> {
        let needed = "a list of addresses or networks, such as [\"192.168.1.1\", \"10.0.0.0/8\"]";
        let Given { setting, value } = self.list("trusted_proxies", needed)?;
        let mut networks = Vec::new();
        for entry in value {
            match entry.get_ref().as_str().and_then(network) {
                Some(network) => networks.push(network),
                None => {
                    let setting = self.setting("trusted_proxies", entry.span().start);
                    let what = "an entry is neither an address nor a network: write \"192.168.1.1\" or \"192.168.1.0/24\"";
                    self.report(setting, what);
                }
            }
        }
        Some(Given {
            setting,
            value: networks,
        })
    }

    fn path(&mut self, key: &'static str) -> Option<Given<PathBuf>> {
        self.text(key).map(|Given { setting, value }| Given {
            setting,
            value: value.into(),
        })
    }

    fn text(&mut self, key: &'static str) -> Option<Given<String>> {
        let text = self.value(key, "text in double quotes", |value| {
            value.as_str().map(ToOwned::to_owned)
        })?;
        can_be_meant(&text.setting, &text.value, self.problems).then_some(text)
    }

    fn number<T: TryFrom<u64>>(
        &mut self,
        key: &'static str,
        needed: &'static str,
    ) -> Option<Given<T>> {
        self.value(key, format_args!("{needed} (without quotes)"), |value| {
            let digits = value.as_integer()?;
            let number = u64::from_str_radix(digits.as_str(), digits.radix()).ok()?;
            number.try_into().ok()
        })
    }

    fn value<T>(
        &mut self,
        key: &'static str,
        needed: impl fmt::Display,
        read: impl FnOnce(&DeValue<'a>) -> Option<T>,
    ) -> Option<Given<T>> {
        let (setting, value) = self.take(key)?;
        let Some(value) = read(&value) else {
            self.report(setting, format_args!("has to be {needed}"));
            return None;
        };
        Some(Given { setting, value })
    }

    fn list(
        &mut self,
        key: &'static str,
        needed: &'static str,
    ) -> Option<Given<Vec<Spanned<DeValue<'a>>>>> {
        let (setting, value) = self.take(key)?;
        let DeValue::Array(entries) = value else {
            self.report(setting, format_args!("has to be {needed}"));
            return None;
        };
        Some(Given {
            setting,
            value: entries.into_iter().collect(),
        })
    }

    fn take(&mut self, key: &'static str) -> Option<(String, DeValue<'a>)> {
        self.asked_for.push(key);
        let value = self.table.remove(key)?;
        let start = value.span().start;
        let is_unreadable = self.unreadable.contains(&self.line(start));
        let setting = self.setting(key, start);
        (!is_unreadable).then(|| (setting, value.into_inner()))
    }

    /// What nothing has asked for is no setting.
    fn refuse_the_rest(mut self) {
        for (key, _) in std::mem::take(&mut self.table) {
            let line = self.line(key.span().start);
            if self.unreadable.contains(&line) {
                continue;
            }
            let likeness = |known: &&str| strsim::jaro_winkler(key.get_ref(), known);
            let nearest = self
                .asked_for
                .iter()
                .max_by(|one, other| likeness(one).total_cmp(&likeness(other)))
                .filter(|nearest| likeness(nearest) > ALIKE);
            let hint = nearest.map_or_else(
                || format!("the settings are {}", self.asked_for.join(", ")),
                |name| format!("did you mean {name}?"),
            );
            let setting = format!("{} ({})", key.get_ref(), self.place(line));
            self.report(setting, format_args!("there is no such setting; {hint}"));
        }
    }

    fn report(&mut self, setting: String, what: impl fmt::Display) {
        self.problems.add(setting, what);
    }

    fn setting(&self, key: &str, offset: usize) -> String {
        format!("{key} ({})", self.place(self.line(offset)))
    }

    fn place(&self, line: usize) -> String {
        format!("{}, line {line}", self.path.display())
    }

    fn line(&self, offset: usize) -> usize {
        let before = self.text.bytes().take(offset);
        before.filter(|byte| *byte == b'\n').count() + 1
    }
}

/// As people write it: a network, or one address.
fn network(text: &str) -> Option<IpNet> {
    let address = || text.parse::<IpAddr>().map(IpNet::from);
    text.parse().or_else(|_| address()).ok()
}
