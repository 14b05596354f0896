//! A notetype as clients send it, with any schema of their files.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{
    Unknown, Usn,
    known::keeps_unknown_keys,
    tolerant::{bool_from_anything, number_or_string, or_default},
};

/// The fields of notes, and the templates of their cards.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct Notetype {
    #[serde(deserialize_with = "number_or_string")]
    pub(crate) id: i64,
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) kind: NotetypeKind,
    #[serde(rename = "mod")]
    pub(crate) mtime_secs: i64,
    pub(crate) usn: Usn,
    #[serde(rename = "sortf")]
    pub(crate) sort_field: u16,
    #[serde(deserialize_with = "or_default")]
    pub(crate) did: Option<i64>,
    #[serde(rename = "tmpls")]
    pub(crate) templates: Vec<Template>,
    #[serde(rename = "flds")]
    pub(crate) fields: Vec<Field>,
    #[serde(deserialize_with = "or_default")]
    pub(crate) css: String,
    #[serde(rename = "latexPre", default)]
    pub(crate) latex_pre: String,
    #[serde(rename = "latexPost", default)]
    pub(crate) latex_post: String,
    #[serde(rename = "latexsvg", default, deserialize_with = "or_default")]
    pub(crate) latex_svg: bool,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) req: Vec<Requirement>,
    #[serde(rename = "originalStockKind", default, skip_serializing_if = "is_zero")]
    pub(crate) original_stock_kind: i32,
    #[serde(
        rename = "originalId",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub(crate) original_id: Option<i64>,
    #[serde(flatten, skip_deserializing)]
    pub(crate) other: Unknown,
}

keeps_unknown_keys!(Notetype Field Template);

impl Notetype {
    /// The keys that are never taken from or kept among the unknown keys.
    pub(crate) const KEYS: [&str; 16] = [
        "id",
        "name",
        "type",
        "mod",
        "usn",
        "sortf",
        "did",
        "tmpls",
        "flds",
        "css",
        "latexPre",
        "latexPost",
        "latexsvg",
        "req",
        "originalStockKind",
        "originalId",
    ];
}

/// The two ways in which a notetype makes cards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotetypeKind {
    /// One card for each template.
    Normal,
    /// One card for each number in the cloze deletions of a note.
    Cloze,
}

impl<'de> Deserialize<'de> for NotetypeKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u8::deserialize(deserializer)? {
            0 => Ok(Self::Normal),
            1 => Ok(Self::Cloze),
            _ => Err(serde::de::Error::custom(
                "the type of a notetype is neither 0 nor 1",
            )),
        }
    }
}

impl Serialize for NotetypeKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(u8::from(*self == Self::Cloze))
    }
}

/// The fields that a template needs to make a card. Written as a tuple; may be read from an object as well.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Requirement {
    pub(crate) card_ord: u16,
    pub(crate) kind: RequirementKind,
    pub(crate) field_ords: Vec<u16>,
}

impl Serialize for Requirement {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.card_ord, self.kind, &self.field_ords).serialize(serializer)
    }
}

/// How the fields of a [`Requirement`] are combined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RequirementKind {
    /// The template never makes a card.
    None,
    /// One of the fields is enough.
    Any,
    /// All of them are needed.
    All,
}

/// One field of a notetype.
#[expect(clippy::struct_excessive_bools, reason = "that is what clients send")]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct Field {
    pub(crate) name: String,
    /// Only written for clients: the position in the list counts.
    #[serde(default)]
    pub(crate) ord: Option<u16>,
    #[serde(deserialize_with = "bool_from_anything")]
    pub(crate) sticky: bool,
    #[serde(deserialize_with = "bool_from_anything")]
    pub(crate) rtl: bool,
    pub(crate) font: String,
    pub(crate) size: u16,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) description: String,
    #[serde(rename = "plainText", default, deserialize_with = "or_default")]
    pub(crate) plain_text: bool,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) collapsed: bool,
    #[serde(rename = "excludeFromSearch", default, deserialize_with = "or_default")]
    pub(crate) exclude_from_search: bool,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) id: Option<i64>,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) tag: Option<u32>,
    #[serde(rename = "preventDeletion", default, deserialize_with = "or_default")]
    pub(crate) prevent_deletion: bool,
    #[serde(flatten, skip_deserializing)]
    pub(crate) other: Unknown,
}

impl Field {
    /// The keys that are never taken from or kept among the unknown keys.
    pub(crate) const KEYS: [&str; 13] = [
        "name",
        "ord",
        "sticky",
        "rtl",
        "font",
        "size",
        "description",
        "plainText",
        "collapsed",
        "excludeFromSearch",
        "id",
        "tag",
        "preventDeletion",
    ];
}

/// One card template of a notetype.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct Template {
    pub(crate) name: String,
    /// Only written for clients: the position in the list counts.
    #[serde(default)]
    pub(crate) ord: Option<u16>,
    #[serde(rename = "qfmt")]
    pub(crate) question: String,
    #[serde(rename = "afmt", default)]
    pub(crate) answer: String,
    #[serde(rename = "bqfmt", default)]
    pub(crate) browser_question: String,
    #[serde(rename = "bafmt", default)]
    pub(crate) browser_answer: String,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) did: Option<i64>,
    #[serde(rename = "bfont", default, deserialize_with = "or_default")]
    pub(crate) browser_font: String,
    #[serde(rename = "bsize", default, deserialize_with = "or_default")]
    pub(crate) browser_size: u8,
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) id: Option<i64>,
    #[serde(flatten, skip_deserializing)]
    pub(crate) other: Unknown,
}

impl Template {
    /// The keys that are never taken from or kept among the unknown keys.
    pub(crate) const KEYS: [&str; 10] = [
        "name", "ord", "qfmt", "afmt", "bqfmt", "bafmt", "did", "bfont", "bsize", "id",
    ];
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde calls it with a reference"
)]
fn is_zero(number: &i32) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::wire::{known::assert_writes, parse};

    #[test]
    fn the_lists_of_keys_are_what_is_written() {
        let json = json!({
            "id": 1, "name": "n", "type": 1, "mod": 2, "usn": 3, "sortf": 0, "did": null, "css": "",
            "originalStockKind": 1, "originalId": 0,
            "tmpls": [{"name": "t", "qfmt": ""}],
            "flds": [{"name": "f", "sticky": false, "rtl": 0, "font": "", "size": 20}],
        });
        let notetype: Notetype = parse(json.to_string().as_bytes()).unwrap();
        assert_writes(&notetype, &Notetype::KEYS);
        assert_writes(&notetype.fields[0], &Field::KEYS);
        assert_writes(&notetype.templates[0], &Template::KEYS);
    }

    #[test]
    fn a_key_given_twice_is_refused() {
        let body = r#"{"id": 1, "name": "n", "type": 1, "mod": 2, "usn": 3, "sortf": 0, "did": null, "css": "",
            "tmpls": [], "flds": [], "name": "m"}"#;
        let error = parse::<Notetype>(body.as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with("duplicate field `name`"), "{error}");
    }
}
