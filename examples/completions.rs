//! Writes the shells' completions into a folder, for packages.

use std::{env, io};

use clap::Command;
use clap_complete::{Shell, generate_to};

fn main() -> io::Result<()> {
    let folder = env::args_os()
        .nth(1)
        .ok_or_else(|| io::Error::other("usage: completions FOLDER"))?;
    for shell in [Shell::Bash, Shell::Fish, Shell::Zsh] {
        let mut command = shown(&anki_syncd::cli::command());
        generate_to(shell, &mut command, "anki-syncd", &folder)?;
    }
    Ok(())
}

/// The program without the commands that are not for people, which would be offered, too.
fn shown(command: &Command) -> Command {
    let subcommands = command.get_subcommands().filter(|sub| !sub.is_hide_set());
    Command::new("anki-syncd")
        .version(env!("CARGO_PKG_VERSION"))
        .args(command.get_arguments())
        .subcommands(subcommands)
}
