use serde::Deserialize;
use serde_json::error::Category;

/// A request body is not JSON, or not of the shape that its method needs.
///
/// The text says where and what was expected, without the value that was there: the text is logged, and a body contains
/// what a person wrote.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(String);

impl From<serde_json::Error> for Malformed {
    fn from(error: serde_json::Error) -> Self {
        let text = error.to_string();
        match error.classify() {
            Category::Data => Self(without_value(&text)),
            Category::Io | Category::Syntax | Category::Eof => Self(text),
        }
    }
}

impl Malformed {
    /// Removes the position, which is useless for a text that only the server has seen.
    pub(super) fn without_position(self) -> Self {
        let end = self.0.rfind(" at line ").unwrap_or(self.0.len());
        Self(self.0[..end].to_owned())
    }
}

/// Reads a request body.
///
/// # Errors
/// When the body is not JSON, or a required key is missing or of another type than it has to be.
pub fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Malformed> {
    Ok(serde_json::from_slice(body)?)
}

/// Removes the quoted value from serde's `invalid type: string "secret", expected i64 at line 1 column 12`.
fn without_value(text: &str) -> String {
    const EXPECTED: &str = ", expected ";
    let quotes_value = ["invalid type: ", "invalid value: ", "unknown variant"]
        .iter()
        .any(|start| text.starts_with(start));
    // The value itself may contain the same word, so the last one counts.
    match text.rfind(EXPECTED) {
        Some(expected) if quotes_value => {
            let kind = text[..expected]
                .split(['`', '"'])
                .next()
                .unwrap_or_default();
            format!("{}{}", kind.trim_end(), &text[expected..])
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message<T: for<'a> Deserialize<'a> + std::fmt::Debug>(body: &str) -> String {
        parse::<T>(body.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn a_wrong_type_is_named_but_not_quoted() {
        assert_eq!(
            message::<Vec<i64>>(r#"[1, "my secret, expected to stay so"]"#),
            "invalid type: string, expected i64 at line 1 column 36"
        );
        assert_eq!(
            message::<u8>("300"),
            "invalid value: integer, expected u8 at line 1 column 3"
        );
        assert_eq!(
            message::<u8>("null"),
            "invalid type: null, expected u8 at line 1 column 4"
        );
    }

    #[test]
    fn syntax_and_missing_keys_are_explained() {
        #[derive(Debug, Deserialize)]
        struct Request {
            #[expect(dead_code, reason = "only its absence matters")]
            chunk: u8,
        }
        assert_eq!(
            message::<Request>("{}"),
            "missing field `chunk` at line 1 column 2"
        );
        assert_eq!(
            message::<Request>("{"),
            "EOF while parsing an object at line 1 column 1"
        );
        assert_eq!(
            message::<Request>("nonsense"),
            "expected ident at line 1 column 2"
        );
    }

    #[test]
    fn an_unknown_variant_is_not_quoted() {
        #[derive(Debug, Deserialize)]
        enum Kind {
            Any,
        }
        assert!(matches!(parse::<Kind>(br#""Any""#), Ok(Kind::Any)));
        let text = message::<Kind>(r#""secret""#);
        assert_eq!(text, "unknown variant, expected `Any` at line 1 column 8");
    }
}
