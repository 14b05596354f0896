//! The users, and which user a typed name means.

use std::{collections::HashMap, sync::Arc};

use super::{
    name::UserName,
    users::{Standing, Users},
};

/// The users. The table is replaced as a whole.
pub(super) struct Table {
    pub(super) users: Users,
    /// In a fixed order, for [`Secret::pick`](super::Secret::pick).
    pub(super) order: Vec<UserName>,
    /// By their caseless forms; none where several names share one form.
    caseless: HashMap<String, Option<UserName>>,
}

impl Table {
    pub(super) fn new(users: Users) -> Arc<Self> {
        let mut order: Vec<_> = users.able.keys().cloned().collect();
        order.sort();
        let kept_out = users
            .mistakes
            .iter()
            .filter_map(|wrong| wrong.user.as_ref());
        let mut caseless: HashMap<String, Option<UserName>> = HashMap::new();
        for user in order.iter().chain(kept_out) {
            caseless
                .entry(user.caseless())
                .and_modify(|other| *other = other.take().filter(|other| other == user))
                .or_insert_with(|| Some(user.clone()));
        }
        Arc::new(Self {
            users,
            order,
            caseless,
        })
    }

    /// The user that a typed name means: the user of exactly that name, or else the only one whose
    /// name differs in upper and lower case only, since phones capitalise.
    pub(super) fn meant_by(&self, typed: &UserName) -> Option<&UserName> {
        let listed = match self.users.standing(typed) {
            Standing::Able => Some(typed),
            Standing::KeptOut => None,
            _ => self.caseless.get(&typed.caseless())?.as_ref(),
        };
        let (user, _) = self.users.able.get_key_value(listed?)?;
        Some(user)
    }
}
