//! The collection as one file.

use std::sync::Arc;

use super::{
    call::{Answer, Call},
    rules::{ANY, Rules, SMALL},
};
use crate::{
    collection::upload::Refusal,
    http::{
        body::{BodyError, envelope::Content},
        deed::{Cards, Step},
        reply::Reply,
        sending::Sending,
    },
    sync::full,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    Upload,
    Download,
}

impl Full {
    pub const ALL: [Self; 2] = [Self::Upload, Self::Download];

    pub fn rules(self) -> Rules {
        match self {
            Self::Upload => Rules::new("upload", ANY, Step::Replace).storing(),
            Self::Download => Rules::new("download", SMALL, Step::Replace),
        }
    }

    pub async fn answer(self, call: &Call<'_>, content: Content) -> Answer {
        // The device's earlier answer to `meta` is out of date now.
        call.active.answered_meta(None);
        match self {
            Self::Upload => upload(call, content).await,
            Self::Download => {
                call.ignore(content).await?;
                let file = full::download(&call.vault, call.device, call.caller.schema()).await?;
                let present = Arc::clone(&call.present);
                let file = Sending::new(file, present, call.entry.clone())?;
                Ok(Reply::file(file)?)
            }
        }
    }
}

/// An upload is refused with status 200, since clients only show the sentence then.
async fn upload(call: &Call<'_>, content: Content) -> Answer {
    let refusal = match content.receive(call.vault.upload_file()?).await {
        Ok(file) => {
            let file = file.into_inner();
            call.authenticate_again().await?;
            let bytes = file.as_file().metadata()?.len();
            call.present.received(bytes);
            match full::upload(&call.vault, call.device, file, call.policy.room).await? {
                Ok(modified) => {
                    let cards = Cards::Uploaded { bytes };
                    call.present.did_cards(call.entry, cards, modified);
                    return Ok(Reply::text(full::OK));
                }
                Err(refusal) => refusal,
            }
        }
        Err(BodyError::Empty) => Refusal::Empty,
        Err(BodyError::TooLarge) => Refusal::TooLarge {
            sent: call.policy.limits.sent,
            decoded: call.policy.limits.decoded,
        },
        Err(error) => return Err(error.into()),
    };
    let sentence = refusal.to_string();
    call.entry.upload_refused(&sentence);
    Ok(Reply::text(sentence))
}
