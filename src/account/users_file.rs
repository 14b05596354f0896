//! The users file: one `name:password` or `name:hash` a line; lines that begin with `#`
//! are comments.
//!
//! Its text is edited rather than written anew, so that comments, order and blank lines
//! stay as they were.

use std::{
    collections::HashSet,
    fmt,
    fs::{self, File, Metadata, TryLockError},
    io,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    thread::sleep,
    time::{Duration, Instant},
};

use super::{
    name::UserName,
    password::{Credential, CredentialError},
};
use crate::durable::Replacement;

/// With another command that edits the same file.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(50);

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
    #[error("a user name in a users file must not contain a colon, nor begin with # or a quote: {0}")]
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

/// Why a users file cannot be edited.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It, or its folder, cannot be read, locked or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another command has had it for long.
    #[error("{} is being edited by another command, such as one that asks for a password; finish that first", path.display())]
    Held {
        /// The file.
        path: PathBuf,
    },
    /// It has errors already.
    #[error("{}", listed(path, mistakes))]
    Mistakes {
        /// The file.
        path: PathBuf,
        /// Its errors.
        mistakes: Vec<Mistake>,
    },
}

fn listed(path: &Path, mistakes: &[Mistake]) -> String {
    let line = |mistake| format!("{}, {mistake}", path.display());
    let lines: Vec<_> = mistakes.iter().map(line).collect();
    lines.join("\n") + "\nnothing has been changed; correct that first"
}

/// A users file that nobody else edits meanwhile.
#[derive(Debug)]
pub struct UsersFile {
    /// What is to be in it.
    pub document: Document,
    path: PathBuf,
    _lock: File,
}

impl UsersFile {
    /// Waits until nobody else edits it, and reads it; one that is not there is empty.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn open(path: &Path) -> Result<Self, FileError> {
        let failed = |source| FileError::Io {
            path: path.to_owned(),
            source,
        };
        // Of the file that a link points to, since that is replaced.
        let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let lock = lock(&target)
            .map_err(failed)?
            .ok_or_else(|| FileError::Held {
                path: path.to_owned(),
            })?;
        let text = io::read_to_string(&lock).map_err(failed)?;
        let document = Document::parse(&text).map_err(|mistakes| FileError::Mistakes {
            path: path.to_owned(),
            mistakes,
        })?;
        Ok(Self {
            document,
            path: target,
            _lock: lock,
        })
    }

    /// Writes what is to be in it beside it; only committing that takes effect.
    ///
    /// # Errors
    /// [`FileError::Io`].
    pub fn prepare(&self) -> Result<Replacement, FileError> {
        let text = self.document.to_string();
        Replacement::prepare(&self.path, text.as_bytes()).map_err(|source| FileError::Io {
            path: self.path.clone(),
            source,
        })
    }
}

/// The file itself is locked, which nobody can do who may not read the passwords; made empty
/// if it is not there. None when somebody else has it for too long.
fn lock(path: &Path) -> io::Result<Option<File>> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let file = File::options()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path)?;
        match file.try_lock() {
            Ok(()) if is_still(path, &file)? => return Ok(Some(file)),
            // Whoever had it has put another in its place.
            Ok(()) => {}
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => sleep(PAUSE),
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

fn is_still(path: &Path, file: &File) -> io::Result<bool> {
    let identity = |metadata: Metadata| (metadata.dev(), metadata.ino());
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        found => Ok(identity(found?) == identity(file.metadata()?)),
    }
}

#[cfg(test)]
mod tests;
