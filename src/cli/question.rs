//! Questions at the terminal.

use std::io::{self, IsTerminal, Write};

use super::context::CommandError;

/// Asks a question and returns what was typed.
///
/// Fails with this hint when standard input is not a terminal.
pub fn ask(question: &str, mut to: impl Write, hint: &str) -> Result<String, CommandError> {
    if !io::stdin().is_terminal() {
        return Err(CommandError::Refused(hint.to_owned()));
    }
    write!(to, "{question}")?;
    to.flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(answer.trim().to_owned())
}

/// Asks for a yes; anything else counts as a no.
pub fn agreed(question: &str, to: impl Write, hint: &str) -> Result<bool, CommandError> {
    let answer = ask(&format!("{question} [y/N] "), to, hint)?;
    Ok(["y", "yes"].contains(&answer.to_lowercase().as_str()))
}
