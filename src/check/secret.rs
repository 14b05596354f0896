//! The secret behind the devices' keys.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

use super::finding::{Findings, Id, Repair};
use crate::layout::HOST_KEY_SECRET;

const SECRET_BYTES: u64 = 32;

/// Without modes on this file system, only the length is checked.
pub(super) fn check(base: &Path, has_modes: bool, findings: &mut Findings) {
    let Ok(metadata) = fs::metadata(base.join(HOST_KEY_SECRET)) else {
        return;
    };
    if has_modes && metadata.mode() & 0o077 != 0 {
        let what = "accounts other than the server's can read the secret behind the devices' keys, and so sync as any user";
        let found = findings.add(Id::SecretOpen, HOST_KEY_SECRET, what);
        found.repair = Some(Repair::SetMode(vec![HOST_KEY_SECRET.into()]));
    }
    let length = metadata.len();
    if length != SECRET_BYTES {
        let what = format_args!(
            "has {length} bytes instead of {SECRET_BYTES}, so the server does not start"
        );
        findings.add(Id::SecretDamaged, HOST_KEY_SECRET, what);
    }
}
