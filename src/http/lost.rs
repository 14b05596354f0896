//! Requests with a wrong path: the log names the mistake in the address that a user typed. The
//! client itself only shows a network error.

use std::net::IpAddr;

use hyper::Request;

use super::{body::direct::HEADER, log::place};
use crate::{account::subscriber::network, seldom::Seldom};

/// The beginning of a TLS connection: a handshake record, in any version.
const TLS: [u8; 2] = [0x16, 0x03];

const NO_SLASH: &str = "the address in that client lacks the slash at the end";
const UNKNOWN: &str = "correct the address in that client. It consists of http:// or https://, this server's name, the port, and a slash at the end";

/// Recently logged mistakes, by network.
#[derive(Default)]
pub struct Lost(Seldom<(Option<IpAddr>, &'static str)>);

impl Lost {
    /// A request for a path that does not exist. Requests of other programs than Anki are not
    /// logged.
    pub fn request<B>(&self, address: Option<IpAddr>, request: &Request<B>, lacks_slash: bool) {
        let path = request.uri().path();
        let remedy = if lacks_slash {
            NO_SLASH
        } else if request.headers().contains_key(HEADER) {
            UNKNOWN
        } else {
            tracing::debug!(address = place(address), "there is nothing at {path:?}");
            return;
        };
        let address = self.due(address, remedy);
        if let Some(address) = address {
            tracing::warn!(
                address,
                "a client at {address} requested {path:?}, which does not exist: {remedy}"
            );
        }
    }

    /// A connection that did not begin with HTTP.
    pub fn connection(&self, address: Option<IpAddr>, beginning: &[u8]) {
        if beginning.starts_with(&TLS)
            && let Some(address) = self.due(address, "https")
        {
            tracing::warn!(
                address,
                "a client at {address} uses https, but this port accepts http only: write http:// in the address in that client, or in the configuration of the proxy if it is one"
            );
        }
    }

    fn due(&self, address: Option<IpAddr>, what: &'static str) -> Option<String> {
        let is_due = self.0.is_due((address.map(network), what));
        is_due.then(|| place(address))
    }
}
