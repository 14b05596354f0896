//! What has changed in the list of users.

use std::fmt;

use super::{
    name::UserName,
    password::Credential,
    users::{Standing, Users},
};

/// One change, of one user.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum UserChange {
    /// A new user.
    Added(UserName),
    /// The same person under another name.
    Renamed {
        /// The former one.
        from: UserName,
        /// The present one.
        to: UserName,
    },
    /// The same name with another password.
    NewPassword(UserName),
    /// A user who cannot log in any more.
    Removed(UserName),
}

/// Data that moved to another name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// The name before.
    pub from: UserName,
    /// The name now.
    pub to: UserName,
}

/// All changes from one list to another, including possible renames. A user who is or was shut out
/// by a mistake in the list counts neither as new nor as removed.
pub(super) fn between(former: &Users, present: &Users, renamed: &[Moved]) -> Vec<UserChange> {
    let is_new = |user: &UserName| former.standing(user) == Standing::Stranger;
    let is_gone = |user: &UserName| present.standing(user) == Standing::Stranger;
    let (former, present) = (&former.able, &present.able);
    let mut changes = Vec::new();
    let (mut new, mut gone): (Vec<_>, Vec<_>) = (
        present.keys().filter(|user| is_new(user)).collect(),
        former.keys().filter(|user| is_gone(user)).collect(),
    );
    for Moved { from, to } in renamed {
        if new.contains(&to) && gone.contains(&from) {
            new.retain(|user| *user != to);
            gone.retain(|user| *user != from);
            let (from, to) = (from.clone(), to.clone());
            changes.push(UserChange::Renamed { from, to });
        }
    }
    let has_new_password = |(user, credential): &(&UserName, &Credential)| {
        let former = former.get(user);
        former.is_some_and(|former| !former.is_same(credential))
    };
    let with_password = present.iter().filter(has_new_password);
    changes.extend(new.into_iter().cloned().map(UserChange::Added));
    changes.extend(with_password.map(|(user, _)| UserChange::NewPassword(user.clone())));
    changes.extend(gone.into_iter().cloned().map(UserChange::Removed));
    changes.sort();
    changes
}

impl UserChange {
    /// The user, by the present name.
    pub fn user(&self) -> &UserName {
        match self {
            Self::Added(user)
            | Self::Renamed { to: user, .. }
            | Self::NewPassword(user)
            | Self::Removed(user) => user,
        }
    }
}

impl fmt::Display for UserChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Added(user) => write!(f, "user {user} added"),
            Self::Renamed { from, to } => write!(f, "user {from} renamed to {to}"),
            Self::NewPassword(user) => {
                write!(
                    f,
                    "user {user} has a new password: all of the user's devices have to log in again"
                )
            }
            Self::Removed(user) => write!(f, "user {user} removed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(users: &[(&str, &str)]) -> Users {
        let credential = |password: &str| Credential::plain(password).unwrap();
        let users = users.iter();
        let able = users.map(|(name, password)| (name.parse().unwrap(), credential(password)));
        Users {
            able: able.collect(),
            ..Users::default()
        }
    }

    #[test]
    fn each_change_is_named_once() {
        let (anna, ben, eve) = (("anna", "a"), ("ben", "b"), ("eve", "b"));
        let renamed = || {
            let (from, to) = ("ben".parse().unwrap(), "eve".parse().unwrap());
            vec![Moved { from, to }]
        };
        for (former, present, renamed, expected) in [
            (vec![anna], vec![anna], vec![], ""),
            (vec![anna], vec![anna, ben], vec![], "user ben added"),
            (
                vec![anna, ben],
                vec![("anna", "new")],
                vec![],
                "user anna has a new password: all of the user's devices have to log in again; user ben removed",
            ),
            (
                vec![ben],
                vec![eve],
                vec![],
                "user eve added; user ben removed",
            ),
            (vec![ben], vec![eve], renamed(), "user ben renamed to eve"),
            // The rename was some time ago.
            (vec![anna, eve], vec![eve], renamed(), "user anna removed"),
        ] {
            let changes = between(&list(&former), &list(&present), &renamed);
            let words: Vec<_> = changes.iter().map(ToString::to_string).collect();
            assert_eq!(words.join("; "), expected);
        }
    }
}
