//! The secret behind all host keys, and what is derived from it.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac, digest::Key};
use sha2::Sha256;

use super::{name::UserName, password::Credential};

/// How a length is written into the input of a MAC. Earlier versions wrote it in the machine's word
/// size, so that a key from a 32-bit machine was invalid on any other one, and after an upgrade on
/// the same one.
#[derive(Clone, Copy)]
pub(super) enum Lengths {
    /// In eight bytes, as all new MACs.
    Wide,
    /// In four bytes.
    Narrow,
}

impl Lengths {
    pub(super) const ALL: [Self; 2] = [Self::Wide, Self::Narrow];
}

/// The server's 32 random bytes that every host key depends on.
#[derive(Clone)]
pub struct Secret([u8; Secret::BYTES]);

impl Secret {
    /// Its length.
    pub const BYTES: usize = 32;

    /// Takes bytes that came from a file or the system's random source.
    pub fn new(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    /// A MAC over parts. Each part is preceded by its length, so that no two lists of parts give
    /// the same input.
    pub(super) fn mac(&self, lengths: Lengths, parts: &[&[u8]]) -> Hmac<Sha256> {
        // HMAC pads a shorter key with zeros.
        let mut key = Key::<Hmac<Sha256>>::default();
        key[..Self::BYTES].copy_from_slice(&self.0);
        let mut mac = <Hmac<Sha256> as KeyInit>::new(&key);
        for part in parts {
            let length = (part.len() as u64).to_be_bytes();
            mac.update(match lengths {
                Lengths::Wide => &length,
                Lengths::Narrow => &length[4..],
            });
            mac.update(part);
        }
        mac
    }

    /// Identifies a user's stored password without revealing anything of it.
    pub fn mark(&self, user: &UserName, credential: &Credential) -> PasswordMark {
        self.mark_with(Lengths::Wide, user, credential)
    }

    /// Whether a mark identifies this password, whatever machine made it.
    pub fn has_made(&self, mark: PasswordMark, user: &UserName, credential: &Credential) -> bool {
        Lengths::ALL
            .map(|lengths| self.mark_with(lengths, user, credential))
            .contains(&mark)
    }

    fn mark_with(
        &self,
        lengths: Lengths,
        user: &UserName,
        credential: &Credential,
    ) -> PasswordMark {
        let parts = [
            b"password",
            user.as_str().as_bytes(),
            credential.fingerprint_input(),
        ];
        PasswordMark(self.number(lengths, &parts).cast_signed())
    }

    /// A number below `below`, always the same for the same name. It chooses the user that an
    /// unknown name is verified as, so that both cost the same.
    pub fn pick(&self, name: &str, below: usize) -> usize {
        let number = self.number(Lengths::Wide, &[b"decoy", name.as_bytes()]);
        usize::try_from(number % below.max(1) as u64).unwrap_or(0)
    }

    /// The first bytes of the MAC.
    fn number(&self, lengths: Lengths, parts: &[&[u8]]) -> u64 {
        let digest = self.mac(lengths, parts).finalize().into_bytes();
        let mut number = [0; 8];
        number.copy_from_slice(&digest[..8]);
        u64::from_be_bytes(number)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Identifies a user's stored password without revealing anything of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PasswordMark(pub(super) i64);
