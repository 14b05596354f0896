//! Names that differ only in upper and lower case. People and some file systems take them for the
//! same.

use std::{fs, path::Path};

use unicode_normalization::UnicodeNormalization;

/// The form that all spellings of a name share: other cases, and other bytes for the same
/// characters.
pub fn caseless(name: &str) -> String {
    let composed: String = name.nfc().collect();
    composed.to_uppercase().nfc().collect()
}

/// Whether the file system of this folder ignores case, as exFAT does. It is tested with the
/// folder's own name, so nothing is written.
pub fn is_ignored_at(folder: &Path) -> bool {
    let Some(name) = folder.file_name().and_then(|name| name.to_str()) else {
        return false;
    };
    let other = name.to_uppercase();
    if other == name || !folder.with_file_name(&other).exists() {
        return false;
    }
    let beside = folder.parent().map(fs::read_dir);
    let mut beside = beside.into_iter().flatten().flatten().flatten();
    beside.all(|entry| entry.file_name() != other.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_name_are_the_same_without_case() {
        for (one, other) in [
            ("anna", "ANNA"),
            ("Jürgen", "ju\u{308}rgen"),
            ("groß", "GROSS"),
            ("Νίκος", "ΝΊΚΟΣ"),
        ] {
            assert_eq!(caseless(one), caseless(other));
        }
        assert_ne!(caseless("anna"), caseless("änna"));
    }

    #[test]
    fn a_folder_that_is_there_in_both_cases_says_that_they_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let media = folder.path().join("media");
        fs::create_dir(&media).unwrap();
        assert!(!is_ignored_at(&media));
        fs::create_dir(folder.path().join("MEDIA")).unwrap();
        assert!(!is_ignored_at(&media));
    }
}
