//! Whether the last nightly backup succeeded, and whether the next one can.

use super::{
    finding::{Findings, Id},
    subject::Subject,
    target::{on_one_disk, unmounted},
};
use crate::service::backup_unit::BackupUnit;

const SERVICE: &str = "anki-syncd-backup.service";

pub(super) fn check(subject: &Subject, findings: &mut Findings) {
    let (Some(_), Ok(settings)) = (&subject.unit, &subject.settings) else {
        return;
    };
    let Some(unit) = BackupUnit::ask() else {
        return;
    };
    if let Some(why) = &unit.failure {
        let what = format_args!("the last backup failed: {why}");
        findings.add(Id::BackupFailed, SERVICE, what);
    }
    // A unit with another command does not use these settings.
    if !unit.is_enabled || !unit.goes_by_settings {
        return;
    }
    let backups = &settings.backups;
    let to = backups.to.display();
    if let Some(why) = unmounted(&backups.to) {
        findings.add(Id::BackupUnmounted, &to, why);
    } else if backups.is_chosen() && !backups.to.is_dir() {
        let what = "the folder for backups (backup_to) does not exist, so backups fail";
        let remedy = format_args!(
            "Mount its disk. If the disk is mounted, create the folder: `mkdir -m 700 {to}`."
        );
        findings.advise(Id::BackupFolderMissing, &to, what, remedy);
    } else if on_one_disk(&backups.to, &settings.base) {
        let what =
            "the backups are on the same disk as the data: when the disk fails, both are lost";
        findings.add(Id::BackupSameDisk, &to, what);
    }
    let mut writable = unit.writable.iter();
    if !writable.any(|path| backups.to.starts_with(path)) {
        let what = format_args!("is not allowed to write to {to} (backup_to), so backups fail");
        let remedy = format_args!(
            "Run `systemctl daemon-reload`. If the server was not installed from a package, run `systemctl edit anki-syncd-backup` and add the lines `[Service]` and `ReadWritePaths=-{to}`."
        );
        findings.advise(Id::BackupNotAllowed, SERVICE, what, remedy);
    }
    if !unit.times.iter().any(|time| time.contains(&backups.at)) {
        let what = format_args!("does not start at {} (backup_at)", backups.at);
        findings.add(Id::BackupTime, "anki-syncd-backup.timer", what);
    }
}
