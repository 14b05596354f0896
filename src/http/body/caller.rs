//! Who asks, in the words of the envelope.

use std::io;

use hyper::Response;

use crate::{
    http::reply::{Reply, ReplyBody},
    sync::full::Schema,
    vault::workers::Share,
    wire::header::DIRECT_POST,
};

/// Who asks; nothing of it has been verified.
#[derive(Debug)]
pub struct Caller {
    /// Sync version; the older envelope does not tell, and counts as 10.
    pub version: u8,
    /// Empty before a login.
    pub host_key: String,
    /// What the client calls this sync; old clients have none outside a normal sync.
    pub session_key: String,
    /// Version, build and platform, as far as they are told.
    pub client: String,
    /// The client's version where `begin` has it beside the body.
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

    /// Puts an answer into the envelope that the request came in. One in the newer envelope
    /// with an older version is answered plainly, as by the reference server.
    pub fn wrap(&self, reply: Reply, share: &Share) -> io::Result<Response<ReplyBody>> {
        if self.version >= DIRECT_POST {
            reply.into_zstd(share)
        } else {
            reply.into_plain(share)
        }
    }
}
