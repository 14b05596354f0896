//! The media.

use std::io::{Seek, SeekFrom};

use super::{
    call::{Answer, Call, json},
    rules::{ANY, Rules, SMALL},
};
use crate::{
    http::{
        body::envelope::Content,
        deed::{MediaDeed, Step},
        reply::Reply,
    },
    sync::media,
    wire::media::{
        BeginRequest, ChangesRequest, DownloadRequest, MediaReply, Sanity, SanityRequest,
    },
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Media {
    Begin,
    Changes,
    Upload,
    Download,
    Sanity,
}

impl Media {
    pub const ALL: [Self; 5] = [
        Self::Begin,
        Self::Changes,
        Self::Upload,
        Self::Download,
        Self::Sanity,
    ];

    pub fn rules(self) -> Rules {
        match self {
            Self::Begin => Rules::new("begin", SMALL, Step::BeginMedia),
            Self::Changes => Rules::new("mediaChanges", SMALL, Step::Media),
            Self::Upload => Rules::new("uploadChanges", ANY, Step::Media).storing(),
            Self::Download => Rules::new("downloadFiles", SMALL, Step::Media),
            Self::Sanity => Rules::new("mediaSanity", SMALL, Step::Media),
        }
    }

    pub async fn answer(self, call: &Call<'_>, content: Content) -> Answer {
        let vault = &call.vault;
        match self {
            Self::Begin => {
                if call.caller.media_client.is_none() {
                    let _: BeginRequest = call.read(content).await?;
                }
                let begin = media::begin(vault, call.caller.host_key.clone());
                json(MediaReply::ok(begin.await?))
            }
            Self::Changes => {
                let request: ChangesRequest = call.read(content).await?;
                json(MediaReply::ok(media::changes(vault, request).await?))
            }
            Self::Upload => {
                let mut zip = content.receive(vault.spool()).await?;
                call.authenticate_again().await?;
                call.present.received(zip.seek(SeekFrom::End(0))?);
                let (uploaded, taken) = media::upload(vault, zip, call.policy.room).await?;
                call.present.did_media(call.entry, MediaDeed::Sent(taken));
                json(MediaReply::ok(uploaded))
            }
            Self::Download => {
                let request: DownloadRequest = call.read(content).await?;
                let (zip, files) = media::download(vault, request, vault.parcel()).await?;
                let deed = MediaDeed::Received(files);
                call.present.did_media(call.entry, deed);
                Ok(Reply::file(zip)?)
            }
            Self::Sanity => {
                let request: SanityRequest = call.read(content).await?;
                let sanity = media::sanity(vault, &request).await?;
                if sanity == Sanity::Equal {
                    call.present.did_media(call.entry, MediaDeed::Compared);
                }
                json(MediaReply::ok(sanity))
            }
        }
    }
}
