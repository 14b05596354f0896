//! Everything that knows systemd or the process: sockets, notifications, watchdog, log, signals,
//! reload, idle exit, privileges, sandbox and exit status.

pub mod account;
pub mod backup_unit;
pub mod exit;
pub mod fixed;
pub mod listeners;
pub mod log;
pub mod manager;
pub mod notify;
pub mod privileges;
pub mod reload;
pub mod rest;
pub mod sandbox;
pub mod signals;
pub mod socket_unit;
pub mod sockets;
pub mod status;
pub mod systemctl;
pub mod unit;
pub mod watch;
pub mod watchdog;
