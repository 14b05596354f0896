//! The nightly backup: whether the last one went well, and the next one can.

use super::{
    finding::Findings,
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
        findings.problem(
            "backup-failed",
            "anki-syncd-backup.service",
            format_args!("the last backup failed: {why}"),
            "Put that right; `systemctl start anki-syncd-backup` tries again.",
        );
    }
    // With a command of its own, the unit goes by that.
    if !unit.is_enabled || !unit.goes_by_settings {
        return;
    }
    let backups = &settings.backups;
    let place = backups.to.display();
    if let Some(why) = unmounted(&backups.to) {
        findings.problem(
            "backup-unmounted",
            place,
            why,
            "Mount it; until then the backups fail.",
        );
    } else if backups.is_chosen() && !backups.to.is_dir() {
        findings.problem(
            "backup-folder-missing",
            &place,
            "the folder for backups (backup_to) is not there, so the backups fail",
            format_args!("Mount its disk; if it is mounted, `mkdir -m 700 {place}`."),
        );
    } else if on_one_disk(&backups.to, &settings.base) {
        findings.warning(
            "backup-same-disk",
            place,
            "the backups are on the same disk as the data: when it fails, both are lost",
            "Set backup_to to a folder on another disk.",
        );
    }
    if !unit
        .writable
        .iter()
        .any(|path| backups.to.starts_with(path))
    {
        findings.problem(
            "backup-not-allowed",
            "anki-syncd-backup.service",
            format_args!("may not write to {} (backup_to), so the backups fail", backups.to.display()),
            format_args!(
                "`systemctl daemon-reload`; without the packages' generator, `systemctl edit anki-syncd-backup`: [Service], ReadWritePaths=-{}",
                backups.to.display()
            ),
        );
    }
    if !unit.times.iter().any(|time| time.contains(&backups.at)) {
        findings.warning(
            "backup-time",
            "anki-syncd-backup.timer",
            format_args!("starts at another time than {} (backup_at)", backups.at),
            "`systemctl daemon-reload && systemctl restart anki-syncd-backup.timer`; a time in a drop-in of yours wins over the setting.",
        );
    }
}
