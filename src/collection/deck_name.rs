//! The two forms of a deck's name: `Parent::Child` for people and clients, with a control character in the file.

use unicode_normalization::UnicodeNormalization;

const SEPARATOR: char = '\u{1f}';

/// The form in the file, without characters that a name cannot have.
pub(super) fn to_native(human: &str) -> String {
    let components: Vec<String> = human.split("::").map(component).collect();
    components.join("\u{1f}")
}

/// The form for clients.
pub(super) fn to_human(native: &str) -> String {
    native.replace(SEPARATOR, "::")
}

fn component(name: &str) -> String {
    let name: String = name.nfc().filter(|char| !char.is_ascii_control()).collect();
    match name.trim_matches(|char: char| char.is_whitespace() || char == ':') {
        "" => "blank".to_owned(),
        name => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_are_separated_cleaned_and_never_empty() {
        assert_eq!(
            to_native("A:: b ::::c:::d\u{1f}e"),
            "A\u{1f}b\u{1f}blank\u{1f}c\u{1f}de"
        );
        assert_eq!(to_native(""), "blank");
        assert_eq!(to_native("\u{a0}x\t"), "x");
        assert_eq!(to_native("e\u{301}"), "é");
    }

    #[test]
    fn clean_names_survive_both_ways() {
        for name in ["A", "a::B::c d", "日本::語"] {
            assert_eq!(to_human(&to_native(name)), name);
        }
    }
}
