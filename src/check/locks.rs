//! Who has a database open, without taking a lock oneself.

use std::{fs, path::Path};

use nix::{
    fcntl::{FcntlArg, fcntl},
    libc::{self, off_t},
};
use procfs::process::Process;

use super::database::open_plain;
use crate::sqlite::{WAL_INDEX, beside};

/// Where `SQLite` puts its locks: in the main file, and in the `-shm` of one with a log.
const IN_FILE: (off_t, off_t) = (0x4000_0000, 512);
const IN_SHM: (off_t, off_t) = (120, 9);

/// A process that has a lock on the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its number; 0 for one that cannot be seen from the container that this runs in.
    pub pid: u32,
    /// Its number in the container that it runs in itself.
    pub inner_pid: u32,
    pub name: String,
}

impl Holder {
    /// Whether it is the server that says it has this number where it runs.
    pub fn may_be(&self, server: u32) -> bool {
        [0, server].contains(&self.pid) || self.inner_pid == server
    }

    /// Whether it does nothing until somebody lets it go on.
    pub fn is_stopped(&self) -> bool {
        let process = i32::try_from(self.pid).ok().map(Process::new);
        let stat = process.and_then(|process| process.ok()?.stat().ok());
        stat.is_some_and(|stat| stat.state == 'T')
    }
}

/// A process that has the database locked, if there is one.
pub fn holder(path: &Path) -> Option<Holder> {
    let places = [
        (path.to_owned(), IN_FILE),
        (beside(path, WAL_INDEX), IN_SHM),
    ];
    let pid = places
        .iter()
        .find_map(|(path, (start, length))| locked_by(path, *start, *length))?;
    let pid = u32::try_from(pid).unwrap_or_default();
    let about = |what| fs::read_to_string(format!("/proc/{pid}/{what}")).unwrap_or_default();
    let (name, status) = (about("comm"), about("status"));
    let pids = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
    let innermost = pids.and_then(|pids| pids.split_whitespace().last()?.parse().ok());
    Some(Holder {
        pid,
        inner_pid: innermost.unwrap_or(pid),
        name: name.trim().to_owned(),
    })
}

fn locked_by(path: &Path, start: off_t, length: off_t) -> Option<i32> {
    let file = open_plain(path).ok()?;
    let mut lock = libc::flock {
        l_type: i16::try_from(libc::F_WRLCK).ok()?,
        l_whence: i16::try_from(libc::SEEK_SET).ok()?,
        l_start: start,
        l_len: length,
        l_pid: 0,
    };
    fcntl(&file, FcntlArg::F_GETLK(&mut lock)).ok()?;
    (i32::from(lock.l_type) != libc::F_UNLCK).then_some(lock.l_pid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_nobody_else_has_open_has_no_holder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        assert_eq!(holder(&path), None);
        fs::write(&path, "x").unwrap();
        assert_eq!(holder(&path), None);
    }
}
