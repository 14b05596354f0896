//! The secret behind the devices' keys.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::finding::{Findings, Id, Repair};
use crate::layout::HOST_KEY_SECRET;

const SECRET_BYTES: u64 = 32;

pub(super) fn mode(base: &Path, findings: &mut Findings) {
    let Ok(metadata) = fs::metadata(base.join(HOST_KEY_SECRET)) else {
        return;
    };
    if metadata.mode() & 0o077 != 0 {
        findings
            .add(
                Id::SecretOpen,
                HOST_KEY_SECRET,
                "accounts other than the server's can read the secret behind the devices' keys, and so sync as any user",
            )
            .with(Repair::SetMode {
                paths: vec![PathBuf::from(HOST_KEY_SECRET)],
            });
    }
}

pub(super) fn length(base: &Path, findings: &mut Findings) {
    let Ok(metadata) = fs::metadata(base.join(HOST_KEY_SECRET)) else {
        return;
    };
    if metadata.len() != SECRET_BYTES {
        findings.add(
            Id::SecretDamaged,
            HOST_KEY_SECRET,
            format_args!(
                "has {} bytes instead of {SECRET_BYTES}, so the server does not start",
                metadata.len()
            ),
        );
    }
}
