//! Root's rights, which the daemon gives up for good before it serves anybody.

use std::{ffi::CString, fs, io, path::PathBuf};

use nix::{
    errno::Errno,
    sys::prctl,
    unistd::{Uid, getresgid, getresuid, initgroups, setgroups, setresgid, setresuid, setuid},
};

use super::account::Account;

/// Why the rights cannot be given up.
#[derive(Debug, thiserror::Error)]
pub enum PrivilegeError {
    /// No such account.
    #[error("run_as: there is no account {0:?} on this machine")]
    Unknown(String),
    /// Root would give away a folder that somebody else can exchange.
    #[error(
        "started as root, but {} belongs to the account with the number {owner}, which could replace SYNC_BASE ({}): give SYNC_BASE to the account that is to run the server (chown), set `run_as` in the configuration file to that account, or pass --allow-root",
        part.display(),
        base.display()
    )]
    Exposed {
        /// The folder.
        base: PathBuf,
        /// What is not root's on the way to it.
        part: PathBuf,
        /// Whose it is.
        owner: u32,
    },
    /// The account cannot get there.
    #[error(
        "started as root, but the account {account} cannot enter {}, and so cannot reach SYNC_BASE ({}): set SYNC_BASE to another folder, such as /var/lib/anki-syncd, or pass --allow-root",
        part.display(),
        base.display()
    )]
    Closed {
        /// The folder.
        base: PathBuf,
        /// What is closed on the way to it.
        part: PathBuf,
        /// To whom.
        account: String,
    },
    /// The system refuses.
    #[error(
        "cannot give up root's rights: {0}. Start the server as an ordinary user, or pass --allow-root"
    )]
    System(#[from] Errno),
    /// The system says that it did it, but did not.
    #[error(
        "the server still has root's rights after giving them up: set `run_as` to an account other than root"
    )]
    Kept,
    /// The folder, or the process, cannot be looked at.
    #[error("cannot give up root's rights: {0}")]
    Io(#[from] io::Error),
}

/// Becomes that account: groups, group, user, and with them all capabilities. To be called
/// before there are threads.
/// Fails also when anything is left of root's rights.
pub fn drop_to(account: &Account) -> Result<(), PrivilegeError> {
    let (uid, gid) = (account.uid, account.gid);
    if account.has_groups {
        let name = CString::new(account.name.clone()).map_err(io::Error::other)?;
        initgroups(&name, gid)?;
    } else {
        setgroups(&[gid])?;
    }
    setresgid(gid, gid, gid)?;
    setresuid(uid, uid, uid)?;
    prctl::set_no_new_privs()?;
    let (uids, gids) = (getresuid()?, getresgid()?);
    let all_dropped = [uids.real, uids.effective, uids.saved]
        .iter()
        .all(|found| *found == uid)
        && [gids.real, gids.effective, gids.saved]
            .iter()
            .all(|found| *found == gid);
    if !all_dropped || setuid(Uid::from_raw(0)).is_ok() || !has_no_capability()? {
        return Err(PrivilegeError::Kept);
    }
    Ok(())
}

fn has_no_capability() -> io::Result<bool> {
    let status = fs::read_to_string("/proc/self/status")?;
    let mut sets = status.lines().filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        ["CapInh", "CapPrm", "CapEff", "CapAmb"]
            .contains(&name)
            .then_some(value.trim())
    });
    Ok(sets.all(|set| set.bytes().all(|digit| digit == b'0')))
}
