//! The secret behind all host keys, if systemd passes it.

use std::{fs, io, path::Path};

use super::problem::Problems;
use crate::account::Secret;

/// The credential that contains it.
const CREDENTIAL: &str = "host-key-secret";

/// The bytes of the credential. The file in `SYNC_BASE` has the same form, so a copy of that file
/// keeps all devices logged in. None if there is no such credential.
pub fn read(credentials: Option<&Path>, problems: &mut Problems) -> Option<Secret> {
    let setting = format!("credential {CREDENTIAL}");
    match fs::read(credentials?.join(CREDENTIAL)) {
        Ok(bytes) => {
            let secret = <[u8; Secret::BYTES]>::try_from(bytes).ok().map(Secret::new);
            if secret.is_none() {
                problems.add(
                    setting,
                    "has to be exactly 32 bytes: copy SYNC_BASE/.anki-syncd/host-key-secret, or generate a new one with `head -c 32 /dev/urandom`, after which all devices have to log in again",
                );
            }
            secret
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => {
            problems.add(setting, format_args!("cannot be read: {error}"));
            None
        }
    }
}
