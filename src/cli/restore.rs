//! `anki-syncd restore`: brings back a collection as it was before it was replaced.

use std::{
    fs::File,
    io::{self, IsTerminal, Read, Seek, Write},
    path::{Path, PathBuf},
};

use indicatif::HumanBytes;

use super::{
    context::{CommandError, Context, print_json},
    table,
};
use crate::{
    account::name::UserName,
    clock,
    collection::file::Summary,
    control::{Preview, Request, Source},
    vault::snapshot::{Snapshot, Why},
};

const DEVICES: &str = "\
Every device of this user has to take it over: at its next sync Anki asks which
collection to keep, and the answer is Download. Until then the device's own upload
is refused. What was studied there and not synced before the restore is lost.";

/// Of whom, and what.
#[derive(clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each an option of its own")]
pub struct Arguments {
    /// Whose collection
    user: UserName,
    /// A snapshot by its name or the beginning of it; or a time (UTC) such as "2026-11-21
    /// 14:30", for what the collection was like then. Otherwise the newest snapshot, which
    /// undoes the last upload
    #[arg(long, value_name = "TIME|SNAPSHOT", conflicts_with = "from")]
    at: Option<String>,
    /// A collection.anki2, a compressed snapshot, or a backup
    #[arg(long, value_name = "FILE|BACKUP")]
    from: Option<PathBuf>,
    /// Only show which snapshots there are
    #[arg(long, conflicts_with_all = ["at", "from", "yes", "allow_upload"])]
    list: bool,
    /// Restore nothing; let devices upload that have not downloaded since the last restore
    #[arg(long, conflicts_with_all = ["at", "from", "yes"])]
    allow_upload: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// For programs
    #[arg(long)]
    json: bool,
}

/// Shows, asks and restores.
///
/// # Errors
/// [`CommandError`].
pub fn run(context: &Context, arguments: &Arguments) -> Result<(), CommandError> {
    let user = arguments.user.clone();
    if arguments.allow_upload {
        return allow_upload(context, user, arguments.json);
    }
    let snapshots = || -> Result<Vec<Snapshot>, CommandError> {
        Ok(context.ask(&Request::Snapshots { user: user.clone() })?)
    };
    if arguments.list {
        return show(&snapshots()?, arguments.json);
    }
    let mut chosen = match &arguments.from {
        Some(path) => Chosen::File(open(path, &user)?),
        None => Chosen::Snapshot(choose(&snapshots()?, arguments.at.as_deref())?.name()),
    };
    let request = Request::Preview {
        user: user.clone(),
        source: chosen.source()?,
    };
    let (preview, _): (Preview, _) = context.ask_and_hold(&request, chosen.rest()?)?;
    if !arguments.json {
        compare(&chosen, &preview)?;
    }
    if !arguments.yes && !confirmed()? {
        return Err(CommandError::Failed("nothing was changed".to_owned()));
    }
    let request = Request::Restore {
        user: user.clone(),
        source: chosen.source()?,
    };
    let (kept, _): (Option<Snapshot>, _) = context.ask_and_hold(&request, chosen.rest()?)?;
    if arguments.json {
        let answer = serde_json::json!({ "restored": preview.restored, "kept": kept.map(|kept| kept.name()) });
        return Ok(print_json(&answer)?);
    }
    match kept {
        Some(kept) => println!("Restored. What was there is the snapshot {}.", kept.name()),
        None => println!("Restored. What was there was empty."),
    }
    println!(
        "\n{DEVICES}\nTo allow uploads all the same: anki-syncd restore {user} --allow-upload"
    );
    Ok(())
}

fn allow_upload(context: &Context, user: UserName, json: bool) -> Result<(), CommandError> {
    let allowed: bool = context.ask(&Request::AllowUpload { user })?;
    if json {
        print_json(&allowed)?;
    } else if allowed {
        println!("Every device may upload again.");
    } else {
        println!("There was no restore that would keep a device from uploading.");
    }
    Ok(())
}

/// What is to be restored.
enum Chosen {
    Snapshot(String),
    File(File),
}

impl Chosen {
    fn source(&self) -> io::Result<Source> {
        Ok(match self {
            Self::Snapshot(name) => Source::Snapshot(name.clone()),
            Self::File(file) => Source::Sent(file.metadata()?.len()),
        })
    }

    fn rest(&mut self) -> io::Result<Box<dyn Read>> {
        Ok(match self {
            Self::Snapshot(_) => Box::new(io::empty()),
            Self::File(file) => {
                file.rewind()?;
                Box::new(file.try_clone()?)
            }
        })
    }

    fn describe(&self) -> &str {
        match self {
            Self::Snapshot(name) => name,
            Self::File(_) => "the file",
        }
    }
}

/// The file itself, what is compressed in it, or the user's in a backup.
fn open(path: &Path, user: &UserName) -> Result<File, CommandError> {
    let failed = |path: &Path, error: io::Error| {
        CommandError::Failed(format!("{}: {error}", path.display()))
    };
    let in_backup = path.join(user.as_str()).join("collection.anki2");
    let path = if path.is_dir() { &in_backup } else { path };
    let mut journal = path.as_os_str().to_owned();
    journal.push("-wal");
    if Path::new(&journal)
        .metadata()
        .is_ok_and(|metadata| metadata.len() > 0)
    {
        return Err(CommandError::Failed(format!(
            "{0}: there is a journal beside it, {0}-wal, with what was changed last: open and close it once with `sqlite3 {0} 'pragma wal_checkpoint(truncate)'`",
            path.display()
        )));
    }
    let file = File::open(path).map_err(|error| failed(path, error))?;
    if path.extension().is_none_or(|ending| ending != "zst") {
        return Ok(file);
    }
    let mut unpacked = tempfile::tempfile()?;
    zstd::Decoder::new(file)
        .and_then(|mut content| io::copy(&mut content, &mut unpacked))
        .map_err(|error| failed(path, error))?;
    Ok(unpacked)
}

/// The one that is meant.
fn choose<'a>(snapshots: &'a [Snapshot], at: Option<&str>) -> Result<&'a Snapshot, CommandError> {
    let Some(at) = at else {
        let whole = |snapshot: &&Snapshot| snapshot.why != Why::Damaged;
        return snapshots.iter().rfind(whole).ok_or_else(|| {
            CommandError::Failed("there is no snapshot: nothing has been replaced yet".to_owned())
        });
    };
    let named: Vec<_> = snapshots
        .iter()
        .filter(|snapshot| snapshot.name().starts_with(at))
        .collect();
    if let [only] = named[..] {
        return Ok(only);
    }
    match clock::parse(at) {
        // Each has what was there until it was made.
        Some(time) => snapshots
            .iter()
            .find(|snapshot| snapshot.at_ms >= time)
            .ok_or_else(|| {
                CommandError::Failed(format!(
                    "the collection has not been replaced since {}: what was there then is there now, or changed by syncs",
                    clock::to_the_minute(time)
                ))
            }),
        None => Err(CommandError::Refused(format!(
            "--at {at}: that is neither a time nor one of the snapshots, which --list shows"
        ))),
    }
}

fn confirmed() -> Result<bool, CommandError> {
    if !io::stdin().is_terminal() {
        return Err(CommandError::Refused(
            "nobody is there to be asked; --yes restores without asking".to_owned(),
        ));
    }
    print!("Put it in the place of the present collection? [y/N] ");
    io::stdout().flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(["y", "yes"].contains(&answer.trim().to_lowercase().as_str()))
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
        let until = match snapshot.why {
            Why::BeforeUpload => "before an upload",
            Why::BeforeRestore => "before a restore",
            Why::Damaged => "damaged, before it was replaced",
        };
        let at = clock::to_the_minute(snapshot.at_ms);
        vec![
            snapshot.name(),
            HumanBytes(snapshot.bytes).to_string(),
            format!("{until}, {at}"),
        ]
    });
    Ok(table::print(&["SNAPSHOT", "SIZE", "AS IT WAS"], rows)?)
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

/// Cards, reviews and the time of the last one, for a table.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshots() -> Vec<Snapshot> {
        let snapshot = |at_ms, why| Snapshot {
            at_ms,
            why,
            bytes: 1,
            compressed: true,
        };
        [
            ("2026-11-20 08:00", Why::BeforeUpload),
            ("2026-11-21 12:00", Why::BeforeUpload),
            ("2026-11-21 12:05", Why::BeforeRestore),
            ("2026-11-22 12:00", Why::Damaged),
        ]
        .map(|(time, why)| snapshot(clock::parse(time).unwrap(), why))
        .into()
    }

    #[test]
    fn a_snapshot_is_named_by_its_beginning_or_by_a_time_that_it_shows() {
        let snapshots = snapshots();
        for (at, expected) in [
            (None, 2),
            (Some("2026-11-20T08-00-00.000Z-before-upload"), 0),
            (Some("2026-11-20"), 0),
            (Some("2026-11-21T12-05"), 2),
            // Of several that begin so, the first shows the beginning of that day.
            (Some("2026-11-21"), 1),
            (Some("2026-11-19"), 0),
            (Some("2026-11-21 11:59"), 1),
            (Some("2026-11-21T12:00:01Z"), 2),
            (Some("2026-11-21 13:04+01"), 2),
        ] {
            assert_eq!(
                choose(&snapshots, at).unwrap(),
                &snapshots[expected],
                "{at:?}"
            );
        }
    }

    #[test]
    fn what_is_not_there_is_not_guessed() {
        for at in ["2026-11-23", "yesterday", "2026-11-21T12-0"] {
            assert!(choose(&snapshots(), Some(at)).is_err(), "{at}");
        }
        assert!(choose(&[], None).is_err());
    }
}
