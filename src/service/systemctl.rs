//! What systemd answers, and the forms it answers in.

use std::process::Command;

/// The unit of the server.
pub const SERVICE: &str = "anki-syncd.service";

/// Whether a unit is running.
pub(super) fn is_active(unit: &str) -> bool {
    systemctl(&["is-active", unit]).is_some()
}

/// What systemd answers; none if it says no, or is not there.
pub(super) fn systemctl(arguments: &[&str]) -> Option<String> {
    let output = Command::new("systemctl").args(arguments).output().ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The settings in a unit's text, in their order.
pub(super) fn settings(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let settings = text.lines().filter_map(|line| line.split_once('='));
    settings.map(|(name, value)| (name.trim(), value.trim()))
}

/// Splits at blanks that are not in double quotes, as systemd shows lists. Not `shlex`: systemd
/// shows the arguments of `ExecStart=` without quotes, so that one apostrophe would lose them all.
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
