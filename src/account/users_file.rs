//! The users file: one `name:password` or `name:hash` a line; lines that begin with `#`
//! are comments.
//!
//! Its text is edited rather than written anew, so that comments, order and blank lines
//! stay as they were.

mod file;

use std::{collections::HashSet, fmt};

use super::{
    name::UserName,
    password::{Credential, CredentialError},
};

pub use file::{FileError, UsersFile};

/// With which no name can be meant to begin.
const QUOTES: [char; 2] = ['"', '\''];

/// How what follows the name is to be understood.
pub type ReadPassword = fn(&str) -> Result<Credential, CredentialError>;

/// Reads `name:password`; a password may have colons.
///
/// # Errors
/// What is wrong with name and password, as sentences without the password.
pub fn entry(text: &str, read: ReadPassword) -> Result<(UserName, Credential), Vec<String>> {
    let Some((name, password)) = text.split_once(':') else {
        return Err(vec!["has no colon: write name:password".to_owned()]);
    };
    if name.starts_with(QUOTES) {
        return Err(vec![
            "the user name begins with a quote, which is taken as part of it: remove the quotes"
                .to_owned(),
        ]);
    }
    match (name.parse(), read(password)) {
        (Ok(name), Ok(credential)) => Ok((name, credential)),
        (name, credential) => {
            let name = name.err().map(|error| error.to_string());
            let password = credential.err().map(|error| error.to_string());
            Err(name.into_iter().chain(password).collect())
        }
    }
}

/// What a users file lists, with the numbers of the lines.
pub fn entries(
    text: &str,
) -> impl Iterator<Item = (usize, Result<(UserName, Credential), Vec<String>>)> {
    (1..)
        .zip(text.lines())
        .filter(|(_, line)| is_entry(line))
        .map(|(number, line)| (number, entry(line, Credential::plain_or_hashed)))
}

fn is_entry(line: &str) -> bool {
    !line.trim().is_empty() && !line.starts_with('#')
}

/// A line that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Which, counted from 1.
    pub line: usize,
    /// What is wrong with it; never a password.
    pub what: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

/// Why a change cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// Each name may be used once.
    #[error("there is a user {0} already")]
    Exists(UserName),
    /// Nobody of that name.
    #[error("there is no user {0}")]
    Unknown(UserName),
    /// The file could not hold it.
    #[error(
        "a user name in a users file must not contain a colon, nor begin with # or a quote: {0}"
    )]
    Name(UserName),
}

/// The text of a users file, line by line.
#[derive(Debug, Clone, Default)]
pub struct Document(Vec<Line>);

#[derive(Clone)]
struct Line {
    /// With what ends it.
    text: String,
    user: Option<UserName>,
}

impl Document {
    /// Reads the text.
    ///
    /// # Errors
    /// Every line that is wrong: what cannot be read is not edited.
    pub fn parse(text: &str) -> Result<Self, Vec<Mistake>> {
        let mut document = Self::default();
        let mut mistakes = Vec::new();
        let mut names = HashSet::new();
        for (line, text) in (1..).zip(text.split_inclusive('\n')) {
            let mut add = |what| mistakes.push(Mistake { line, what });
            let mut user = None;
            match text.lines().next().filter(|text| is_entry(text)) {
                None => {}
                Some(text) => match entry(text, Credential::plain_or_hashed) {
                    Ok((name, _)) if !names.insert(name.clone()) => add(format!(
                        "there is a user {name} already: each name may be used once"
                    )),
                    Ok((name, _)) => user = Some(name),
                    Err(wrong) => wrong.into_iter().for_each(add),
                },
            }
            let text = text.to_owned();
            document.0.push(Line { text, user });
        }
        if mistakes.is_empty() {
            Ok(document)
        } else {
            Err(mistakes)
        }
    }

    /// Whether there is such a user.
    #[must_use]
    pub fn contains(&self, name: &UserName) -> bool {
        self.0.iter().any(|line| line.is_of(name))
    }

    /// Adds a user at the end.
    ///
    /// # Errors
    /// [`EditError`].
    pub fn add(&mut self, name: &UserName, hash: &str) -> Result<(), EditError> {
        self.check_new(name)?;
        if let Some(last) = self.0.last_mut()
            && !last.text.ends_with('\n')
        {
            last.text.push('\n');
        }
        self.0.push(Line::new(name, hash, "\n"));
        Ok(())
    }

    /// Gives a user another password.
    ///
    /// # Errors
    /// [`EditError::Unknown`].
    pub fn change_password(&mut self, name: &UserName, hash: &str) -> Result<(), EditError> {
        let line = self.line(name)?;
        *line = Line::new(name, hash, line.ending());
        Ok(())
    }

    /// Takes a user out.
    ///
    /// # Errors
    /// [`EditError::Unknown`].
    pub fn remove(&mut self, name: &UserName) -> Result<(), EditError> {
        self.line(name)?;
        self.0.retain(|line| !line.is_of(name));
        Ok(())
    }

    /// Gives a user another name.
    ///
    /// # Errors
    /// [`EditError`].
    pub fn rename(&mut self, from: &UserName, to: &UserName) -> Result<(), EditError> {
        self.line(from)?;
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
        self.0
            .iter_mut()
            .find(|line| line.is_of(name))
            .ok_or_else(|| EditError::Unknown(name.clone()))
    }
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|line| f.write_str(&line.text))
    }
}

impl Line {
    fn new(name: &UserName, password: &str, ending: &str) -> Self {
        Self {
            text: format!("{name}:{password}{ending}"),
            user: Some(name.clone()),
        }
    }

    fn is_of(&self, name: &UserName) -> bool {
        self.user.as_ref() == Some(name)
    }

    fn content(&self) -> &str {
        self.text.trim_end_matches(['\n', '\r'])
    }

    fn ending(&self) -> &str {
        &self.text[self.content().len()..]
    }

    fn password(&self) -> &str {
        let (_, password) = self.content().split_once(':').unwrap_or_default();
        password
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Line({:?})", self.user)
    }
}

#[cfg(test)]
mod tests;
