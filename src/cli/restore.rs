//! `anki-syncd restore`: brings back a collection as it was before it was replaced.

mod chosen;

use std::{io, path::PathBuf};

use indicatif::HumanBytes;

use super::{
    context::{CommandError, Context, print_json},
    question, table,
};
use crate::{
    account::name::UserName,
    clock,
    collection::file::Summary,
    control::{Preview, ask},
    vault::snapshot::{Snapshot, Why},
};
use chosen::{Chosen, Collection, named, newest};

const DEVICES: &str = "\
Every device of this user has to download it: at the next sync, Anki asks which
collection to keep; choose Download. Until then, the server refuses an upload from
that device. Reviews on a device that were not synced before the restore are lost.";

/// The arguments of `anki-syncd restore`.
#[derive(clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each an option of its own")]
pub struct Arguments {
    /// The user whose collection to restore
    user: UserName,
    /// A snapshot, by its name or the beginning of it; or a time (UTC) such as "2026-11-21
    /// 14:30", for the collection as it was then. Default: the newest snapshot, which undoes
    /// the last upload
    #[arg(long, value_name = "TIME|SNAPSHOT", conflicts_with = "from")]
    at: Option<String>,
    /// Restore from a collection.anki2 file, a compressed snapshot, or a backup
    #[arg(long, value_name = "FILE|BACKUP")]
    from: Option<PathBuf>,
    /// List the snapshots, and restore nothing
    #[arg(long, conflicts_with_all = ["at", "from", "yes", "allow_upload"])]
    list: bool,
    /// Restore nothing, but accept uploads again from devices that have not downloaded since the
    /// last restore
    #[arg(long, conflicts_with_all = ["at", "from", "yes"])]
    allow_upload: bool,
    /// Skip the confirmation
    #[arg(long)]
    yes: bool,
    /// Print JSON, for programs
    #[arg(long)]
    json: bool,
}

pub fn run(context: &Context, arguments: &Arguments) -> Result<(), CommandError> {
    let user = &arguments.user;
    if arguments.allow_upload {
        return allow_upload(context, user.clone(), arguments.json);
    }
    if arguments.list {
        return show(&snapshots(context, user)?, arguments.json);
    }
    if arguments.json && !arguments.yes {
        return Err(CommandError::Refused(
            "--json needs --yes, since programs cannot confirm".to_owned(),
        ));
    }
    let chosen = match (&arguments.from, arguments.at.as_deref()) {
        (Some(path), _) => Chosen::File(Collection::open(path, user)?),
        (None, Some(at)) => {
            let snapshots = snapshots(context, user)?;
            let (snapshot, as_of) = named(&snapshots, at)?;
            // Nothing is known about the time before the oldest snapshot.
            let as_of = as_of.filter(|_| snapshots.first() == Some(snapshot));
            return restore(
                context,
                arguments,
                Chosen::Snapshot(snapshot.name()),
                |restored| as_of.map_or(Ok(()), |time| check_age(&snapshots, restored, time)),
            );
        }
        (None, None) => {
            let snapshots = snapshots(context, user)?;
            Chosen::Snapshot(newest(&snapshots, arguments.yes)?.name())
        }
    };
    restore(context, arguments, chosen, |_| Ok(()))
}

/// The oldest snapshot holds the state of an earlier time only if nothing was changed in between.
fn check_age(snapshots: &[Snapshot], restored: &Summary, time: i64) -> Result<(), CommandError> {
    if restored.modified_ms <= time {
        return Ok(());
    }
    let listed = snapshots
        .iter()
        .map(|snapshot| format!("\n  {}  {}", snapshot.name(), as_it_was(snapshot)));
    Err(CommandError::Refused(format!(
        "no snapshot has the collection as it was at {}: the oldest one contains changes up to {}. Choose one by its name (--at NAME), or restore a backup (--from):{}",
        clock::to_the_minute(time),
        clock::to_the_minute(restored.modified_ms),
        listed.collect::<String>()
    )))
}

fn snapshots(context: &Context, user: &UserName) -> Result<Vec<Snapshot>, CommandError> {
    Ok(context.ask(ask::Snapshots { user: user.clone() })?)
}

fn restore(
    context: &Context,
    arguments: &Arguments,
    mut chosen: Chosen,
    check: impl FnOnce(&Summary) -> Result<(), CommandError>,
) -> Result<(), CommandError> {
    let user = &arguments.user;
    let request = ask::Preview {
        user: user.clone(),
        source: chosen.source(),
    };
    let (preview, _) = context.ask_and_hold(request, chosen.rest()?)?;
    check(&preview.restored)?;
    if !arguments.json {
        compare(&chosen, &preview)?;
    }
    if !arguments.yes && !confirmed()? {
        return Err(CommandError::Failed("nothing was changed".to_owned()));
    }
    let request = ask::Restore {
        user: user.clone(),
        source: chosen.source(),
    };
    let (kept, _) = context.ask_and_hold(request, chosen.rest()?)?;
    if arguments.json {
        let answer = serde_json::json!({ "restored": preview.restored, "kept": kept.map(|kept| kept.name()) });
        return Ok(print_json(&answer)?);
    }
    match kept {
        Some(kept) => println!(
            "Restored. The replaced collection is kept as the snapshot {}.",
            kept.name()
        ),
        None => println!("Restored. The previous collection was empty."),
    }
    println!(
        "\n{DEVICES}\nTo allow uploads nevertheless: anki-syncd restore {user} --allow-upload"
    );
    Ok(())
}

fn allow_upload(context: &Context, user: UserName, json: bool) -> Result<(), CommandError> {
    let allowed = context.ask(ask::AllowUpload { user })?;
    if json {
        print_json(&allowed)?;
    } else if allowed {
        println!("Every device may upload again.");
    } else {
        println!("No restore was blocking uploads.");
    }
    Ok(())
}

fn confirmed() -> Result<bool, CommandError> {
    question::agreed(
        "Replace the present collection with it?",
        io::stdout(),
        "there is no terminal to ask on: add --yes to restore without a confirmation",
    )
}

fn show(snapshots: &[Snapshot], json: bool) -> Result<(), CommandError> {
    if json {
        let named = snapshots.iter().map(|snapshot| {
            serde_json::json!({
                "name": snapshot.name(), "at_ms": snapshot.at_ms, "why": snapshot.why,
                "bytes": snapshot.bytes, "compressed": snapshot.compressed,
            })
        });
        return Ok(print_json(&named.collect::<Vec<_>>())?);
    }
    let rows = snapshots.iter().map(|snapshot| {
        let size = HumanBytes(snapshot.bytes).to_string();
        vec![snapshot.name(), size, as_it_was(snapshot)]
    });
    Ok(table::print(&["SNAPSHOT", "SIZE", "AS IT WAS"], rows)?)
}

fn as_it_was(snapshot: &Snapshot) -> String {
    let until = match snapshot.why {
        Why::BeforeUpload => "before an upload",
        Why::BeforeRestore => "before a restore",
        Why::Damaged => "damaged, before it was replaced",
    };
    format!("{until}, {}", clock::to_the_minute(snapshot.at_ms))
}

fn compare(chosen: &Chosen, preview: &Preview) -> io::Result<()> {
    let rows = [
        ("present collection", preview.present.as_ref()),
        (chosen.describe(), Some(&preview.restored)),
    ];
    let rows = rows.map(|(name, summary)| {
        let (cards, reviews, last) = columns(summary);
        let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let notes = or_none(summary.map(|summary| summary.notes.to_string()));
        let changed = or_none(summary.map(|summary| clock::to_the_minute(summary.modified_ms)));
        vec![name.to_owned(), cards, notes, reviews, last, changed]
    });
    table::print(
        &["", "CARDS", "NOTES", "REVIEWS", "LAST REVIEW", "CHANGED"],
        rows,
    )
}

/// For a table: cards, reviews, and the time of the last review.
pub(super) fn columns(summary: Option<&Summary>) -> (String, String, String) {
    let none = || "-".to_owned();
    let Some(summary) = summary else {
        return (none(), none(), none());
    };
    let last = summary
        .last_review_ms
        .map_or_else(none, clock::to_the_minute);
    (summary.cards.to_string(), summary.reviews.to_string(), last)
}
