//! `anki-syncd reload`: the settings, read again.

use super::context::{CommandError, Context};
use crate::{control::ask, service::manager};

/// Has the running server read its settings and users again; `systemctl reload` runs this.
///
/// If anything is wrong with them, everything stays as it was.
pub fn run(context: &Context) -> Result<(), CommandError> {
    let users = context.users_to_hand_over()?;
    let reloaded = context.ask(ask::Reload { users })?;
    // The log that this would go to has it from the server.
    if manager::is_beside_main() {
        return Ok(());
    }
    println!(
        "Settings and users have been reloaded; {} can log in.",
        reloaded.users
    );
    for warning in reloaded.warnings {
        println!("warning: {warning}");
    }
    Ok(())
}
