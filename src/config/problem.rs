//! Mistakes in the settings, all of them at once.

use std::fmt;

/// A setting that cannot be used, and the remedy. Never contains a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The setting as the user wrote it: a variable, or a key with file and line.
    pub setting: String,
    /// What is wrong, and the remedy.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.setting, self.what)
    }
}

/// All mistakes.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    /// One mistake a line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.joined("\n"))
    }
}

impl Problems {
    /// All mistakes in one line, for logs.
    pub fn in_a_line(&self) -> String {
        self.joined("; ")
    }

    fn joined(&self, separator: &str) -> String {
        let problems: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        problems.join(separator)
    }

    /// Returns `made` if there is no mistake.
    pub(super) fn or<T>(self, made: T) -> Result<T, Self> {
        if self.0.is_empty() {
            Ok(made)
        } else {
            Err(self)
        }
    }

    /// Adds a mistake.
    pub fn add(&mut self, setting: impl Into<String>, what: impl fmt::Display) {
        self.0.push(Problem {
            setting: setting.into(),
            what: what.to_string(),
        });
    }
}
