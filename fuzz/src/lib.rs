//! What is fuzzed: functions that take any bytes and panic when a promise is broken.
//!
//! The targets of cargo-fuzz in `targets/` call them, and `tests/fuzz_corpus.rs` of the server
//! runs them over `corpus/`, which needs no fuzzer.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a panic is how a broken promise shows"
)]

mod config;
mod database;
mod decode;
mod http;
mod json;
mod media;
mod secrets;
#[path = "../../tests/support/mod.rs"]
mod support;

/// Takes any bytes, and panics where a property does not hold.
pub type Target = fn(&[u8]);

/// Every target by its name, which is also that of its folder in `corpus/`.
pub const TARGETS: [(&str, Target); 12] = [
    ("header", secrets::header),
    ("host_key", secrets::host_key),
    ("password", secrets::password),
    ("users_file", config::users_file),
    ("settings", config::settings),
    ("decode", decode::decode),
    ("json", json::json),
    ("requests", http::requests),
    ("form", http::form),
    ("media_zip", media::zip),
    ("upload", database::upload),
    ("schema", database::schema),
];

/// Runs one target on one input.
pub fn run(target: &str, data: &[u8]) {
    let (_, function) = TARGETS.iter().find(|(name, _)| *name == target).unwrap();
    function(data);
}
