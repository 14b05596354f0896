//! A request with a valid host key, and reading its body.

use std::{
    io::{Read, Seek},
    sync::Arc,
};

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    account::DeviceId,
    disk::Spool,
    http::{
        body::{caller::Caller, envelope::Content},
        error::HttpError,
        frontend::Frontend,
        log::Entry,
        present::Present,
        reply::Reply,
    },
    state::Policy,
    vault::{Vault, activity::ActiveRequest, conversation::Speaker},
    wire::parse,
};

pub type Answer = Result<Reply, HttpError>;

/// A request of a device that may ask.
pub struct Call<'a> {
    pub frontend: &'a Frontend,
    pub policy: &'a Policy,
    pub caller: &'a Caller,
    pub entry: &'a Entry,
    pub device: DeviceId,
    pub vault: Arc<Vault>,
    pub active: ActiveRequest,
    pub present: Arc<Present>,
}

impl Call<'_> {
    pub fn speaker(&self) -> Speaker {
        Speaker {
            device: self.device,
            session_key: self.caller.session_key.clone(),
        }
    }

    /// The device may have been revoked while the body arrived.
    pub async fn authenticate_again(&self) -> Result<(), HttpError> {
        let accounts = &self.frontend.server.accounts;
        accounts.authenticate(&self.caller.host_key).await?;
        Ok(())
    }

    /// Reads a body without using it: empty requests may contain anything.
    pub async fn ignore(&self, content: Content) -> Result<(), HttpError> {
        content.receive_object(self.vault.spool()).await?;
        self.authenticate_again().await
    }

    /// Parses a small body; the method's limit keeps it small.
    pub async fn read<T: DeserializeOwned>(&self, content: Content) -> Result<T, HttpError> {
        let (mut body, _) = self.receive(content).await?;
        let mut bytes = Vec::new();
        body.read_to_end(&mut bytes)?;
        Ok(parse(&bytes)?)
    }

    /// Stores a body for later reading; returns its length too.
    pub async fn receive(&self, content: Content) -> Result<(Spool, u64), HttpError> {
        let mut body = content.receive_object(self.vault.spool()).await?;
        self.authenticate_again().await?;
        let length = body.stream_position()?;
        body.rewind()?;
        self.present.received(length);
        Ok((body, length))
    }
}

pub fn json(answer: impl Serialize) -> Answer {
    Ok(Reply::json(&answer)?)
}
