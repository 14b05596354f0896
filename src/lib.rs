//! anki-syncd: a sync server for Anki flashcards.
//!
//! Data flows one way: socket → envelope → method → the user's vault → `SQLite`
//! or files → reply. One sentence per room:
//!
//! - [`cli`][]: arguments, and one file per operator's command.
//! - [`config`][]: the settings, from file and environment, read once and validated whole.
//! - [`control`][]: what the operator's commands ask of the running server.
//! - [`service`][]: everything that knows systemd or the process: sockets, state, log, signals, rights.
//! - [`http`][]: connections, limits and time-outs, the two envelopes, routing, replies, the page at `/`.
//! - [`wire`][]: the protocol's messages as plain types; parses and writes bytes, no I/O.
//! - [`account`][]: who may sync: the users file, passwords, host keys, devices, throttling.
//! - [`vault`][]: one user's data: opening, closing when idle, replacing, snapshots, backups, recovery.
//! - [`sync`][]: the sync methods, each a function over a vault.
//! - [`collection`][]: `collection.anki2`.
//! - [`media`][]: the media folder and `media.db`.
//! - [`check`][]: what is wrong with a server's settings, files and data, and putting it right.
//! - [`beneath`][]: opening what is really there, in folders that are another account's.
//! - [`clock`][]: the time of day.
//! - [`disk`][]: how much of the disk may still be filled, by everybody together.
//! - [`durable`][]: what has to survive a power cut.
//! - [`metrics`][]: how the server is, for Prometheus.
//! - [`qr`][]: QR codes of addresses.
//! - [`seldom`][]: log lines that come once a minute.
//! - [`spelling`][]: names that differ in upper and lower case only.
//! - [`work`][]: work that ends when its client leaves, the server stops, or its budget is used up.
//!
//! Rules that keep it so: `wire`, `collection` and `media` know neither hyper nor
//! tokio; `http` opens no file; only `vault` and what it owns touch `SYNC_BASE`, but for
//! the one file of `account::devices`.
//! Errors are made where they happen, carried up, and logged once, at the edge.

pub mod account;
pub mod beneath;
pub mod check;
pub mod cli;
pub mod clock;
pub mod collection;
pub mod config;
pub mod control;
pub mod disk;
pub mod durable;
pub mod http;
pub mod media;
pub mod metrics;
pub mod qr;
pub mod seldom;
pub mod service;
pub mod spelling;
pub mod sync;
pub mod vault;
pub mod wire;
pub mod work;
