//! The files of a database.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use nix::libc::O_NONBLOCK;

use crate::sqlite::WAL;

/// What holds changes that are not in the main file yet.
pub const JOURNALS: [&str; 2] = [WAL, "-journal"];

/// Opens a file for reading, and nothing that has no end or makes its reader wait.
pub fn open_plain(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let file = options.read(true).custom_flags(O_NONBLOCK).open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::other("is not a plain file"))
    }
}
