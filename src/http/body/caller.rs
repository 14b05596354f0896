//! What the envelope says about the client.

use std::io;

use hyper::Response;

use crate::{
    http::reply::{Reply, ReplyBody},
    sync::full::Schema,
    vault::workers::Share,
    wire::header::DIRECT_POST,
};

/// What the request says about its client; nothing of it is verified.
#[derive(Debug)]
pub struct Caller {
    /// Sync version. The older envelope does not contain it, and counts as 10.
    pub version: u8,
    /// Empty before a login.
    pub host_key: String,
    /// The client's id of this sync. Old clients send none outside a normal sync.
    pub session_key: String,
    /// Version, build and platform, as far as the client sends them.
    pub client: String,
    /// The client's version that `begin` sends beside the body.
    pub media_client: Option<String>,
}

impl Caller {
    /// The schema of the collections that this client reads.
    pub fn schema(&self) -> Schema {
        if self.version >= DIRECT_POST {
            Schema::Current
        } else {
            Schema::Old
        }
    }

    /// Puts an answer into the envelope of the request. A client that uses the newer envelope with
    /// an older version gets a plain answer, as from the reference server.
    pub fn wrap(&self, reply: Reply, share: &Share) -> io::Result<Response<ReplyBody>> {
        if self.version >= DIRECT_POST {
            reply.into_zstd(share)
        } else {
            reply.into_plain(share)
        }
    }
}
