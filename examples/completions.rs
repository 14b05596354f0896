//! Writes the shells' completions into a folder, for packages.

use std::{env, io};

use clap_complete::{Shell, generate_to};

fn main() -> io::Result<()> {
    let folder = env::args_os()
        .nth(1)
        .ok_or_else(|| io::Error::other("usage: completions FOLDER"))?;
    for shell in [Shell::Bash, Shell::Fish, Shell::Zsh] {
        generate_to(
            shell,
            &mut anki_syncd::cli::command(),
            "anki-syncd",
            &folder,
        )?;
    }
    Ok(())
}
