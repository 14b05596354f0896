//! `anki-syncd backup`: consistent copies of users' data, each a folder that could be served.

mod destination;

use std::{
    io::{self, IsTerminal},
    path::PathBuf,
};

use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use serde::Serialize;

use super::{
    context::{CommandError, Context, print_json},
    table,
};
use crate::{
    account::name::UserName,
    clock,
    collection::file::Summary,
    control::{BackedUp, Request, UserReport},
    media::Media,
};
use destination::{Destination, Sharing};

/// Of whom, and where to.
#[derive(clap::Args)]
pub struct Arguments {
    /// This user only
    user: Option<UserName>,
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
    user: UserName,
    collection: Option<Summary>,
    media: Media,
    /// Of the media, what was not there yet.
    new: Media,
}

#[derive(Serialize)]
struct Failure {
    user: UserName,
    reason: String,
}

/// Makes the backup and shows what is in it.
///
/// # Errors
/// [`CommandError`]; also when it lacks a user. Those whose turn went well are in it.
pub fn run(context: &Context, arguments: &Arguments) -> Result<(), CommandError> {
    let users = match &arguments.user {
        Some(user) => vec![user.clone()],
        None => {
            let users: Vec<UserReport> = context.ask(&Request::Users)?;
            users.into_iter().map(|user| user.name).collect()
        }
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
                destination.forget(user.as_str())?;
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
        print(&report)?;
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
    user: &UserName,
) -> Result<Saved, CommandError> {
    let request = Request::BackUp { user: user.clone() };
    let (copy, _held): (BackedUp, _) = context.ask_and_hold(&request, io::empty())?;
    let media = copy.media.unwrap_or_default();
    let bar = progress(user.as_str(), media.files);
    let new = destination.fetch(user.as_str(), &copy.folder, &|| bar.inc(1))?;
    bar.finish_and_clear();
    Ok(Saved {
        user: user.clone(),
        collection: copy.collection,
        media,
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
