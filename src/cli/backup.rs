//! `anki-syncd backup`: consistent copies of users' data. Each is a folder that a server could
//! serve.

mod destination;
mod fetch;
mod source;

use std::{
    io,
    path::{Path, PathBuf},
};

use indicatif::HumanBytes;
use serde::Serialize;

use super::{
    context::{CommandError, Context, print_json},
    table,
};
use crate::{
    account::name::UserName,
    check::{progress, target},
    clock,
    collection::file::Summary,
    config::Settings,
    control::ask,
    media::Media,
    service::{log, notify},
};
use destination::Destination;
use fetch::{Fetch, Saving};
use source::Source;

const BAR: &str = "{msg} [{bar:30}] {pos}/{len} media files";

/// The arguments of `anki-syncd backup`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Back up only this user
    user: Option<UserName>,
    /// The folder for backups; each backup is a new folder in it. Default: `backup_to` in the
    /// settings, or /var/backups/anki-syncd
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
    /// Keep the newest N backups of each user, and remove older ones
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    keep: Option<u32>,
    /// Like the nightly backup: keep as many backups as `backup_keep` in the settings says
    #[arg(long, conflicts_with = "keep")]
    nightly: bool,
    /// Copy media, even where the disk could share their space with the server's files
    #[arg(long)]
    copy: bool,
    /// Print JSON, for programs
    #[arg(long)]
    json: bool,
}

/// The result, for output.
#[derive(Default, Serialize)]
struct Report {
    folder: Option<PathBuf>,
    users: Vec<Saved>,
    failed: Vec<NotBackedUp>,
    removed: Vec<PathBuf>,
    /// Failures after the backup was made.
    #[serde(skip)]
    afterwards: Vec<String>,
}

#[derive(Serialize)]
struct Saved {
    user: UserName,
    collection: Option<Summary>,
    media: Media,
    /// The media that were copied: those that earlier backups do not have.
    new: Media,
}

#[derive(Serialize)]
struct NotBackedUp {
    user: UserName,
    reason: String,
}

impl Report {
    fn fail(&mut self, user: &UserName, reason: &impl ToString) {
        let (user, reason) = (user.clone(), reason.to_string());
        self.failed.push(NotBackedUp { user, reason });
    }

    /// The users whose backup is complete.
    fn whole(&self) -> Vec<&UserName> {
        let users = self.users.iter().map(|saved| &saved.user);
        let failed = |user: &UserName| self.failed.iter().any(|failure| failure.user == *user);
        users.filter(|user| !failed(user)).collect()
    }

    fn with_collection(&self) -> Vec<UserName> {
        let users = self.users.iter().filter(|saved| saved.collection.is_some());
        users.map(|saved| saved.user.clone()).collect()
    }

    /// The result of the command.
    fn result(&self) -> Result<(), CommandError> {
        let failed = self
            .failed
            .iter()
            .map(|failure| format!("not backed up: {}: {}", failure.user, failure.reason));
        let lines: Vec<_> = failed.chain(self.afterwards.iter().cloned()).collect();
        if lines.is_empty() {
            return Ok(());
        }
        Err(CommandError::Failed(lines.join("\n")))
    }
}

/// Makes the backup and prints what it contains.
///
/// Fails also when the backup lacks a user. The backup still contains all other users.
pub fn run(context: &Context, arguments: &Arguments) -> Result<(), CommandError> {
    make(context, arguments).inspect_err(|error| notify::failed(&error.to_string()))
}

fn make(context: &Context, arguments: &Arguments) -> Result<(), CommandError> {
    let users = match &arguments.user {
        Some(user) => vec![user.clone()],
        None => {
            let users = context.ask(ask::Users {})?;
            users.into_iter().map(|user| user.name).collect()
        }
    };
    let settings = context.settings().map_err(CommandError::Settings)?;
    let saving = Saving {
        shares: !arguments.copy,
        reserve: settings.room.reserve,
    };
    let folder = folder(arguments, &settings)?;
    let keep = arguments
        .keep
        .or(arguments.nightly.then_some(settings.backups.keep));
    let report = back_up(context, folder, keep, saving, &users)?;
    if arguments.json {
        print_json(&report)?;
    } else {
        print(&report)?;
    }
    report.result()
}

/// The folder for backups, if it can be used.
fn folder<'a>(arguments: &'a Arguments, settings: &'a Settings) -> Result<&'a Path, CommandError> {
    let backups = &settings.backups;
    let folder = arguments.to.as_ref().unwrap_or(&backups.to);
    if let Some(why) = target::unmounted(folder) {
        return Err(CommandError::Failed(format!("not backed up: {why}")));
    }
    // If its disk is not mounted, the folder is missing.
    if arguments.to.is_none() && backups.is_chosen() && !folder.is_dir() {
        return Err(CommandError::Failed(format!(
            "not backed up: {0} (backup_to) does not exist. Mount its disk. If the disk is mounted, create the folder: `mkdir -m 700 {0}`",
            folder.display()
        )));
    }
    if target::on_one_disk(folder, &settings.base) {
        log::warning(&format!(
            "{} is on the same disk as the data: when the disk fails, the backups are lost too. Choose a folder on another disk with backup_to in the settings, or with --to",
            folder.display()
        ));
    }
    Ok(folder)
}

fn back_up(
    context: &Context,
    folder: &Path,
    keep: Option<u32>,
    saving: Saving,
    users: &[UserName],
) -> Result<Report, CommandError> {
    let destination = Destination::open(folder, clock::now_ms())?;
    let mut report = Report::default();
    for user in users {
        let part = destination.part_of(user, saving)?;
        match save(context, &part, user) {
            Ok((saved, damage)) => {
                let lack = damage.or(lack(&destination, &saved)?);
                if let Some(lack) = &lack {
                    report.fail(user, lack);
                }
                if lack.is_some() && saved.media.files == 0 {
                    destination.forget(user)?;
                } else {
                    report.users.push(saved);
                }
            }
            Err(error) => {
                destination.forget(user)?;
                report.fail(user, &error);
            }
        }
    }
    if report.users.is_empty() {
        return Ok(report);
    }
    report.folder = Some(destination.complete()?);
    if let Err(error) = context.ask(ask::BackupDone {
        users: report.with_collection(),
    }) {
        let line = format!("the server could not record this backup: {error}");
        report.afterwards.push(line);
    }
    if let Some(keep) = keep {
        let mut removed = Vec::new();
        if let Err(error) = destination.prune(keep, &report.whole(), &mut removed) {
            let line = format!("old backups were not removed: {error}");
            report.afterwards.push(line);
        }
        report.removed = removed;
    }
    Ok(report)
}

/// Returns also what is wrong with the collection, if it is damaged and was left out.
fn save(
    context: &Context,
    part: &Fetch,
    user: &UserName,
) -> Result<(Saved, Option<String>), CommandError> {
    let request = ask::BackUp { user: user.clone() };
    let (copy, held) = context.ask_and_hold(request, io::empty())?;
    let media = copy.media.unwrap_or_default();
    let bar = progress::bar(BAR, media.files, user.to_string());
    let source = Source::open(&copy.folder, held.server);
    let new = source.and_then(|source| part.fetch(&copy, &source, &|| bar.inc(1)));
    bar.finish_and_clear();
    if !held.is_there() {
        let why = "the server ended before the backup was complete; try again";
        return Err(CommandError::Failed(why.to_owned()));
    }
    let saved = Saved {
        user: user.clone(),
        collection: copy.collection,
        media,
        new: new?,
    };
    Ok((saved, copy.damage))
}

/// If a disk is not mounted, its user looks like one who has never synced.
fn lack(destination: &Destination, saved: &Saved) -> io::Result<Option<String>> {
    if saved.collection.is_some() {
        return Ok(None);
    }
    let former = destination.newest_of(&saved.user)?;
    Ok(former.map(|former| {
        format!(
            "the collection is missing, but {} contains one. Mount the server's disk. If the user is to have no collection, move the backups that contain one to another folder",
            former.display()
        )
    }))
}

fn print(report: &Report) -> io::Result<()> {
    let rows = report.users.iter().map(|saved| {
        let (cards, reviews, last) = super::restore::columns(saved.collection.as_ref());
        let (all, new) = (media(&saved.media), media(&saved.new));
        vec![saved.user.to_string(), cards, reviews, last, all, new]
    });
    table::print(
        &[
            "USER",
            "CARDS",
            "REVIEWS",
            "LAST REVIEW",
            "MEDIA",
            "NEW MEDIA",
        ],
        rows,
    )?;
    if let Some(folder) = &report.folder {
        println!("The backup is in {}", folder.display());
    }
    for removed in &report.removed {
        println!("Removed {}", removed.display());
    }
    Ok(())
}

fn media(media: &Media) -> String {
    let files = if media.files == 1 { "file" } else { "files" };
    format!("{} {files}, {}", media.files, HumanBytes(media.bytes))
}
