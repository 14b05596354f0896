//! Why a login was probably refused. Only the log says so, since it would help an attacker who
//! guesses passwords.

use std::fmt;

use super::{name::UserName, password::Credential};

/// What is probably wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hint {
    /// No user has this name in any spelling.
    NoUser,
    /// The name is spelled with other upper and lower case, and fits several users.
    Case,
    /// Phones add a blank after a word that they complete.
    Blank,
    /// The stored password begins or ends with a blank, probably by mistake.
    StoredBlank,
    /// Only the password is wrong.
    Password,
}

impl Hint {
    /// Looks at all users, so that the time does not depend on the name.
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
