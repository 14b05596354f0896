//! `anki-syncd hash-password`.

use std::io::{self, Write};

use super::{context::CommandError, password};

/// Asks for a password and prints its hash.
///
/// # Errors
/// [`CommandError`].
pub fn run() -> Result<(), CommandError> {
    let hash = password::ask_new("Password")?;
    writeln!(io::stdout(), "{hash}")?;
    Ok(())
}
