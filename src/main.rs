//! The process: arguments in, exit status out.

fn main() -> std::process::ExitCode {
    anki_syncd::cli::main()
}
