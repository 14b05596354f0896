//! Objects of which only some keys are interpreted; the others are kept as text.
//!
//! `#[serde(flatten)]` would do the same, but holds the others as a tree meanwhile.

use std::fmt;

use serde::{
    Deserializer,
    de::{DeserializeOwned, Error, MapAccess, Visitor},
};

use super::{Malformed, Unknown};

/// All members of an object. A key of `known` must not be repeated; of another key, the last value
/// counts.
pub(super) fn members<'de, D: Deserializer<'de>>(
    deserializer: D,
    known: &'static [&'static str],
) -> Result<Unknown, D::Error> {
    struct Members(&'static [&'static str]);
    impl<'de> Visitor<'de> for Members {
        type Value = Unknown;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("a map")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Unknown, A::Error> {
            let mut members = Unknown::new();
            while let Some(key) = map.next_key::<String>()? {
                let known = self.0.iter().find(|known| **known == key);
                if let Some(known) = known.filter(|known| members.contains_key(**known)) {
                    return Err(A::Error::duplicate_field(known));
                }
                members.insert(key, map.next_value()?);
            }
            Ok(members)
        }
    }
    deserializer.deserialize_map(Members(known))
}

/// Takes the members with these keys, and returns them as an object's text.
pub(super) fn take(members: &mut Unknown, keys: &[&str]) -> serde_json::Result<String> {
    let known: Unknown = keys
        .iter()
        .filter_map(|key| members.remove_entry(*key))
        .collect();
    serde_json::to_string(&known)
}

/// Takes the members with these keys, and parses them as a type.
pub(super) fn read<T: DeserializeOwned>(
    members: &mut Unknown,
    keys: &[&str],
) -> Result<T, Malformed> {
    take(members, keys)
        .and_then(|text| serde_json::from_str(&text))
        .map_err(|error| Malformed::from(error).without_position())
}

/// Makes a struct keep keys that are not among its `KEYS` in its field `other`.
///
/// The struct derives `Serialize` and `Deserialize` with `#[serde(remote = "Self")]`, and marks
/// that field with `#[serde(flatten, skip_deserializing)]`.
macro_rules! keeps_unknown_keys {
    ($($type:ident)+) => {$(
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                $type::serialize(self, serializer)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                use serde::de::Error;
                let mut members = $crate::wire::known::members(deserializer, &$type::KEYS)?;
                let read = $crate::wire::known::take(&mut members, &$type::KEYS)
                    .and_then(|text| $type::deserialize(&mut serde_json::Deserializer::from_str(&text)));
                let read = read.map_err(|error| D::Error::custom($crate::wire::Malformed::from(error).without_position()))?;
                Ok(Self { other: members, ..read })
            }
        }
    )+};
}

pub(super) use keeps_unknown_keys;

/// Fails unless an object is written with these keys.
#[cfg(test)]
pub fn assert_writes(object: &impl serde::Serialize, keys: &[&str]) {
    let value = serde_json::to_value(object).unwrap();
    let written: Vec<_> = value.as_object().unwrap().keys().collect();
    let mut keys = keys.to_vec();
    keys.sort_unstable();
    assert_eq!(written, keys);
}
