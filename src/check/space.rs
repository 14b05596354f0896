//! Room on the disk.

use std::path::Path;

use nix::sys::statvfs::{FsFlags, statvfs};

use super::{
    finding::{Findings, of_user},
    subject::Subject,
};
use crate::vault::room::Free;

const MIB: u64 = 1024 * 1024;
/// Below this, not even the next sync is sure to fit.
const LEAST: u64 = 64 * MIB;
/// An upload, the collection that it replaces, and a copy for a download.
const COPIES: u64 = 3;
const FEW_FILES: u64 = 1000;

pub(super) fn check(subject: &Subject, base: &Path, findings: &mut Findings) {
    let Ok(system) = statvfs(base) else { return };
    if system.flags().contains(FsFlags::ST_RDONLY) {
        findings.problem(
            "disk-read-only",
            base.display(),
            "the file system is mounted read-only, so nothing can be synced",
            "Mount it writable; after a failure of the disk, look at `dmesg` first.",
        );
    }
    let Ok(free) = Free::at(base) else { return };
    room(subject, base, free.bytes, findings);
    if let Some(files) = free.files.filter(|files| *files < FEW_FILES) {
        findings.problem(
            "disk-few-inodes",
            base.display(),
            format_args!("there is room for {files} more files only, whatever their size"),
            "Remove files from this file system, or move the data to a larger one.",
        );
    }
}

fn room(subject: &Subject, base: &Path, free: u64, findings: &mut Findings) {
    let sizes = subject.users().into_iter().filter_map(|(user, folder)| {
        let metadata = folder.join("collection.anki2").metadata().ok()?;
        Some((metadata.len(), user))
    });
    let largest = sizes.max();
    if free < LEAST {
        findings.problem(
            "disk-full",
            base.display(),
            format_args!("only {} MiB are free", free / MIB),
            "Make room, or move the data to a larger disk.",
        );
    } else if let Some((size, user)) = largest.filter(|(size, _)| free < size * COPIES) {
        findings.warning(
            "disk-nearly-full",
            base.display(),
            format_args!(
                "{} MiB are free, but an upload of the largest collection, {} with {} MiB, may take {} MiB for a while",
                free / MIB,
                of_user(&user, "collection.anki2"),
                size / MIB,
                size * COPIES / MIB
            ),
            "Make room, or move the data to a larger disk.",
        );
    }
}
