//! Restricts writing to `SYNC_BASE` if the kernel supports it, also outside systemd.

use std::path::Path;

use landlock::{
    ABI, AccessFs, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, RulesetStatus,
};

/// The newest version of Landlock that is used; an older kernel enforces what it supports.
const ABI_WANTED: ABI = ABI::V5;

/// Forbids the process to change anything outside the folder. Call this before there are threads.
/// Fails if the folder cannot be opened, or a kernel with Landlock refuses.
pub fn confine(base: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let status = restrict(base)?;
    match status {
        RulesetStatus::FullyEnforced => {
            tracing::info!("Landlock restricts writing to {}", base.display());
        }
        RulesetStatus::PartiallyEnforced => {
            tracing::info!(
                "Landlock restricts writing to {}, as far as this kernel supports it",
                base.display()
            );
        }
        RulesetStatus::NotEnforced => tracing::info!(
            "this kernel has no Landlock; only systemd's sandbox, if there is one, restricts writing"
        ),
    }
    Ok(())
}

fn restrict(base: &Path) -> Result<RulesetStatus, Box<dyn std::error::Error>> {
    let writing = AccessFs::from_write(ABI_WANTED);
    let rules = |base: PathFd| -> Result<RulesetStatus, RulesetError> {
        let ruleset = Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(writing)?
            .create()?
            .add_rule(PathBeneath::new(base, writing))?;
        Ok(ruleset.restrict_self()?.ruleset)
    };
    Ok(rules(PathFd::new(base)?)?)
}
