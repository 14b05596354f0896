//! The role of a request in its device's sync, and its result.

use std::fmt;

use indicatif::HumanBytes;

use crate::media::{Media, Taken};

/// The role of a request in its device's sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Asks for the state.
    Ask,
    Begin,
    /// Continues a normal sync, and fails without one.
    Continue,
    /// Aborts a normal sync.
    Abort,
    /// Replaces the collection on one side.
    Replace,
    BeginMedia,
    Media,
}

impl Step {
    /// Whether it may change the collection on either side.
    pub fn begins_collection_sync(self) -> bool {
        match self {
            Self::Begin | Self::Replace => true,
            Self::Ask | Self::Continue | Self::Abort | Self::BeginMedia | Self::Media => false,
        }
    }

    /// Whether an idle device begins an operation with it.
    pub fn begins_operation(self) -> bool {
        match self {
            Self::Ask | Self::Begin | Self::Replace | Self::BeginMedia => true,
            Self::Continue | Self::Abort | Self::Media => false,
        }
    }
}

/// What a device did with its collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cards {
    /// Asked, and already had the server's state.
    Unchanged,
    /// A normal sync, with the numbers of objects that the device counts.
    Synced { sent: usize, received: usize },
    /// Replaced the server's collection.
    Uploaded { bytes: u64 },
    /// Replaced its own collection.
    Downloaded { bytes: u64 },
}

/// What a device did with its media.
#[derive(Debug, Clone, Copy)]
pub enum MediaDeed {
    Sent(Taken),
    Received(Media),
    /// Compared, and has the same as the server: the media sync is over.
    Compared,
}

impl fmt::Display for Cards {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unchanged => f.write_str("nothing new"),
            Self::Synced { sent, received } => write!(f, "sent {sent}, received {received}"),
            Self::Uploaded { bytes } => {
                write!(f, "uploaded the collection ({})", HumanBytes(*bytes))
            }
            Self::Downloaded { bytes } => {
                write!(f, "downloaded the collection ({})", HumanBytes(*bytes))
            }
        }
    }
}
