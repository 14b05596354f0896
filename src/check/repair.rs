//! Putting right what needs nobody's judgement.
//!
//! Files change hands by root itself, through descriptors that no link can lead astray:
//! the folder is another account's. What is in a user's folder is then repaired by the
//! running server, or by a process of the server's account with `SYNC_BASE` held.

use std::{
    fs::{File, Metadata},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use nix::{
    sys::stat::{Mode, fchmod},
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

/// As many names as fit into a request with room to spare.
const NAMES_AT_A_TIME: usize = 1000;

/// Why something was not repaired, as a sentence.
pub type Failure = String;

/// Makes these repairs, and tells of each step; what fails does not keep
/// the rest from being tried.
pub fn carry_out(
    subject: &Subject,
    repairs: &[Repair],
    mut tell: impl FnMut(Result<String, Failure>),
) {
    let mut data = Vec::new();
    for repair in repairs {
        match repair {
            Repair::GiveToAccount { paths } => tell(each(subject, repair, paths, give)),
            Repair::SetMode { paths } => tell(each(subject, repair, paths, set_mode)),
            Repair::RemoveTemporary { paths } => tell(each(subject, repair, paths, remove)),
            Repair::Data { user, mend } => {
                data.extend(in_parts(mend).map(|mend| (user.clone(), mend)));
            }
        }
    }
    if data.is_empty() {
        return;
    }
    match who(subject) {
        Ok(Who::Server) => {
            for (user, mend) in data {
                let answer = subject.ask(ask::Mend {
                    user: user.clone(),
                    mend,
                });
                tell(said(&user, answer.map_err(|error| error.to_string())));
            }
        }
        Ok(Who::Ourselves(base)) => here(base, data, tell),
        Ok(Who::Account(base, account)) => {
            // So that every file that comes to be is the account's, too.
            let arguments = ["mend".as_ref(), base.as_os_str()];
            let ended = child::run(account, &arguments, &data, |line| {
                tell(serde_json::from_str(line)?);
                Ok(())
            });
            if let Err(error) = ended {
                tell(Err(format!("users' data: {error}")));
            }
        }
        Err(failure) => tell(Err(failure)),
    }
}

enum Who<'a> {
    Server,
    Ourselves(&'a Path),
    Account(&'a Path, &'a Account),
}

fn who(subject: &Subject) -> Result<Who<'_>, Failure> {
    match (&subject.base, &subject.account) {
        _ if subject.running.is_some() => Ok(Who::Server),
        (Some(base), Some(account)) if Uid::effective() == account.uid => Ok(Who::Ourselves(base)),
        (Some(base), Some(account)) if Uid::effective().is_root() => {
            Ok(Who::Account(base, account))
        }
        (Some(_), Some(account)) => Err(format!(
            "only root and {} can repair users' data: try again with sudo",
            account.name
        )),
        _ => Err("the data folder is not known".to_owned()),
    }
}

/// A user's name, and what to put right.
type Work = (UserName, Mend);

/// With the data folder held, so that no server starts meanwhile.
pub fn here(base: &Path, data: Vec<Work>, mut tell: impl FnMut(Result<String, Failure>)) {
    let (vaults, runtime) = match hold(base) {
        Ok(held) => held,
        Err(failure) => return tell(Err(failure)),
    };
    for (user, mend) in data {
        let mended = runtime.block_on(vaults.mend(&user, mend));
        let mended = mended.map_err(|error| error.to_string());
        tell(said(&user, mended));
    }
    runtime.block_on(vaults.close_all());
}

fn hold(base: &Path) -> Result<(Vaults, tokio::runtime::Runtime), Failure> {
    let base = Base::open(base).map_err(|error| error.to_string())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    // How many snapshots are to be kept is the server's to know.
    Ok((Vaults::new(base, Retention::ALL), runtime))
}

fn said(user: &UserName, mended: Result<Mended, Failure>) -> Result<String, Failure> {
    mended
        .map(|mended| format!("{user}: {mended}"))
        .map_err(|failure| format!("{user}: {failure}"))
}

/// Requests are not of any length, and others want their turn in between.
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

type OnFile = fn(&File, &Path, &Account, &Backups) -> io::Result<()>;

fn each(
    subject: &Subject,
    repair: &Repair,
    paths: &[PathBuf],
    work: OnFile,
) -> Result<String, Failure> {
    let (Some(base), Some(account)) = (&subject.base, &subject.account) else {
        return Err("the account that the server runs as is not known".to_owned());
    };
    let folder = File::open(base).map_err(|error| format!("{}: {error}", base.display()))?;
    let settings = subject.settings.as_ref().ok();
    let backups = Backups::in_folder(settings.map(|settings| settings.backups.to.clone()));
    let failed: Vec<_> = paths
        .iter()
        .filter_map(|path| Some((path, work(&folder, path, account, &backups).err()?)))
        .collect();
    match failed.first() {
        None => Ok(repair.describe()),
        Some((path, error)) => Err(format!(
            "{}: {error} ({} of {} were not changed)",
            base.join(path).display(),
            failed.len(),
            paths.len()
        )),
    }
}

/// Opens it, unless it is a file with another name, which may be anywhere, /etc/shadow
/// included. Backups may have the others.
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

/// The owner may do what the server needs; the others nothing, nor the group with the secret.
fn set_mode(folder: &File, path: &Path, account: &Account, backups: &Backups) -> io::Result<()> {
    let (file, metadata) = match open_single(folder, path, backups) {
        // Its owner may not read it either.
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

/// Only without root's rights, and so without anything to be led astray to.
fn set_mode_by_name(folder: &File, path: &Path) -> io::Result<()> {
    use nix::sys::stat::{FchmodatFlags, fchmodat};
    if Uid::effective().is_root() {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    let metadata = nix::sys::stat::fstatat(folder, path, nix::fcntl::AtFlags::AT_SYMLINK_NOFOLLOW)?;
    let is_folder = metadata.st_mode & nix::libc::S_IFMT == nix::libc::S_IFDIR;
    let mode = Mode::from_bits_truncate(if is_folder { 0o700 } else { 0o600 });
    Ok(fchmodat(folder, path, mode, FchmodatFlags::FollowSymlink)?)
}

fn set_rights(file: &File, path: &Path) -> io::Result<()> {
    let metadata = file.metadata()?;
    let (owner, group) = if metadata.is_dir() {
        (0o700, 0o050)
    } else {
        (0o600, 0o040)
    };
    // The group may have been let in on purpose, but not to what is the server's own.
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
