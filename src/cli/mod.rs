//! The command line.

mod healthcheck;
mod serve;

use std::{path::PathBuf, process::ExitCode};

use clap::Parser;

use crate::{
    config::{Settings, Sources},
    service::{exit::Exit, manager},
};

/// A sync server for Anki flashcards.
///
/// Settings come from the environment (`SYNC_USER1=name:password` and so on) and from
/// the configuration file; the README lists them.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Read settings from this TOML file; the environment wins over it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Ask the server at the configured address whether it is well, and exit with 0 if so
    #[arg(long)]
    healthcheck: bool,
    /// Serve as root; better to name an account to run as in the configuration file
    #[arg(long)]
    allow_root: bool,
}

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let status = if error.use_stderr() {
                Exit::Usage
            } else {
                Exit::Ok
            };
            // Nobody is left to tell when standard error is closed.
            let _ = error.print();
            return status.into();
        }
    };
    let sources = Sources {
        file: arguments.config,
        variables: std::env::vars_os().collect(),
        credentials: manager::credentials(),
        state: manager::state(),
    };
    let settings = match Settings::load(&sources) {
        Ok(settings) => settings,
        Err(problems) => {
            for problem in problems.0 {
                eprintln!("anki-syncd: {problem}");
            }
            return Exit::Config.into();
        }
    };
    if arguments.healthcheck {
        healthcheck::run(&settings).into()
    } else {
        serve::run(settings, &sources, arguments.allow_root).into()
    }
}
