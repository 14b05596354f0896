//! Compares the media folder with `media.db`.

use std::{collections::BTreeMap, ffi::OsString, fs, io, path::Path, thread, time::Duration};

use rusqlite::Connection;

use super::{
    data::Data,
    finding::{Findings, Id, of_user, some_of},
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
        let checked = match folder.join(MEDIA_DATABASE).try_exists() {
            Ok(true) => check_one(data, user, &folder, findings),
            Ok(false) => without_database(user, &folder, findings),
            Err(error) => Err(error.into()),
        };
        if let Err(error) = checked {
            error.report(of_user(user, MEDIA), findings);
        }
    }
}

/// Reports all files in the folder as not recorded.
fn without_database(
    user: &UserName,
    folder: &Path,
    findings: &mut Findings,
) -> Result<(), QuietError> {
    let names = names(&folder.join(MEDIA))?.into_iter();
    let names: Vec<_> = names.filter_map(|name| name.into_string().ok()).collect();
    if !names.is_empty() {
        let what = format_args!(
            "is missing, so devices do not receive the {} files in media",
            names.len()
        );
        let place = of_user(user, MEDIA_DATABASE);
        let found = findings.add(Id::MediaDatabaseMissing, place, what);
        found.mend(user, Mend::Media(names));
    }
    Ok(())
}

/// The names in a media folder; none if the folder does not exist yet.
fn names(media: &Path) -> io::Result<Vec<OsString>> {
    let entries = if_there(fs::read_dir(media))?.into_iter().flatten();
    entries.map(|entry| Ok(entry?.file_name())).collect()
}

fn check_one(
    data: &Data,
    user: &UserName,
    folder: &Path,
    findings: &mut Findings,
) -> Result<(), QuietError> {
    let (database, media) = (folder.join(MEDIA_DATABASE), folder.join(MEDIA));
    let place = of_user(user, MEDIA);
    if !is_comparable(user, &database, findings)? {
        return Ok(());
    }
    if folder.join(STAGING).join(BATCH_JOURNAL).try_exists()? && data.server.is_none() {
        let what = "a batch of media was interrupted, so the folder was not compared with media.db";
        let found = findings.add(Id::MediaBatchInterrupted, place, what);
        found.mend(user, Mend::Media(Vec::new()));
        return Ok(());
    }
    let (mut found, not_text) = compare(user, &database, &media)?;
    if !found.is_empty() && data.server.is_some() {
        // The server may just be storing a batch: then folder and database differ for a moment.
        thread::sleep(AGAIN);
        found = quiet::read(&database, |conn| {
            let still = found.keys().filter_map(|name| {
                let difference = difference(conn, &media, name).transpose()?;
                Some(difference.map(|difference| (name.clone(), difference)))
            });
            still.collect::<Result<_, Error>>()
        })?;
    }
    if spelling::is_ignored_at(&media) {
        let clashing = quiet::read(&database, clashes)?;
        if !clashing.is_empty() {
            let what = format_args!(
                "names differ only in upper and lower case, so on this file system they are one file: {}",
                some_of(&clashing)
            );
            findings.add(Id::MediaDifferInCase, &place, what);
        }
    }
    report(user, found, findings);
    if !not_text.is_empty() {
        let what = format_args!(
            "files have names that are not UTF-8 and cannot be sent to devices: {}",
            some_of(&not_text)
        );
        findings.add(Id::MediaName, place, what);
    }
    Ok(())
}

/// Groups of recorded names that differ only in upper and lower case.
fn clashes(conn: &Connection) -> Result<Vec<String>, Error> {
    let mut spellings: BTreeMap<String, Vec<String>> = BTreeMap::new();
    recorded(conn, |name| {
        let same = spellings.entry(spelling::caseless(name)).or_default();
        same.push(name.to_owned());
        Ok(())
    })?;
    let clashing = spellings.into_values().filter(|same| same.len() > 1);
    Ok(clashing.map(|same| same.join(" and ")).collect())
}

/// Reports a fault of `media.db` itself. Returns whether the folder can be compared with it.
fn is_comparable(
    user: &UserName,
    database: &Path,
    findings: &mut Findings,
) -> Result<bool, QuietError> {
    let (id, what) = match quiet::read(database, database_fault) {
        Ok(None) => return Ok(true),
        Ok(Some(Fault::Damaged)) => (
            Id::MediaDatabaseDamaged,
            "is damaged: its integrity check fails".into(),
        ),
        Ok(Some(Fault::Older)) => (Id::MediaDatabaseOlder, "has an older format".into()),
        Ok(Some(Fault::Empty)) => (
            Id::MediaDatabaseEmpty,
            "has no tables yet: the disk was full when the server was about to make them".into(),
        ),
        Ok(Some(Fault::Unknown(version))) => (
            Id::MediaDatabaseUnknown,
            format!("has format {version}, which this server does not support"),
        ),
        Ok(Some(Fault::Sums)) => (
            Id::MediaDatabaseSums,
            "its totals or its last sequence number do not match its entries, so devices may miss files".into(),
        ),
        Err(QuietError::Sqlite(error)) if !is_environment(&error) => {
            (Id::MediaDatabaseDamaged, format!("is damaged: {error}"))
        }
        Err(error) => return Err(error),
    };
    let found = findings.add(id, of_user(user, MEDIA_DATABASE), what);
    let has_wrong_sums = id == Id::MediaDatabaseSums;
    if has_wrong_sums {
        found.mend(user, Mend::Media(Vec::new()));
    }
    Ok(has_wrong_sums)
}

/// The differences between folder and database, and the names in the folder that are not UTF-8.
fn compare(
    user: &UserName,
    database: &Path,
    media: &Path,
) -> Result<(Differences, Vec<String>), QuietError> {
    let count = quiet::read(database, files)?;
    let media_of = format!("media of {user}");
    let bar = progress::bar(progress::WIDE, count.unsigned_abs(), media_of);
    let compared = quiet::read(database, |conn| {
        bar.set_position(0);
        let (mut found, mut not_text) = (Differences::new(), Vec::new());
        let mut compare_one = |name: &str| {
            if let Some(difference) = difference(conn, media, name)? {
                found.insert(name.to_owned(), difference);
            }
            Ok::<_, Error>(())
        };
        recorded(conn, |name| {
            bar.inc(1);
            compare_one(name)
        })?;
        for name in names(media)? {
            match name.into_string() {
                Ok(name) if is_recorded(conn, &name)? => {}
                Ok(name) => compare_one(&name)?,
                Err(name) => not_text.push(name.display().to_string()),
            }
        }
        Ok::<_, Error>((found, not_text))
    });
    bar.finish_and_clear();
    compared
}

fn report(user: &UserName, found: Differences, findings: &mut Findings) {
    let mut by_kind: BTreeMap<Difference, Vec<String>> = BTreeMap::new();
    for (name, difference) in found {
        by_kind.entry(difference).or_default().push(name);
    }
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
        let found = findings.add(id, of_user(user, MEDIA), format_args!("{what}: {which}"));
        // The others do no harm: no device receives them.
        if matches!(id, Id::MediaMissing | Id::MediaExtra | Id::MediaChanged) {
            found.mend(user, Mend::Media(names));
        }
    }
}
