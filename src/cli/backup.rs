//! `anki-syncd backup`: consistent copies of users' data, each a folder that could be served.

mod destination;

use std::{
    io::{self, IsTerminal, Write},
    path::PathBuf,
};

use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use serde::Serialize;
use tabwriter::TabWriter;

use super::context::{CommandError, Context, print_json};
use crate::{
    clock,
    collection::file::Summary,
    control::{BackedUp, Request},
    media::Media,
};
use destination::{Destination, Sharing};

/// Of whom, and where to.
#[derive(clap::Args)]
pub struct Arguments {
    /// This user only
    user: Option<String>,
    /// The folder for backups, each of which gets a folder of its own there
    #[arg(long, value_name = "DIR", default_value = "/var/backups/anki-syncd")]
    to: PathBuf,
    /// Of each user, remove older backups than the newest N
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    keep: Option<u32>,
    /// Copy media also where the disk could share them with the server's
    #[arg(long)]
    copy: bool,
    /// For programs
    #[arg(long)]
    json: bool,
}

/// What was done.
#[derive(Serialize)]
struct Report {
    folder: Option<PathBuf>,
    users: Vec<Saved>,
    failed: Vec<Failure>,
    removed: Vec<PathBuf>,
}

#[derive(Serialize)]
struct Saved {
    user: String,
    collection: Option<Summary>,
    media: Media,
    /// Of the media, what was not there yet.
    new: Media,
}

#[derive(Serialize)]
struct Failure {
    user: String,
    reason: String,
}

/// Makes the backup and shows what is in it.
///
/// # Errors
/// [`CommandError`]; also when it lacks a user. Those whose turn went well are in it.
pub fn run(context: &Context, arguments: &Arguments) -> Result<(), CommandError> {
    let users = match &arguments.user {
        Some(user) => vec![user.clone()],
        None => context.ask(&Request::Names)?,
    };
    let sharing = if arguments.copy {
        Sharing::Never
    } else {
        Sharing::WherePossible
    };
    let mut destination = Destination::open(&arguments.to, clock::now_ms(), sharing)?;
    let mut report = Report {
        folder: None,
        users: Vec::new(),
        failed: Vec::new(),
        removed: Vec::new(),
    };
    for user in users {
        match save(context, &mut destination, &user) {
            Ok(saved) => report.users.push(saved),
            Err(error) => {
                destination.forget(&user)?;
                let reason = error.to_string();
                report.failed.push(Failure { user, reason });
            }
        }
    }
    if !report.users.is_empty() {
        report.folder = Some(destination.complete()?);
        if let Some(keep) = arguments.keep {
            report.removed = destination.prune(keep)?;
        }
    }
    if arguments.json {
        print_json(&report)?;
    } else {
        print(&report, &mut io::stdout().lock())?;
    }
    let lines = report
        .failed
        .iter()
        .map(|failure| format!("not backed up: {}: {}", failure.user, failure.reason));
    match lines.collect::<Vec<_>>() {
        lines if lines.is_empty() => Ok(()),
        lines => Err(CommandError::Failed(lines.join("\n"))),
    }
}

fn save(
    context: &Context,
    destination: &mut Destination,
    user: &str,
) -> Result<Saved, CommandError> {
    let request = Request::BackUp {
        user: user.to_owned(),
    };
    let (copy, _held): (BackedUp, _) = context.ask_and_hold(&request, io::empty())?;
    let bar = progress(user, copy.media.files);
    let new = destination.fetch(user, &copy.folder, &|| bar.inc(1))?;
    bar.finish_and_clear();
    Ok(Saved {
        user: user.to_owned(),
        collection: copy.collection,
        media: copy.media,
        new,
    })
}

/// Only for somebody who looks on.
fn progress(user: &str, files: u64) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{msg} [{bar:30}] {pos}/{len} media files");
    ProgressBar::new(files)
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        .with_message(user.to_owned())
}

fn print(report: &Report, out: &mut impl Write) -> io::Result<()> {
    let mut table = TabWriter::new(&mut *out);
    writeln!(table, "USER\tCARDS\tREVIEWS\tLAST REVIEW\tMEDIA\tNEW MEDIA")?;
    for saved in &report.users {
        let (cards, reviews, last) = super::restore::columns(saved.collection.as_ref());
        writeln!(
            table,
            "{}\t{cards}\t{reviews}\t{last}\t{}\t{}",
            saved.user,
            media(&saved.media),
            media(&saved.new)
        )?;
    }
    table.flush()?;
    if let Some(folder) = &report.folder {
        writeln!(out, "The backup is in {}", folder.display())?;
    }
    for removed in &report.removed {
        writeln!(out, "Removed {}", removed.display())?;
    }
    Ok(())
}

fn media(media: &Media) -> String {
    format!("{} files, {}", media.files, HumanBytes(media.bytes))
}
