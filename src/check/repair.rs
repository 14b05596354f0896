//! Repairs that need no decision.
//!
//! Root changes the server's files itself. The folder belongs to another account, so root follows
//! no link there. The running server repairs users' data; without one, a process of the server's
//! account does it while it holds the lock of `SYNC_BASE`.

use std::{
    error::Error,
    fmt::Display,
    fs::{File, Metadata},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use nix::{
    sys::stat::{FchmodatFlags, Mode, fchmod, fchmodat, fstatat},
    unistd::{Uid, UnlinkatFlags, fchown, unlinkat},
};

use super::{
    child,
    finding::Repair,
    links::Backups,
    subject::{Account, Subject},
};
use crate::{
    account::name::UserName,
    beneath,
    control::ask,
    layout,
    vault::{
        Vaults,
        base::Base,
        retention::Retention,
        upkeep::{Mend, Mended},
    },
};

/// A request has a limited length. This many names of any length fit.
const NAMES_AT_A_TIME: usize = 1000;

/// What was repaired, or why something was not, as a sentence.
pub type Step = Result<String, String>;

/// A user, and a repair of that user's data.
type Work = (UserName, Mend);

type Change = fn(&File, &Path, &Account, &Backups) -> io::Result<()>;

/// Makes these repairs and reports each. A failure does not stop the next one.
pub fn carry_out(subject: &Subject, repairs: &[Repair], mut report: impl FnMut(Step)) {
    let mut data = Vec::new();
    for repair in repairs {
        let (paths, change): (_, Change) = match repair {
            Repair::GiveToAccount(paths) => (paths, give),
            Repair::SetMode(paths) => (paths, set_mode),
            Repair::RemoveTemporary(paths) => (paths, remove),
            Repair::Data { user, mend } => {
                data.extend(in_parts(mend).map(|mend| (user.clone(), mend)));
                continue;
            }
        };
        report(each(subject, paths, change).map(|()| repair.describe()));
    }
    if !data.is_empty() {
        mend(subject, data, report);
    }
}

fn mend(subject: &Subject, data: Vec<Work>, mut report: impl FnMut(Step)) {
    if subject.running.is_some() {
        for (user, mend) in data {
            let request = ask::Mend {
                user: user.clone(),
                mend,
            };
            report(step(&user, subject.ask(request)));
        }
        return;
    }
    let (Some(base), Some(account)) = (&subject.base, &subject.account) else {
        return report(Err("the data folder is not known".to_owned()));
    };
    if Uid::effective() == account.uid {
        here(base, data, report);
    } else if Uid::effective().is_root() {
        // New files then belong to the account, too.
        let arguments = ["mend".as_ref(), base.as_os_str()];
        let ended = child::run(account, &arguments, &data, |line| {
            report(serde_json::from_str(line)?);
            Ok(())
        });
        if let Err(error) = ended {
            report(Err(format!("users' data: {error}")));
        }
    } else {
        let name = &account.name;
        report(Err(format!(
            "only root and {name} can repair users' data: try again with sudo"
        )));
    }
}

/// Repairs users' data in this process. The lock of the data folder keeps a server from starting
/// meanwhile.
pub fn here(base: &Path, data: Vec<Work>, mut report: impl FnMut(Step)) {
    let (vaults, runtime) = match hold(base) {
        Ok(held) => held,
        Err(error) => return report(Err(error.to_string())),
    };
    for (user, mend) in data {
        report(step(&user, runtime.block_on(vaults.mend(&user, mend))));
    }
    runtime.block_on(vaults.close_all());
}

fn hold(base: &Path) -> Result<(Vaults, tokio::runtime::Runtime), Box<dyn Error>> {
    let base = Base::open(base)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    // Only the server knows how many snapshots to keep.
    Ok((Vaults::new(base, Retention::ALL), runtime))
}

fn step(user: &UserName, mended: Result<Mended, impl Display>) -> Step {
    match mended {
        Ok(mended) => Ok(format!("{user}: {mended}")),
        Err(error) => Err(format!("{user}: {error}")),
    }
}

/// Splits a long repair, so that each request is short and devices get their turn in between.
fn in_parts(mend: &Mend) -> std::vec::IntoIter<Mend> {
    let parts: Vec<_> = match mend {
        Mend::Media(names) if !names.is_empty() => names
            .chunks(NAMES_AT_A_TIME)
            .map(|part| Mend::Media(part.to_vec()))
            .collect(),
        other => vec![other.clone()],
    };
    parts.into_iter()
}

fn each(subject: &Subject, paths: &[PathBuf], change: Change) -> Result<(), String> {
    let (Some(base), Some(account)) = (&subject.base, &subject.account) else {
        return Err("the account that the server runs as is not known".to_owned());
    };
    let folder = File::open(base).map_err(|error| format!("{}: {error}", base.display()))?;
    let settings = subject.settings.as_ref().ok();
    let backups = Backups::in_folder(settings.map(|settings| settings.backups.to.clone()));
    let failed: Vec<_> = paths
        .iter()
        .filter_map(|path| Some((path, change(&folder, path, account, &backups).err()?)))
        .collect();
    match failed.first() {
        None => Ok(()),
        Some((path, error)) => Err(format!(
            "{}: {error} ({} of {} were not changed)",
            base.join(path).display(),
            failed.len(),
            paths.len()
        )),
    }
}

/// Refuses a file that has another name outside the backups. The account could otherwise link to
/// /etc/shadow and have root give it that.
fn open_single(folder: &File, path: &Path, backups: &Backups) -> io::Result<(File, Metadata)> {
    let file = beneath::open(folder, path)?;
    let metadata = file.metadata()?;
    if metadata.is_file() && metadata.nlink() > 1 + backups.names_of(&metadata) {
        return Err(io::Error::other(
            "has hard links outside the folder of backup_to; change it by hand if that is right",
        ));
    }
    Ok((file, metadata))
}

fn give(folder: &File, path: &Path, account: &Account, backups: &Backups) -> io::Result<()> {
    let (file, _) = open_single(folder, path, backups)?;
    fchown(&file, Some(account.uid), Some(account.gid))?;
    set_rights(&file, path)
}

fn set_mode(folder: &File, path: &Path, account: &Account, backups: &Backups) -> io::Result<()> {
    let (file, metadata) = match open_single(folder, path, backups) {
        // Without permission to read it, its mode can only be set by name.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            return set_mode_by_name(folder, path);
        }
        opened => opened?,
    };
    if metadata.uid() != account.uid.as_raw() {
        return Err(io::Error::other("is not the server's file"));
    }
    set_rights(&file, path)
}

/// Refuses root: the account could meanwhile replace the file with a link to any other file.
fn set_mode_by_name(folder: &File, path: &Path) -> io::Result<()> {
    if Uid::effective().is_root() {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    let metadata = fstatat(folder, path, nix::fcntl::AtFlags::AT_SYMLINK_NOFOLLOW)?;
    let is_folder = metadata.st_mode & nix::libc::S_IFMT == nix::libc::S_IFDIR;
    let mode = Mode::from_bits_truncate(if is_folder { 0o700 } else { 0o600 });
    Ok(fchmodat(folder, path, mode, FchmodatFlags::FollowSymlink)?)
}

/// Gives the owner the rights that the server needs, and takes all rights from other accounts. The
/// group keeps its rights, since an operator may have granted them, but not in the server's own
/// folder, which contains the secret.
fn set_rights(file: &File, path: &Path) -> io::Result<()> {
    let metadata = file.metadata()?;
    let (owner, group) = if metadata.is_dir() {
        (0o700, 0o050)
    } else {
        (0o600, 0o040)
    };
    let is_own = path.iter().any(|part| part == layout::OWN);
    let kept = if is_own { 0 } else { metadata.mode() & group };
    Ok(fchmod(file, Mode::from_bits_truncate(owner | kept))?)
}

fn remove(folder: &File, path: &Path, _: &Account, _: &Backups) -> io::Result<()> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let parent = beneath::open(folder, parent)?;
    Ok(unlinkat(&parent, name, UnlinkatFlags::NoRemoveDir)?)
}
