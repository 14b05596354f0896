//! The users file: one `name:password` or `name:hash` a line; lines that begin with `#`
//! are comments.
//!
//! Changes edit the text, so that comments, order and blank lines stay as they were.

mod file;

use std::{fmt, fs, io, path::Path};

use super::{
    name::UserName,
    password::{Credential, CredentialError},
};

pub use file::{FileError, UsersFile};

/// Characters that a name probably is not meant to begin with.
const QUOTES: [char; 2] = ['"', '\''];

/// Replaces bytes that are not UTF-8 when a file is read.
const NOT_UTF_8: char = char::REPLACEMENT_CHARACTER;
const SAVE_AS_UTF_8: &str = "contains characters that are not UTF-8: save the file as UTF-8";

/// How the text after the name is parsed.
pub type ReadPassword = fn(&str) -> Result<Credential, CredentialError>;

/// An entry that has a mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// The user; none if the name cannot be read.
    pub user: Option<UserName>,
    /// The mistake, without any password.
    pub what: String,
}

impl Wrong {
    /// An entry in which no name can be read.
    pub fn nameless(what: impl Into<String>) -> Self {
        Self {
            user: None,
            what: what.into(),
        }
    }
}

/// Reads `name:password`; a password may have colons.
pub fn entry(text: &str, read: ReadPassword) -> Result<(UserName, Credential), Wrong> {
    let Some((name, password)) = text.split_once(':') else {
        return Err(Wrong::nameless("has no colon: write name:password"));
    };
    if name.starts_with(QUOTES) {
        return Err(Wrong::nameless(
            "the user name begins with a quotation mark, which would be part of the name: remove the quotation marks",
        ));
    }
    if name.contains(NOT_UTF_8) {
        return Err(Wrong::nameless(SAVE_AS_UTF_8));
    }
    let credential = if password.contains(NOT_UTF_8) {
        Err(SAVE_AS_UTF_8.to_owned())
    } else {
        read(password).map_err(|error| error.to_string())
    };
    match (name.parse::<UserName>(), credential) {
        (Ok(name), Ok(credential)) => Ok((name, credential)),
        (Ok(name), Err(what)) => Err(Wrong {
            user: Some(name),
            what,
        }),
        (Err(name), Ok(_)) => Err(Wrong::nameless(name.to_string())),
        (Err(name), Err(what)) => Err(Wrong::nameless(format!("{name}; {what}"))),
    }
}

/// The entries of a users file, with their line numbers.
pub fn entries(text: &str) -> impl Iterator<Item = (usize, Result<(UserName, Credential), Wrong>)> {
    (1..)
        .zip(text.lines())
        .filter(|(_, line)| is_entry(line))
        .map(|(number, line)| (number, entry(line, Credential::plain_or_hashed)))
}

fn is_entry(line: &str) -> bool {
    !line.trim().is_empty() && !line.starts_with('#')
}

/// Reads a users file. Lines in another encoding cannot be used; all others can.
pub fn read(path: &Path) -> io::Result<String> {
    let bytes = fs::read(path)?;
    Ok(String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

/// Why a change cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// The name is in use already.
    #[error("the user {0} exists already")]
    Exists(UserName),
    /// There is no such user.
    #[error("there is no user {0}")]
    Unknown(UserName),
    /// The format of the file does not allow this name.
    #[error(
        "a user name in a users file must not contain a colon, nor begin with # or a quotation mark: {0}"
    )]
    Name(UserName),
    /// The line has a mistake. It can only get a new password or be removed.
    #[error(
        "the line of {0} has a mistake; `anki-syncd user passwd {0}` corrects it with a new password"
    )]
    Wrong(UserName),
    /// The operator has to decide which of the lines counts.
    #[error(
        "{0} is listed more than once: edit the file and remove all of these lines but one first"
    )]
    Twice(UserName),
}

/// The bytes of a users file, line by line. Lines with mistakes stay as they are.
#[derive(Debug, Clone, Default)]
pub struct Document(Vec<Line>);

#[derive(Clone)]
struct Line {
    /// The line with its line end.
    bytes: Vec<u8>,
    user: Option<UserName>,
    is_usable: bool,
}

impl Document {
    /// Reads the bytes of a file.
    pub fn parse(bytes: &[u8]) -> Self {
        let lines = bytes.split_inclusive(|byte| *byte == b'\n');
        Self(lines.map(Line::parse).collect())
    }

    /// The whole text.
    pub fn bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|line| line.bytes.clone()).collect()
    }

    /// Whether there is such a user.
    pub fn contains(&self, name: &UserName) -> bool {
        self.0.iter().any(|line| line.is_of(name))
    }

    /// Adds a user at the end.
    pub fn add(&mut self, name: &UserName, hash: &str) -> Result<(), EditError> {
        self.check_new(name)?;
        if let Some(last) = self.0.last_mut()
            && !last.bytes.ends_with(b"\n")
        {
            last.bytes.push(b'\n');
        }
        self.0.push(Line::new(name, hash.as_bytes(), b"\n"));
        Ok(())
    }

    /// Gives a user another password.
    pub fn change_password(&mut self, name: &UserName, hash: &str) -> Result<(), EditError> {
        let line = self.line(name)?;
        *line = Line::new(name, hash.as_bytes(), line.ending());
        Ok(())
    }

    /// Takes a user out.
    pub fn remove(&mut self, name: &UserName) -> Result<(), EditError> {
        self.line(name)?;
        self.0.retain(|line| !line.is_of(name));
        Ok(())
    }

    /// Gives a user another name.
    pub fn rename(&mut self, from: &UserName, to: &UserName) -> Result<(), EditError> {
        if !self.line(from)?.is_usable {
            return Err(EditError::Wrong(from.clone()));
        }
        self.check_new(to)?;
        let line = self.line(from)?;
        *line = Line::new(to, line.password(), line.ending());
        Ok(())
    }

    fn check_new(&self, name: &UserName) -> Result<(), EditError> {
        let text = name.as_str();
        if text.contains(':') || text.starts_with('#') || text.starts_with(QUOTES) {
            Err(EditError::Name(name.clone()))
        } else if self.contains(name) {
            Err(EditError::Exists(name.clone()))
        } else {
            Ok(())
        }
    }

    fn line(&mut self, name: &UserName) -> Result<&mut Line, EditError> {
        let mut lines = self.0.iter_mut().filter(|line| line.is_of(name));
        match (lines.next(), lines.next()) {
            (Some(line), None) => Ok(line),
            (Some(_), Some(_)) => Err(EditError::Twice(name.clone())),
            (None, _) => Err(EditError::Unknown(name.clone())),
        }
    }
}

impl Line {
    fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let listed = text.lines().next().filter(|text| is_entry(text));
        let read = listed.map(|text| entry(text, Credential::plain_or_hashed));
        let is_usable = matches!(read, Some(Ok(_)));
        let user = read.and_then(|read| match read {
            Ok((user, _)) => Some(user),
            Err(wrong) => wrong.user,
        });
        Self {
            bytes: bytes.to_owned(),
            user,
            is_usable,
        }
    }

    fn new(name: &UserName, password: &[u8], ending: &[u8]) -> Self {
        Self {
            bytes: [name.as_str().as_bytes(), b":", password, ending].concat(),
            user: Some(name.clone()),
            is_usable: true,
        }
    }

    fn is_of(&self, name: &UserName) -> bool {
        self.user.as_ref() == Some(name)
    }

    fn content(&self) -> &[u8] {
        let is_ending = |byte: &u8| matches!(byte, b'\n' | b'\r');
        let length = self.bytes.iter().rposition(|byte| !is_ending(byte));
        &self.bytes[..length.map_or(0, |last| last + 1)]
    }

    fn ending(&self) -> &[u8] {
        &self.bytes[self.content().len()..]
    }

    fn password(&self) -> &[u8] {
        let mut parts = self.content().splitn(2, |byte| *byte == b':');
        parts.nth(1).unwrap_or_default()
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Line({:?})", self.user)
    }
}

#[cfg(test)]
mod tests;
