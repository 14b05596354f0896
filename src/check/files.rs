//! Owners and permissions of the files, and files that do not belong in the data folder.

use std::{
    fs::{self, Metadata},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use super::{
    file_system,
    finding::{Findings, Id, Repair, Severity, some_of},
    quiet::QuietError,
    secret,
    subject::{Account, Subject},
};
use crate::{
    account::{name::UserName, users::Standing},
    layout::{
        self, COLLECTION, OF_FILE_SYSTEMS, OWN, TEMPORARY, users_folder::may_be_users_folder,
    },
};

/// No upload takes this long.
const OLD: Duration = Duration::from_secs(24 * 60 * 60);

/// Paths below `SYNC_BASE`, by kind.
#[derive(Default)]
struct Seen {
    not_owned: Vec<PathBuf>,
    not_writable: Vec<PathBuf>,
    links: Vec<PathBuf>,
    links_outside: Vec<PathBuf>,
    temporary: Vec<PathBuf>,
    unreadable: Vec<(PathBuf, io::Error)>,
}

impl Seen {
    /// Whether the server's account can use all of it.
    fn is_usable(&self) -> bool {
        self.not_owned.is_empty() && self.not_writable.is_empty()
    }
}

pub(super) fn check(subject: &Subject, base: &Path, users: &[UserName], findings: &mut Findings) {
    let metadata = match fs::metadata(base) {
        Ok(metadata) if metadata.is_dir() => metadata,
        Ok(_) => {
            let what = "SYNC_BASE is not a folder";
            findings.add(Id::BaseNotAFolder, base.display(), what);
            return;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let unit = subject.unit.as_ref();
            let made_by_systemd = unit.and_then(|unit| unit.folder.as_deref());
            if made_by_systemd != Some(base) {
                let what = "the data folder does not exist yet";
                findings.add(Id::BaseMissing, base.display(), what);
            }
            return;
        }
        Err(error) => return findings.unseen(base.display(), error),
    };
    let Some(account) = &subject.account else {
        return;
    };
    let walk = Walk {
        base,
        account,
        is_running: subject.running.is_some() || subject.silent.is_some(),
    };
    let mut seen = Seen::default();
    walk.folder(Path::new(""), &mut seen);
    let without_owners = file_system::without_owners(&metadata);
    if let Some(kind) = without_owners {
        walk.judge(Path::new(""), &metadata, &mut seen);
        let (is_usable, is_open) = (seen.is_usable(), is_open(&metadata));
        file_system::report_owners(kind, base, account, is_usable, is_open, findings);
        seen.not_owned.clear();
        seen.not_writable.clear();
    } else {
        itself(&walk, &metadata, &mut seen, findings);
    }
    report(seen, account, findings);
    secret::check(base, without_owners.is_none(), findings);
    file_system::report_case(subject, base, findings);
    strangers(subject, base, users, findings);
}

/// Whether accounts outside the group have rights.
fn is_open(metadata: &Metadata) -> bool {
    metadata.mode() & 0o007 != 0
}

/// Checks the data folder itself. If it also contains something else, a repair of its owner or its
/// mode could lock another program out, so there is no repair.
fn itself(walk: &Walk, metadata: &Metadata, seen: &mut Seen, findings: &mut Findings) {
    let base = walk.base.display();
    let mut own = Seen::default();
    walk.judge(Path::new(""), metadata, &mut own);
    if let Some(other) = shared_with(walk.base) {
        let is_usable = own.is_usable();
        if is_open(metadata) || !is_usable {
            let what = format_args!(
                "the data folder also contains {}, which does not belong to the server. So the folder's owner and permissions, which do not suit the server's account, {}, are left as they are",
                other.display(),
                walk.account.name
            );
            let remedy = format_args!(
                "Set SYNC_BASE (base) to a folder that contains nothing else, and move the users' folders and {OWN} there."
            );
            let found = findings.advise(Id::BaseShared, base, what, remedy);
            if is_usable {
                found.severity = Severity::Warning;
            }
        }
        return;
    }
    seen.not_owned.append(&mut own.not_owned);
    seen.not_writable.append(&mut own.not_writable);
    if is_open(metadata) {
        let what = format_args!(
            "everybody on this machine can look into the data folder (mode {:o})",
            metadata.mode() & 0o777
        );
        let remedy = format_args!("Run `chmod o= {base}`.");
        let found = findings.advise(Id::BaseOpen, &base, what, remedy);
        found.repair = Some(Repair::SetMode(vec![PathBuf::new()]));
    }
}

/// Something in the data folder that does not belong to the server.
fn shared_with(base: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(base).ok()?.flatten().map(|entry| entry.path());
    let mut others = entries.filter(|path| !is_servers(path) && !is_of_file_system(path));
    others.next()
}

fn is_servers(path: &Path) -> bool {
    path.ends_with(OWN) || may_be_users_folder(path)
}

fn is_of_file_system(path: &Path) -> bool {
    OF_FILE_SYSTEMS.iter().any(|name| path.ends_with(name))
}

struct Walk<'a> {
    base: &'a Path,
    account: &'a Account,
    is_running: bool,
}

impl Walk<'_> {
    fn folder(&self, below: &Path, seen: &mut Seen) {
        let entries = match fs::read_dir(self.base.join(below)) {
            Ok(entries) => entries,
            Err(error) => return seen.unreadable.push((below.to_owned(), error)),
        };
        let is_base = below.as_os_str().is_empty();
        for entry in entries {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => return seen.unreadable.push((below.to_owned(), error)),
            };
            let path = below.join(entry.file_name());
            if is_of_file_system(&path) || is_base && !is_servers(&entry.path()) {
                continue;
            }
            // The running server may just have removed it.
            let Ok(metadata) = fs::symlink_metadata(self.base.join(&path)) else {
                continue;
            };
            if metadata.is_symlink() {
                self.link(path, seen);
                continue;
            }
            self.judge(&path, &metadata, seen);
            if metadata.is_dir() {
                self.folder(&path, seen);
            } else if self.is_left_over(&path, &metadata) {
                seen.temporary.push(path);
            }
        }
    }

    fn judge(&self, path: &Path, metadata: &Metadata, seen: &mut Seen) {
        let needed = if metadata.is_dir() { 0o700 } else { 0o600 };
        if metadata.uid() != self.account.uid.as_raw() {
            seen.not_owned.push(path.to_owned());
        } else if metadata.mode() & needed != needed {
            seen.not_writable.push(path.to_owned());
        }
    }

    fn link(&self, path: PathBuf, seen: &mut Seen) {
        let inside = |target: PathBuf| {
            fs::canonicalize(self.base).is_ok_and(|base| target.starts_with(base))
        };
        if fs::canonicalize(self.base.join(&path)).is_ok_and(inside) {
            seen.links.push(path);
        } else {
            seen.links_outside.push(path);
        }
    }

    /// Whether it is a temporary file, and no running request uses it.
    fn is_left_over(&self, path: &Path, metadata: &Metadata) -> bool {
        let folder = path.parent();
        let modified = metadata.modified().ok();
        let age = modified.and_then(|modified| SystemTime::now().duration_since(modified).ok());
        folder.is_some_and(|folder| folder.ends_with(TEMPORARY))
            && (!self.is_running || age.is_some_and(|age| age > OLD))
    }
}

fn shown(paths: &[PathBuf]) -> String {
    let names = paths.iter().map(|path| match path.to_str() {
        Some("") => "the data folder itself".to_owned(),
        _ => path.display().to_string(),
    });
    some_of(&names.collect::<Vec<_>>())
}

fn report(seen: Seen, account: &Account, findings: &mut Findings) {
    let name = &account.name;
    if !seen.not_owned.is_empty() {
        let what = format_args!(
            "{} below the data folder do not belong to the server's account, {name}, so the server may be unable to change them",
            seen.not_owned.len()
        );
        let remedy =
            format_args!("Run `check --repair`, or give them to the account with `chown {name}:`.");
        let place = shown(&seen.not_owned);
        let found = findings.advise(Id::FilesOfOthers, place, what, remedy);
        found.repair = Some(Repair::GiveToAccount(seen.not_owned));
    }
    if !seen.not_writable.is_empty() {
        let what = format_args!("the server's account, {name}, cannot read or cannot change them");
        let found = findings.add(Id::FilesNotWritable, shown(&seen.not_writable), what);
        found.repair = Some(Repair::SetMode(seen.not_writable));
    }
    if !seen.links_outside.is_empty() {
        let what =
            "is a link that leads out of the data folder or nowhere; the server cannot write there";
        findings.add(Id::LinkOutOfBase, shown(&seen.links_outside), what);
    }
    if !seen.links.is_empty() {
        let what = "is a link; a full upload replaces the link, not its target";
        findings.add(Id::Link, shown(&seen.links), what);
    }
    if !seen.temporary.is_empty() {
        let what = "was left by a server that did not end properly, and takes up space until the next start";
        let found = findings.add(Id::TemporaryLeft, shown(&seen.temporary), what);
        found.repair = Some(Repair::RemoveTemporary(seen.temporary));
    }
    for (path, error) in seen.unreadable {
        QuietError::Io(error).report(shown(&[path]), findings);
    }
}

/// Reports the folders of users who cannot log in.
fn strangers(subject: &Subject, base: &Path, users: &[UserName], findings: &mut Findings) {
    let Ok(settings) = &subject.settings else {
        return;
    };
    if !subject.knows_users() {
        return;
    }
    for user in users {
        let is_strangers = settings.users.standing(user) == Standing::Stranger;
        let folder = layout::user_folder(base, user.as_str());
        if is_strangers && folder.join(COLLECTION).exists() {
            let what = "has a collection here, but is not among the users who can log in";
            findings.add(Id::FolderWithoutUser, user, what);
        }
    }
}
