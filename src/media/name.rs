//! Names of media files.

use std::{fmt, path::Path};

use unicode_normalization::is_nfc;

/// A valid name in the media folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MediaName(String);

/// Why a name is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum NameError {
    /// Would mean the folder itself.
    #[error("a media file has an empty name")]
    Empty,
    /// Longer than file systems allow.
    #[error("a media file's name is longer than 255 bytes")]
    Long,
    /// Would lead outside the folder, or not name a file.
    #[error("a media file's name contains `/` or NUL, or is `.` or `..`")]
    Unsafe,
    /// Different systems would store the same name in two spellings.
    #[error("a media file's name is not in Unicode NFC; Tools > Check Media in Anki corrects it")]
    NotNfc,
}

impl MediaName {
    /// Checks a name from a client.
    pub fn new(name: String) -> Result<Self, NameError> {
        if name.is_empty() {
            Err(NameError::Empty)
        } else if name.len() > 255 {
            Err(NameError::Long)
        } else if name.contains(['/', '\0']) || name == "." || name == ".." {
            Err(NameError::Unsafe)
        } else if !is_nfc(&name) {
            Err(NameError::NotNfc)
        } else {
            Ok(Self(name))
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl AsRef<Path> for MediaName {
    fn as_ref(&self) -> &Path {
        Path::new(&self.0)
    }
}

impl fmt::Display for MediaName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_a_folder_cannot_hold_are_refused() {
        for (name, error) in [
            (String::new(), NameError::Empty),
            ("x".repeat(256), NameError::Long),
            ("a/b".into(), NameError::Unsafe),
            ("..".into(), NameError::Unsafe),
            (".".into(), NameError::Unsafe),
            ("a\0".into(), NameError::Unsafe),
            ("e\u{301}.png".into(), NameError::NotNfc),
        ] {
            assert_eq!(MediaName::new(name.clone()), Err(error), "{name:?}");
        }
    }

    #[test]
    fn names_that_the_reference_server_takes_are_taken() {
        for name in [
            "é.png",
            "..a",
            "a\\b",
            "a:b*?.png",
            " a ",
            "con.txt",
            "line\nbreak",
            "日本.mp3",
        ] {
            assert!(MediaName::new(name.into()).is_ok(), "{name:?}");
        }
    }
}
