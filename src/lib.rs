//! anki-syncd: a sync server for Anki flashcards.
//!
//! Data flows one way: socket → envelope → method → the user's vault → `SQLite`
//! or files → reply. The modules, from the top down; each uses only modules below it:
//!
//! - [`cli`][]: arguments, and one file per operator's command.
//! - [`check`][]: what is wrong with a server's settings, files and data, and putting it right.
//! - [`metrics`][]: the state of the server, for Prometheus.
//! - [`control`][]: what the operator's commands ask of the running server, and its answers.
//! - [`service`][]: everything that knows systemd or the process: sockets, status line, where the log goes, signals, reload, rights.
//! - [`http`][]: connections, limits and time-outs, the two envelopes, routing, replies, the page at `/`.
//! - [`sync`][]: the sync methods, each a function over a vault.
//! - [`state`][]: what the running server is made of: users, data, policy, counts.
//! - [`config`][]: the settings, from file and environment, read once and validated whole.
//! - [`vault`][]: one user's data: opening, turns, closing when idle, replacing, snapshots, backups, recovery.
//! - [`account`][]: who may sync: the users file, passwords, host keys, devices, throttling.
//! - [`media`][]: the media folder and `media.db`.
//! - [`collection`][]: `collection.anki2`: schema, upgrade and downgrade, merging, checking an upload.
//! - [`wire`][]: the protocol's messages as plain types; parses and writes bytes.
//! - [`disk`][]: how much of the disk may still be filled, by everybody together.
//! - [`durable`][]: writing what has to survive a power cut.
//! - [`layout`][]: every path and file name under `SYNC_BASE`, and by what a user's folder is known.
//! - [`work`][]: work that ends when its client leaves, the server stops, or its budget is used up.
//! - [`beneath`][]: opening files in folders of another account without following links.
//! - [`clock`][]: the time of day.
//! - [`files`][]: folders for their owner only, files that may be missing, and by what a change of one is noticed.
//! - [`listener`][]: where connections come from: TCP or a unix socket.
//! - [`qr`][]: QR codes of addresses.
//! - [`seldom`][]: log lines that come once a minute.
//! - [`spelling`][]: names that differ in upper and lower case only.
//! - [`sqlite`][]: what SQLite's errors mean, and its files beside a database.
//!
//! `docs/architecture.md` says who may use which module, which way a request takes, what each lock protects
//! and in which order files are written. `docs/protocol.md` has the wire, `docs/storage.md` the
//! files, and `CONTRIBUTING.md` how to change something.

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
pub mod files;
pub mod http;
pub mod layout;
pub mod listener;
pub mod media;
pub mod metrics;
pub mod qr;
pub mod seldom;
pub mod service;
pub mod spelling;
pub mod sqlite;
pub mod state;
pub mod sync;
pub mod vault;
pub mod wire;
pub mod work;
