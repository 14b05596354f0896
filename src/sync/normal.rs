//! The normal sync, from `start` to `finish`: one transaction, of which nothing
//! is visible to other devices before `finish`.

use std::time::Duration;

use super::Error;
use crate::{
    clock,
    collection::{changes, chunk, grave, sanity, timing},
    vault::{
        Vault,
        conversation::{Conversation, Next, Speaker},
    },
    wire::{
        Usn,
        changes::{ApplyChanges, Changes},
        chunk::{ApplyChunk, Chunk},
        graves::{ApplyGraves, Graves},
        sanity::{SanityCheck, SanityReply, SanityStatus},
        start::Start,
    },
};

/// Begins a sync, and answers with what was deleted since the client was here.
///
/// # Errors
/// [`Error`]; nothing is under way then.
pub async fn start(vault: &Vault, speaker: Speaker, request: Start) -> Result<Graves, Error> {
    if speaker.session_key.is_empty() {
        return Err(Error::NoSessionKey);
    }
    let min_usn = vault.seen_before(speaker.device, request.min_usn);
    let graves = vault.start(speaker.device, move |conn| {
        let usn = Usn(conn.query_row("select usn from col", [], |row| row.get(0))?);
        timing::unbury_if_new_day(conn, clock::now_secs())?;
        let graves = grave::pending(conn, min_usn)?;
        // Only now, or the client would be told of its own.
        if let Some(theirs) = &request.graves {
            grave::apply(conn, theirs, usn)?;
        }
        let conversation = Conversation::new(speaker, usn, min_usn, request.client_is_newer);
        Ok((conversation, graves))
    });
    Ok(graves.await?)
}

/// Deletes what the client has deleted.
///
/// # Errors
/// [`Error`].
pub async fn apply_graves(
    vault: &Vault,
    speaker: Speaker,
    request: ApplyGraves,
) -> Result<(), Error> {
    let applied = vault.converse(speaker, move |conn, conversation| {
        grave::apply(conn, &request.chunk, conversation.usn)?;
        conversation.received += request.chunk.len();
        Ok(Next::Continue(()))
    });
    Ok(applied.await?)
}

/// Exchanges notetypes, decks, deck configs, tags and settings.
///
/// # Errors
/// [`Error`].
pub async fn apply_changes(
    vault: &Vault,
    speaker: Speaker,
    mut request: ApplyChanges,
) -> Result<Changes, Error> {
    let ours = vault.converse(speaker, move |conn, conversation| {
        let ours = changes::collect(conn, conversation.min_usn, !conversation.client_is_newer)?;
        conversation.sent += ours.len();
        conversation.received += request.changes.len();
        request.changes.catch_up(conversation.usn);
        changes::apply(conn, request.changes, conversation.usn, clock::now_secs())?;
        Ok(Next::Continue(ours))
    });
    Ok(ours.await?)
}

/// Sends the next portion of notes, cards and review log entries.
///
/// # Errors
/// [`Error`].
pub async fn chunk(vault: &Vault, speaker: Speaker) -> Result<Chunk, Error> {
    let chunk = vault.converse(speaker, |conn, conversation| {
        let pending = match &mut conversation.pending {
            Some(pending) => pending,
            none => none.insert(chunk::PendingIds::collect(conn, conversation.min_usn)?),
        };
        let chunk = pending.next(conn)?;
        conversation.sent += chunk.len();
        Ok(Next::Continue(chunk))
    });
    Ok(chunk.await?)
}

/// Takes a portion from the client.
///
/// # Errors
/// [`Error`].
pub async fn apply_chunk(
    vault: &Vault,
    speaker: Speaker,
    mut request: ApplyChunk,
) -> Result<(), Error> {
    let applied = vault.converse(speaker, move |conn, conversation| {
        request.chunk.catch_up(conversation.usn);
        chunk::apply(conn, &request.chunk, conversation.min_usn)?;
        conversation.received += request.chunk.len();
        Ok(Next::Continue(()))
    });
    Ok(applied.await?)
}

/// Compares the counts of both sides; when they differ, the sync is rolled back at once.
///
/// # Errors
/// [`Error`].
pub async fn sanity_check(
    vault: &Vault,
    speaker: Speaker,
    request: SanityCheck,
) -> Result<SanityReply, Error> {
    let reply = vault.converse(speaker, move |conn, _| {
        let reply = sanity::check(conn, request.client)?;
        Ok(if reply.status == SanityStatus::Ok {
            Next::Continue(reply)
        } else {
            tracing::warn!(?reply, "the sanity check failed, so the sync is rolled back; the client will ask for a full sync");
            Next::RollBack(reply)
        })
    });
    Ok(reply.await?)
}

/// What a sync came to.
#[derive(Debug, Clone, Copy)]
pub struct Finished {
    /// The collection's new modification time, milliseconds; the answer.
    pub modified: i64,
    /// Objects sent to the client.
    pub sent: usize,
    /// Objects received from the client.
    pub received: usize,
    /// From `start` to now.
    pub took: Duration,
}

/// Makes everything count.
///
/// # Errors
/// [`Error`].
pub async fn finish(vault: &Vault, speaker: Speaker) -> Result<Finished, Error> {
    let finished = vault.converse(speaker, |conn, conversation| {
        let modified = clock::now_ms();
        let Usn(usn) = conversation.usn;
        conn.execute(
            "update col set ls = ?1, mod = ?1, usn = ?2 + 1",
            (modified, usn),
        )?;
        let &mut Conversation { sent, received, .. } = conversation;
        Ok(Next::Commit(Finished {
            modified,
            sent,
            received,
            took: conversation.elapsed(),
        }))
    });
    Ok(finished.await?)
}

/// Ends this device's sync, if one is under way, and rolls it back.
///
/// # Errors
/// [`Error`].
pub async fn abort(vault: &Vault, speaker: Speaker) -> Result<(), Error> {
    Ok(vault.abort(speaker.device).await?)
}
