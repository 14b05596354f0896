//! Compares two lists of users without showing any user.

use std::{collections::HashMap, hash::BuildHasher};

use sha2::{Digest, Sha256};

use super::{Accounts, name::UserName, password::Credential};

/// A digest of users and passwords. It shows only whether two lists are the same.
pub fn digest<S: BuildHasher>(users: &HashMap<UserName, Credential, S>, salt: &str) -> String {
    let mut sorted: Vec<_> = users.iter().collect();
    sorted.sort_by(|one, other| one.0.cmp(other.0));
    let mut digest = Sha256::new();
    let mut add = |part: &[u8]| {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    };
    add(salt.as_bytes());
    for (name, credential) in sorted {
        add(name.as_str().as_bytes());
        add(credential.fingerprint_input());
    }
    hex::encode(digest.finalize())
}

impl Accounts {
    /// Whether the users that can log in now have this digest.
    pub fn are_those_of(&self, salt: &str, of: &str) -> bool {
        digest(&self.table().users.able, salt) == of
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users(pairs: &[(&str, &str)]) -> HashMap<UserName, Credential> {
        pairs
            .iter()
            .map(|(name, password)| (name.parse().unwrap(), Credential::plain(password).unwrap()))
            .collect()
    }

    #[test]
    fn the_same_users_have_the_same_digest_and_others_another() {
        let one = digest(&users(&[("a", "x"), ("b", "y")]), "salt");
        assert_eq!(digest(&users(&[("b", "y"), ("a", "x")]), "salt"), one);
        for other in [
            digest(&users(&[("a", "x"), ("b", "y")]), "other"),
            digest(&users(&[("a", "y"), ("b", "x")]), "salt"),
            digest(&users(&[("a", "x")]), "salt"),
            digest(&users(&[("ax", "b"), ("b", "y")]), "salt"),
        ] {
            assert_ne!(other, one);
        }
    }
}
