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

    /// The device may have been revoked while the body was under way.
    pub async fn authenticate_again(&self) -> Result<(), HttpError> {
        let accounts = &self.frontend.server.accounts;
        accounts.authenticate(&self.caller.host_key).await?;
        Ok(())
    }

    /// Whatever an empty request carries does not matter.
    pub async fn ignore(&self, content: Content) -> Result<(), HttpError> {
        content.receive_object(self.vault.spool()).await?;
        self.authenticate_again().await
    }

    /// A small body, as its method's limit sees to.
    pub async fn read<T: DeserializeOwned>(&self, content: Content) -> Result<T, HttpError> {
        let (mut body, _) = self.receive(content).await?;
        let mut bytes = Vec::new();
        body.read_to_end(&mut bytes)?;
        Ok(parse(&bytes)?)
    }

    /// A body that is read where it is needed, and its length.
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
