//! Free space and inodes, and the users' quotas.

use std::path::Path;

use nix::{
    errno::Errno,
    sys::statvfs::{FsFlags, statvfs},
};

use super::{
    finding::{Findings, Id, of_user},
    subject::Subject,
};
use crate::{
    account::name::UserName,
    config::Settings,
    disk::MIB,
    layout::{COLLECTION, user_folder},
    vault::{room::Free, usage::Usage},
};

/// An upload, the collection that it replaces, and a copy for a download.
const COPIES: u64 = 3;
const FEW_FILES: u64 = 1000;

pub(super) fn check(subject: &Subject, base: &Path, users: &[UserName], findings: &mut Findings) {
    let system = match statvfs(base) {
        Ok(system) => system,
        // `files` has reported these.
        Err(Errno::ENOENT | Errno::ENOTDIR | Errno::EACCES) => return,
        Err(error) => return findings.unseen(base.display(), error),
    };
    if system.flags().contains(FsFlags::ST_RDONLY) {
        let what = "the file system is mounted read-only, so nothing can be synced";
        findings.add(Id::DiskReadOnly, base.display(), what);
    }
    let settings = subject.settings.as_ref().ok();
    if let Some(quota) = settings.and_then(|settings| settings.room.quota) {
        quotas(quota, base, users, findings);
    }
    let Ok(free) = Free::at(base) else { return };
    room(settings, base, users, free, findings);
    if let Some(files) = free.files.filter(|files| *files < FEW_FILES) {
        let what = format_args!("the file system can store only {files} more files (free inodes)");
        findings.add(Id::DiskFewInodes, base.display(), what);
    }
}

fn room(
    settings: Option<&Settings>,
    base: &Path,
    users: &[UserName],
    free: Free,
    findings: &mut Findings,
) {
    let sizes = users.iter().filter_map(|user| {
        let folder = user_folder(base, user.as_str());
        let metadata = folder.join(COLLECTION).metadata().ok()?;
        Some((metadata.len(), user))
    });
    let largest = sizes.max();
    if let Some(full) = settings.and_then(|settings| settings.room.admit(free).err()) {
        findings.add(Id::DiskFull, base.display(), full);
    } else if let Some((size, user)) = largest.filter(|(size, _)| free.bytes < size * COPIES) {
        let what = format_args!(
            "{} MiB are free, but an upload of the largest collection, {} with {} MiB, may need {} MiB temporarily",
            free.bytes / MIB,
            of_user(user, COLLECTION),
            size / MIB,
            size * COPIES / MIB
        );
        findings.add(Id::DiskNearlyFull, base.display(), what);
    }
}

/// Reports the users whose data exceed the quota.
fn quotas(quota: u64, base: &Path, users: &[UserName], findings: &mut Findings) {
    for user in users {
        // `files` reports what cannot be read.
        let bytes = Usage::of(&user_folder(base, user.as_str()))
            .map_or(0, |usage| usage.collection_bytes + usage.media_bytes);
        if bytes > quota {
            let what = format_args!(
                "the collection and media take up {} MiB, but quota_megs allows {}: uploads and new media are refused",
                bytes.div_ceil(MIB),
                quota / MIB
            );
            findings.add(Id::QuotaExceeded, user, what);
        }
    }
}
