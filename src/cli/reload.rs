//! `anki-syncd reload`: reads the settings again.

use super::context::{CommandError, Context};
use crate::{control::ask, service::manager};

/// Makes the running server read its settings and users again; `systemctl reload` runs this.
///
/// If the settings have a mistake, nothing changes.
pub fn run(context: &Context) -> Result<(), CommandError> {
    let users = context.users_to_hand_over()?;
    let reloaded = context.ask(ask::Reload { users })?;
    // Under systemd, the server has logged the same already.
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
