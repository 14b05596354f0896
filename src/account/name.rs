//! Names of users.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::spelling;

/// A user's name, which is also the name of that user's folder in `SYNC_BASE`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct UserName(String);

/// Why a user cannot have this name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Refused, since the reference server puts such a user's files into `SYNC_BASE` itself.
    #[error("the user name is empty")]
    Empty,
    /// Would reach outside the user's folder.
    #[error(
        "a user name must not contain `/`, `..` or control characters: it is the name of the user's folder"
    )]
    Unsafe,
    /// Would collide with the server's own folder.
    #[error("a user name must not begin with a dot: such folders belong to the server itself")]
    Hidden,
    /// Clients trim what is typed, so this user could not log in.
    #[error("the user name begins or ends with a space, which Anki removes when it logs in")]
    Blank,
    /// Longer than file systems allow.
    #[error("the user name is longer than 255 bytes")]
    Long,
}

impl UserName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The form that all spellings of the name share: other upper and lower case, and other bytes
    /// for the same characters.
    pub fn caseless(&self) -> String {
        spelling::caseless(&self.0)
    }
}

impl FromStr for UserName {
    type Err = NameError;

    fn from_str(name: &str) -> Result<Self, NameError> {
        if name.is_empty() {
            Err(NameError::Empty)
        } else if name.contains(['/', '\0'])
            || name.contains("..")
            || name.contains(char::is_control)
        {
            Err(NameError::Unsafe)
        } else if name.starts_with('.') {
            Err(NameError::Hidden)
        } else if name.trim() != name {
            Err(NameError::Blank)
        } else if name.len() > 255 {
            Err(NameError::Long)
        } else {
            Ok(Self(name.to_owned()))
        }
    }
}

impl TryFrom<String> for UserName {
    type Error = NameError;

    fn try_from(name: String) -> Result<Self, NameError> {
        name.parse()
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_leave_the_users_folder_are_refused() {
        for (name, error) in [
            ("", NameError::Empty),
            ("../evil", NameError::Unsafe),
            ("a/b", NameError::Unsafe),
            ("a\0b", NameError::Unsafe),
            ("..", NameError::Unsafe),
            ("a\nb", NameError::Unsafe),
            (".anki-syncd", NameError::Hidden),
            (" a", NameError::Blank),
        ] {
            assert_eq!(name.parse::<UserName>(), Err(error), "{name:?}");
        }
        assert_eq!("x".repeat(256).parse::<UserName>(), Err(NameError::Long));
    }

    #[test]
    fn names_that_people_use_are_kept() {
        for name in ["alice", "alice@example.org", "Ælfgifu", "a b", "日本"] {
            assert_eq!(name.parse::<UserName>().unwrap().as_str(), name);
        }
    }
}
