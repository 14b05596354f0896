//! The media folder against `media.db`.

use std::{collections::BTreeMap, fs, path::Path, thread, time::Duration};

use super::{
    data::Data,
    finding::{Findings, Repair, of_user, some_of},
    progress,
    quiet::{self, QuietError},
};
use crate::{
    account::name::UserName,
    layout::{BATCH_JOURNAL, MEDIA, MEDIA_DATABASE, STAGING},
    media::{
        Error,
        examine::{Difference, difference, files, is_recorded, recorded},
        fault::{Fault, database_fault},
    },
    spelling,
    sqlite::is_environment,
    vault::upkeep::Mend,
};

const AGAIN: Duration = Duration::from_secs(1);

type Differences = BTreeMap<String, Difference>;

pub(super) fn check(data: &Data, findings: &mut Findings) {
    for (user, folder) in data.users() {
        if !folder.join(MEDIA_DATABASE).exists() {
            without_database(&user, &folder, findings);
        } else if let Err(error) = one(data, &user, &folder, findings) {
            error.tell(of_user(&user, MEDIA), findings);
        }
    }
}

/// Then every file is an extra one.
fn without_database(user: &UserName, folder: &Path, findings: &mut Findings) {
    let names: Vec<_> = fs::read_dir(folder.join(MEDIA))
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    if !names.is_empty() {
        findings
            .problem(
                "media-database-missing",
                of_user(user, MEDIA_DATABASE),
                format_args!("is missing, so devices do not receive the {} files in media", names.len()),
                "`check --repair` records them again. Then log out and in on every device, so that it compares all its media.",
            )
            .with(settle(user, names));
    }
}

fn one(
    data: &Data,
    user: &UserName,
    folder: &Path,
    findings: &mut Findings,
) -> Result<(), QuietError> {
    let (database, media) = (folder.join(MEDIA_DATABASE), folder.join(MEDIA));
    let place = of_user(user, MEDIA_DATABASE);
    match quiet::read(&database, database_fault) {
        Ok(fault) => {
            if !tell_fault(user, &place, fault, findings) {
                return Ok(());
            }
        }
        Err(QuietError::Sqlite(error)) if !is_environment(&error) => {
            damaged(&place, &error.to_string(), findings);
            return Ok(());
        }
        Err(error) => return Err(error),
    }
    if folder.join(STAGING).join(BATCH_JOURNAL).exists() && data.server.is_none() {
        findings
            .note(
                "media-batch-interrupted",
                of_user(user, MEDIA),
                "a batch of media was interrupted, so the folder was not compared with media.db",
                "Nothing to do: the next sync of media, or `check --repair`, completes or undoes the batch.",
            )
            .with(settle(user, Vec::new()));
        return Ok(());
    }
    let mut found = compare(user, &database, &media)?;
    if !found.is_empty() && data.server.is_some() {
        // A batch of media that is just being stored is not whole in both places yet.
        thread::sleep(AGAIN);
        found = quiet::read(&database, |conn| again(conn, &media, &found))?;
    }
    if spelling::is_ignored_at(&media) {
        tell_clashes(user, &quiet::read(&database, clashes)?, findings);
    }
    tell(user, found, findings);
    not_text(user, &media, findings);
    Ok(())
}

/// Names that are one file where upper and lower case are not told apart.
fn clashes(conn: &rusqlite::Connection) -> Result<Vec<String>, Error> {
    let mut spellings: BTreeMap<String, Vec<String>> = BTreeMap::new();
    recorded(conn, |name| {
        let same = spellings.entry(spelling::caseless(name)).or_default();
        same.push(name.to_owned());
        Ok(())
    })?;
    let clashing = spellings.into_values().filter(|same| same.len() > 1);
    Ok(clashing.map(|same| same.join(" and ")).collect())
}

fn tell_clashes(user: &UserName, clashing: &[String], findings: &mut Findings) {
    if !clashing.is_empty() {
        findings.problem(
            "media-differ-in-case",
            of_user(user, MEDIA),
            format_args!(
                "names differ only in upper and lower case, so on this file system they are one file: {}",
                some_of(clashing)
            ),
            "Move SYNC_BASE to a disk with ext4, XFS or Btrfs, and restore the files from a device or backup. Or rename one file of each pair in Anki.",
        );
    }
}

fn settle(user: &UserName, names: Vec<String>) -> Repair {
    Repair::Data {
        user: user.clone(),
        mend: Mend::Media(names),
    }
}

/// Whether the database can be compared with.
fn tell_fault(user: &UserName, place: &str, fault: Option<Fault>, findings: &mut Findings) -> bool {
    match fault {
        None => true,
        Some(Fault::Damaged) => {
            damaged(place, "its integrity check fails", findings);
            false
        }
        Some(Fault::Older) => {
            findings.note(
                "media-database-older",
                place,
                "has an older format",
                "Nothing to do: the next sync of media upgrades it. Check again afterwards.",
            );
            false
        }
        Some(Fault::Empty) => {
            findings.note(
                "media-database-empty",
                place,
                "has no tables yet: the disk was full when the server was about to make them",
                "Nothing to do: the next sync of media makes them. Check again afterwards.",
            );
            false
        }
        Some(Fault::Unknown(version)) => {
            findings.problem(
                "media-database-unknown",
                place,
                format_args!("has format {version}, which this server does not support"),
                "Update this server.",
            );
            false
        }
        Some(Fault::Sums) => {
            findings
                .problem(
                    "media-database-sums",
                    place,
                    "its totals or its last sequence number do not match its entries, so devices may miss files",
                    "`check --repair` recomputes them.",
                )
                .with(settle(user, Vec::new()));
            true
        }
    }
}

fn damaged(place: &str, how: &str, findings: &mut Findings) {
    findings.problem(
        "media-database-damaged",
        place,
        format_args!("is damaged: {how}"),
        "Stop the server, move media.db away, and run `check --repair`, which records all files again. Then log out and in on every device.",
    );
}

fn compare(user: &UserName, database: &Path, media: &Path) -> Result<Differences, QuietError> {
    let count = quiet::read(database, files)?;
    let bar = progress(count.unsigned_abs(), format!("media of {user}"));
    let found = quiet::read(database, |conn| {
        bar.set_position(0);
        let mut found = Differences::new();
        recorded(conn, |name| {
            if let Some(difference) = difference(conn, media, name)? {
                found.insert(name.to_owned(), difference);
            }
            bar.inc(1);
            Ok(())
        })?;
        for entry in fs::read_dir(media).into_iter().flatten().flatten() {
            if let Ok(name) = entry.file_name().into_string()
                && !is_recorded(conn, &name)?
                && let Some(difference) = difference(conn, media, &name)?
            {
                found.insert(name, difference);
            }
        }
        Ok::<_, Error>(found)
    });
    bar.finish_and_clear();
    found
}

fn again(
    conn: &rusqlite::Connection,
    media: &Path,
    found: &Differences,
) -> Result<Differences, Error> {
    let mut still = Differences::new();
    for name in found.keys() {
        if let Some(difference) = difference(conn, media, name)? {
            still.insert(name.clone(), difference);
        }
    }
    Ok(still)
}

fn tell(user: &UserName, found: Differences, findings: &mut Findings) {
    let mut by_kind: BTreeMap<Difference, Vec<String>> = BTreeMap::new();
    for (name, difference) in found {
        by_kind.entry(difference).or_default().push(name);
    }
    let place = of_user(user, MEDIA);
    for (difference, names) in by_kind {
        let which = format!("{} ({})", names.len(), some_of(&names));
        match difference {
            Difference::Missing => findings
                .problem(
                    "media-missing",
                    &place,
                    format_args!("files are listed in media.db but missing from the folder: {which}"),
                    "Restore them from a backup. Otherwise run `check --repair`, which removes them from media.db; a device that has them then sends them again.",
                )
                .with(settle(user, names)),
            Difference::Extra => findings
                .problem(
                    "media-extra",
                    &place,
                    format_args!("files in the folder are not in media.db, so devices do not receive them: {which}"),
                    "Run `check --repair`, which records them, so that devices fetch them. Or move away files that do not belong there.",
                )
                .with(settle(user, names)),
            Difference::Changed => findings
                .problem(
                    "media-changed",
                    &place,
                    format_args!("the content of files differs from their checksums in media.db, so they may be damaged: {which}"),
                    "Restore them from a backup. Otherwise run `check --repair`, which moves them to .anki-syncd/set-aside; a device that has undamaged copies then sends them again.",
                )
                .with(settle(user, names)),
            other => unsendable(&place, other, &which, findings),
        }
    }
}

/// What lies in the folder, and reaches no device, and does no harm.
fn unsendable(place: &str, difference: Difference, which: &str, findings: &mut Findings) {
    match difference {
        Difference::Name(error) => findings.warning(
            "media-name",
            place,
            format_args!("files have names that cannot be sent to devices ({error}): {which}"),
            "Rename them, or add them to a card in Anki.",
        ),
        Difference::Large => findings.warning(
            "media-large",
            place,
            format_args!("files are larger than the 100 MiB that can be sent to devices: {which}"),
            "Shrink them, or move them away.",
        ),
        Difference::NotFile => findings.warning(
            "media-not-a-file",
            place,
            format_args!(
                "entries in the folder are not plain files, so devices do not receive them: {which}"
            ),
            "Move them away. The media folder can contain only files.",
        ),
        Difference::Empty => findings.note(
            "media-empty",
            place,
            format_args!("empty files cannot be sent to devices: {which}"),
            "Remove them.",
        ),
        _ => findings.note(
            "media-hidden",
            place,
            format_args!("files of the operating system are not sent to devices: {which}"),
            "Nothing to do; you can remove them.",
        ),
    };
}

fn not_text(user: &UserName, media: &Path, findings: &mut Findings) {
    let names: Vec<_> = fs::read_dir(media)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name())
        .filter(|name| name.to_str().is_none())
        .map(|name| name.display().to_string())
        .collect();
    if !names.is_empty() {
        findings.warning(
            "media-name",
            of_user(user, MEDIA),
            format_args!(
                "files have names that are not UTF-8 and cannot be sent to devices: {}",
                some_of(&names)
            ),
            "Rename them, or add them to a card in Anki.",
        );
    }
}
