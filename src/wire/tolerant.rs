//! Readers for values that clients have written in different forms over the years.
//!
//! All values without one of these are read strictly.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error, IgnoredAny, MapAccess, SeqAccess, Unexpected, Visitor},
};
use serde_json::Number;

use super::Json;

/// A value; lists and objects are dropped.
pub(super) enum Scalar {
    Null,
    Bool(bool),
    Number(Number),
    String(String),
    Array,
    Object,
}

impl Scalar {
    pub(super) fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Number(number) => number.as_i64(),
            _ => None,
        }
    }

    pub(super) fn as_u64(&self) -> Option<u64> {
        match self {
            Self::Number(number) => number.as_u64(),
            _ => None,
        }
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyValue;
        impl<'de> Visitor<'de> for AnyValue {
            type Value = Scalar;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("any value")
            }

            fn visit_unit<E>(self) -> Result<Scalar, E> {
                Ok(Scalar::Null)
            }

            fn visit_bool<E>(self, value: bool) -> Result<Scalar, E> {
                Ok(Scalar::Bool(value))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Scalar, E> {
                Ok(Scalar::Number(value.into()))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Scalar, E> {
                Ok(Scalar::Number(value.into()))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Scalar, E> {
                Ok(Number::from_f64(value).map_or(Scalar::Null, Scalar::Number))
            }

            fn visit_str<E>(self, value: &str) -> Result<Scalar, E> {
                Ok(Scalar::String(value.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Scalar, A::Error> {
                while elements.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Scalar::Array)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Scalar, A::Error> {
                while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Scalar::Object)
            }
        }
        deserializer.deserialize_any(AnyValue)
    }
}

/// An integer, or a string that holds one: some clients keep ids as strings.
pub(super) fn number_or_string<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<i64> + std::str::FromStr,
{
    const EXPECTED: &str = "an integer, or a string that holds one";
    let value = Scalar::deserialize(deserializer)?;
    let number = match &value {
        Scalar::Number(number) => number.as_i64().and_then(|int| T::try_from(int).ok()),
        Scalar::String(text) => text.parse().ok(),
        _ => None,
    };
    number.ok_or_else(|| D::Error::invalid_value(kind_of(&value), &EXPECTED))
}

/// `true` and `false`, 0 and 1 as any kind of number, or a string that holds one of them.
pub(super) fn bool_from_anything<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<bool, D::Error> {
    let value = Scalar::deserialize(deserializer)?;
    #[expect(
        clippy::float_cmp,
        reason = "both are exact, and nothing near them is meant"
    )]
    let from_number = |number: f64| {
        [0.0, 1.0]
            .iter()
            .position(|known| *known == number)
            .map(|i| i == 1)
    };
    let bool = match &value {
        Scalar::Bool(bool) => Some(*bool),
        Scalar::Number(number) => number.as_f64().and_then(from_number),
        Scalar::String(text) if text.eq_ignore_ascii_case("true") => Some(true),
        Scalar::String(text) if text.eq_ignore_ascii_case("false") => Some(false),
        Scalar::String(text) => text.parse().ok().and_then(from_number),
        _ => None,
    };
    bool.ok_or_else(|| D::Error::invalid_value(kind_of(&value), &"true or false"))
}

/// The type's default, if the value is not of the type.
pub(crate) fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + DeserializeOwned,
{
    let value = Json::deserialize(deserializer)?;
    Ok(serde_json::from_str(value.as_str()).unwrap_or_default())
}

/// A number that is not negative; a negative one counts as 0.
pub(super) fn at_least_zero<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let number = i32::deserialize(deserializer)?;
    Ok(u32::try_from(number).unwrap_or(0))
}

/// Like [`at_least_zero`], and 0 for anything that is not an integer.
pub(super) fn at_least_zero_or_default<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<u32, D::Error> {
    let number: i32 = or_default(deserializer)?;
    Ok(u32::try_from(number).unwrap_or(0))
}

/// Any number without its decimals, limited to 64 bits.
pub(super) fn truncated<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    struct Truncate;
    impl Visitor<'_> for Truncate {
        type Value = i64;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("a number")
        }

        fn visit_i64<E>(self, number: i64) -> Result<i64, E> {
            Ok(number)
        }

        fn visit_u64<E>(self, number: u64) -> Result<i64, E> {
            Ok(i64::try_from(number).unwrap_or(i64::MAX))
        }

        #[expect(clippy::cast_possible_truncation, reason = "that is the point")]
        fn visit_f64<E>(self, number: f64) -> Result<i64, E> {
            Ok(number as i64)
        }
    }
    deserializer.deserialize_i64(Truncate)
}

/// The lower 32 bits of [`truncated`].
#[expect(clippy::cast_possible_truncation, reason = "clients do the same")]
pub(super) fn truncated_i32<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i32, D::Error> {
    truncated(deserializer).map(|int| int as i32)
}

/// The lower 32 bits of [`truncated`]; 0 for a negative number.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clients do the same"
)]
pub(super) fn truncated_u32<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    truncated(deserializer).map(|int| int.max(0) as u32)
}

fn kind_of(value: &Scalar) -> Unexpected<'_> {
    match value {
        Scalar::Null => Unexpected::Unit,
        Scalar::Bool(bool) => Unexpected::Bool(*bool),
        Scalar::Number(number) => Unexpected::Float(number.as_f64().unwrap_or(f64::NAN)),
        Scalar::String(text) => Unexpected::Str(text),
        Scalar::Array => Unexpected::Seq,
        Scalar::Object => Unexpected::Map,
    }
}

/// A number up to `MAX`; larger ones are refused.
pub(super) fn at_most<'de, const MAX: u8, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<u8, D::Error> {
    match u8::deserialize(deserializer)? {
        number if number <= MAX => Ok(number),
        _ => Err(D::Error::custom(format!(
            "a number is not one of 0 to {MAX}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn an_integer_may_come_as_a_string() {
        let read = |value: Value| number_or_string::<_, i64>(value).ok();
        assert_eq!(read(json!(5)), Some(5));
        assert_eq!(read(json!("-5")), Some(-5));
        for refused in [
            json!(5.0),
            json!("5.0"),
            json!(""),
            json!(null),
            json!(true),
            json!([5]),
            json!(u64::MAX),
        ] {
            assert_eq!(read(refused.clone()), None, "{refused}");
        }
        assert_eq!(number_or_string::<_, i32>(json!(1_i64 << 40)).ok(), None);
        assert_eq!(
            number_or_string::<_, i32>(json!("1099511627776")).ok(),
            None
        );
    }

    #[test]
    fn a_bool_may_come_in_many_forms() {
        let read = |value: Value| bool_from_anything(value).ok();
        for yes in [
            json!(true),
            json!(1),
            json!(1.0),
            json!("true"),
            json!("TRUE"),
            json!("1"),
            json!("1.0"),
        ] {
            assert_eq!(read(yes.clone()), Some(true), "{yes}");
        }
        for no in [
            json!(false),
            json!(0),
            json!(0.0),
            json!("False"),
            json!("0"),
            json!("0.0"),
        ] {
            assert_eq!(read(no.clone()), Some(false), "{no}");
        }
        for refused in [
            json!(2),
            json!(null),
            json!("yes"),
            json!(""),
            json!([]),
            json!({}),
        ] {
            assert_eq!(read(refused.clone()), None, "{refused}");
        }
    }

    #[test]
    fn what_is_of_another_type_becomes_the_default() {
        assert_eq!(or_default::<_, Option<i64>>(json!(5)).unwrap(), Some(5));
        for invalid in [json!("5"), json!(5.0), json!(null), json!({})] {
            assert_eq!(or_default::<_, Option<i64>>(invalid).unwrap(), None);
        }
        assert!(!or_default::<_, bool>(json!(1)).unwrap());
    }

    #[test]
    fn negative_counts_become_zero() {
        assert_eq!(at_least_zero(json!(-3)).unwrap(), 0);
        assert_eq!(at_least_zero(json!(3)).unwrap(), 3);
        assert!(at_least_zero(json!(3.0)).is_err());
        assert_eq!(at_least_zero_or_default(json!("x")).unwrap(), 0);
        assert_eq!(at_least_zero_or_default(json!(7)).unwrap(), 7);
    }

    #[test]
    fn fractions_are_cut_off_and_large_numbers_wrap() {
        assert_eq!(truncated(json!(-1.9)).unwrap(), -1);
        assert_eq!(truncated(json!(1e300)).unwrap(), i64::MAX);
        assert_eq!(truncated(json!(u64::MAX)).unwrap(), i64::MAX);
        assert_eq!(
            truncated_i32(json!(5_000_000_000_i64)).unwrap(),
            705_032_704
        );
        assert_eq!(truncated_u32(json!(-5)).unwrap(), 0);
        assert!(truncated(json!("5")).is_err());
        assert!(truncated(json!(null)).is_err());
    }
}
