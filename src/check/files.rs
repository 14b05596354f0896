//! Whose the files are, who may read them, and what does not belong there.

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

/// What was seen on the way through the folder, by kind; paths below `SYNC_BASE`.
#[derive(Default)]
struct Seen {
    others: Vec<PathBuf>,
    locked_up: Vec<PathBuf>,
    links: Vec<PathBuf>,
    links_outside: Vec<PathBuf>,
    temporary: Vec<PathBuf>,
    unreadable: Vec<(PathBuf, io::Error)>,
}

pub(super) fn check(subject: &Subject, base: &Path, users: &[UserName], findings: &mut Findings) {
    let metadata = match fs::metadata(base) {
        Ok(metadata) if metadata.is_dir() => metadata,
        Ok(_) => {
            findings.add(
                Id::BaseNotAFolder,
                base.display(),
                "SYNC_BASE is not a folder",
            );
            return;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let made_by_systemd = subject
                .unit
                .as_ref()
                .and_then(|unit| unit.folder.as_deref());
            if made_by_systemd == Some(base) {
                return;
            }
            findings.add(
                Id::BaseMissing,
                base.display(),
                "the data folder does not exist yet",
            );
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
    let is_open = metadata.mode() & 0o007 != 0;
    if let Some(kind) = file_system::without_owners(&metadata) {
        walk.judge(Path::new(""), &metadata, &mut seen);
        let is_usable = seen.others.is_empty() && seen.locked_up.is_empty();
        file_system::tell_owners(kind, base, account, is_usable, is_open, findings);
        seen.others.clear();
        seen.locked_up.clear();
    } else {
        itself(&walk, &metadata, &mut seen, findings);
        secret::mode(base, findings);
    }
    tell(seen, account, findings);
    secret::length(base, findings);
    file_system::tell_case(subject, base, findings);
    strangers(subject, base, users, findings);
}

/// The data folder itself. Where it is not the server's alone, whose it is and who may look
/// into it is not for us to change.
fn itself(walk: &Walk, metadata: &Metadata, seen: &mut Seen, findings: &mut Findings) {
    let base = walk.base.display();
    let is_open = metadata.mode() & 0o007 != 0;
    let mut found = Seen::default();
    walk.judge(Path::new(""), metadata, &mut found);
    let is_usable = found.others.is_empty() && found.locked_up.is_empty();
    if let Some(other) = shared_with(walk.base) {
        if is_open || !is_usable {
            let name = &walk.account.name;
            let shared = findings.advise(
                Id::BaseShared,
                base,
                format_args!(
                    "the data folder also contains {}, which does not belong to the server. So the folder's owner and permissions, which do not suit the server's account, {name}, are left as they are",
                    other.display()
                ),
                format_args!(
                    "Set SYNC_BASE (base) to a folder that contains nothing else, and move the users' folders and {OWN} there."
                ),
            );
            if is_usable {
                shared.weigh(Severity::Warning);
            }
        }
        return;
    }
    seen.others.append(&mut found.others);
    seen.locked_up.append(&mut found.locked_up);
    if is_open {
        findings
            .advise(
                Id::BaseOpen,
                &base,
                format_args!(
                    "everybody on this machine can look into the data folder (mode {:o})",
                    metadata.mode() & 0o777
                ),
                format_args!("Run `chmod o= {base}`."),
            )
            .with(Repair::SetMode {
                paths: vec![PathBuf::new()],
            });
    }
}

/// Something in the data folder that is not there for the server.
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
            // Not followed where it is a link. One that is gone was a server's at work.
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
            seen.others.push(path.to_owned());
        } else if metadata.mode() & needed != needed {
            seen.locked_up.push(path.to_owned());
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

    /// In a folder that is for the time of a request only, and not of a request under way.
    fn is_left_over(&self, path: &Path, metadata: &Metadata) -> bool {
        let is_temporary = path
            .parent()
            .is_some_and(|parent| parent.ends_with(TEMPORARY));
        let age = metadata
            .modified()
            .ok()
            .and_then(|modified| SystemTime::now().duration_since(modified).ok());
        is_temporary && (!self.is_running || age.is_some_and(|age| age > OLD))
    }
}

fn shown(paths: &[PathBuf]) -> String {
    let names: Vec<_> = paths
        .iter()
        .map(|path| {
            if path.as_os_str().is_empty() {
                "the data folder itself".to_owned()
            } else {
                path.display().to_string()
            }
        })
        .collect();
    some_of(&names)
}

fn tell(seen: Seen, account: &Account, findings: &mut Findings) {
    let name = &account.name;
    if !seen.others.is_empty() {
        findings
            .advise(
                Id::FilesOfOthers,
                shown(&seen.others),
                format_args!(
                    "{} below the data folder do not belong to the server's account, {name}, so the server may be unable to change them",
                    seen.others.len()
                ),
                format_args!(
                    "Run `check --repair`, or give them to the account with `chown {name}:`."
                ),
            )
            .with(Repair::GiveToAccount { paths: seen.others });
    }
    if !seen.locked_up.is_empty() {
        findings
            .add(
                Id::FilesNotWritable,
                shown(&seen.locked_up),
                format_args!("the server's account, {name}, cannot read or cannot change them"),
            )
            .with(Repair::SetMode {
                paths: seen.locked_up,
            });
    }
    if !seen.links_outside.is_empty() {
        findings.add(
            Id::LinkOutOfBase,
            shown(&seen.links_outside),
            "is a link that leads out of the data folder or nowhere; the server cannot write there",
        );
    }
    if !seen.links.is_empty() {
        findings.add(
            Id::Link,
            shown(&seen.links),
            "is a link; a full upload replaces the link, not its target",
        );
    }
    if !seen.temporary.is_empty() {
        findings
            .add(
                Id::TemporaryLeft,
                shown(&seen.temporary),
                "was left by a server that did not end properly, and takes up space until the next start",
            )
            .with(Repair::RemoveTemporary {
                paths: seen.temporary,
            });
    }
    for (path, error) in seen.unreadable {
        QuietError::Io(error).tell(shown(&[path]), findings);
    }
}

/// Folders of those who cannot log in.
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
            findings.add(
                Id::FolderWithoutUser,
                user,
                "has a collection here, but is not among the users who can log in",
            );
        }
    }
}
