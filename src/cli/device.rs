//! `anki-syncd device`: lists devices, names them, and logs them out.

use std::str::FromStr;

use super::{
    context::{CommandError, Context, print_json},
    table,
};
use crate::{
    account::{
        devices::{DeviceName, Record, version_and_platform},
        name::UserName,
    },
    control::{DeviceReport, DeviceState, ask},
};

const HEADINGS: [&str; 9] = [
    "DEVICE",
    "USER",
    "NAME",
    "CLIENT",
    "PLATFORM",
    "FIRST SEEN",
    "LAST SEEN",
    "ADDRESS",
    "LAST SYNC",
];

/// The commands.
#[derive(clap::Subcommand)]
pub enum Command {
    /// List the devices that are logged in, most recently seen first
    List(List),
    /// Log devices out immediately; a running sync is rolled back
    ///
    /// A device that logs in again counts as a new one. Devices that were last seen very long
    /// ago are not listed. A new password (`anki-syncd user passwd`) logs out every device.
    Revoke(Revoke),
    /// Give a device a name, which lists and the log show; an empty name removes it
    Name(Name),
}

#[derive(clap::Args)]
pub struct Name {
    /// Its id or the beginning of it (`anki-syncd device list`), or its present name
    device: String,
    /// The new name, such as "Anna's phone"; at most 60 characters
    #[arg(value_parser = parse_name)]
    name: Named,
}

/// A name, or none.
#[derive(Clone)]
pub struct Named(Option<DeviceName>);

fn parse_name(text: &str) -> Result<Named, <DeviceName as FromStr>::Err> {
    let name = (!text.is_empty()).then(|| text.parse());
    name.transpose().map(Named)
}

#[derive(clap::Args)]
pub struct List {
    /// List only this user's devices
    user: Option<UserName>,
    /// Also list devices that were revoked, or logged out by a new password
    #[arg(long)]
    all: bool,
    /// Print JSON, for programs
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
#[group(required = true, multiple = true)]
pub struct Revoke {
    /// Their names, or their ids or the beginnings of these (`anki-syncd device list`)
    #[arg(value_name = "DEVICE")]
    devices: Vec<String>,
    /// Log out all devices of this user
    #[arg(long, value_name = "USER")]
    all: Option<UserName>,
}

impl Command {
    /// Sends the request to the running server.
    pub fn run(self, context: &Context) -> Result<(), CommandError> {
        match self {
            Self::List(arguments) => list(context, arguments),
            Self::Revoke(arguments) => revoke(context, arguments),
            Self::Name(arguments) => name(context, arguments),
        }
    }
}

fn list(context: &Context, arguments: List) -> Result<(), CommandError> {
    let user = arguments.user;
    let mut devices = context.ask(ask::Devices { user })?;
    devices.retain(|device| arguments.all || device.state == DeviceState::LoggedIn);
    if arguments.json {
        print_json(&devices)?;
    } else if devices.is_empty() {
        println!("no device is logged in");
    } else {
        let mut headings = HEADINGS.to_vec();
        if arguments.all {
            headings.push("STATE");
        }
        let cells = |device: &DeviceReport| {
            let mut cells = row(&device.record);
            if arguments.all {
                cells.push(state(device.state).to_owned());
            }
            cells
        };
        table::print(&headings, devices.iter().map(cells))?;
    }
    Ok(())
}

fn row(record: &Record) -> Vec<String> {
    let (version, platform) = version_and_platform(&record.client);
    let last_sync = match &record.last_action {
        Some(action) => format!("{}: {action}", table::ago(record.last_sync)),
        None => table::ago(record.last_sync),
    };
    vec![
        record.id.short(),
        record.user.clone(),
        record
            .name
            .as_ref()
            .map_or_else(String::new, ToString::to_string),
        version.to_owned(),
        platform.to_owned(),
        table::ago(Some(record.first_seen)),
        table::ago(Some(record.last_seen)),
        record.address.clone(),
        last_sync,
    ]
}

fn state(state: DeviceState) -> &'static str {
    match state {
        DeviceState::LoggedIn => "logged in",
        DeviceState::LoggedOut => "logged out",
        DeviceState::Revoked => "revoked",
    }
}

fn revoke(context: &Context, arguments: Revoke) -> Result<(), CommandError> {
    let Revoke { devices, all } = arguments;
    let request = ask::Revoke {
        devices,
        all_of: all,
    };
    let revoked = context.ask(request)?;
    for DeviceReport { record, .. } in &revoked {
        println!("{} is logged out", described(record));
    }
    if revoked.is_empty() {
        println!("no device was logged in");
    }
    Ok(())
}

fn name(context: &Context, arguments: Name) -> Result<(), CommandError> {
    let Name { device, name } = arguments;
    let name = name.0;
    let DeviceReport { record, .. } = context.ask(ask::NameDevice { device, name })?;
    match &record.name {
        Some(name) => println!("{} is now called {name}", described(&record)),
        None => println!("{} has no name any more", described(&record)),
    }
    Ok(())
}

/// `1a2b3c4d of anna (26.09.3, linux)`.
fn described(record: &Record) -> String {
    let (version, platform) = version_and_platform(&record.client);
    format!(
        "{} of {} ({}, {})",
        record.id.short(),
        record.user,
        version.escape_debug(),
        platform.escape_debug()
    )
}
