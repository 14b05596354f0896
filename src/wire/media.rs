//! The messages of the media sync, under `/msync/`.

use serde::{Deserialize, Serialize};

/// Entries of a `mediaChanges` answer at most; clients ask again from the last USN.
pub const CHANGES_PER_REPLY: usize = 1000;
/// Entries of an `uploadChanges` zip, and names in a `downloadFiles` request.
pub const FILES_PER_BATCH: usize = 25;
/// A `downloadFiles` answer takes no further file once it holds this many bytes.
pub const DOWNLOAD_TARGET_BYTES: u64 = 2_621_440;
/// The size of a `_meta` entry in an uploaded zip.
pub const META_BYTES: u64 = 50 * 1024;
/// The size of one media file.
pub const FILE_BYTES: u64 = 100 * 1024 * 1024;

/// Every answer but the zip is wrapped like this; clients require `err`.
#[derive(Serialize)]
pub struct MediaReply<T> {
    data: T,
    err: &'static str,
}

impl<T> MediaReply<T> {
    /// A successful answer.
    pub fn ok(data: T) -> Self {
        Self { data, err: "" }
    }
}

/// The request of `begin`; a begin without a version is refused, as the reference server does.
#[derive(Deserialize)]
pub struct BeginRequest {
    /// The client's version string.
    #[serde(rename = "v")]
    pub client: String,
}

/// The answer of `begin`.
#[derive(Serialize)]
pub struct Begin {
    /// Last media USN.
    pub usn: i32,
    /// Once a key of its own; now the host key, accepted as such afterwards.
    #[serde(rename = "sk")]
    pub session_key: String,
}

/// The request of `mediaChanges`.
#[derive(Deserialize)]
pub struct ChangesRequest {
    /// Where the client stands; entries after it are wanted.
    #[serde(rename = "lastUsn")]
    pub last_usn: i32,
}

/// One entry of `mediaChanges`: name, USN, and SHA-1 in hex, empty for a removed file.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub struct Change(pub String, pub i32, pub String);

/// The request of `downloadFiles`.
#[derive(Deserialize)]
pub struct DownloadRequest {
    /// The names wanted.
    pub files: Vec<String>,
}

/// The request of `mediaSanity`.
#[derive(Deserialize)]
pub struct SanityRequest {
    /// How many files the client has.
    pub local: i64,
}

/// The answer of `mediaSanity`.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub enum Sanity {
    /// As many files here as there.
    #[serde(rename = "OK")]
    Equal,
    /// Makes the client start its media sync over from nothing.
    #[serde(rename = "mediaSanity")]
    Different,
}

/// The answer of `uploadChanges`: entries processed, and the last media USN.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub struct Uploaded(pub usize, pub i32);

/// One entry of an uploaded zip's `_meta`: the real name, and the name in the
/// zip; none, or an empty one, means that the file was removed.
#[derive(Debug, Deserialize)]
pub struct UploadEntry(pub String, pub Option<String>);
