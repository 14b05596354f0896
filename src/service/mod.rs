//! Everything that knows the process: its log, signals and exit status.

pub mod exit;
pub mod log;
pub mod signals;
