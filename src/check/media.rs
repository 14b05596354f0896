//! The media folder against `media.db`.

use std::{collections::BTreeMap, ffi::OsString, fs, io, path::Path, thread, time::Duration};

use super::{
    data::Data,
    finding::{Findings, Id, Repair, of_user, some_of},
    progress,
    quiet::{self, QuietError},
};
use crate::{
    account::name::UserName,
    files::if_there,
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
    for user in &data.users {
        let folder = data.folder(user);
        let looked = match folder.join(MEDIA_DATABASE).try_exists() {
            Ok(true) => one(data, user, &folder, findings),
            Ok(false) => without_database(user, &folder, findings),
            Err(error) => Err(error.into()),
        };
        if let Err(error) = looked {
            error.tell(of_user(user, MEDIA), findings);
        }
    }
}

/// Then every file is an extra one.
fn without_database(
    user: &UserName,
    folder: &Path,
    findings: &mut Findings,
) -> Result<(), QuietError> {
    let names = names(&folder.join(MEDIA))?.into_iter();
    let names: Vec<_> = names.filter_map(|name| name.into_string().ok()).collect();
    if !names.is_empty() {
        findings
            .add(
                Id::MediaDatabaseMissing,
                of_user(user, MEDIA_DATABASE),
                format_args!(
                    "is missing, so devices do not receive the {} files in media",
                    names.len()
                ),
            )
            .with(settle(user, names));
    }
    Ok(())
}

/// What there is in a media folder, which need not be there yet.
fn names(media: &Path) -> io::Result<Vec<OsString>> {
    let entries = if_there(fs::read_dir(media))?.into_iter().flatten();
    entries.map(|entry| Ok(entry?.file_name())).collect()
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
    if folder.join(STAGING).join(BATCH_JOURNAL).try_exists()? && data.server.is_none() {
        findings
            .add(
                Id::MediaBatchInterrupted,
                of_user(user, MEDIA),
                "a batch of media was interrupted, so the folder was not compared with media.db",
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
    not_text(user, &media, findings)?;
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
        findings.add(
            Id::MediaDifferInCase,
            of_user(user, MEDIA),
            format_args!(
                "names differ only in upper and lower case, so on this file system they are one file: {}",
                some_of(clashing)
            ),
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
            findings.add(Id::MediaDatabaseOlder, place, "has an older format");
            false
        }
        Some(Fault::Empty) => {
            findings.add(
                Id::MediaDatabaseEmpty,
                place,
                "has no tables yet: the disk was full when the server was about to make them",
            );
            false
        }
        Some(Fault::Unknown(version)) => {
            findings.add(
                Id::MediaDatabaseUnknown,
                place,
                format_args!("has format {version}, which this server does not support"),
            );
            false
        }
        Some(Fault::Sums) => {
            findings
                .add(
                    Id::MediaDatabaseSums,
                    place,
                    "its totals or its last sequence number do not match its entries, so devices may miss files",
                )
                .with(settle(user, Vec::new()));
            true
        }
    }
}

fn damaged(place: &str, how: &str, findings: &mut Findings) {
    findings.add(
        Id::MediaDatabaseDamaged,
        place,
        format_args!("is damaged: {how}"),
    );
}

fn compare(user: &UserName, database: &Path, media: &Path) -> Result<Differences, QuietError> {
    let count = quiet::read(database, files)?;
    let media_of = format!("media of {user}");
    let bar = progress::bar(progress::WIDE, count.unsigned_abs(), media_of);
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
        for name in names(media)? {
            if let Ok(name) = name.into_string()
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
        let (id, what) = match difference {
            Difference::Missing => (
                Id::MediaMissing,
                "files are listed in media.db but missing from the folder".into(),
            ),
            Difference::Extra => (
                Id::MediaExtra,
                "files in the folder are not in media.db, so devices do not receive them".into(),
            ),
            Difference::Changed => (
                Id::MediaChanged,
                "the content of files differs from their checksums in media.db, so they may be damaged".into(),
            ),
            // These reach no device, and do no harm.
            Difference::Name(error) => (
                Id::MediaName,
                format!("files have names that cannot be sent to devices ({error})"),
            ),
            Difference::Large => (
                Id::MediaLarge,
                "files are larger than the 100 MiB that can be sent to devices".into(),
            ),
            Difference::NotFile => (
                Id::MediaNotAFile,
                "entries in the folder are not plain files, so devices do not receive them".into(),
            ),
            Difference::Empty => (
                Id::MediaEmpty,
                "empty files cannot be sent to devices".into(),
            ),
            Difference::Hidden => (
                Id::MediaHidden,
                "files of the operating system are not sent to devices".into(),
            ),
        };
        let which = format!("{} ({})", names.len(), some_of(&names));
        let found = findings.add(id, &place, format_args!("{what}: {which}"));
        if matches!(id, Id::MediaMissing | Id::MediaExtra | Id::MediaChanged) {
            found.with(settle(user, names));
        }
    }
}

fn not_text(user: &UserName, media: &Path, findings: &mut Findings) -> io::Result<()> {
    let names: Vec<_> = names(media)?
        .iter()
        .filter(|name| name.to_str().is_none())
        .map(|name| name.display().to_string())
        .collect();
    if !names.is_empty() {
        findings.add(
            Id::MediaName,
            of_user(user, MEDIA),
            format_args!(
                "files have names that are not UTF-8 and cannot be sent to devices: {}",
                some_of(&names)
            ),
        );
    }
    Ok(())
}
