//! Root's rights, which the daemon gives up for good before it serves anybody.

use std::{ffi::CString, fs, io};

use nix::{
    errno::Errno,
    sys::prctl,
    unistd::{Uid, User, getresgid, getresuid, initgroups, setresgid, setresuid, setuid},
};

/// Why the rights cannot be given up.
#[derive(Debug, thiserror::Error)]
pub enum PrivilegeError {
    /// Nobody said what to run as.
    #[error(
        "started as root: set `run_as` in the configuration file to the account to run as, or pass --allow-root"
    )]
    Root,
    /// No such account.
    #[error("run_as: there is no account {0:?} on this machine")]
    Unknown(String),
    /// The system refuses.
    #[error("run_as: the rights of root cannot be given up: {0}")]
    System(#[from] Errno),
    /// The system says that it did it, but did not.
    #[error("run_as: the rights of root are still there after giving them up")]
    Kept,
    /// The folder cannot be handed over.
    #[error("run_as: {0}")]
    Io(#[from] io::Error),
}

/// The account to become, if started as root.
///
/// # Errors
/// [`PrivilegeError`].
pub fn account(run_as: Option<&str>, allow_root: bool) -> Result<Option<User>, PrivilegeError> {
    match run_as {
        _ if !Uid::effective().is_root() => Ok(None),
        Some(name) => match User::from_name(name)? {
            Some(user) => Ok(Some(user)),
            None => Err(PrivilegeError::Unknown(name.to_owned())),
        },
        None if allow_root => Ok(None),
        None => Err(PrivilegeError::Root),
    }
}

/// Becomes that account: groups, group, user, and with them all capabilities. To be called
/// before there are threads.
///
/// # Errors
/// [`PrivilegeError`], also when anything is left of root's rights.
pub fn drop_to(user: &User) -> Result<(), PrivilegeError> {
    let name = CString::new(user.name.clone()).map_err(io::Error::other)?;
    initgroups(&name, user.gid)?;
    setresgid(user.gid, user.gid, user.gid)?;
    setresuid(user.uid, user.uid, user.uid)?;
    prctl::set_no_new_privs()?;
    let (uids, gids) = (getresuid()?, getresgid()?);
    let all_dropped = [uids.real, uids.effective, uids.saved]
        .iter()
        .all(|uid| *uid == user.uid)
        && [gids.real, gids.effective, gids.saved]
            .iter()
            .all(|gid| *gid == user.gid);
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
