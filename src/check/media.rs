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
    collection::is_environment,
    media::{
        Error,
        examine::{Difference, difference, files, is_recorded, recorded},
        fault::{Fault, database_fault},
    },
    spelling,
    vault::upkeep::Mend,
};

const AGAIN: Duration = Duration::from_secs(1);
const JOURNAL: &str = ".anki-syncd/media/journal.json";

type Differences = BTreeMap<String, Difference>;

pub(super) fn check(data: &Data, findings: &mut Findings) {
    for (user, folder) in data.users() {
        if !folder.join("media.db").exists() {
            without_database(&user, &folder, findings);
        } else if let Err(error) = one(data, &user, &folder, findings) {
            error.tell(of_user(&user, "media"), findings);
        }
    }
}

/// Then every file is an extra one.
fn without_database(user: &UserName, folder: &Path, findings: &mut Findings) {
    let names: Vec<_> = fs::read_dir(folder.join("media"))
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    if !names.is_empty() {
        findings
            .problem(
                "media-database-missing",
                of_user(user, "media.db"),
                format_args!("is missing, so the {} files in media reach no device", names.len()),
                "`check --repair` records them anew; then log out and in on every device, which has it compare all its media.",
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
    let (database, media) = (folder.join("media.db"), folder.join("media"));
    let place = of_user(user, "media.db");
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
    if folder.join(JOURNAL).exists() && data.server.is_none() {
        findings
            .note(
                "media-batch-interrupted",
                of_user(user, "media"),
                "a batch of media was interrupted; folder and media.db are compared once it is settled",
                "Nothing: the next sync of media, or `check --repair`, settles it.",
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
            of_user(user, "media"),
            format_args!(
                "names differ in upper and lower case only, of which this file system makes one file: {}",
                some_of(clashing)
            ),
            "Move SYNC_BASE to a disk with ext4, XFS or Btrfs, and put the files back from a device or backup; or rename one of each pair in Anki.",
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
            damaged(place, "its pages are in disorder", findings);
            false
        }
        Some(Fault::Older) => {
            findings.note(
                "media-database-older",
                place,
                "has the older layout",
                "Nothing: the next sync of media upgrades it; check again then.",
            );
            false
        }
        Some(Fault::Unknown(version)) => {
            findings.problem(
                "media-database-unknown",
                place,
                format_args!("has layout {version}, which this server does not know"),
                "Update this server.",
            );
            false
        }
        Some(Fault::Sums) => {
            findings
                .problem(
                    "media-database-sums",
                    place,
                    "its sums or its last number do not fit its entries, so devices may miss files",
                    "`check --repair` sums up anew.",
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
        "With the server stopped, move it away and run `check --repair`, which records all files anew; then log out and in on every device.",
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
    let place = of_user(user, "media");
    for (difference, names) in by_kind {
        let which = format!("{} ({})", names.len(), some_of(&names));
        match difference {
            Difference::Missing => findings
                .problem(
                    "media-missing",
                    &place,
                    format_args!("files that media.db lists are not in the folder: {which}"),
                    "Put them back from a backup; else `check --repair` forgets them, and a device that has them sends them again.",
                )
                .with(settle(user, names)),
            Difference::Extra => findings
                .problem(
                    "media-extra",
                    &place,
                    format_args!("files in the folder are not in media.db, so they reach no device: {which}"),
                    "`check --repair` records them, so that devices fetch them; or move away what does not belong there.",
                )
                .with(settle(user, names)),
            Difference::Changed => findings
                .problem(
                    "media-changed",
                    &place,
                    format_args!("files have another content than media.db has recorded, so they may be damaged: {which}"),
                    "Put them back from a backup; else `check --repair` moves them to .anki-syncd/set-aside, and a device that has them as they were sends them again.",
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
            "Make them smaller, or move them away.",
        ),
        Difference::NotFile => findings.warning(
            "media-not-a-file",
            place,
            format_args!(
                "in the folder are others than plain files, which reach no device: {which}"
            ),
            "Move them away; media are one flat folder.",
        ),
        Difference::Empty => findings.note(
            "media-empty",
            place,
            format_args!("files without content cannot be sent to devices: {which}"),
            "Remove them.",
        ),
        _ => findings.note(
            "media-hidden",
            place,
            format_args!("files of the system are not for devices: {which}"),
            "Nothing, or remove them.",
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
            of_user(user, "media"),
            format_args!(
                "files have names that are not UTF-8 and cannot be sent to devices: {}",
                some_of(&names)
            ),
            "Rename them, or add them to a card in Anki.",
        );
    }
}
