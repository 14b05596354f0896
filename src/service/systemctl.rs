//! Answers of systemd, and their formats.

use std::process::Command;

/// The unit of the server.
pub const SERVICE: &str = "anki-syncd.service";

/// Whether a unit is running.
pub(super) fn is_active(unit: &str) -> bool {
    systemctl(&["is-active", unit]).is_some()
}

/// The output of systemctl; none if it fails or is missing.
pub(super) fn systemctl(arguments: &[&str]) -> Option<String> {
    let output = Command::new("systemctl").args(arguments).output().ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The settings in a unit's text, in order.
pub(super) fn settings(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let settings = text.lines().filter_map(|line| line.split_once('='));
    settings.map(|(name, value)| (name.trim(), value.trim()))
}

/// Splits at blanks outside double quotes, as systemd prints lists. Not `shlex`: systemd prints the
/// arguments of `ExecStart=` without quotes, so one apostrophe would lose them all.
pub(super) fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let (mut word, mut quoted) = (String::new(), false);
    for char in text.chars() {
        match char {
            '"' => quoted = !quoted,
            blank if blank.is_whitespace() && !quoted => {
                words.extend(Some(std::mem::take(&mut word)).filter(|word| !word.is_empty()));
            }
            other => word.push(other),
        }
    }
    words.extend(Some(word).filter(|word| !word.is_empty()));
    words
}
