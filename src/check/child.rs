//! A process of the server's account. A crafted file in the account's folders could make root read
//! or write another file, so root does not open them.

use std::{
    ffi::OsStr,
    io::{self, BufRead, BufReader},
    os::unix::process::CommandExt,
    process::{Command, Stdio},
};

use serde::Serialize;

use super::subject::Account;

/// Runs a command of this program as the account, writes the input to it, and calls `line` with
/// each line of its output. Fails also if the process does.
pub fn run(
    account: &Account,
    arguments: &[&OsStr],
    input: &impl Serialize,
    line: impl FnMut(&str) -> io::Result<()>,
) -> io::Result<()> {
    // The account may not be allowed to open the program under its own path.
    let mut command = Command::new("/proc/self/exe");
    command
        .args(arguments)
        .uid(account.uid.as_raw())
        .gid(account.gid.as_raw())
        .env_clear()
        .current_dir("/");
    converse(command, input, line)
}

fn converse(
    mut command: Command,
    input: &impl Serialize,
    mut line: impl FnMut(&str) -> io::Result<()>,
) -> io::Result<()> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn()?;
    let stdin = child.stdin.take();
    let written = stdin.map_or(Ok(()), |stdin| serde_json::to_writer(stdin, input));
    if let Some(stdout) = child.stdout.take() {
        for text in BufReader::new(stdout).lines() {
            line(&text?)?;
        }
    }
    // The exit status explains why the process did not read its input.
    let status = child.wait()?;
    if !status.success() {
        return Err(io::Error::other(format!(
            "the helper process ended with {status}"
        )));
    }
    Ok(written?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_output_is_passed_on_and_a_failure_is_reported() {
        let mut said = Vec::new();
        let mut talk = |script: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            converse(command, &[1, 2], |line| {
                said.push(line.to_owned());
                Ok(())
            })
        };
        assert!(talk("cat").is_ok());
        let failed = talk("echo done; kill -9 $$").unwrap_err();
        assert!(failed.to_string().contains("signal: 9"), "{failed}");
        assert!(talk("exit 3").is_err());
        assert_eq!(said, ["[1,2]", "done"]);
    }
}
