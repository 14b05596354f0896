//! Each collection: whether it is whole, of a known schema, and all of it known to devices.

use std::{fmt, fs, path::Path};

use super::{
    clock::TOLERANCE_SECS,
    data::Data,
    database::JOURNALS,
    finding::{Findings, Id, Repair, of_user, some_of},
    locks::{self, Holder},
    progress,
    quiet::{self, QuietError},
};
use crate::{
    account::name::UserName,
    clock,
    collection::{
        examine::{Examined, Kind, examine},
        screen::{self, ListError, Objection},
    },
    disk::MIB,
    layout::COLLECTION,
    sqlite::beside,
    vault::upkeep::Mend,
};

pub(super) fn check(data: &Data, findings: &mut Findings) {
    let bar = progress::bar(progress::WIDE, data.users.len() as u64, "collections");
    for user in &data.users {
        bar.set_message(format!("collection of {user}"));
        one(data, user, &data.folder(user).join(COLLECTION), findings);
        bar.inc(1);
    }
    bar.finish_and_clear();
}

fn one(data: &Data, user: &UserName, path: &Path, findings: &mut Findings) {
    let place = of_user(user, COLLECTION);
    match fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return,
        Err(error) => return QuietError::Io(error).tell(place, findings),
        Ok(metadata) if metadata.len() == 0 => {
            findings.add(
                Id::CollectionEmptyFile,
                place,
                "is an empty file; devices will be offered an empty collection",
            );
            return;
        }
        Ok(metadata) => limits(data.limit, &place, metadata.len(), findings),
    }
    match locks::holder(path) {
        Some(holder) => locked(data, &place, &holder, findings),
        None => journal(user, path, findings),
    }
    if let Some(found) = unloadable(path) {
        return objection(&place, found, findings);
    }
    match quiet::read(path, examine) {
        Ok(examined) => judge(user, &place, &examined, findings),
        Err(error) => error.tell(place, findings),
    }
}

/// What SQLite must not even load. Of a file with a journal this cannot be known.
fn unloadable(path: &Path) -> Option<Objection> {
    let has_journal = |suffix: &&str| beside(path, suffix).exists();
    if JOURNALS.iter().any(has_journal) {
        return None;
    }
    match screen::listed(path) {
        Err(ListError::Objection(objection)) => Some(objection),
        _ => None,
    }
}

fn objection(place: &str, what: impl fmt::Display, findings: &mut Findings) {
    findings.add(Id::CollectionUnlikeAnki, place, what);
}

fn limits(limit: Option<u64>, place: &str, size: u64, findings: &mut Findings) {
    let Some(limit) = limit else { return };
    let remedy = format!(
        "Raise max_sync_payload_megs (MAX_SYNC_PAYLOAD_MEGS) to {} or more, and a proxy's limit with it.",
        size / MIB / 2 + 1
    );
    if size > limit {
        findings.advise(
            Id::CollectionOverLimit,
            place,
            format_args!(
                "is {} MiB large, but an upload may be only {} MiB: a full upload will be refused",
                size / MIB,
                limit / MIB
            ),
            remedy,
        );
    } else if size > limit / 10 * 8 {
        findings.advise(
            Id::CollectionNearLimit,
            place,
            format_args!(
                "is {} MiB large; an upload may be at most {} MiB",
                size / MIB,
                limit / MIB
            ),
            remedy,
        );
    }
}

/// What a program left beside a database when it did not end properly.
fn journal(user: &UserName, path: &Path, findings: &mut Findings) {
    let has_content =
        |suffix: &&str| fs::metadata(beside(path, suffix)).is_ok_and(|journal| journal.len() > 0);
    let left: Vec<_> = JOURNALS.into_iter().filter(has_content).collect();
    if left.is_empty() {
        return;
    }
    findings
        .add(
            Id::JournalLeft,
            user,
            format_args!(
                "{COLLECTION}{} was left by a program that did not end properly. It contains a part of the collection that a copy of {COLLECTION} alone would lack",
                some_of(&left)
            ),
        )
        .with(Repair::Data {
            user: user.clone(),
            mend: Mend::Journal,
        });
}

fn locked(data: &Data, place: &str, holder: &Holder, findings: &mut Findings) {
    let is_the_server = data.server.is_some_and(|server| holder.may_be(server));
    // A server that cannot be asked is probably the one.
    if is_the_server || data.is_silent {
        return;
    }
    let who = match holder.pid {
        0 => "a program in another container".to_owned(),
        pid => format!("{} (process {pid})", holder.name),
    };
    findings.add(
        Id::CollectionLocked,
        place,
        format_args!("is held open by {who}, so the server cannot use it"),
    );
}

fn judge(user: &UserName, place: &str, examined: &Examined, findings: &mut Findings) {
    kind(place, &examined.kind, findings);
    tables(user, place, examined, findings);
    unsent(user, place, &examined.unsent, findings);
    if !examined.foreign.is_empty() {
        findings.add(
            Id::CollectionForeignObjects,
            place,
            format_args!(
                "contains tables or other objects that Anki did not make: {}. Devices receive them only with a full download",
                some_of(&examined.foreign)
            ),
        );
    }
    if examined.modified / 1000 > clock::now_secs() + TOLERANCE_SECS {
        findings.add(
            Id::CollectionFromTheFuture,
            place,
            "was last modified in the future, so the clock of this machine or of a device is or was wrong",
        );
    }
}

/// Tables that another program has changed.
fn tables(user: &UserName, place: &str, examined: &Examined, findings: &mut Findings) {
    let repair = || Repair::Data {
        user: user.clone(),
        mend: Mend::Tables,
    };
    if !examined.computing.is_empty() {
        findings
            .add(
                Id::CollectionComputes,
                place,
                format_args!(
                    "contains SQL that Anki never makes and that every sync would run: {}. Nothing else was checked",
                    some_of(&examined.computing)
                ),
            )
            .with(repair());
    }
    let (lost, stuck): (Vec<_>, Vec<_>) = examined
        .maimed
        .iter()
        .partition(|maimed| maimed.why_not.is_none());
    for maimed in stuck {
        findings.add(
            Id::CollectionIdsRepeated,
            place,
            format_args!(
                "{}; every sync that changes such a row fails",
                maimed.why_not.as_deref().unwrap_or_default()
            ),
        );
    }
    if !lost.is_empty() {
        let names: Vec<_> = lost.iter().map(|maimed| maimed.table).collect();
        findings
            .add(
                Id::CollectionTablesRewritten,
                place,
                format_args!(
                    "has tables that another program has rewritten without their keys or columns, so syncs fail: {}",
                    names.join(", ")
                ),
            )
            .with(repair());
    }
    if let Some(wrong) = &examined.wrong_value {
        findings.add(
            Id::CollectionWrongValue,
            place,
            format_args!("{wrong}, so every sync fails"),
        );
    }
}

fn kind(place: &str, kind: &Kind, findings: &mut Findings) {
    match kind {
        Kind::Whole => {}
        Kind::Older(version) => {
            findings.add(
                Id::CollectionSchemaOlder,
                place,
                format_args!("has the older schema version {version}"),
            );
        }
        Kind::Unknown(version) => {
            findings.add(
                Id::CollectionSchemaUnknown,
                place,
                format_args!("has schema version {version}, which this server does not support"),
            );
        }
        Kind::Incomplete(missing) => {
            findings.add(
                Id::CollectionIncomplete,
                place,
                format_args!("lacks {missing}, which every collection has"),
            );
        }
        Kind::Objection(what) => objection(place, what, findings),
        Kind::Damaged(how) => {
            findings.add(
                Id::CollectionDamaged,
                place,
                format_args!("is damaged: {how}"),
            );
        }
        Kind::Foreign => {
            findings.add(Id::CollectionForeign, place, "is not an Anki collection");
        }
    }
}

/// Number −1 means "changed here, not told to anybody yet", which only a device may say:
/// as long as it is there, every sync ends with a failed sanity check.
fn unsent(user: &UserName, place: &str, tables: &[(&'static str, i64)], findings: &mut Findings) {
    let (graves, rows): (Vec<_>, Vec<_>) = tables.iter().partition(|(table, _)| *table == "graves");
    let counts: Vec<_> = rows
        .iter()
        .map(|(table, count)| format!("{count} in {table}"))
        .collect();
    if !counts.is_empty() {
        findings
            .add(
                Id::CollectionUnsent,
                place,
                format_args!(
                    "has changes that never reach a device and that make every sync fail ({}): a program other than a sync server has changed the file",
                    some_of(&counts)
                ),
            )
            .with(Repair::Data {
                user: user.clone(),
                mend: Mend::Unsent,
            });
    }
    if let Some((_, count)) = graves.first() {
        findings.add(
            Id::CollectionUnsentDeletions,
            place,
            format_args!(
                "has {count} deletions that never reach a device and that make every sync fail"
            ),
        );
    }
}
