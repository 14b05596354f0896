//! JSON that this server does not interpret, kept as text.
//!
//! As a tree it would take some thirty times the memory of the text.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

/// Keys of an object that this server does not know. It keeps them for the clients that do.
pub(crate) type Unknown = BTreeMap<String, Json>;

/// A value in the form in which Anki stores it: no white space, keys in order, short numbers, and
/// only the last value of a repeated key.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Json(String);

impl Json {
    /// None if there are no keys.
    pub(crate) fn object(keys: &Unknown) -> Option<Self> {
        if keys.is_empty() {
            return None;
        }
        serde_json::to_string(keys).ok().map(Self)
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0.into_bytes()
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Does not print the value: texts that people wrote must not get into logs.
impl fmt::Debug for Json {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} bytes of JSON", self.0.len())
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &RawValue = serde_json::from_str(&self.0).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut text = String::new();
        Append(&mut text).deserialize(deserializer)?;
        Ok(Self(text))
    }
}

/// Appends the text of one value.
struct Append<'a>(&'a mut String);

impl Append<'_> {
    fn scalar<E: Error>(self, value: impl Serialize) -> Result<(), E> {
        self.0
            .push_str(&serde_json::to_string(&value).map_err(E::custom)?);
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Append<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Append<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any value")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.scalar(())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.scalar(value)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.scalar(value)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.scalar(value)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.scalar(value)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        self.scalar(value)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        let Self(text) = self;
        let mut separator = '[';
        loop {
            text.push(separator);
            if elements.next_element_seed(Append(text))?.is_none() {
                break;
            }
            separator = ',';
        }
        // Replaces the separator that nothing followed.
        if separator == ',' {
            text.pop();
        }
        text.push(']');
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self(text) = self;
        text.push('{');
        let mut members = Members::starting_at(text.len());
        while let Some(key) = map.next_key::<String>()? {
            let begin = text.len();
            Append(text).scalar(&key)?;
            let key_end = text.len();
            text.push(':');
            map.next_value_seed(Append(text))?;
            members
                .add(text, begin..key_end)
                .map_err(A::Error::custom)?;
            text.push(',');
        }
        members.put_in_order(text);
        text.push('}');
        Ok(())
    }
}

/// Positions of an object's members in its text. The keys are not stored: a short one would take
/// more memory as a string than its member does in the text.
struct Members {
    begin: usize,
    places: Vec<Span>,
    in_order: bool,
}

/// Positions after the object's beginning, not counting `{`.
#[derive(Clone, Copy)]
struct Span {
    begin: u32,
    key_end: u32,
    end: u32,
}

impl Span {
    fn key(self, text: &str) -> Cow<'_, str> {
        let quoted = &text[self.begin as usize..self.key_end as usize];
        if quoted.contains('\\') {
            Cow::Owned(serde_json::from_str(quoted).unwrap_or_default())
        } else {
            Cow::Borrowed(&quoted[1..quoted.len() - 1])
        }
    }
}

impl Members {
    fn starting_at(begin: usize) -> Self {
        Self {
            begin,
            places: Vec::new(),
            in_order: true,
        }
    }

    fn add(
        &mut self,
        text: &str,
        key: std::ops::Range<usize>,
    ) -> Result<(), std::num::TryFromIntError> {
        let position = |at: usize| u32::try_from(at - self.begin);
        let place = Span {
            begin: position(key.start)?,
            key_end: position(key.end)?,
            end: position(text.len())?,
        };
        if let Some(last) = self.places.last() {
            let object = &text[self.begin..];
            self.in_order &= last.key(object) < place.key(object);
        }
        self.places.push(place);
        Ok(())
    }

    fn put_in_order(mut self, text: &mut String) {
        if !self.in_order {
            let object = text.split_off(self.begin);
            // Members with the same key keep their order.
            self.places.sort_unstable_by(|a, b| {
                (a.key(&object).cmp(&b.key(&object))).then(a.begin.cmp(&b.begin))
            });
            for (number, place) in self.places.iter().enumerate() {
                let next = self.places.get(number + 1);
                if next.is_none_or(|next| next.key(&object) != place.key(&object)) {
                    text.push_str(&object[place.begin as usize..place.end as usize]);
                    text.push(',');
                }
            }
        }
        if !self.places.is_empty() {
            text.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn canonical(text: &str) -> String {
        serde_json::from_str::<Json>(text).unwrap().0
    }

    /// The form that a parsed tree is written in, which is the form that Anki stores.
    fn by_tree(text: &str) -> String {
        serde_json::from_str::<Value>(text).unwrap().to_string()
    }

    #[test]
    fn any_value_is_kept_in_the_form_in_which_anki_stores_it() {
        for text in [
            "null",
            " [ ] ",
            "{ }",
            r#"{"b": 1, "a": [true, {"d": {}, "c": "\u00e9\n\u0001\u007f\/"}]}"#,
            r#"{"a": 1, "b": 2, "a": {"y": 1, "x": 2}}"#,
            r#"{"a": 1, "a": 2}"#,
            r#"{"b\"": 1, "b": 2, "b!": 3, "b\\": 4, "b\u0000": 5}"#,
            "[1.0, 1e3, 1e16, 1.50, -0, -0.0, 1E-7, 0.1, 123456789012345678901234567890]",
            "[18446744073709551615, -9223372036854775808, 9007199254740993]",
            "[3.4028234663852886e38, 0.30000000000000004, 5e-324]",
        ] {
            assert_eq!(canonical(text), by_tree(text), "{text}");
        }
        assert!(serde_json::from_str::<Json>("1e999").is_err());
        assert!(serde_json::from_str::<Json>(&"[".repeat(200)).is_err());
    }

    fn any_json() -> impl Strategy<Value = String> {
        let key = "[a-c\"\\\\\u{1}é]{0,2}".prop_map(|key| serde_json::to_string(&key).unwrap());
        let leaf = prop_oneof![
            any::<f64>().prop_filter_map("finite", |number| number
                .is_finite()
                .then(|| format!("{number:e}"))),
            any::<i64>().prop_map(|number| number.to_string()),
            key.clone(),
            Just("null".to_owned()),
        ];
        leaf.prop_recursive(4, 40, 6, move |inner| {
            let member = (key.clone(), inner.clone()).prop_map(|(key, value)| key + " : " + &value);
            prop_oneof![
                prop::collection::vec(inner, 0..6)
                    .prop_map(|parts| format!("[{}]", parts.join(", "))),
                prop::collection::vec(member, 0..6)
                    .prop_map(|parts| format!("{{{}}}", parts.join(", "))),
            ]
        })
    }

    proptest! {
        #[test]
        fn text_is_the_same_as_by_way_of_a_tree(text in any_json()) {
            prop_assert_eq!(canonical(&text), by_tree(&text));
        }
    }

    #[test]
    fn it_is_written_as_it_is() {
        let unknown: Unknown = serde_json::from_str(r#"{"b": [1.0], "a": {}}"#).unwrap();
        assert_eq!(
            serde_json::to_string(&unknown).unwrap(),
            r#"{"a":{},"b":[1.0]}"#
        );
        assert_eq!(
            serde_json::to_value(&unknown).unwrap(),
            serde_json::json!({"a": {}, "b": [1.0]})
        );
    }
}
