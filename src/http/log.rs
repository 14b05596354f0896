//! One line in the log for each thing that happened to a device, for people and for programs.

use std::{fmt, net::IpAddr, time::Instant};

use hyper::StatusCode;

use super::error::HttpError;
use crate::{
    account::{
        Device,
        devices::{DeviceName, Sighting},
        name::UserName,
    },
    sync::normal::Finished,
    vault::activity::Traffic,
};

/// What is known of a request, as it becomes known.
pub struct Entry {
    method: &'static str,
    address: Option<IpAddr>,
    /// The address for people.
    place: String,
    began: Instant,
    /// The name that was given at a login, or the user that the host key belongs to.
    pub user: String,
    /// Which device; empty before one is known.
    pub device: String,
    /// What people call it.
    device_name: Option<DeviceName>,
    /// Version, build and platform, as the client says.
    pub client: String,
    /// What the client calls the operation that this request belongs to.
    pub request: String,
    /// What the person would like to know of it, if anything.
    pub outcome: Option<Outcome>,
}

/// What a device has achieved.
#[derive(Debug, Clone, Copy)]
pub enum Outcome {
    /// Logged in.
    Login,
    /// Finished a normal sync.
    Sync(Finished),
    /// Replaced the collection.
    Upload,
    /// Fetched the whole collection.
    Download,
    /// Sent media files, or removed some.
    MediaSent(usize),
    /// Fetched media files.
    MediaReceived,
}

/// Logs a line with the fields that every one has, and those that are named.
macro_rules! line {
    ($level:ident, $entry:ident, $($field:ident),+; $($message:tt)+) => {
        tracing::$level!(
            method = $entry.method,
            user = $entry.user,
            device = $entry.device,
            device_name = $entry.device_name.as_ref().map(tracing::field::display),
            client = $entry.client,
            address = $entry.place,
            request = $entry.request,
            $($field,)+
            $($message)+
        )
    };
}

impl Entry {
    /// Begins one.
    pub fn new(method: &'static str, address: Option<IpAddr>) -> Self {
        Self {
            method,
            address,
            place: address.map_or_else(|| "unix-socket".to_owned(), |address| address.to_string()),
            began: Instant::now(),
            user: String::new(),
            device: String::new(),
            device_name: None,
            client: String::new(),
            request: String::new(),
            outcome: None,
        }
    }

    /// Where the request comes from.
    pub fn address(&self) -> Option<IpAddr> {
        self.address
    }

    /// What is remembered of its device.
    pub fn sighting(&self) -> Sighting<'_> {
        Sighting {
            client: &self.client,
            address: &self.place,
        }
    }

    /// What a device did, as it is remembered of it; none for what is no sync.
    pub fn action(&self) -> Option<String> {
        match self.outcome? {
            // As the device sees it.
            Outcome::Sync(finished) => Some(format!(
                "sent {}, received {}",
                finished.received, finished.sent
            )),
            outcome @ (Outcome::Upload | Outcome::Download) => Some(outcome.to_string()),
            _ => None,
        }
    }

    /// Notes whose request it is, and what people call the device.
    pub fn identify(&mut self, device: &Device, name: Option<DeviceName>) {
        self.device_name = name;
        self.user = device.user.to_string();
        self.device = device.id.to_string();
    }

    /// Logs a success: what is worth a line to a person as such, all else for debugging.
    pub fn succeeded(self, traffic: Traffic) {
        let (bytes_in, bytes_out, ms) = (traffic.received, traffic.sent, self.millis());
        let (who, method) = (self.who(), self.method);
        match self.outcome {
            Some(Outcome::Sync(finished)) => {
                // As the device sees it.
                let (sent, received) = (finished.received, finished.sent);
                let (ms, secs) = (millis(finished.took), finished.took.as_secs_f32());
                line!(
                    info, self, sent, received, bytes_in, bytes_out, ms;
                    "{who}: sent {sent}, received {received}, {secs:.1} s"
                );
            }
            Some(outcome) => line!(info, self, bytes_in, bytes_out, ms; "{who}: {outcome}"),
            None => line!(debug, self, bytes_in, bytes_out, ms; "{who}: {method}"),
        }
    }

    /// Logs a failure with its cause. What a client may well meet is no warning; what is
    /// wrong with us is an error.
    pub fn failed(self, error: &HttpError) {
        let (ms, status, cause) = (self.millis(), error.status.as_u16(), &error.cause);
        let (who, method) = (self.who(), self.method);
        if error.is_parting {
            line!(info, self, ms, status; "{who}: {method} was ended: {cause}");
        } else if error.status.is_server_error() && error.status != StatusCode::NOT_IMPLEMENTED {
            line!(error, self, ms, status; "{who}: {method} failed: {cause}");
        } else if error.status == StatusCode::CONFLICT {
            line!(info, self, ms, status; "{who}: {method} has to be tried again: {cause}");
        } else if method == "hostKey" {
            let (address, user) = (&self.place, &self.user);
            if user.parse::<UserName>().is_ok() {
                // Read by fail2ban: the address comes before anything that a stranger chose.
                line!(warn, self, ms, status; "login failed ip={address} user={user:?}: {cause}");
            } else {
                line!(info, self, ms, status; "login of nobody ip={address} user={user:?}: {cause}");
            }
        } else {
            line!(warn, self, ms, status; "{who}: {method} refused: {cause}");
        }
    }

    /// Logs an upload that was answered with a sentence instead of being taken.
    pub fn upload_refused(&self, sentence: &str) {
        let (who, ms) = (self.who(), self.millis());
        line!(warn, self, ms; "{who}: {sentence}");
    }

    fn millis(&self) -> u64 {
        millis(self.began.elapsed())
    }

    /// `alice (Anna's phone, 26.09.3, linux, from 192.168.1.20)`, without the name if it has none.
    fn who(&self) -> String {
        let mut parts = self.client.split(',');
        let version = parts.next().unwrap_or_default();
        let platform = parts.nth(1).unwrap_or_default();
        let user = if self.user.is_empty() {
            "someone"
        } else {
            &self.user
        };
        // Whoever has no valid key may have put anything there.
        format!(
            "{user} ({}{}, {}, from {})",
            self.device_name
                .as_ref()
                .map_or_else(String::new, |name| format!("{name}, ")),
            version.escape_debug(),
            platform.escape_debug(),
            self.place
        )
    }
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Login => f.write_str("logged in"),
            Self::Sync(_) => f.write_str("synced"),
            Self::Upload => f.write_str("uploaded the collection"),
            Self::Download => f.write_str("downloaded the collection"),
            Self::MediaSent(1) => f.write_str("sent or removed 1 media file"),
            Self::MediaSent(files) => write!(f, "sent or removed {files} media files"),
            Self::MediaReceived => f.write_str("received media files"),
        }
    }
}
