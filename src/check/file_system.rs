//! File systems that store no owners and modes, or that ignore upper and lower case.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, Metadata},
    os::unix::fs::MetadataExt,
    path::Path,
};

use nix::sys::stat::{major, minor};

use super::{
    finding::{Findings, Id, Severity},
    subject::{Account, Subject},
};
use crate::spelling::is_ignored_at;

/// The kernel's names. `fuseblk` is exFAT or NTFS in a FUSE driver.
const WITHOUT_OWNERS: [&str; 6] = ["exfat", "vfat", "msdos", "ntfs", "ntfs3", "fuseblk"];
const BETTER: &str = "move SYNC_BASE to a disk with ext4, XFS or Btrfs";

/// The kind of file system, if it stores no owners and modes.
pub(super) fn without_owners(base: &Metadata) -> Option<&'static str> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let device = format!("{}:{}", major(base.dev()), minor(base.dev()));
    kind_of(&mounts, &device)
}

fn kind_of(mounts: &str, device: &str) -> Option<&'static str> {
    let on_device = |line: &&str| line.split(' ').nth(2) == Some(device);
    let mount = mounts.lines().find(on_device)?;
    let kind = mount.split_once(" - ")?.1.split(' ').next()?;
    WITHOUT_OWNERS.into_iter().find(|known| *known == kind)
}

/// Advises mount options, since `chown` and `chmod` have no effect there.
pub(super) fn report_owners(
    kind: &str,
    base: &Path,
    account: &Account,
    is_usable: bool,
    is_open: bool,
    findings: &mut Findings,
) {
    let name = &account.name;
    let (severity, consequence) = if !is_usable {
        (
            Severity::Problem,
            format!(". As it is mounted now, the server's account, {name}, cannot use it"),
        )
    } else if is_open {
        (
            Severity::Warning,
            ". As it is mounted now, everybody on this machine can read it, including the secret behind the devices' keys".to_owned(),
        )
    } else {
        (Severity::Note, String::new())
    };
    let remedy = if severity == Severity::Note {
        format!("Do nothing (`chown` and `chmod` have no effect there), or {BETTER}.")
    } else {
        format!(
            "Mount it with the options uid={name},gid={name},umask=0077 (in /etc/fstab), or {BETTER}. `chown` and `chmod` have no effect there."
        )
    };
    let what = format_args!(
        "the data folder is on a file system of type {kind}, which stores no owners and permissions, and loses more than others in a power cut{consequence}"
    );
    let id = Id::FileSystemWithoutOwners;
    findings.advise(id, base.display(), what, remedy).severity = severity;
}

/// Reports the consequences if two names that differ only in case are one file.
pub(super) fn report_case(subject: &Subject, base: &Path, findings: &mut Findings) {
    if !is_ignored_at(&base.join(crate::layout::OWN)) {
        return;
    }
    let what = "the data folder is on a file system that does not distinguish upper and lower case. Of two media files whose names differ only in case, the server refuses the second";
    let remedy = format_args!(
        "Do nothing, unless the log names such media files: then rename one of them in Anki, or {BETTER}."
    );
    findings.advise(Id::FileSystemWithoutCase, base.display(), what, remedy);
    let Ok(settings) = &subject.settings else {
        return;
    };
    let mut spellings: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for user in settings.users.named() {
        let same = spellings.entry(user.caseless()).or_default();
        same.insert(user.as_str());
    }
    for same in spellings.into_values().filter(|same| same.len() > 1) {
        let same: Vec<_> = same.into_iter().collect();
        let what = "these users' names differ only in upper and lower case, so they share one folder on this file system, and see each other's cards";
        let remedy = format_args!("Rename one of them with the server stopped, or {BETTER}.");
        findings.advise(Id::UsersShareAFolder, same.join(", "), what, remedy);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_systems_without_owners_are_known_by_their_mount() {
        let mounts = "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n\
            40 22 8:17 / /media/usb\\040disk rw,relatime shared:2 - exfat /dev/sdb1 rw,uid=1000\n\
            41 22 7:0 / /mnt rw - fuseblk /dev/loop0 rw,user_id=0\n";
        assert_eq!(kind_of(mounts, "8:1"), None);
        assert_eq!(kind_of(mounts, "8:17"), Some("exfat"));
        assert_eq!(kind_of(mounts, "7:0"), Some("fuseblk"));
        assert_eq!(kind_of(mounts, "0:5"), None);
    }
}
