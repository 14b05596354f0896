//! What commands ask, each request with the type of its answer.

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

/// A request, and what the server answers if it does not refuse.
pub trait Ask: Into<Request> {
    /// What both ends take the answer for: the server sends nothing else.
    type Answer: Serialize + DeserializeOwned;
}

/// Makes a struct of each request and one enum of all, which is what goes over the socket:
/// `{"ask":"rename","from":"anna","to":"berta"}`. An older server refuses fields and requests that
/// it does not know, rather than do half of what is asked.
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
    /// How is it going?
    Status {} -> StatusReport;
    /// Read the settings again.
    Reload {
        /// What the users file holds now, in place of the credential `users`, of which the server
        /// has but a copy from its start; none where that has not changed.
        users: Option<String>
    } -> Reloaded;
    /// Who may sync?
    Users {} -> Vec<UserReport>;
    /// Where are the data?
    Base {} -> PathBuf;
    /// Close the databases that no request is using just now, so that each is one file.
    Rest {} -> ();
    /// Write down that a user is about to get another name, which no user may have yet. The data
    /// follow when the settings are next read, and the list has the new name.
    Rename { from: UserName, to: UserName } -> ();
    /// Remove the data of somebody who is no user any more.
    RemoveData { user: UserName } -> ();
    /// Which devices are known?
    Devices {
        /// Of this user only.
        user: Option<UserName>
    } -> Vec<DeviceReport>;
    /// Log devices out for good. Answered by these.
    Revoke {
        /// Their names, their ids or how these begin.
        devices: Vec<String>,
        /// All that this user is logged in with.
        all_of: Option<UserName>
    } -> Vec<DeviceReport>;
    /// Give a device a name, or take it away.
    NameDevice {
        /// Its id or how that begins, or its present name.
        device: String,
        name: Option<DeviceName>
    } -> DeviceReport;
    /// Where does the server listen for devices?
    Listening {} -> Vec<String>;
    /// Are the users that can log in those of this digest?
    SameUsers {
        /// Drawn for this question.
        salt: String,
        /// By [`crate::account::compare::digest`].
        digest: String
    } -> bool;
    /// Put something right in a user's data.
    Mend { user: UserName, mend: Mending } -> Mended;
    /// Make a consistent copy of a user's data, which is there until this connection ends.
    BackUp { user: UserName } -> BackedUp;
    /// Remember that copies of these users' data are in a complete backup.
    BackupDone { users: Vec<UserName> } -> ();
    /// Which snapshots are there? Answered from the oldest to the newest.
    Snapshots { user: UserName } -> Vec<Snapshot>;
    /// What would a restore bring?
    Preview { user: UserName, source: RestoreFrom } -> Comparison;
    /// Put another collection in the place of the present one, for every device to download.
    /// Answered by the snapshot that was made of the present one, unless that is empty.
    Restore { user: UserName, source: RestoreFrom } -> Option<Snapshot>;
    /// Let devices upload that have not downloaded since a restore. Answered by whether
    /// there was any to forget.
    AllowUpload { user: UserName } -> bool;
}

impl Request {
    /// What the server is doing meanwhile, for people.
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

    /// What goes over the socket between a command and a server of different versions.
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
        // What an older command leaves out.
        assert!(serde_json::from_str::<Request>(r#"{"ask":"devices"}"#).is_ok());
    }
}
