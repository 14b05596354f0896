//! `anki-syncd user`: adds, lists, renames and removes users.

mod addresses;
mod lists;

use std::{collections::BTreeSet, io};

use super::{
    context::{CommandError, Context, print_json},
    password, question, table,
};
use crate::{
    account::{name::UserName, users_file::Document},
    control::{UserReport, ask, client::AskError},
};
use lists::Lists;

/// The commands.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Add a user; asks for the password, or reads it from standard input
    Add {
        /// The new user; the name is also the name of the folder with the user's data
        name: UserName,
    },
    /// Give a user a new password, which logs out all of the user's devices
    Passwd {
        /// The user
        name: UserName,
    },
    /// Remove a user, but not the user's data
    Remove {
        /// The user
        name: UserName,
        /// Also delete the user's collection, media and all other data, permanently
        #[arg(long)]
        delete_data: bool,
        /// Skip the confirmation
        #[arg(long)]
        yes: bool,
    },
    /// Rename a user and the folder with the data; all of the user's devices have to log in again
    Rename {
        /// The present name
        from: UserName,
        /// The new name
        to: UserName,
    },
    /// List the users
    List {
        /// Print JSON, for programs
        #[arg(long)]
        json: bool,
    },
}

impl Command {
    pub fn run(self, context: &Context) -> Result<(), CommandError> {
        match self {
            Self::Add { name } => add(context, &name),
            Self::Passwd { name } => passwd(context, &name),
            Self::Remove {
                name,
                delete_data,
                yes,
            } => remove(context, &name, delete_data, yes),
            Self::Rename { from, to } => rename(context, &from, &to),
            Self::List { json } => list(context, json),
        }
    }
}

fn add(context: &Context, name: &UserName) -> Result<(), CommandError> {
    let lists = Lists::of(context)?;
    let list = lists.for_new(name)?;
    // Checked before asking for the password, so that the file is not locked while a person types.
    list.edit(|users| users.add(name, ""))?;
    let hash = password::ask_new(&format!("Password for {name}"))?;
    let change = list.change(context, |users| users.add(name, &hash))?;
    println!(
        "{name} can log in now (added to {}). {change}",
        list.path().display()
    );
    let data = lists.data_of(name);
    if data.exists() {
        println!(
            "{} contains data already: they belong to {name} now.",
            data.display()
        );
    }
    if let Some(warning) = list.nearly_too_long() {
        println!("{warning}");
    }
    if context.is_obstructed() {
        println!("Until then nobody can sync.");
    } else {
        addresses::print(&context.listening())?;
    }
    change.confirm()
}

fn passwd(context: &Context, name: &UserName) -> Result<(), CommandError> {
    let lists = Lists::of(context)?;
    let list = lists.having(name)?;
    let hash = password::ask_new(&format!("New password for {name}"))?;
    let change = list.change(context, |users| users.change_password(name, &hash))?;
    println!(
        "{name} has a new password (saved in {}) and has to log in with it on every device. {change}",
        list.path().display()
    );
    change.confirm()
}

fn remove(
    context: &Context,
    name: &UserName,
    delete_data: bool,
    yes: bool,
) -> Result<(), CommandError> {
    let lists = Lists::of(context)?;
    let data = lists.data_of(name);
    let list = match lists.having(name) {
        // A user who was removed before, but whose data are still there.
        Err(CommandError::Refused(_)) if delete_data && data.exists() => None,
        list => Some(list?),
    };
    if delete_data {
        // Checked first: only the server removes data.
        context.ask(ask::Base {})?;
    }
    if delete_data && !yes {
        confirm(
            &format!(
                "This removes {name} and permanently deletes all of {}. Type the user's name to confirm: ",
                data.display()
            ),
            name,
        )?;
    }
    if let Some(list) = list {
        let change = list.change(context, |users| users.remove(name))?;
        println!(
            "{name} has been removed from {} and is logged out on every device. {change}",
            list.path().display()
        );
        change.confirm()?;
    }
    if !delete_data {
        println!("The data in {} were kept.", data.display());
        return Ok(());
    }
    let user = name.clone();
    match context.ask(ask::RemoveData { user }) {
        Ok(()) => println!("The data in {} have been deleted.", data.display()),
        Err(error @ (AskError::Broken(_) | AskError::Silent { .. })) => {
            return Err(CommandError::Failed(format!(
                "{name} has been removed, but the data in {} may still be there: {error}. Run the same command again to delete the rest",
                data.display()
            )));
        }
        Err(error) => {
            return Err(CommandError::Refused(format!(
                "the data in {} are still there: {error}",
                data.display()
            )));
        }
    }
    Ok(())
}

fn confirm(question: &str, name: &UserName) -> Result<(), CommandError> {
    let hint = "there is no terminal to ask on: add --yes to skip the confirmation";
    if question::ask(question, io::stdout(), hint)? == name.as_str() {
        Ok(())
    } else {
        Err(CommandError::Refused("nothing was changed".to_owned()))
    }
}

/// The list decides where the data belong. Before the list changes, the server stores which two
/// names are one person. So after a failure at any step, list and data still find each other.
fn rename(context: &Context, from: &UserName, to: &UserName) -> Result<(), CommandError> {
    let lists = Lists::of(context)?;
    let list = lists.having(from)?;
    lists.for_new(to)?;
    let edited = list.edit(|users: &mut Document| users.rename(from, to))?;
    let prepared = edited.prepare()?;
    context.ask(ask::Rename {
        from: from.clone(),
        to: to.clone(),
    })?;
    let change = list.put(context, &edited, prepared)?;
    println!(
        "{from} is called {to} now (in {}; data in {}) and has to log in again on every device, with the new name and the same password. Nothing has to be uploaded or downloaded again. {change}",
        list.path().display(),
        lists.data_of(to).display()
    );
    change.confirm()
}

fn list(context: &Context, json: bool) -> Result<(), CommandError> {
    let (reports, absent) = match context.ask(ask::Users {}) {
        Ok(reports) => (reports, None),
        Err(error @ (AskError::NotRunning { .. } | AskError::CannotStart(_))) => {
            (from_settings(context)?, Some(error))
        }
        Err(error) => return Err(error.into()),
    };
    let settings = context.settings().ok();
    let mistakes = settings.map_or_else(Vec::new, |settings| settings.users.warnings().collect());
    if json {
        return Ok(print_json(&reports)?);
    }
    if reports.is_empty() && mistakes.is_empty() {
        println!("There are no users yet: `anki-syncd user add NAME` adds one.");
        return Ok(());
    }
    let known = |report: &UserReport, what: String| match report.devices {
        Some(_) => what,
        None => "?".to_owned(),
    };
    let row = |report: &UserReport| {
        let devices = report.devices.unwrap_or_default().to_string();
        vec![
            report.name.to_string(),
            report.password.clone(),
            known(report, devices),
            known(
                report,
                table::synced(report.last_sync, report.last_device.as_ref()),
            ),
        ]
    };
    let headings = ["USER", "PASSWORD", "DEVICES", "LAST SYNC"];
    table::print(&headings, reports.iter().map(row))?;
    for mistake in mistakes {
        println!("\nMistake: {mistake}.");
    }
    if let Some(why) = absent {
        println!("\nDevices and syncs are unknown: {why}.");
    }
    let plain = reports
        .iter()
        .filter(|report| report.password == "plain")
        .count();
    if plain > 0 {
        println!(
            "\nPasswords stored as plain text: {plain}. `anki-syncd user passwd NAME` sets a new password in the list of users and stores its hash."
        );
    }
    Ok(())
}

fn from_settings(context: &Context) -> Result<Vec<UserReport>, CommandError> {
    let settings = context.settings().map_err(CommandError::Settings)?;
    let users: BTreeSet<_> = settings.users.named().collect();
    let report = |name: &UserName| UserReport {
        name: name.clone(),
        password: settings.users.kind(name).to_owned(),
        devices: None,
        last_sync: None,
        last_device: None,
    };
    Ok(users.into_iter().map(report).collect())
}
