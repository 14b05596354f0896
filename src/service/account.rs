//! The account that the server switches to when it is started as root.
//!
//! Without `run_as` and `--allow-root` this is the owner of `SYNC_BASE`. If root owns it, or it is
//! missing, it is `anki-syncd` or else `nobody`, and root gives the folder to that account. So only
//! root may be able to put another folder in its place.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    unistd::{Gid, Uid, User},
};

/// The account that the packages create.
const OWN: &str = "anki-syncd";
const NOBODY: &str = "nobody";
/// Its number, for containers without a list of accounts.
const NOBODYS_ID: u32 = 65_534;
const ROOT: u32 = 0;
/// The same limit as the kernel's, which ends circular links.
const MOST_LINKS: u32 = 40;

/// An account to switch to.
#[derive(Debug)]
pub struct Account {
    /// Its name, or its number if it has none.
    pub name: String,
    /// Its number.
    pub uid: Uid,
    /// Its group.
    pub gid: Gid,
    /// Whether it keeps its additional groups. The owner of a folder may be a person in a group
    /// that can do more than a server should, such as `docker`.
    pub has_groups: bool,
    /// How it was chosen.
    pub choice: Choice,
}

/// How an account was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// `run_as`.
    Named,
    /// The folder's owner. Files of root's in the folder stay root's.
    Owner,
    /// The default.
    Default,
}

/// Why the rights cannot be given up.
#[derive(Debug, thiserror::Error)]
pub enum PrivilegeError {
    /// There is no such account.
    #[error("run_as: there is no account {0:?} on this machine")]
    Unknown(String),
    /// Root would give away a folder that another account can replace.
    #[error(
        "started as root, but {} belongs to the account with the number {owner}, which could replace SYNC_BASE ({}): give SYNC_BASE to the account that is to run the server (chown), set `run_as` in the configuration file to that account, or pass --allow-root",
        part.display(),
        base.display()
    )]
    Exposed {
        /// The folder.
        base: PathBuf,
        /// The part of the path that root does not own.
        part: PathBuf,
        /// Its owner.
        owner: u32,
    },
    /// The account cannot enter the folder.
    #[error(
        "started as root, but the account {account} cannot enter {}, and so cannot reach SYNC_BASE ({}): set SYNC_BASE to another folder, such as /var/lib/anki-syncd, or pass --allow-root",
        part.display(),
        base.display()
    )]
    Closed {
        /// The folder.
        base: PathBuf,
        /// The part of the path that is closed.
        part: PathBuf,
        /// The account.
        account: String,
    },
    /// The system refused.
    #[error(
        "cannot give up root's rights: {0}. Start the server as an ordinary user, or pass --allow-root"
    )]
    System(#[from] Errno),
    /// The system reported success, but the rights are still there.
    #[error(
        "the server still has root's rights after giving them up: set `run_as` to an account other than root"
    )]
    Kept,
    /// The folder or the process cannot be examined.
    #[error("cannot give up root's rights: {0}")]
    Io(#[from] io::Error),
}

impl Account {
    fn listed(user: User, choice: Choice) -> Self {
        Self {
            name: user.name,
            uid: user.uid,
            gid: user.gid,
            has_groups: choice != Choice::Owner,
            choice,
        }
    }

    fn unlisted(uid: u32, gid: u32, choice: Choice) -> Self {
        Self {
            name: uid.to_string(),
            uid: Uid::from_raw(uid),
            gid: Gid::from_raw(gid),
            has_groups: false,
            choice,
        }
    }

    /// The log line about the choice.
    pub fn describe(&self, base: &Path) -> String {
        let (name, base) = (&self.name, base.display());
        match self.choice {
            Choice::Named => format!("running as {name}"),
            Choice::Owner => {
                format!("started as root: running as {name}, the owner of SYNC_BASE ({base})")
            }
            Choice::Default => format!(
                "started as root: running as {name}, with the data in {base}. To run as another account, set `run_as` in the configuration file"
            ),
        }
    }
}

/// The account to switch to, if started as root. Nothing is changed yet.
pub fn choose(
    run_as: Option<&str>,
    allow_root: bool,
    base: &Path,
) -> Result<Option<Account>, PrivilegeError> {
    match run_as {
        _ if !Uid::effective().is_root() => Ok(None),
        Some(name) => match User::from_name(name)? {
            Some(user) => Ok(Some(Account::listed(user, Choice::Named))),
            None => Err(PrivilegeError::Unknown(name.to_owned())),
        },
        None if allow_root => Ok(None),
        None => unnamed(base).map(Some),
    }
}

fn unnamed(base: &Path) -> Result<Account, PrivilegeError> {
    let base = std::path::absolute(base)?;
    let nearest = nearest(&base)?;
    let found = fs::metadata(nearest).map_err(|source| failed(nearest, &source))?;
    if found.uid() == ROOT {
        let account = default()?;
        check_way(&base, nearest, &account, MOST_LINKS)?;
        Ok(account)
    } else {
        owner(found.uid(), found.gid())
    }
}

/// The folder, or the nearest existing one above it.
fn nearest(base: &Path) -> Result<&Path, PrivilegeError> {
    for folder in base.ancestors() {
        match fs::symlink_metadata(folder) {
            Ok(_) => return Ok(folder),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(failed(folder, &source).into()),
        }
    }
    Ok(base)
}

fn default() -> Result<Account, PrivilegeError> {
    for name in [OWN, NOBODY] {
        if let Some(user) = User::from_name(name)?.filter(|user| !user.uid.is_root()) {
            return Ok(Account::listed(user, Choice::Default));
        }
    }
    Ok(Account::unlisted(NOBODYS_ID, NOBODYS_ID, Choice::Default))
}

/// In a container, the owner of a folder from outside usually has no entry. Root's group is given
/// up like root itself.
fn owner(uid: u32, gid: u32) -> Result<Account, PrivilegeError> {
    let listed = User::from_uid(Uid::from_raw(uid))?;
    let group = if gid == ROOT { uid } else { gid };
    Ok(listed.map_or_else(
        || Account::unlisted(uid, group, Choice::Owner),
        |user| Account::listed(user, Choice::Owner),
    ))
}

/// Root must own every part of the path, including the targets of links: otherwise another account
/// could replace the folder while it is given away. And the account must be able to enter it.
fn check_way(base: &Path, way: &Path, account: &Account, links: u32) -> Result<(), PrivilegeError> {
    for part in way.ancestors() {
        let found = fs::symlink_metadata(part).map_err(|source| failed(part, &source))?;
        if found.uid() != ROOT {
            return Err(PrivilegeError::Exposed {
                base: base.to_owned(),
                part: part.to_owned(),
                owner: found.uid(),
            });
        }
        if found.is_symlink() {
            let links = links
                .checked_sub(1)
                .ok_or_else(|| failed(part, &io::Error::from(Errno::ELOOP)))?;
            let target = fs::read_link(part).map_err(|source| failed(part, &source))?;
            let folder = part.parent().unwrap_or(part);
            check_way(base, &folder.join(target), account, links)?;
        } else if part != base && !lets_through(&found, account) {
            return Err(PrivilegeError::Closed {
                base: base.to_owned(),
                part: part.to_owned(),
                account: account.name.clone(),
            });
        }
    }
    Ok(())
}

/// For a folder that root owns.
fn lets_through(folder: &fs::Metadata, account: &Account) -> bool {
    let bit = if folder.gid() == account.gid.as_raw() {
        0o010
    } else {
        0o001
    };
    folder.mode() & bit != 0
}

fn failed(path: &Path, source: &io::Error) -> io::Error {
    io::Error::new(source.kind(), format!("{}: {source}", path.display()))
}
