//! The messages of the media sync, under `/msync/`.

use serde::{Deserialize, Serialize};

/// The most entries of a `mediaChanges` answer; clients ask again from the last USN.
pub const CHANGES_PER_REPLY: usize = 1000;
/// The most entries of an `uploadChanges` zip, and names in a `downloadFiles` request.
pub const FILES_PER_BATCH: usize = 25;
/// A `downloadFiles` answer takes no further file once it holds this many bytes.
pub const DOWNLOAD_TARGET_BYTES: u64 = 2_621_440;
/// The largest `_meta` entry in an uploaded zip.
pub const META_BYTES: u64 = 50 * 1024;
/// The largest media file.
pub const FILE_BYTES: u64 = 100 * 1024 * 1024;

/// Wraps every answer but the zip; clients require `err`.
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
    /// The last media USN.
    pub usn: i32,
    /// Formerly a key of its own; now the host key, which later requests may use as such.
    #[serde(rename = "sk")]
    pub session_key: String,
}

/// The request of `mediaChanges`.
#[derive(Deserialize)]
pub struct ChangesRequest {
    /// The client's last USN; the answer contains later entries.
    #[serde(rename = "lastUsn")]
    pub last_usn: i32,
}

/// One entry of `mediaChanges`: name, USN, and SHA-1 in hex, empty for a removed file.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub struct Change(pub String, pub i32, pub String);

/// The request of `downloadFiles`.
#[derive(Deserialize)]
pub struct DownloadRequest {
    /// The wanted names.
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
    /// Both sides have the same number of files.
    #[serde(rename = "OK")]
    Equal,
    /// Makes the client start its media sync from the beginning.
    #[serde(rename = "mediaSanity")]
    Different,
}

/// The answer of `uploadChanges`: entries processed, and the last media USN.
#[derive(Debug, Serialize, PartialEq, Eq)]
pub struct Uploaded(pub usize, pub i32);

/// An entry of an uploaded zip's `_meta`: the real name, and the name in the zip. If that is
/// missing or empty, the file was removed.
#[derive(Debug, Deserialize)]
pub struct UploadEntry(pub String, pub Option<String>);
