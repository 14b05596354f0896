//! A process of the server's account. What is in the account's folders may be crafted for
//! whoever opens it, and could lead root astray.

use std::{
    ffi::OsStr,
    io::{self, BufRead, BufReader},
    os::unix::process::CommandExt,
    process::{Command, Stdio},
};

use serde::Serialize;

use super::subject::Account;

/// Runs a command of this program as the account, gives it the input, and hands over what
/// it says line by line.
/// Fails also when the process does not end well.
pub fn run(
    account: &Account,
    arguments: &[&OsStr],
    input: &impl Serialize,
    line: impl FnMut(&str) -> io::Result<()>,
) -> io::Result<()> {
    // By this name it can be executed also where the account may not look for it.
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
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let written = child
        .stdin
        .take()
        .map_or(Ok(()), |stdin| serde_json::to_writer(stdin, input));
    if let Some(stdout) = child.stdout.take() {
        for text in BufReader::new(stdout).lines() {
            line(&text?)?;
        }
    }
    // Why it did not take the input, if it did not.
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
    fn what_the_process_says_is_handed_over_and_a_bad_end_is_told() {
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
