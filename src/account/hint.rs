//! Why a login may have been refused: for the log alone, since whoever guesses would like to
//! know as well.

use std::fmt;

use super::{name::UserName, password::Credential};

/// What is probably wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hint {
    /// The name, of which nobody has another spelling.
    NoUser,
    /// Upper and lower case: several names differ from this one in nothing else.
    Case,
    /// Telephones add a blank to a word that they complete.
    Blank,
    /// The list of users has more than was meant.
    StoredBlank,
    /// Nothing but the password.
    Password,
}

impl Hint {
    /// Looks at all users, whoever it is, so that it takes the same time for every name.
    pub fn of<'a>(
        name: &UserName,
        password: &str,
        users: impl Iterator<Item = &'a UserName>,
        stored: Option<&Credential>,
    ) -> Self {
        let caseless = name.caseless();
        let alike = users.filter(|user| user.caseless() == caseless);
        match (stored, alike.count()) {
            (None, 1..) => Self::Case,
            (None, 0) => Self::NoUser,
            _ if password.trim() != password => Self::Blank,
            (Some(stored), _) if stored.has_blank_at_an_end() => Self::StoredBlank,
            _ => Self::Password,
        }
    }
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoUser => f.write_str("there is no such user"),
            Self::Case => f.write_str(
                "there is no such user, but several users whose names differ from it only in upper and lower case",
            ),
            Self::Blank => {
                f.write_str("the password was typed with a space at its beginning or end")
            }
            Self::StoredBlank => f.write_str(
                "the list of users has a space at the beginning or end of this user's password",
            ),
            Self::Password => f.write_str("the password is wrong"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_probably_wrong_is_found() {
        let users = [("you", "secret"), ("ben", "secret ")].map(|(name, password)| {
            let name: UserName = name.parse().unwrap();
            (name, Credential::plain(password).unwrap())
        });
        for (name, password, expected) in [
            ("yuo", "secret", Hint::NoUser),
            ("You", "secret", Hint::Case),
            ("you", "secret ", Hint::Blank),
            ("you", "secert", Hint::Password),
            ("ben", "secret", Hint::StoredBlank),
        ] {
            let name = name.parse().unwrap();
            let stored = users.iter().find(|(user, _)| *user == name);
            let names = users.iter().map(|(user, _)| user);
            let hint = Hint::of(&name, password, names, stored.map(|(_, stored)| stored));
            assert_eq!(hint, expected, "{name}");
        }
    }
}
