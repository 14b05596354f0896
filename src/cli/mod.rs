//! The command line: the daemon, and one file per operator's command.

mod backup;
mod check;
mod context;
mod device;
mod hash_password;
mod healthcheck;
mod password;
mod question;
mod reload;
mod restore;
mod serve;
mod status;
mod table;
mod user;

use std::{path::PathBuf, process::ExitCode};

use clap::{CommandFactory, Parser, Subcommand};
use nix::unistd::Uid;

use crate::{
    config::Sources,
    service::{exit::Exit, log, manager},
};
use context::{CommandError, Context};

/// A sync server for Anki flashcards.
///
/// Without a command, it runs the server. Settings come from the environment
/// (`SYNC_USER1=name:password` and so on) and from the configuration file;
/// anki-syncd.toml(5) explains them.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Read settings from this TOML file; environment variables override it
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Exit with status 0 if the server is healthy, or if systemd will start it on demand
    #[arg(long)]
    healthcheck: bool,
    /// Stay root when started as root. By default, the server switches to the owner of the data
    /// folder, or `anki-syncd`, or `nobody`
    #[arg(long)]
    allow_root: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

/// The operator's commands.
#[derive(Subcommand)]
enum Command {
    /// Back up collections and media, also while devices sync
    Backup(backup::Arguments),
    /// Restore a collection from a snapshot or a backup, such as after a mistaken upload
    Restore(restore::Arguments),
    /// Make the running server read its settings and users again
    Reload,
    /// Show the state of the running server
    Status(status::Arguments),
    /// Add, list, rename and remove users, and change their passwords
    #[command(subcommand)]
    User(user::Command),
    /// List, name and log out devices
    #[command(subcommand)]
    Device(device::Command),
    /// Print the hash of a password, for a users file or for `PASSWORDS_HASHED=1`
    HashPassword,
    /// Find problems with settings, files and data, and fix them
    Check(check::Arguments),
    /// Put users' data right, as `check --repair` says on standard input
    #[command(hide = true)]
    Mend { base: PathBuf },
    /// Look at users' data, as `check` says on standard input
    #[command(hide = true)]
    LookAtData,
}

impl Command {
    fn run(self, context: &Context) -> Result<(), CommandError> {
        match self {
            Self::Backup(arguments) => backup::run(context, &arguments),
            Self::Restore(arguments) => restore::run(context, &arguments),
            Self::Reload => reload::run(context),
            Self::Status(arguments) => status::run(context, &arguments),
            Self::User(command) => command.run(context),
            Self::Device(command) => command.run(context),
            Self::HashPassword => hash_password::run(),
            Self::Check(arguments) => check::run(context, &arguments),
            Self::Mend { base } => check::mend(&base),
            Self::LookAtData => check::look_at_data(),
        }
    }
}

/// The definition of the command line, which tests compare with the pages.
#[must_use]
pub fn command() -> clap::Command {
    Arguments::command()
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
            if error.use_stderr() && log::is_journal() {
                serve::refuse(error.to_string().trim());
            } else {
                // If standard error is closed, the message is lost.
                let _ = error.print();
            }
            return status.into();
        }
    };
    let sources = Sources {
        file: arguments.config,
        variables: std::env::vars_os().collect(),
        credentials: manager::credentials(),
        state: manager::state(),
        gives_up_root: Uid::effective().is_root() && !arguments.allow_root,
        users: None,
    };
    if let Some(command) = arguments.command {
        let context = Context::new(sources);
        return match command.run(&context) {
            Ok(()) => Exit::Ok.into(),
            Err(error) => {
                log::error(&error.to_string());
                error.exit().into()
            }
        };
    }
    if arguments.healthcheck {
        return healthcheck::run(sources).into();
    }
    serve::run(sources, arguments.allow_root).into()
}
