//! `anki-syncd hash-password`.

use std::io::{self, Write};

use super::{context::CommandError, password};

pub fn run() -> Result<(), CommandError> {
    let hash = password::ask_new("Password")?;
    writeln!(io::stdout(), "{hash}")?;
    Ok(())
}
