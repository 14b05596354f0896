//! The settings, the lists of users, and whether the running server uses them.

use std::{io, os::unix::fs::MetadataExt, path::Path};

use super::{
    finding::{Findings, Id, some_of},
    subject::{Subject, UsersList},
};
use crate::{
    account::{compare, password::Credential},
    config::{LONG_CREDENTIAL, NO_USERS, Settings, client_address::ClientAddress},
    control::{ask, client::AskError},
    service::{socket_unit::SocketUnit, unit::Unit},
};

const BOM: char = '\u{feff}';
/// The beginnings of other programs' hashes, which this server cannot verify.
const OTHER_HASHES: [&str; 8] = ["$1$", "$2a$", "$2b$", "$2y$", "$5$", "$6$", "$7$", "$y$"];

pub(super) fn check(subject: &Subject, findings: &mut Findings) {
    match &subject.settings {
        Ok(settings) => good(settings, subject.knows_users(), findings),
        Err(problems) => {
            for problem in &problems.0 {
                findings.add(Id::Settings, &problem.setting, &problem.what);
            }
        }
    }
    for list in &subject.lists {
        file(list, findings);
        if let Ok(text) = &list.text {
            lines(&list.path, text, findings);
        }
    }
    if subject.has_sealed_users {
        let what = "not checked: the list of users is encrypted or part of the unit, so only systemd can read it";
        let remedy = "Nothing to do; `anki-syncd user list` shows the users of the running server.";
        findings.advise(Id::NotLookedAt, "users", what, remedy);
    }
    match &subject.silent {
        Some(error @ AskError::Silent { .. }) => {
            findings.add(Id::ServerSilent, "the running server", error);
        }
        Some(error) => findings.unseen("the running server", error),
        None => {}
    }
    if let Some(unit) = &subject.unit {
        service(subject, unit, findings);
    }
    if subject.knows_users() {
        same_users(subject, findings);
    }
}

/// Checks valid settings, which may still be doubtful.
fn good(settings: &Settings, knows_users: bool, findings: &mut Findings) {
    mistakes(settings, findings);
    for warning in &settings.warnings {
        if !warning.starts_with(NO_USERS) {
            findings.add(Id::SettingsDoubtful, "settings", warning);
        } else if knows_users {
            findings.add(Id::NoUsers, "users", NO_USERS);
        }
    }
    let behind_proxy = settings.client_address != ClientAddress::ConnectInfo;
    if behind_proxy && settings.trusted_proxies.is_empty() {
        let what = "names a header for clients' addresses, but trusted_proxies is empty, so the server uses the header only for connections over a unix socket";
        findings.add(Id::IpHeaderNotBelieved, "ip_header", what);
    }
    let mut proxies = settings.trusted_proxies.iter();
    if behind_proxy && proxies.any(|net| net.prefix_len() == 0) {
        let what = "includes every address, so a client can pretend to have any address, and escape being slowed down or banned";
        findings.add(Id::IpHeaderBelievedFromAnybody, "trusted_proxies", what);
    }
}

/// Reports the entries of users that cannot be used.
fn mistakes(settings: &Settings, findings: &mut Findings) {
    let users = &settings.users;
    let remedy = if users.able.is_empty() {
        "Correct it. Nobody else can log in either, so the server does not start until then."
    } else {
        "Correct it. All other users can sync meanwhile."
    };
    for (mistake, warning) in users.mistakes.iter().zip(users.warnings()) {
        let what = warning.strip_prefix(&mistake.place).unwrap_or(&warning);
        let what = what.trim_start_matches(": ");
        findings.advise(Id::UsersEntry, &mistake.place, what, remedy);
    }
}

/// Checks the permissions, the owner and the size of a list of users.
fn file(list: &UsersList, findings: &mut Findings) {
    let place = list.path.display();
    match list.text.as_ref().map_err(|error| (error.kind(), error)) {
        Ok(_) => {}
        Err((io::ErrorKind::PermissionDenied, error)) => findings.unseen(&place, error),
        Err((io::ErrorKind::NotFound, _)) => {
            let what = "the list of users does not exist, so the server cannot start";
            let remedy = format_args!(
                "Restore it, or create an empty one: `install -m 600 /dev/null {place}`."
            );
            findings.advise(Id::UsersFileMissing, &place, what, remedy);
        }
        Err((_, error)) => {
            let what = format_args!("the list of users cannot be read: {error}");
            findings.add(Id::UsersFileUnreadable, &place, what);
        }
    }
    let Ok(metadata) = list.path.metadata() else {
        return;
    };
    if list.is_credential && metadata.len() >= LONG_CREDENTIAL {
        let what = format_args!(
            "is {} KB large. systemd does not load a credential of more than 1 MB, and the server then does not start (exit status 243)",
            metadata.len() / 1000
        );
        findings.add(Id::UsersFileLong, &place, what);
    }
    if metadata.mode() & 0o007 != 0 {
        let what = format_args!(
            "everybody on this machine can read or change the users' passwords (mode {:o})",
            metadata.mode() & 0o777
        );
        let remedy = format_args!("Run `chmod o= {place}`.");
        findings.advise(Id::UsersFileOpen, &place, what, remedy);
    }
    if list.is_credential && metadata.uid() != 0 {
        let what = format_args!(
            "belongs to the account with the number {}, not to root, so that account can add users",
            metadata.uid()
        );
        let remedy = format_args!("Run `chown root: {place}`.");
        findings.advise(Id::UsersFileNotRoots, &place, what, remedy);
    }
}

/// Reports mistakes in a list of users that editors do not show.
fn lines(path: &Path, text: &str, findings: &mut Findings) {
    let place = path.display();
    if text.starts_with(BOM) {
        let what = "begins with a byte order mark, which becomes part of the first user's name";
        findings.add(Id::UsersFileBom, &place, what);
    }
    if text.contains('\r') {
        let what = "has Windows line endings. If the last line has no newline at its end, the entry of that line cannot be used";
        let remedy = format_args!("Run `sed -i 's/\\r$//' {place}`.");
        findings.advise(Id::UsersFileCrlf, &place, what, remedy);
    }
    let numbered = (1..).zip(text.lines());
    let entries: Vec<_> = numbered
        .filter(|(_, line)| !line.starts_with('#'))
        .filter_map(|(number, line)| Some((number, line.split_once(':')?.1)))
        .collect();
    let mut passwords = |id, wanted: fn(&str) -> bool, what| {
        let found = entries.iter().filter(|(_, password)| wanted(password));
        let numbers: Vec<i32> = found.map(|(number, _)| *number).collect();
        if !numbers.is_empty() {
            findings.add(
                id,
                format_args!("{place}, line {}", some_of(&numbers)),
                what,
            );
        }
    };
    passwords(
        Id::UsersFileTrailingSpace,
        |password| password.trim_end_matches('\r').ends_with([' ', '\t']),
        "ends with a space or tab, which is part of the password",
    );
    passwords(
        Id::UsersFileOtherHash,
        looks_like_another_hash,
        "the password looks like a hash, but the hash is in quotation marks or of a kind that is not supported. So the hash itself is the password",
    );
}

fn looks_like_another_hash(password: &str) -> bool {
    let unquoted = password.trim_matches(['\'', '"']);
    let quoted = unquoted != password && Credential::hashed(unquoted).is_ok();
    quoted || OTHER_HASHES.iter().any(|start| password.starts_with(start))
}

fn service(subject: &Subject, unit: &Unit, findings: &mut Findings) {
    for (path, error) in &unit.unread {
        findings.unseen(path.display(), error);
    }
    if let (Some(elsewhere), Some(base)) = (&subject.elsewhere, &subject.base) {
        let what = format_args!(
            "the running server has its data in {}, but its settings now name {}. Only the latter was checked",
            elsewhere.display(),
            base.display()
        );
        findings.add(Id::ServerElsewhere, "SYNC_BASE", what);
    }
    if unit.has_failed() {
        let what = format_args!(
            "the service has failed ({}, exit status {}): {}",
            unit.result,
            unit.status,
            subject.why_ended(unit)
        );
        findings.add(Id::ServiceFailed, "anki-syncd.service", what);
    }
    let has_socket_failed = unit.socket.as_ref().is_some_and(SocketUnit::has_failed);
    if !unit.is_running() && !unit.is_listening() && !has_socket_failed {
        let what = "neither the socket nor the service is active, so nobody can sync";
        findings.add(Id::ServiceNotListening, "anki-syncd.socket", what);
    }
    if let Some(user) = unit.user.as_ref().filter(|_| subject.account.is_none()) {
        let what = format_args!("runs the server as {user}, but there is no such account");
        findings.add(Id::AccountMissing, "anki-syncd.service", what);
    }
}

/// Reports a list of users that has changed since systemd passed a copy of it to the server.
fn same_users(subject: &Subject, findings: &mut Findings) {
    let (Ok(settings), Some(_)) = (&subject.settings, &subject.running) else {
        return;
    };
    let mut salt = [0; 16];
    if getrandom::fill(&mut salt).is_err() {
        return;
    }
    let salt = hex::encode(salt);
    let digest = compare::digest(&settings.users.able, &salt);
    // `check` has reported a server that does not answer.
    if let Ok(false) = subject.ask(ask::SameUsers { salt, digest }) {
        let what = "the users or passwords of the running server differ from those in the settings";
        findings.add(Id::UsersNotTakenOver, "users", what);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(text: &str) -> Vec<String> {
        let mut findings = Findings::default();
        lines(Path::new("users"), text, &mut findings);
        let ids = findings
            .0
            .iter()
            .map(|finding| finding.id.name().to_owned());
        ids.collect()
    }

    #[test]
    fn what_editors_hide_is_found_and_nothing_else() {
        let hash = "$pbkdf2-sha256$i=1000,l=32$UUOaQiACqOO/N0WFhMcwsA$YMnZxsJz6qnfHEZASU1ppuuYjfSqbkXgF64+8ojRJsE";
        for (text, expected) in [
            ("# \r: comment \na:b c\n", vec!["users-file-crlf"]),
            ("a:b\n\nc:d", vec![]),
            ("\u{feff}a:b\n", vec!["users-file-bom"]),
            ("a:b \n", vec!["users-file-trailing-space"]),
            (
                "a:b \r\n",
                vec!["users-file-crlf", "users-file-trailing-space"],
            ),
            ("a:$2b$12$abc\n", vec!["users-file-other-hash"]),
            (&format!("a:'{hash}'\n"), vec!["users-file-other-hash"]),
            (&format!("a:{hash}\n"), vec![]),
        ] {
            assert_eq!(ids(text), expected, "{text:?}");
        }
    }
}
