//! The requests of the commands, each with the type of its answer.

use std::path::PathBuf;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    BackedUp, DeviceReport, Preview as Comparison, Reloaded, RestoreFrom, Status as StatusReport,
    UserReport,
};
use crate::{
    account::{devices::DeviceName, name::UserName},
    vault::{
        snapshot::Snapshot,
        upkeep::{Mend as Mending, Mended},
    },
};

/// A request, with the type of the answer if the server does not refuse.
pub trait Ask: Into<Request> {
    /// The server and the command both use this type.
    type Answer: Serialize + DeserializeOwned;
}

/// Makes a struct of each request, and one enum of all requests, which is sent over the socket:
/// `{"ask":"rename","from":"anna","to":"berta"}`. An older server refuses unknown fields and
/// requests; otherwise it would do only half of a newer command's request.
macro_rules! requests {
    ($(
        $(#[$about:meta])*
        $name:ident { $($(#[$about_field:meta])* $field:ident: $kind:ty),* } -> $answer:ty;
    )+) => {
        $(
            $(#[$about])*
            #[derive(Debug, Clone, Serialize, Deserialize)]
            #[serde(deny_unknown_fields)]
            pub struct $name {
                $($(#[$about_field])* pub $field: $kind),*
            }

            impl Ask for $name {
                type Answer = $answer;
            }

            impl From<$name> for Request {
                fn from(request: $name) -> Self {
                    Self::$name(request)
                }
            }
        )+

        /// Any of the requests.
        #[derive(Debug, Serialize, Deserialize)]
        #[serde(tag = "ask", rename_all = "snake_case")]
        pub enum Request {
            $($(#[$about])* $name($name)),+
        }
    };
}

requests! {
    /// Report the state of the server and its warnings.
    Status {} -> StatusReport;
    /// Read the settings again.
    Reload {
        /// The new content of the users file. The server itself has only the copy that systemd
        /// made at its start. None if the file has not changed.
        users: Option<String>
    } -> Reloaded;
    /// List the users.
    Users {} -> Vec<UserReport>;
    /// Answer with the data folder.
    Base {} -> PathBuf;
    /// Close the databases that no request is using, so that each is one file.
    Rest {} -> ();
    /// Save that a user will get another name, which no user may have yet. The server renames the
    /// data when it next reads the settings, if the list has the new name then.
    Rename { from: UserName, to: UserName } -> ();
    /// Remove the data of a former user.
    RemoveData { user: UserName } -> ();
    /// List the devices.
    Devices {
        /// Only this user's devices.
        user: Option<UserName>
    } -> Vec<DeviceReport>;
    /// Revoke devices, and answer with them.
    Revoke {
        /// Names, ids or beginnings of ids.
        devices: Vec<String>,
        /// Revoke all devices of this user.
        all_of: Option<UserName>
    } -> Vec<DeviceReport>;
    /// Name a device, or remove its name.
    NameDevice {
        /// Its present name, its id or the beginning of its id.
        device: String,
        name: Option<DeviceName>
    } -> DeviceReport;
    /// Answer with the addresses at which the server listens for devices.
    Listening {} -> Vec<String>;
    /// Answer whether the users that can log in have this digest.
    SameUsers {
        /// Random, and new for each request.
        salt: String,
        /// Made by [`crate::account::compare::digest`].
        digest: String
    } -> bool;
    /// Repair a user's data.
    Mend { user: UserName, mend: Mending } -> Mended;
    /// Make a consistent copy of a user's data, which the server keeps until this connection ends.
    BackUp { user: UserName } -> BackedUp;
    /// Save that a complete backup contains copies of these users' data.
    BackupDone { users: Vec<UserName> } -> ();
    /// List the snapshots, the oldest first.
    Snapshots { user: UserName } -> Vec<Snapshot>;
    /// Compare the collection that a restore would bring with the present one.
    Preview { user: UserName, source: RestoreFrom } -> Comparison;
    /// Replace the collection, so that every device downloads the new one. Answer with the snapshot
    /// of the replaced collection, unless that was empty.
    Restore { user: UserName, source: RestoreFrom } -> Option<Snapshot>;
    /// Let devices upload that have not downloaded since a restore. Answer whether a restore was
    /// blocking uploads.
    AllowUpload { user: UserName } -> bool;
}

impl Request {
    /// What the server is doing, for a command that waits.
    pub fn work(&self) -> String {
        match self {
            Self::Status(_) => "measuring the users' data".to_owned(),
            Self::Reload(_) => "reading its settings and users".to_owned(),
            Self::Rest(_) => "closing databases".to_owned(),
            Self::Users(_) | Self::Devices(_) => "reading the list of devices".to_owned(),
            Self::Rename(Rename { from, to }) => format!("preparing to rename {from} to {to}"),
            Self::RemoveData(RemoveData { user }) => format!("removing the data of {user}"),
            Self::Revoke(_) => "logging devices out".to_owned(),
            Self::Mend(Mend { user, .. }) => format!("repairing the data of {user}"),
            Self::BackUp(BackUp { user }) => format!("copying the data of {user}"),
            Self::Preview(Preview { user, .. }) => {
                format!("checking the collection to restore for {user}")
            }
            Self::Restore(Restore { user, .. }) => format!("restoring the collection of {user}"),
            Self::Snapshots(Snapshots { user }) => format!("listing the snapshots of {user}"),
            Self::Base(_)
            | Self::Listening(_)
            | Self::NameDevice(_)
            | Self::SameUsers(_)
            | Self::BackupDone(_)
            | Self::AllowUpload(_) => "about to answer".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A command and a server of different versions understand each other.
    #[test]
    fn a_request_is_the_same_line_in_every_version() {
        for line in [
            r#"{"ask":"status"}"#,
            r#"{"ask":"reload","users":null}"#,
            r#"{"ask":"reload","users":"anna:secret"}"#,
            r#"{"ask":"users"}"#,
            r#"{"ask":"base"}"#,
            r#"{"ask":"rest"}"#,
            r#"{"ask":"rename","from":"anna","to":"berta"}"#,
            r#"{"ask":"remove_data","user":"anna"}"#,
            r#"{"ask":"devices","user":"anna"}"#,
            r#"{"ask":"devices","user":null}"#,
            r#"{"ask":"revoke","devices":["1a2b"],"all_of":null}"#,
            r#"{"ask":"name_device","device":"1a2b","name":"phone"}"#,
            r#"{"ask":"listening"}"#,
            r#"{"ask":"same_users","salt":"00","digest":"11"}"#,
            r#"{"ask":"mend","user":"anna","mend":{"media":["a.png"]}}"#,
            r#"{"ask":"mend","user":"anna","mend":"journal"}"#,
            r#"{"ask":"back_up","user":"anna"}"#,
            r#"{"ask":"backup_done","users":["anna"]}"#,
            r#"{"ask":"snapshots","user":"anna"}"#,
            r#"{"ask":"preview","user":"anna","source":{"sent":7}}"#,
            r#"{"ask":"restore","user":"anna","source":{"snapshot":"x"}}"#,
            r#"{"ask":"allow_upload","user":"anna"}"#,
        ] {
            let request: Request = serde_json::from_str(line).unwrap();
            assert_eq!(serde_json::to_string(&request).unwrap(), line);
            let more = format!(r#"{},"more":1}}"#, line.strip_suffix('}').unwrap());
            assert!(serde_json::from_str::<Request>(&more).is_err(), "{more}");
        }
        // An older command leaves the field out.
        assert!(serde_json::from_str::<Request>(r#"{"ask":"devices"}"#).is_ok());
    }
}
