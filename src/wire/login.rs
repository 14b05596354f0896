//! `hostKey`: name and password in, host key out.

use serde::{Deserialize, Serialize};

/// The request of `hostKey`.
#[derive(Deserialize)]
pub struct LoginRequest {
    /// The user's name, as typed into the client's e-mail field.
    #[serde(rename = "u")]
    pub user: String,
    /// The password in the clear.
    #[serde(rename = "p")]
    pub password: String,
}

/// The answer of `hostKey`.
#[derive(Serialize)]
pub struct LoginReply {
    /// The bearer token that the client sends from now on.
    pub key: String,
}
