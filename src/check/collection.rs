//! Each collection: its schema, its damage, and changes that devices do not know.

use std::{fs, path::Path};

use super::{
    clock::TOLERANCE_SECS,
    data::Data,
    database::{self, Holder, JOURNALS},
    finding::{Findings, Id, of_user, some_of},
    progress,
    quiet::{self, QuietError},
};
use crate::{
    account::name::UserName,
    clock,
    collection::{
        examine::{Examined, Kind, examine},
        screen::{self, ListError},
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
        check_one(data, user, &data.folder(user).join(COLLECTION), findings);
        bar.inc(1);
    }
    bar.finish_and_clear();
}

fn check_one(data: &Data, user: &UserName, path: &Path, findings: &mut Findings) {
    let place = &of_user(user, COLLECTION);
    match fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return,
        Err(error) => return QuietError::Io(error).report(place, findings),
        Ok(metadata) if metadata.len() == 0 => {
            let what = "is an empty file; devices will be offered an empty collection";
            findings.add(Id::CollectionEmptyFile, place, what);
            return;
        }
        Ok(metadata) => limits(data.limit, place, metadata.len(), findings),
    }
    match database::holder(path) {
        Some(holder) => locked(data, place, &holder, findings),
        None => journal(user, path, findings),
    }
    // SQLite must not open a file with such objects. Their list may be in a journal, so a file with
    // a journal cannot be screened.
    let has_journal = |suffix: &&str| beside(path, suffix).exists();
    if !JOURNALS.iter().any(has_journal)
        && let Err(ListError::Objection(objection)) = screen::listed(path)
    {
        findings.add(Id::CollectionUnlikeAnki, place, objection);
        return;
    }
    match quiet::read(path, examine) {
        Ok(examined) => judge(user, place, &examined, findings),
        Err(error) => error.report(place, findings),
    }
}

fn limits(limit: Option<u64>, place: &str, size: u64, findings: &mut Findings) {
    let Some(limit) = limit else { return };
    let (size_mib, limit_mib) = (size / MIB, limit / MIB);
    let (id, what) = if size > limit {
        let what = format!(
            "is {size_mib} MiB large, but an upload may be only {limit_mib} MiB: a full upload will be refused"
        );
        (Id::CollectionOverLimit, what)
    } else if size > limit / 10 * 8 {
        let what = format!("is {size_mib} MiB large; an upload may be at most {limit_mib} MiB");
        (Id::CollectionNearLimit, what)
    } else {
        return;
    };
    let remedy = format_args!(
        "Raise max_sync_payload_megs (MAX_SYNC_PAYLOAD_MEGS) to {} or more, and a proxy's limit with it.",
        size_mib / 2 + 1
    );
    findings.advise(id, place, what, remedy);
}

/// Reports the journals of a program that did not end properly.
fn journal(user: &UserName, path: &Path, findings: &mut Findings) {
    let has_content =
        |suffix: &&str| fs::metadata(beside(path, suffix)).is_ok_and(|journal| journal.len() > 0);
    let left: Vec<_> = JOURNALS.into_iter().filter(has_content).collect();
    if left.is_empty() {
        return;
    }
    let what = format_args!(
        "{COLLECTION}{} was left by a program that did not end properly. It contains a part of the collection that a copy of {COLLECTION} alone would lack",
        some_of(&left)
    );
    let found = findings.add(Id::JournalLeft, user, what);
    found.mend(user, Mend::Journal);
}

fn locked(data: &Data, place: &str, holder: &Holder, findings: &mut Findings) {
    let is_the_server = data.server.is_some_and(|server| holder.may_be(server));
    // A server that does not answer is probably the holder.
    if is_the_server || data.is_silent {
        return;
    }
    let who = match holder.pid {
        0 => "a program in another container".to_owned(),
        pid => format!("{} (process {pid})", holder.name),
    };
    let what = format_args!("is held open by {who}, so the server cannot use it");
    findings.add(Id::CollectionLocked, place, what);
}

fn judge(user: &UserName, place: &str, examined: &Examined, findings: &mut Findings) {
    kind(place, &examined.kind, findings);
    tables(user, place, examined, findings);
    unsent(user, place, &examined.unsent, findings);
    if !examined.foreign.is_empty() {
        let what = format_args!(
            "contains tables or other objects that Anki did not make: {}. Devices receive them only with a full download",
            some_of(&examined.foreign)
        );
        findings.add(Id::CollectionForeignObjects, place, what);
    }
    if examined.modified / 1000 > clock::now_secs() + TOLERANCE_SECS {
        let what = "was last modified in the future, so the clock of this machine or of a device is or was wrong";
        findings.add(Id::CollectionFromTheFuture, place, what);
    }
}

/// Reports tables that another program has changed.
fn tables(user: &UserName, place: &str, examined: &Examined, findings: &mut Findings) {
    if !examined.computing.is_empty() {
        let what = format_args!(
            "contains SQL that Anki never makes and that every sync would run: {}. Nothing else was checked",
            some_of(&examined.computing)
        );
        let found = findings.add(Id::CollectionComputes, place, what);
        found.mend(user, Mend::Tables);
    }
    let mut repairable = Vec::new();
    for maimed in &examined.maimed {
        match &maimed.why_not {
            None => repairable.push(maimed.table),
            Some(why) => {
                let what = format_args!("{why}; every sync that changes such a row fails");
                findings.add(Id::CollectionIdsRepeated, place, what);
            }
        }
    }
    if !repairable.is_empty() {
        let what = format_args!(
            "has tables that another program has rewritten without their keys or columns, so syncs fail: {}",
            repairable.join(", ")
        );
        let found = findings.add(Id::CollectionTablesRewritten, place, what);
        found.mend(user, Mend::Tables);
    }
    if let Some(wrong) = &examined.wrong_value {
        let what = format_args!("{wrong}, so every sync fails");
        findings.add(Id::CollectionWrongValue, place, what);
    }
}

fn kind(place: &str, kind: &Kind, findings: &mut Findings) {
    let (id, what) = match kind {
        Kind::Whole => return,
        Kind::Older(version) => {
            let what = format!("has the older schema version {version}");
            (Id::CollectionSchemaOlder, what)
        }
        Kind::Unknown(version) => {
            let what = format!("has schema version {version}, which this server does not support");
            (Id::CollectionSchemaUnknown, what)
        }
        Kind::Incomplete(missing) => {
            let what = format!("lacks {missing}, which every collection has");
            (Id::CollectionIncomplete, what)
        }
        Kind::Objection(what) => (Id::CollectionUnlikeAnki, what.clone()),
        Kind::Damaged(how) => (Id::CollectionDamaged, format!("is damaged: {how}")),
        Kind::Foreign => (
            Id::CollectionForeign,
            "is not an Anki collection".to_owned(),
        ),
    };
    findings.add(id, place, what);
}

/// Reports rows with the sequence number −1, which means "changed here, and not sent yet". Only a
/// device may have such rows: with one on the server, every sync ends with a failed sanity check.
fn unsent(user: &UserName, place: &str, tables: &[(&'static str, i64)], findings: &mut Findings) {
    let (graves, rows): (Vec<_>, Vec<_>) = tables.iter().partition(|(table, _)| *table == "graves");
    if !rows.is_empty() {
        let counts = rows
            .iter()
            .map(|(table, count)| format!("{count} in {table}"));
        let what = format_args!(
            "has changes that never reach a device and that make every sync fail ({}): a program other than a sync server has changed the file",
            some_of(&counts.collect::<Vec<_>>())
        );
        let found = findings.add(Id::CollectionUnsent, place, what);
        found.mend(user, Mend::Unsent);
    }
    if let Some((_, count)) = graves.first() {
        let what = format_args!(
            "has {count} deletions that never reach a device and that make every sync fail"
        );
        findings.add(Id::CollectionUnsentDeletions, place, what);
    }
}
