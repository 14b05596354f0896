//! The normal sync of the collection, from `start` to `finish` or `abort`.

use super::{
    call::{Answer, Call, json},
    rules::{ANY, IDS, Rules, SMALL},
};
use crate::{
    http::{
        body::envelope::Content,
        deed::{Cards, Step},
        reply::Reply,
    },
    sync::normal,
    wire::sanity::SanityCheck,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Normal {
    Start,
    ApplyGraves,
    ApplyChanges,
    Chunk,
    ApplyChunk,
    SanityCheck,
    Finish,
    Abort,
}

impl Normal {
    pub const ALL: [Self; 8] = [
        Self::Start,
        Self::ApplyGraves,
        Self::ApplyChanges,
        Self::Chunk,
        Self::ApplyChunk,
        Self::SanityCheck,
        Self::Finish,
        Self::Abort,
    ];

    pub fn rules(self) -> Rules {
        match self {
            Self::Start => Rules::new("start", IDS, Step::Begin),
            Self::ApplyGraves => Rules::new("applyGraves", IDS, Step::Continue),
            Self::ApplyChanges => Rules::new("applyChanges", ANY, Step::Continue),
            Self::Chunk => Rules::new("chunk", SMALL, Step::Continue),
            Self::ApplyChunk => Rules::new("applyChunk", ANY, Step::Continue),
            Self::SanityCheck => Rules::new("sanityCheck2", SMALL, Step::Continue),
            Self::Finish => Rules::new("finish", SMALL, Step::Continue),
            Self::Abort => Rules::new("abort", SMALL, Step::Abort),
        }
    }

    pub async fn answer(self, call: &Call<'_>, content: Content) -> Answer {
        let (vault, memory) = (&call.vault, &call.frontend.memory);
        let speaker = call.speaker();
        match self {
            Self::Start => {
                let (body, length) = call.receive(content).await?;
                let room = call.policy.room;
                json(normal::start(vault, speaker, (body, length), room).await?)
            }
            Self::ApplyGraves => {
                let (body, _) = call.receive(content).await?;
                json(normal::apply_graves(vault, speaker, body).await?)
            }
            Self::ApplyChanges => {
                let (body, length) = call.receive(content).await?;
                let _share = memory.for_storing(vault, length).await?;
                let reply = normal::apply_changes(vault, speaker, body, vault.spool());
                Ok(Reply::spooled(reply.await?)?)
            }
            Self::Chunk => {
                call.ignore(content).await?;
                let _share = memory.for_chunk(vault).await?;
                let reply = normal::chunk(vault, speaker, vault.spool());
                Ok(Reply::spooled(reply.await?)?)
            }
            Self::ApplyChunk => {
                let (body, length) = call.receive(content).await?;
                let _share = memory.for_storing(vault, length).await?;
                json(normal::apply_chunk(vault, speaker, body).await?)
            }
            Self::SanityCheck => {
                let request: SanityCheck = call.read(content).await?;
                json(normal::sanity_check(vault, speaker, request).await?)
            }
            Self::Finish => {
                call.ignore(content).await?;
                let finished = normal::finish(vault, speaker).await?;
                // From the device's point of view.
                let cards = Cards::Synced {
                    sent: finished.received,
                    received: finished.sent,
                };
                call.present.did_cards(call.entry, cards, finished.modified);
                json(finished.modified)
            }
            Self::Abort => {
                call.ignore(content).await?;
                json(normal::abort(vault, speaker, call.active.since()).await?)
            }
        }
    }
}
