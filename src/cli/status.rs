//! `anki-syncd status`: the state of the running server.

use std::io::{self, Write};

use super::{
    context::{CommandError, Context, print_json},
    table,
};
use crate::{
    control::{Status, UserStatus, ask},
    metrics,
    vault::usage::Usage,
};

/// The arguments of `anki-syncd status`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Print JSON, for programs
    #[arg(long)]
    json: bool,
    /// Print metrics for Prometheus and compatible programs
    #[arg(long, conflicts_with = "json")]
    openmetrics: bool,
}

pub fn run(context: &Context, arguments: &Arguments) -> Result<(), CommandError> {
    let mut status = context.ask(ask::Status {})?;
    // The server produces the metrics, so the output is the same as over its socket.
    if !arguments.openmetrics
        && let Some(why) = context.failed_backup()
    {
        let warning = format!("the last nightly backup failed: {why}");
        status.warnings.push(warning);
    }
    if arguments.json {
        print_json(&status)?;
    } else if arguments.openmetrics {
        let text = metrics::text(status).map_err(io::Error::other)?;
        io::stdout().write_all(text.as_bytes())?;
    } else {
        print(&status)?;
    }
    Ok(())
}

fn print(status: &Status) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "anki-syncd {}, process {}, started {}",
        status.version,
        status.pid,
        table::ago(Some(status.since_secs))
    )?;
    for place in &status.listening {
        writeln!(out, "listening on {place}")?;
    }
    let free = status.free_bytes.map_or_else(String::new, |bytes| {
        format!(", {} free", table::size(bytes))
    });
    writeln!(out, "data in {}{free}", status.base.display())?;
    match status.syncing {
        0 => writeln!(out, "nobody is syncing")?,
        1 => writeln!(out, "1 device is syncing")?,
        devices => writeln!(out, "{devices} devices are syncing")?,
    }
    for warning in &status.warnings {
        writeln!(out, "warning: {}", table::printable(warning))?;
    }
    if !status.users.is_empty() {
        writeln!(out)?;
        let headings = [
            "USER",
            "DEVICES",
            "LAST SYNC",
            "LAST BACKUP",
            "COLLECTION",
            "MEDIA",
            "FILES",
            "SNAPSHOTS",
        ];
        table::print(&headings, status.users.iter().map(row))?;
    }
    Ok(())
}

fn row(user: &UserStatus) -> Vec<String> {
    let unknown = || "?".to_owned();
    let size = |of: fn(&Usage) -> u64| {
        user.usage
            .as_ref()
            .map_or_else(unknown, |usage| table::size(of(usage)))
    };
    vec![
        user.name.to_string(),
        user.devices.map_or_else(unknown, |count| count.to_string()),
        table::synced(user.last_sync, user.last_device.as_ref()),
        table::ago(user.last_backup),
        size(|usage| usage.collection_bytes),
        size(|usage| usage.media_bytes),
        user.usage
            .map_or_else(unknown, |usage| usage.media_files.to_string()),
        size(|usage| usage.own_bytes),
    ]
}
