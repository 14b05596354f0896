//! `meta`: the state of the collection.

use super::{
    call::{Answer, Call, json},
    rules::{Rules, SMALL},
};
use crate::{
    http::{body::envelope::Content, deed::Step},
    sync::meta,
    vault::activity::MetaAnswer,
    wire::{Usn, meta::MetaRequest},
};

pub fn rules() -> Rules {
    Rules::new("meta", SMALL, Step::Ask)
}

pub async fn answer(call: &Call<'_>, content: Content) -> Answer {
    let request: MetaRequest = call.read(content).await?;
    let meta = meta::meta(&call.vault, call.device, request).await?;
    call.active.answered_meta(Some(MetaAnswer {
        schema: meta.schema_changed,
        usn: Usn(meta.usn),
    }));
    if meta.proceed {
        call.present.has_meta(call.entry, meta.modified);
    }
    json(meta)
}
