//! The users of the settings, and the entries that have a mistake.
//!
//! A mistake in an entry shuts out that entry's user only. The user still counts as one: the data
//! stay, renames wait, and the devices stay logged in until the entry is corrected.

use std::{collections::HashMap, fmt};

use super::{name::UserName, password::Credential};

/// An entry that has a mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The setting, or the file and line.
    pub place: String,
    /// The user; none if the name cannot be read.
    pub user: Option<UserName>,
    /// The mistake, without any password.
    pub what: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}

/// All users that are listed.
#[derive(Debug, Default, Clone)]
pub struct Users {
    /// Those who can log in.
    pub able: HashMap<UserName, Credential>,
    /// The entries that have a mistake.
    pub mistakes: Vec<Mistake>,
}

/// What the lists say about a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// A user who can log in.
    Able,
    /// A user whose entry has a mistake.
    KeptOut,
    /// Perhaps a user: some entry's name cannot be read.
    Unclear,
    /// Not a user.
    Stranger,
}

impl Standing {
    /// Whether this is certainly a user.
    pub fn is_listed(self) -> bool {
        matches!(self, Self::Able | Self::KeptOut)
    }
}

impl Users {
    /// The kind of a user's password, or `unusable`.
    pub fn kind(&self, user: &UserName) -> &str {
        self.able.get(user).map_or("unusable", Credential::kind)
    }

    /// What the lists say about a name.
    pub fn standing(&self, user: &UserName) -> Standing {
        let is_named = |mistake: &Mistake| mistake.user.as_ref() == Some(user);
        if self.able.contains_key(user) {
            Standing::Able
        } else if self.mistakes.iter().any(is_named) {
            Standing::KeptOut
        } else if self.mistakes.iter().any(|mistake| mistake.user.is_none()) {
            Standing::Unclear
        } else {
            Standing::Stranger
        }
    }

    /// All users whose name can be read.
    pub fn named(&self) -> impl Iterator<Item = &UserName> {
        let kept_out = self.mistakes.iter();
        let kept_out = kept_out.filter(|mistake| !self.is_superseded(mistake));
        let kept_out = kept_out.filter_map(|mistake| mistake.user.as_ref());
        self.able.keys().chain(kept_out)
    }

    /// How many entries have a mistake.
    pub fn kept_out(&self) -> usize {
        let mistakes = self.mistakes.iter();
        mistakes
            .filter(|mistake| !self.is_superseded(mistake))
            .count()
    }

    /// The mistakes, each with its consequence.
    pub fn warnings(&self) -> impl Iterator<Item = String> {
        self.mistakes.iter().map(|mistake| match &mistake.user {
            Some(user) if self.is_superseded(mistake) => {
                format!("{mistake}. This entry is ignored; {user} can log in with another one")
            }
            Some(user) => format!("{mistake}. {user} cannot sync until this is corrected"),
            None => {
                format!("{mistake}. The user of this entry cannot sync until this is corrected")
            }
        })
    }

    fn is_superseded(&self, mistake: &Mistake) -> bool {
        let user = mistake.user.as_ref();
        user.is_some_and(|user| self.able.contains_key(user))
    }
}

impl From<HashMap<UserName, Credential>> for Users {
    fn from(able: HashMap<UserName, Credential>) -> Self {
        Self {
            able,
            mistakes: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> UserName {
        name.parse().unwrap()
    }

    fn mistake(user: Option<&str>) -> Mistake {
        Mistake {
            place: "users, line 3".into(),
            user: user.map(name),
            what: "is wrong".into(),
        }
    }

    fn users(mistakes: &[Mistake]) -> Users {
        Users {
            able: [(name("anna"), Credential::plain("a").unwrap())].into(),
            mistakes: mistakes.to_vec(),
        }
    }

    #[test]
    fn a_mistake_keeps_out_its_own_user_only() {
        let users = users(&[mistake(Some("ben"))]);
        assert_eq!(users.standing(&name("anna")), Standing::Able);
        assert_eq!(users.standing(&name("ben")), Standing::KeptOut);
        assert_eq!(users.standing(&name("cleo")), Standing::Stranger);
        assert_eq!(users.kept_out(), 1);
    }

    #[test]
    fn an_entry_without_a_readable_name_may_be_anybodys_who_is_not_listed() {
        let users = users(&[mistake(None)]);
        assert_eq!(users.standing(&name("anna")), Standing::Able);
        assert_eq!(users.standing(&name("ben")), Standing::Unclear);
        assert_eq!(users.kept_out(), 1);
    }

    #[test]
    fn who_has_a_good_entry_too_is_not_kept_out() {
        let users = users(&[mistake(Some("anna"))]);
        assert_eq!(users.standing(&name("anna")), Standing::Able);
        assert_eq!(users.kept_out(), 0);
        let warning = users.warnings().next().unwrap();
        assert!(warning.contains("users, line 3") && warning.contains("another one"));
    }
}
