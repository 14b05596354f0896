//! The files of a database, and the process that has it open, without taking a lock.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use nix::{
    fcntl::{FcntlArg, fcntl},
    libc::{self, off_t},
};
use procfs::process::Process;

use crate::sqlite::{WAL, WAL_INDEX, beside};

/// The journals, which contain changes that the main file lacks.
pub const JOURNALS: [&str; 2] = [WAL, "-journal"];

/// Start and length of `SQLite`'s locks: in the main file, and in the `-shm` file of a WAL.
const IN_FILE: (off_t, off_t) = (0x4000_0000, 512);
const IN_SHM: (off_t, off_t) = (120, 9);

/// Opens a plain file for reading. Reading a pipe or a device could block or never end.
pub fn open_plain(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let file = options.read(true).custom_flags(libc::O_NONBLOCK);
    let file = file.open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::other("is not a plain file"))
    }
}

/// A process that has a lock on the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// 0 if the process is outside the container of this command.
    pub pid: u32,
    /// The process's number in its own container.
    pub inner_pid: u32,
    pub name: String,
}

impl Holder {
    /// Whether it may be the server that reports this process number.
    pub fn may_be(&self, server: u32) -> bool {
        [0, server].contains(&self.pid) || self.inner_pid == server
    }

    /// Whether a signal has stopped it.
    pub fn is_stopped(&self) -> bool {
        let process = i32::try_from(self.pid).ok().map(Process::new);
        let stat = process.and_then(|process| process.ok()?.stat().ok());
        stat.is_some_and(|stat| stat.state == 'T')
    }
}

/// A process that has the database locked, if there is one.
pub fn holder(path: &Path) -> Option<Holder> {
    let shm = beside(path, WAL_INDEX);
    let pid = locked_by(path, IN_FILE).or_else(|| locked_by(&shm, IN_SHM))?;
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

fn locked_by(path: &Path, (start, length): (off_t, off_t)) -> Option<i32> {
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
