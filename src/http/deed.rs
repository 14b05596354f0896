//! What a request is in the sync of its device, and what it came to.

use std::fmt;

use indicatif::HumanBytes;

use crate::media::{Media, Taken};

/// What a request is in the sync of its device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Asks how things stand.
    Ask,
    Begin,
    /// Goes on with the normal sync that was begun, and is of no use without that.
    Continue,
    /// Ends a normal sync that comes to nothing.
    Abort,
    /// Replaces the collection on one side.
    Replace,
    BeginMedia,
    Media,
}

impl Step {
    /// Whether the collection may change with it, on either side.
    pub fn begins_collection_sync(self) -> bool {
        match self {
            Self::Begin | Self::Replace => true,
            Self::Ask | Self::Continue | Self::Abort | Self::BeginMedia | Self::Media => false,
        }
    }

    /// Whether a device that has done nothing yet begins to do something with it.
    pub fn begins_operation(self) -> bool {
        match self {
            Self::Ask | Self::Begin | Self::Replace | Self::BeginMedia => true,
            Self::Continue | Self::Abort | Self::Media => false,
        }
    }
}

/// What a device has done with its collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cards {
    /// Asked, and had the server's state already.
    Unchanged,
    /// A normal sync, of so many objects as the device sees it.
    Synced { sent: usize, received: usize },
    /// Replaced the server's.
    Uploaded { bytes: u64 },
    /// Replaced its own.
    Downloaded { bytes: u64 },
}

/// What a device has done with its media.
#[derive(Debug, Clone, Copy)]
pub enum MediaDeed {
    Sent(Taken),
    Received(Media),
    /// Compared, and has what the server has: the media sync is over.
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
