//! Passwords: stored plainly or as PHC strings, and never printed.

use std::fmt;

use argon2::Argon2;
use password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash};
use pbkdf2::Pbkdf2;
use scrypt::Scrypt;
use subtle::ConstantTimeEq;

/// The most bytes of a new password: what fits into a login, however it is escaped.
pub const LONGEST: usize = 2048;

/// What a user's password is compared with.
#[derive(Clone)]
pub struct Credential {
    stored: String,
    hash: Option<PasswordHash>,
}

/// Makes an argon2id hash in PHC format. The parameters are the crate's defaults, which OWASP
/// recommends: 19 MiB, so that a Raspberry Pi with 512 MB can verify a few at a time.
pub fn hash(password: &str) -> Result<String, CredentialError> {
    if password.is_empty() {
        return Err(CredentialError::Empty);
    }
    if password.len() > LONGEST {
        return Err(CredentialError::Long);
    }
    let hash: PasswordHash = Argon2::default()
        .hash_password(password.as_bytes())
        .map_err(|_| CredentialError::Random)?;
    Ok(hash.to_string())
}

/// Why a configured password cannot be used. The text never contains it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// No client can send an empty password.
    #[error("the password is empty")]
    Empty,
    /// Probably written by `echo` or an editor; it would be part of the password.
    #[error(
        "the password ends with a newline or carriage return: remove it, for example by writing the password with `printf %s` in place of `echo`"
    )]
    Newline,
    /// Nobody can type it.
    #[error(
        "the password contains a control character, which nobody can type: set the password again"
    )]
    Control,
    /// The reference server accepts such a value and fails at the first login.
    #[error(
        "the password is not a hash in PHC format, such as `$argon2id$v=19$m=19456,t=2,p=1$SALT$HASH`: write the hash that `anki-syncd hash-password` prints. With PASSWORDS_HASHED (passwords_hashed) on, SYNC_USER1 and `users` need hashes"
    )]
    NotPhc,
    /// Well formed, but this algorithm or its parameters are not supported.
    #[error(
        "this kind of password hash is not supported, or the hash is incomplete: write the hash that `anki-syncd hash-password` prints. Supported are argon2id, pbkdf2-sha256, pbkdf2-sha512 and scrypt, with parameters, salt and hash"
    )]
    Unsupported,
    /// Does not fit into a login.
    #[error("the password is longer than {LONGEST} bytes")]
    Long,
    /// The system's random source failed, or its memory.
    #[error("the password cannot be hashed: the system has no random bytes or not enough memory")]
    Random,
}

impl Credential {
    /// A password in plain text.
    ///
    /// # Errors
    /// An empty one, or one with a newline at its end or another control character in it.
    pub fn plain(password: &str) -> Result<Self, CredentialError> {
        check_text(password)?;
        Ok(Self {
            stored: password.to_owned(),
            hash: None,
        })
    }

    /// A password hash in PHC format.
    ///
    /// # Errors
    /// Hashes that could never be verified are refused at start, not at the first login.
    pub fn hashed(phc: &str) -> Result<Self, CredentialError> {
        check_text(phc)?;
        let hash = PasswordHash::new(phc).map_err(|_| CredentialError::NotPhc)?;
        let parameters_read = match hash.algorithm.as_str() {
            "argon2id" | "argon2i" | "argon2d" => argon2::Params::try_from(&hash).is_ok(),
            "pbkdf2-sha256" | "pbkdf2-sha512" => pbkdf2::Params::try_from(&hash).is_ok(),
            "scrypt" => scrypt::Params::try_from(&hash).is_ok(),
            _ => false,
        };
        if parameters_read && hash.salt.is_some() && hash.hash.is_some() {
            Ok(Self {
                stored: phc.to_owned(),
                hash: Some(hash),
            })
        } else {
            Err(CredentialError::Unsupported)
        }
    }

    /// A hash or a plain password, as a line of a users file may have it: text that begins like a
    /// hash is one.
    pub fn plain_or_hashed(text: &str) -> Result<Self, CredentialError> {
        let looks_hashed = ["$argon2", "$pbkdf2", "$scrypt"]
            .iter()
            .any(|start| text.starts_with(start));
        if looks_hashed {
            Self::hashed(text)
        } else {
            Self::plain(text)
        }
    }

    /// Whether this is the password. A hash costs much to verify, so call this on a blocking
    /// thread; plain passwords are compared in constant time.
    pub fn matches(&self, password: &str) -> bool {
        let password = password.as_bytes();
        match &self.hash {
            None => self.stored.as_bytes().ct_eq(password).into(),
            Some(hash) => {
                let verified = match hash.algorithm.as_str() {
                    "scrypt" => Scrypt::default().verify_password(password, hash),
                    "pbkdf2-sha256" | "pbkdf2-sha512" => {
                        Pbkdf2::default().verify_password(password, hash)
                    }
                    _ => Argon2::default().verify_password(password, hash),
                };
                verified.is_ok()
            }
        }
    }

    /// Whether both are stored as the same text. Two hashes of the same password differ.
    pub fn is_same(&self, other: &Self) -> bool {
        self.stored == other.stored
    }

    /// Whether it begins or ends with a blank. A hash does not show that.
    pub fn has_blank_at_an_end(&self) -> bool {
        self.hash.is_none() && self.stored.trim() != self.stored
    }

    /// For lists: `plain`, or the algorithm of the hash.
    pub fn kind(&self) -> &str {
        match &self.hash {
            None => "plain",
            Some(hash) => hash.algorithm.as_str(),
        }
    }

    /// What host keys depend on, so that a changed password logs devices out.
    pub fn fingerprint_input(&self) -> &[u8] {
        self.stored.as_bytes()
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.hash.is_some() {
            "Credential(hashed)"
        } else {
            "Credential(plain)"
        })
    }
}

fn check_text(text: &str) -> Result<(), CredentialError> {
    if text.is_empty() {
        Err(CredentialError::Empty)
    } else if text.ends_with(['\n', '\r']) {
        Err(CredentialError::Newline)
    } else if text.contains(|c: char| c.is_control() && c != '\t') {
        Err(CredentialError::Control)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_password_matches_only_itself() {
        let credential = Credential::plain("pa:ss wörd").unwrap();
        assert!(credential.matches("pa:ss wörd"));
        assert!(!credential.matches("pa:ss word"));
        assert!(!credential.matches(""));
    }

    #[test]
    fn a_hash_that_the_reference_server_takes_is_verified() {
        let credential = Credential::hashed(
            "$pbkdf2-sha256$i=600000,l=32$UUOaQiACqOO/N0WFhMcwsA$YMnZxsJz6qnfHEZASU1ppuuYjfSqbkXgF64+8ojRJsE",
        )
        .unwrap();
        assert!(credential.matches("correct horse"));
        assert!(!credential.matches("wrong horse"));
    }

    #[test]
    fn a_hash_that_could_never_match_is_refused_at_once() {
        use CredentialError::{Empty, Newline, NotPhc, Unsupported};
        for (phc, error) in [
            ("secret", NotPhc),
            ("", Empty),
            (
                "$pbkdf2-sha256$i=1000$c2FsdHNhbHQ$aGFzaGhhc2hoYXNo\n",
                Newline,
            ),
            (
                "$pbkdf2-sha256$i=1000$c2FsdHNhbHQ$aGFzaGhhc2hoYXNo=",
                NotPhc,
            ),
            ("$pbkdf2-sha256$i=1000$c2FsdHNhbHQ", Unsupported),
            ("$md5$c2FsdHNhbHQ$aGFzaGhhc2hoYXNo", Unsupported),
        ] {
            assert_eq!(Credential::hashed(phc).err(), Some(error), "{phc:?}");
        }
    }

    #[test]
    fn a_new_hash_is_argon2id_with_a_salt_of_its_own_and_matches() {
        let (first, second) = (hash("pässword").unwrap(), hash("pässword").unwrap());
        assert!(
            first.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{first}"
        );
        assert_ne!(first, second);
        let credential = Credential::plain_or_hashed(&first).unwrap();
        assert_eq!(credential.kind(), "argon2id");
        assert!(credential.matches("pässword") && !credential.matches("password"));
        assert_eq!(hash(""), Err(CredentialError::Empty));
        assert_eq!(hash(&"x".repeat(LONGEST + 1)), Err(CredentialError::Long));
    }

    #[test]
    fn nothing_of_a_password_is_ever_printed() {
        let credential = Credential::plain("hunter2").unwrap();
        assert_eq!(format!("{credential:?}"), "Credential(plain)");
    }
}
