//! What a check finds.

mod id;

use std::{
    fmt::{self, Write},
    path::PathBuf,
};

use nix::unistd::Uid;
use serde::{Deserialize, Serialize};

use crate::{account::name::UserName, vault::upkeep::Mend};

pub use id::Id;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Somebody cannot sync, or something is lost.
    Problem,
    /// Works, but will hurt sooner or later.
    Warning,
    /// Good to know.
    Note,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Problem => "problem",
            Self::Warning => "warning",
            Self::Note => "note",
        })
    }
}

/// One thing that a check found.
#[derive(Debug, Serialize, Deserialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    pub id: Id,
    /// Where: a setting, a file, a user, an address.
    pub place: String,
    /// What is the matter, as a sentence.
    pub what: String,
    /// What to do about it, as a sentence.
    pub remedy: String,
    /// What `--repair` would do about it.
    pub repair: Option<Repair>,
}

/// What to do where something could not be looked at.
fn to_see() -> &'static str {
    if Uid::effective().is_root() {
        "Make sure that the server's account can read it."
    } else {
        "Run the command as root, and make sure that the server's account can read it."
    }
}

/// What can be put right without anybody's judgement. What root does to files it takes from
/// no other process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Repair {
    /// Give these files to the account that the server runs as.
    #[serde(skip)]
    GiveToAccount {
        /// Below `SYNC_BASE`.
        paths: Vec<PathBuf>,
    },
    /// Let that account read and write these files, and nobody else but its group.
    #[serde(skip)]
    SetMode {
        /// Below `SYNC_BASE`.
        paths: Vec<PathBuf>,
    },
    /// Remove these temporary files.
    #[serde(skip)]
    RemoveTemporary {
        /// Below `SYNC_BASE`.
        paths: Vec<PathBuf>,
    },
    /// Put something right in a user's data, in that user's turn.
    Data { user: UserName, mend: Mend },
}

impl Repair {
    /// What it does, for the question whether to.
    pub fn describe(&self) -> String {
        match self {
            Self::GiveToAccount { paths } => {
                format!(
                    "change the owner of {} to the server's account",
                    files(paths.len())
                )
            }
            Self::SetMode { paths } => format!("set the permissions of {}", files(paths.len())),
            Self::RemoveTemporary { paths } => {
                format!(
                    "remove {} that an interrupted upload left",
                    files(paths.len())
                )
            }
            Self::Data { user, mend } => match mend {
                Mend::Media(names) if names.is_empty() => {
                    format!(
                        "{user}: settle interrupted media batches and recompute the totals in media.db"
                    )
                }
                Mend::Media(names) => format!(
                    "{user}: update media.db to match the media folder for {}",
                    files(names.len())
                ),
                Mend::Unsent => {
                    format!("{user}: send the devices the changes that never reached them")
                }
                Mend::Journal => format!("{user}: merge the journal into the collection"),
                Mend::Tables => {
                    format!("{user}: rebuild the collection's tables as Anki declares them")
                }
            },
        }
    }
}

fn files(count: usize) -> String {
    match count {
        1 => "one file".to_owned(),
        many => format!("{many} files"),
    }
}

/// The findings of a check, in the order in which they were made.
#[derive(Debug, Default)]
pub struct Findings(pub Vec<Finding>);

impl Findings {
    /// Adds something that always has the same remedy.
    pub fn add(
        &mut self,
        id: Id,
        place: impl fmt::Display,
        what: impl fmt::Display,
    ) -> &mut Finding {
        debug_assert!(!id.remedy().is_empty(), "{} has no remedy", id.name());
        self.advise(id, place, what, id.remedy())
    }

    /// Adds something whose remedy depends on circumstances.
    pub fn advise(
        &mut self,
        id: Id,
        place: impl fmt::Display,
        what: impl fmt::Display,
        remedy: impl fmt::Display,
    ) -> &mut Finding {
        let at = self.0.len();
        self.0.push(Finding {
            severity: id.severity(),
            id,
            place: place.to_string(),
            what: what.to_string(),
            remedy: remedy.to_string(),
            repair: None,
        });
        &mut self.0[at]
    }

    /// Notes that something could not be looked at, and so was not.
    pub fn unseen(&mut self, place: impl fmt::Display, why: impl fmt::Display) {
        let what = format_args!("not checked: {why}");
        self.advise(Id::NotLookedAt, place, what, to_see());
    }

    /// Adds what a process of the server's account has found, which did not know that root had
    /// it look.
    pub fn extend(&mut self, found: Vec<Finding>) {
        self.0.extend(found.into_iter().map(|mut finding| {
            if finding.id == Id::NotLookedAt {
                to_see().clone_into(&mut finding.remedy);
            }
            finding
        }));
    }

    /// What can be put right.
    pub fn repairs(&self) -> Vec<Repair> {
        let repairs = self.0.iter().filter_map(|finding| finding.repair.clone());
        repairs.collect()
    }

    /// How many of this severity there are.
    pub fn count(&self, severity: Severity) -> usize {
        self.0
            .iter()
            .filter(|finding| finding.severity == severity)
            .count()
    }
}

impl Finding {
    /// Says that it can be repaired, and how.
    pub fn with(&mut self, repair: Repair) {
        self.repair = Some(repair);
    }

    /// Says how bad it is in these circumstances.
    pub fn weigh(&mut self, severity: Severity) {
        self.severity = severity;
    }
}

/// Some of many, for a sentence: the first few by name.
pub fn some_of<T: fmt::Display>(many: &[T]) -> String {
    const SHOWN: usize = 4;
    let mut text = many
        .iter()
        .take(SHOWN)
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ");
    if many.len() > SHOWN {
        // Writing to a string cannot fail.
        let _ = write!(text, " and {} more", many.len() - SHOWN);
    }
    text
}

/// Where a user's things are, as a place for a finding.
pub fn of_user(user: &UserName, what: &str) -> String {
    format!("{user}/{what}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_are_named_by_the_first_few() {
        assert_eq!(some_of(&["a", "b"]), "a, b");
        assert_eq!(some_of(&[1, 2, 3, 4, 5, 6]), "1, 2, 3, 4 and 2 more");
    }

    #[test]
    fn findings_are_counted_by_severity() {
        let mut findings = Findings::default();
        findings.add(Id::DiskFull, "b", "c");
        findings.advise(Id::BaseMissing, "b", "c", "d");
        findings.unseen("b", "e");
        let counts = [Severity::Problem, Severity::Warning, Severity::Note]
            .map(|severity| findings.count(severity));
        assert_eq!(counts, [1, 0, 2]);
    }
}
