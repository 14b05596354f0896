//! The secret behind all host keys, when systemd passes it.

use std::{fs, io, path::Path};

use super::problem::Problems;
use crate::account::Secret;

/// The credential that holds it.
const CREDENTIAL: &str = "host-key-secret";

/// The credential's bytes as they are, since the file in `SYNC_BASE` has the same form: a copy
/// of that keeps all devices logged in. None when there is no such credential.
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
