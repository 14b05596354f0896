//! The exit statuses, as in `sysexits.h`.

/// The exit statuses of this program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// All is well.
    Ok = 0,
    /// A check found problems.
    Problems = 1,
    /// The command line is wrong.
    Usage = 64,
    /// The server does not answer, or its address is in use.
    Unavailable = 69,
    /// A file or folder cannot be created or written.
    CannotCreate = 73,
    /// A setting is wrong.
    Config = 78,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
