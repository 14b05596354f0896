//! Passwords from the keyboard or from standard input. They are never taken from arguments, which
//! every other process can read.

use std::io::{self, IsTerminal, Read};

use super::context::CommandError;
use crate::account::password::{LONGEST, hash};

/// Asks for a new password, twice at a terminal, and hashes it. Otherwise reads the only line of
/// standard input, without its line end.
///
/// Fails when the two differ, or the password cannot be used.
pub fn ask_new(question: &str) -> Result<String, CommandError> {
    let password = if io::stdin().is_terminal() {
        let first = rpassword::prompt_password(format!("{question}: "))?;
        if first != rpassword::prompt_password("Again: ")? {
            return refuse("the two passwords differ; nothing was changed");
        }
        first
    } else {
        only_line(io::stdin().lock())?
    };
    hash(&password).map_err(|error| CommandError::Refused(error.to_string()))
}

/// Asks for a password that is in use, like [`ask_new`], but only once.
///
/// Fails when it cannot be read, or is longer than a line.
pub fn ask(question: &str) -> Result<String, CommandError> {
    if io::stdin().is_terminal() {
        Ok(rpassword::prompt_password(format!("{question}: "))?)
    } else {
        only_line(io::stdin().lock())
    }
}

fn only_line(input: impl Read) -> Result<String, CommandError> {
    let mut text = String::new();
    match input.take(LONGEST as u64 + 3).read_to_string(&mut text) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            return refuse("the password on standard input is not UTF-8");
        }
        Err(error) => return Err(error.into()),
    }
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.contains('\n') {
        return refuse(
            "standard input has more than one line; it has to contain only the password",
        );
    }
    Ok(line.to_owned())
}

fn refuse<T>(why: &str) -> Result<T, CommandError> {
    Err(CommandError::Refused(why.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_the_line_is_no_part_of_the_password() {
        for input in ["pa ss", "pa ss\n", "pa ss\r\n"] {
            assert_eq!(only_line(input.as_bytes()).unwrap(), "pa ss");
        }
        assert_eq!(
            only_line(&b"ends with blank \n"[..]).unwrap(),
            "ends with blank "
        );
    }

    #[test]
    fn more_than_one_line_is_refused() {
        assert!(only_line(&b"one\ntwo\n"[..]).is_err());
        assert!(only_line(&b"\xff\n"[..]).is_err());
    }
}
