//! The nightly backup: whether the last one went well, and the next one can.

use super::{
    finding::{Findings, Id},
    subject::Subject,
    target::{on_one_disk, unmounted},
};
use crate::service::backup_unit::BackupUnit;

pub(super) fn check(subject: &Subject, findings: &mut Findings) {
    let (Some(_), Ok(settings)) = (&subject.unit, &subject.settings) else {
        return;
    };
    let Some(unit) = BackupUnit::ask() else {
        return;
    };
    if let Some(why) = &unit.failure {
        findings.add(
            Id::BackupFailed,
            "anki-syncd-backup.service",
            format_args!("the last backup failed: {why}"),
        );
    }
    // With a command of its own, the unit goes by that.
    if !unit.is_enabled || !unit.goes_by_settings {
        return;
    }
    let backups = &settings.backups;
    let place = backups.to.display();
    if let Some(why) = unmounted(&backups.to) {
        findings.add(Id::BackupUnmounted, place, why);
    } else if backups.is_chosen() && !backups.to.is_dir() {
        findings.advise(
            Id::BackupFolderMissing,
            &place,
            "the folder for backups (backup_to) does not exist, so backups fail",
            format_args!(
                "Mount its disk. If the disk is mounted, create the folder: `mkdir -m 700 {place}`."
            ),
        );
    } else if on_one_disk(&backups.to, &settings.base) {
        findings.add(
            Id::BackupSameDisk,
            place,
            "the backups are on the same disk as the data: when the disk fails, both are lost",
        );
    }
    if !unit
        .writable
        .iter()
        .any(|path| backups.to.starts_with(path))
    {
        findings.advise(
            Id::BackupNotAllowed,
            "anki-syncd-backup.service",
            format_args!(
                "is not allowed to write to {} (backup_to), so backups fail",
                backups.to.display()
            ),
            format_args!(
                "Run `systemctl daemon-reload`. If the server was not installed from a package, run `systemctl edit anki-syncd-backup` and add the lines `[Service]` and `ReadWritePaths=-{}`.",
                backups.to.display()
            ),
        );
    }
    if !unit.times.iter().any(|time| time.contains(&backups.at)) {
        findings.add(
            Id::BackupTime,
            "anki-syncd-backup.timer",
            format_args!("does not start at {} (backup_at)", backups.at),
        );
    }
}
