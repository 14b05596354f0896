//! Each collection: whether it is whole, of a known schema, and all of it known to devices.

use std::{fmt, fs, path::Path};

use super::{
    clock::TOLERANCE_SECS,
    data::Data,
    finding::{Findings, Repair, of_user, some_of},
    locks::{self, Holder},
    progress,
    quiet::{self, JOURNALS, QuietError},
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
    vault::upkeep::Mend,
};

const BROKEN: &str = "Restore a snapshot or a backup with `anki-syncd restore`. If there is none: stop the server, move the file and its -wal and -shm files away, start the server, and choose Upload on the device with the complete collection.";

pub(super) fn check(data: &Data, findings: &mut Findings) {
    let users = data.users();
    let bar = progress(users.len() as u64, "collections");
    for (user, folder) in users {
        bar.set_message(format!("collection of {user}"));
        one(data, &user, &folder.join(COLLECTION), findings);
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
            findings.problem(
                "collection-empty-file",
                place,
                "is an empty file; devices will be offered an empty collection",
                BROKEN,
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
    let has_journal = |suffix: &&str| quiet::beside(path, suffix).exists();
    if JOURNALS.iter().any(has_journal) {
        return None;
    }
    match screen::listed(path) {
        Err(ListError::Objection(objection)) => Some(objection),
        _ => None,
    }
}

fn objection(place: &str, what: impl fmt::Display, findings: &mut Findings) {
    findings.problem("collection-unlike-anki", place, what, BROKEN);
}

fn limits(limit: Option<u64>, place: &str, size: u64, findings: &mut Findings) {
    let Some(limit) = limit else { return };
    let remedy = format!(
        "Raise max_sync_payload_megs (MAX_SYNC_PAYLOAD_MEGS) to {} or more, and a proxy's limit with it.",
        size / MIB / 2 + 1
    );
    if size > limit {
        findings.warning(
            "collection-over-limit",
            place,
            format_args!(
                "is {} MiB large, but an upload may be only {} MiB: a full upload will be refused",
                size / MIB,
                limit / MIB
            ),
            remedy,
        );
    } else if size > limit / 10 * 8 {
        findings.note(
            "collection-near-limit",
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
    let has_content = |suffix: &&str| {
        fs::metadata(quiet::beside(path, suffix)).is_ok_and(|journal| journal.len() > 0)
    };
    let left: Vec<_> = JOURNALS.into_iter().filter(has_content).collect();
    if left.is_empty() {
        return;
    }
    findings
        .warning(
            "journal-left",
            user,
            format_args!(
                "{COLLECTION}{} was left by a program that did not end properly. It contains a part of the collection that a copy of {COLLECTION} alone would lack",
                some_of(&left)
            ),
            "Keep the files together. The next sync, or `check --repair`, merges them.",
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
    findings.problem(
        "collection-locked",
        place,
        format_args!("is held open by {who}, so the server cannot use it"),
        "End that program. Two servers must not use the same data folder.",
    );
}

fn judge(user: &UserName, place: &str, examined: &Examined, findings: &mut Findings) {
    kind(place, &examined.kind, findings);
    tables(user, place, examined, findings);
    unsent(user, place, &examined.unsent, findings);
    if !examined.foreign.is_empty() {
        findings.warning(
            "collection-foreign-objects",
            place,
            format_args!(
                "contains tables or other objects that Anki did not make: {}. Devices receive them only with a full download",
                some_of(&examined.foreign)
            ),
            "If an add-on made them, do nothing. Otherwise find out which program writes to the collection.",
        );
    }
    if examined.modified / 1000 > clock::now_secs() + TOLERANCE_SECS {
        findings.warning(
            "collection-from-the-future",
            place,
            "was last modified in the future, so the clock of this machine or of a device is or was wrong",
            "Check the clocks (`timedatectl`). The finding disappears when that time has passed.",
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
            .problem(
                "collection-computes",
                place,
                format_args!(
                    "contains SQL that Anki never makes and that every sync would run: {}. Nothing else was checked",
                    some_of(&examined.computing)
                ),
                "`check --repair`, or the next sync, removes them; no row is lost. Then check again.",
            )
            .with(repair());
    }
    let (lost, stuck): (Vec<_>, Vec<_>) = examined
        .maimed
        .iter()
        .partition(|maimed| maimed.why_not.is_none());
    for maimed in stuck {
        findings.problem(
            "collection-ids-repeated",
            place,
            format_args!(
                "{}; every sync that changes such a row fails",
                maimed.why_not.as_deref().unwrap_or_default()
            ),
            "On the device with the complete collection, run Tools > Check Database until it finds nothing, then upload. Or restore a snapshot or a backup with `anki-syncd restore`.",
        );
    }
    if !lost.is_empty() {
        let names: Vec<_> = lost.iter().map(|maimed| maimed.table).collect();
        findings
            .problem(
                "collection-tables-rewritten",
                place,
                format_args!(
                    "has tables that another program has rewritten without their keys or columns, so syncs fail: {}",
                    names.join(", ")
                ),
                "`check --repair` rebuilds them with all their rows; devices then sync again.",
            )
            .with(repair());
    }
    if let Some(wrong) = &examined.wrong_value {
        findings.problem(
            "collection-wrong-value",
            place,
            format_args!("{wrong}, so every sync fails"),
            "Upload from a device on which Anki opens the collection. Or restore a snapshot or a backup with `anki-syncd restore`.",
        );
    }
}

fn kind(place: &str, kind: &Kind, findings: &mut Findings) {
    match kind {
        Kind::Whole => {}
        Kind::Older(version) => {
            findings.note(
                "collection-schema-older",
                place,
                format_args!("has the older schema version {version}"),
                "Nothing: the next sync upgrades it.",
            );
        }
        Kind::Unknown(version) => {
            findings.problem(
                "collection-schema-unknown",
                place,
                format_args!("has schema version {version}, which this server does not support"),
                "Update this server, or upload the collection again from a current Anki.",
            );
        }
        Kind::Incomplete(missing) => {
            findings.problem(
                "collection-incomplete",
                place,
                format_args!("lacks {missing}, which every collection has"),
                BROKEN,
            );
        }
        Kind::Objection(what) => objection(place, what, findings),
        Kind::Damaged(how) => {
            findings.problem(
                "collection-damaged",
                place,
                format_args!("is damaged: {how}"),
                BROKEN,
            );
        }
        Kind::Foreign => {
            findings.problem(
                "collection-foreign",
                place,
                "is not an Anki collection",
                BROKEN,
            );
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
            .problem(
                "collection-unsent",
                place,
                format_args!(
                    "has changes that never reach a device and that make every sync fail ({}): a program other than a sync server has changed the file",
                    some_of(&counts)
                ),
                "`check --repair` sends them to the devices at their next sync. Do not open the server's collection with Anki itself.",
            )
            .with(Repair::Data {
                user: user.clone(),
                mend: Mend::Unsent,
            });
    }
    if let Some((_, count)) = graves.first() {
        findings.problem(
            "collection-unsent-deletions",
            place,
            format_args!(
                "has {count} deletions that never reach a device and that make every sync fail"
            ),
            "Not repaired automatically, since cards could be lost: upload from the device with the complete collection (in Anki: Preferences > Syncing > force changes in one direction).",
        );
    }
}
