//! Gives up root's rights for good, before any client is served.

use std::{ffi::CString, fs, io};

use nix::{
    sys::prctl,
    unistd::{Uid, getresgid, getresuid, initgroups, setgroups, setresgid, setresuid, setuid},
};

use super::account::{Account, PrivilegeError};

/// Switches to the account: groups, group, user, and with them all capabilities. Call this before
/// there are threads. Fails also if any of root's rights are left.
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
