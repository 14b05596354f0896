//! The findings of a check, and their repairs.

mod id;

use std::{
    fmt::{self, Write},
    path::PathBuf,
};

use nix::unistd::Uid;
use serde::{Deserialize, Serialize};

use crate::{account::name::UserName, vault::upkeep::Mend};

pub use id::Id;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// A user cannot sync, or data are lost.
    Problem,
    /// It works now, but will cause a problem.
    Warning,
    /// Information.
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

#[derive(Debug, Serialize, Deserialize)]
pub struct Finding {
    pub severity: Severity,
    pub id: Id,
    /// A setting, a file, a user or an address.
    pub place: String,
    /// The problem, as a sentence.
    pub what: String,
    /// The advice, as a sentence.
    pub remedy: String,
    /// What `--repair` does about it.
    pub repair: Option<Repair>,
}

/// The advice about a file that could not be read.
fn advice_to_read() -> &'static str {
    if Uid::effective().is_root() {
        "Make sure that the server's account can read it."
    } else {
        "Run the command as root, and make sure that the server's account can read it."
    }
}

/// A repair that needs no decision. Paths are below `SYNC_BASE`. Root accepts no paths from another
/// process, so serde skips the repairs that have some.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Repair {
    /// Give these files to the server's account.
    #[serde(skip)]
    GiveToAccount(Vec<PathBuf>),
    /// Let the server's account read and write these files, and nobody else but its group.
    #[serde(skip)]
    SetMode(Vec<PathBuf>),
    #[serde(skip)]
    RemoveTemporary(Vec<PathBuf>),
    /// Repair a user's data, in that user's turn.
    Data { user: UserName, mend: Mend },
}

impl Repair {
    /// What it does, for the confirmation.
    pub fn describe(&self) -> String {
        match self {
            Self::GiveToAccount(paths) => {
                format!(
                    "change the owner of {} to the server's account",
                    files(paths)
                )
            }
            Self::SetMode(paths) => format!("set the permissions of {}", files(paths)),
            Self::RemoveTemporary(paths) => {
                format!("remove {} that an interrupted upload left", files(paths))
            }
            Self::Data { user, mend } => match mend {
                Mend::Media(names) if names.is_empty() => format!(
                    "{user}: settle interrupted media batches and recompute the totals in media.db"
                ),
                Mend::Media(names) => format!(
                    "{user}: update media.db to match the media folder for {}",
                    files(names)
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

fn files<T>(files: &[T]) -> String {
    match files.len() {
        1 => "one file".to_owned(),
        many => format!("{many} files"),
    }
}

/// The findings of a check, in the order in which they were added.
#[derive(Debug, Default)]
pub struct Findings(pub Vec<Finding>);

impl Findings {
    /// Adds a finding that always has the same remedy.
    pub fn add(
        &mut self,
        id: Id,
        place: impl fmt::Display,
        what: impl fmt::Display,
    ) -> &mut Finding {
        debug_assert!(!id.remedy().is_empty(), "{} has no remedy", id.name());
        self.advise(id, place, what, id.remedy())
    }

    /// Adds a finding whose remedy depends on circumstances.
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

    /// Reports that something was not checked.
    pub fn unseen(&mut self, place: impl fmt::Display, why: impl fmt::Display) {
        let what = format_args!("not checked: {why}");
        self.advise(Id::NotLookedAt, place, what, advice_to_read());
    }

    /// Adds the findings of a process without root's rights. Its advice to run the command as root
    /// is left out, since root runs this one.
    pub fn extend(&mut self, found: Vec<Finding>) {
        self.0.extend(found.into_iter().map(|mut finding| {
            if finding.id == Id::NotLookedAt {
                advice_to_read().clone_into(&mut finding.remedy);
            }
            finding
        }));
    }

    pub fn repairs(&self) -> Vec<Repair> {
        let repairs = self.0.iter().filter_map(|finding| finding.repair.clone());
        repairs.collect()
    }

    pub fn count(&self, severity: Severity) -> usize {
        let found = self.0.iter().filter(|finding| finding.severity == severity);
        found.count()
    }
}

impl Finding {
    /// Adds a repair of the user's data.
    pub fn mend(&mut self, user: &UserName, mend: Mend) {
        let user = user.clone();
        self.repair = Some(Repair::Data { user, mend });
    }
}

/// The first few of many, for a sentence.
pub fn some_of<T: fmt::Display>(many: &[T]) -> String {
    const SHOWN: usize = 4;
    let shown: Vec<_> = many.iter().take(SHOWN).map(ToString::to_string).collect();
    let mut text = shown.join(", ");
    if many.len() > SHOWN {
        // Writing to a string cannot fail.
        let _ = write!(text, " and {} more", many.len() - SHOWN);
    }
    text
}

/// A user's file, as the place of a finding.
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
