//! Values that a shell or a container's configuration should have changed before.

use super::problem::Problems;

/// Reports a value that cannot be meant as it is.
///
/// The list form of Compose (`- NAME="value"`) passes quotes on, and a file of variables with
/// Windows line ends passes a carriage return on. A printed value shows neither.
pub fn can_be_meant(setting: &str, value: &str, problems: &mut Problems) -> bool {
    let wrong = wrong(value);
    if let Some(wrong) = &wrong {
        problems.add(setting, wrong);
    }
    wrong.is_none()
}

/// Why a value cannot be meant as it is.
pub fn wrong(value: &str) -> Option<String> {
    control_character(value).or_else(|| quotes(value))
}

fn control_character(value: &str) -> Option<String> {
    match value.chars().find(|c| c.is_control())? {
        '\r' => Some("contains a carriage return, from Windows line endings: convert the file that sets it (`sed -i 's/\\r$//' FILE`)".to_owned()),
        '\n' => Some("contains a newline, which would be part of the value: remove it, and write files with `printf %s` rather than `echo`".to_owned()),
        other => Some(format!(
            "contains a control character (U+{:04X}), which is a mistake: type the value again",
            u32::from(other)
        )),
    }
}

fn quotes(value: &str) -> Option<String> {
    let quote = ['"', '\''].into_iter().find(|quote| {
        let inner = value.strip_prefix(*quote);
        inner.is_some_and(|inner| inner.ends_with(*quote))
    })?;
    Some(format!(
        "is in quotation marks ({quote}), which would be part of the value: remove them. In a list of a compose file, write `- NAME=value` or {quote}- NAME=value{quote}, not `- NAME={quote}value{quote}`"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong_with(value: &str) -> Option<String> {
        let mut problems = Problems::default();
        let meant = can_be_meant("SYNC_BASE", value, &mut problems);
        assert_eq!(meant, problems.0.is_empty());
        problems.0.pop().map(|problem| problem.what)
    }

    #[test]
    fn quotes_around_a_value_and_control_characters_in_it_cannot_be_meant() {
        for value in [
            "\"/data\"",
            "'/data'",
            "\"\"",
            "/data\r",
            "a\tb",
            "a\0b",
            "a\nb",
            "\u{1b}[1m",
            "\u{85}",
        ] {
            assert!(wrong_with(value).is_some(), "{value:?}");
        }
        for value in ["/data", "it's", "\"", "'", "a \"b\"", "\"a'", "ö ü"] {
            assert_eq!(wrong_with(value), None, "{value:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_a_remedy_and_without_the_value() {
        for (value, remedy) in [
            ("\"anna:hunter2\"", "compose"),
            ("anna:hunter2\r", "Windows"),
            ("anna:hunter2\n", "printf"),
            ("anna:hunter2\t", "U+0009"),
        ] {
            let told = wrong_with(value).unwrap();
            assert!(told.contains(remedy) && !told.contains("hunter2"), "{told}");
        }
    }
}
