//! Log lines for people and programs: one for each login, sync and failure.

use std::{net::IpAddr, time::Instant};

use hyper::StatusCode;
use indicatif::HumanBytes;

use super::error::HttpError;
use crate::account::{
    Device,
    devices::{ClientInfo, DeviceName, version_and_platform},
    name::UserName,
};

/// A request, as far as it is known.
#[derive(Clone)]
pub struct Entry {
    pub(super) method: &'static str,
    address: Option<IpAddr>,
    /// The address, for people.
    pub(super) place: String,
    began: Instant,
    /// The name given at a login, or the user of the host key.
    pub user: String,
    /// The device; empty before it is known.
    pub device: String,
    /// The device's name.
    pub(super) device_name: Option<DeviceName>,
    /// The device's short id, for people.
    short: String,
    /// The user whose device it is.
    owner: Option<UserName>,
    /// Version, build and platform, as the client reports them.
    pub client: String,
    /// The client's id of the operation that this request belongs to.
    pub request: String,
}

/// Logs a line with the common fields and the given ones.
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

pub(super) use line;

impl Entry {
    pub fn new(method: &'static str, address: Option<IpAddr>) -> Self {
        Self {
            method,
            address,
            place: place(address),
            began: Instant::now(),
            user: String::new(),
            device: String::new(),
            device_name: None,
            short: String::new(),
            owner: None,
            client: String::new(),
            request: String::new(),
        }
    }

    pub fn address(&self) -> Option<IpAddr> {
        self.address
    }

    pub fn owner(&self) -> Option<&UserName> {
        self.owner.as_ref()
    }

    pub fn client_info(&self) -> ClientInfo<'_> {
        ClientInfo {
            client: &self.client,
            address: &self.place,
        }
    }

    /// Sets the device and its name.
    pub fn identify(&mut self, device: &Device, name: Option<DeviceName>) {
        self.device_name = name;
        self.user = device.user.to_string();
        self.device = device.id.to_string();
        self.short = device.id.short();
        self.owner = Some(device.user.clone());
    }

    /// Logs a login for people. Other successful requests are one of several in a sync, so they are
    /// logged for debugging only.
    pub fn succeeded(&self) {
        let (who, method, ms) = (self.who(), self.method, self.millis());
        if method == "hostKey" {
            line!(info, self, ms; "{who}: logged in");
        } else {
            line!(debug, self, ms; "{who}: {method}");
        }
    }

    /// Logs that a device has not received the whole collection.
    pub fn download_broke_off(&self, sent: u64, length: u64) {
        let (who, ms) = (self.who(), self.millis());
        let (sent, length) = (HumanBytes(sent), HumanBytes(length));
        line!(info, self, ms; "{who}: the download of the collection was interrupted after {sent} of {length}");
    }

    /// Logs a failure with its cause. Errors that clients normally meet are not warnings; failures
    /// of the server are errors.
    pub fn failed(&self, error: &HttpError) {
        let (ms, status, cause) = (self.millis(), error.status.as_u16(), &error.cause);
        let (who, method) = (self.who(), self.method);
        if error.is_parting {
            line!(info, self, ms, status; "{who}: {method} was cancelled: {cause}");
        } else if error.status.is_server_error() && error.status != StatusCode::NOT_IMPLEMENTED {
            line!(error, self, ms, status; "{who}: {method} failed: {cause}");
        } else if error.status == StatusCode::CONFLICT {
            line!(info, self, ms, status; "{who}: {method} was refused, and the sync has to be repeated: {cause}");
        } else if method == "hostKey" {
            let (address, user) = (&self.place, &self.user);
            if user.parse::<UserName>().is_ok() {
                // fail2ban reads this line: the address comes before all text that a stranger
                // chose.
                line!(warn, self, ms, status; "login failed ip={address} user={user:?}: {cause}");
            } else if user.is_empty() {
                line!(info, self, ms, status; "login refused ip={address}: {cause}");
            } else {
                line!(info, self, ms, status; "login refused (invalid user name) ip={address} user={user:?}: {cause}");
            }
        } else {
            line!(warn, self, ms, status; "{who}: {method} refused: {cause}");
        }
    }

    /// Logs an upload that was refused with a sentence.
    pub fn upload_refused(&self, sentence: &str) {
        let (who, ms) = (self.who(), self.millis());
        line!(warn, self, ms; "{who}: {sentence}");
    }

    fn millis(&self) -> u64 {
        millis(self.began.elapsed())
    }

    /// `alice (Anna's phone, 26.09.3, linux, 1f0c9a3e, from 192.168.1.20)`, without the device's
    /// name if it has none.
    pub(super) fn who(&self) -> String {
        let user = if self.user.is_empty() {
            "someone"
        } else {
            &self.user
        };
        let (version, platform) = version_and_platform(&self.client);
        // Without a valid key, a stranger may have chosen these texts.
        let known = [version, platform, &self.short].map(|part| part.escape_debug().to_string());
        let place = format!("from {}", self.place);
        let known = known.into_iter().filter(|part| !part.is_empty());
        let name = self.device_name.iter().map(ToString::to_string);
        let known: Vec<_> = name.chain(known).chain([place]).collect();
        format!("{user} ({})", known.join(", "))
    }
}

/// An address, for people.
pub fn place(address: Option<IpAddr>) -> String {
    address.map_or_else(|| "unix-socket".to_owned(), |address| address.to_string())
}

pub(super) fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
