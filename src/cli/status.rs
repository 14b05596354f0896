//! `anki-syncd status`: how the running server is.

use std::io::{self, Write};

use super::context::{CommandError, Context, print_json};
use crate::control::{Request, Status};

/// How to show it.
#[derive(clap::Args)]
pub struct Arguments {
    /// For programs
    #[arg(long)]
    json: bool,
}

/// Asks and shows.
///
/// # Errors
/// [`CommandError`].
pub fn run(context: &Context, arguments: &Arguments) -> Result<(), CommandError> {
    let status: Status = context.ask(&Request::Status)?;
    if arguments.json {
        print_json(&status)?;
    } else {
        print(&status, &mut io::stdout().lock())?;
    }
    Ok(())
}

fn print(status: &Status, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "anki-syncd {}, process {}", status.version, status.pid)?;
    for place in &status.listening {
        writeln!(out, "listening on  {place}")?;
    }
    writeln!(out, "data          {}", status.base.display())?;
    writeln!(out, "users         {}", status.users)?;
    writeln!(out, "syncing now   {}", status.syncing)
}
