//! The normal sync, from `start` to `finish`: one transaction. Other devices see nothing of it before `finish`.
//!
//! Large messages are stored in files, and read during the merge, one object after the other.

use std::{
    io::{BufWriter, Read, Seek, Write},
    sync::Arc,
};

use tokio::time::Instant;

use super::Error;
use crate::{
    clock,
    collection::{self, changes, chunk, grave, sanity, timing},
    vault::{
        self, Vault,
        conversation::{Conversation, Next, Speaker},
        room::Room,
    },
    wire::{
        Usn,
        graves::{self, Graves},
        sanity::{SanityCheck, SanityReply, SanityStatus},
        start,
        stream::Turn,
    },
};

/// A message that is parsed at once: handing it over to a thread and back takes longer.
const BRIEF: u64 = 64 * 1024;

/// Begins a sync, and answers with the deletions since the client's last sync. The message comes with its length.
/// After an error, no sync is under way.
pub async fn start(
    vault: &Arc<Vault>,
    speaker: Speaker,
    (mut body, length): (impl Read + Seek + Send + 'static, u64),
    room: Room,
) -> Result<Graves, Error> {
    if speaker.session_key.is_empty() {
        return Err(Error::NoSessionKey);
    }
    // The whole message is checked before it replaces a sync that is under way.
    let read = move || {
        let request = start::read::<collection::Error>(&mut body, |_| Ok(()))?;
        body.rewind().map_err(collection::Error::from)?;
        Ok::<_, vault::Error>((request, body))
    };
    let (request, body) = if length <= BRIEF {
        read()?
    } else {
        vault.share().run(read).await?
    };
    let min_usn = vault.seen_before(speaker.device, request.min_usn);
    let graves = vault.start(speaker.device, room, move |conn| {
        let usn = conn
            .prepare_cached("select usn from col")?
            .query_row([], |row| row.get(0).map(Usn))?;
        timing::unbury_if_new_day(conn, clock::now_secs())?;
        let ours = grave::pending(conn, min_usn)?;
        // After the answer was collected, or the client would get its own deletions back.
        start::read(body, |theirs| grave::bury(conn, theirs, usn))?;
        let conversation = Conversation::new(speaker, usn, min_usn, request.client_is_newer);
        Ok((conversation, ours))
    });
    Ok(graves.await?)
}

/// Deletes what the client has deleted.
pub async fn apply_graves(
    vault: &Arc<Vault>,
    speaker: Speaker,
    body: impl Read + Send + 'static,
) -> Result<(), Error> {
    let applied = vault.converse(speaker, move |conn, conversation| {
        graves::read(body, |grave| {
            conversation.received += 1;
            grave::bury(conn, grave, conversation.usn)
        })?;
        Ok(Next::Continue(()))
    });
    Ok(applied.await?)
}

/// Exchanges notetypes, decks, deck configs, tags and settings. The answer goes `to` a file.
pub async fn apply_changes<W: Write + Send + 'static>(
    vault: &Arc<Vault>,
    speaker: Speaker,
    body: impl Read + Send + 'static,
    to: W,
) -> Result<W, Error> {
    let ours = vault.converse(speaker, move |conn, conversation| {
        let mut to = BufWriter::new(to);
        let include_config = !conversation.client_is_newer;
        conversation.sent += changes::send(conn, conversation.min_usn, include_config, &mut to)?;
        conversation.received += changes::apply(conn, body, conversation.usn, clock::now_secs())?;
        Ok(Next::Continue(written(to)?))
    });
    Ok(ours.await?)
}

/// Sends the next chunk of notes, cards and review log entries. The answer goes `to` a file.
pub async fn chunk<W: Write + Send + 'static>(
    vault: &Arc<Vault>,
    speaker: Speaker,
    to: W,
) -> Result<W, Error> {
    let chunk = vault.converse(speaker, |conn, conversation| {
        let pending = match &mut conversation.pending {
            Some(pending) => pending,
            none => none.insert(chunk::PendingIds::collect(conn, conversation.min_usn)?),
        };
        let mut turn = Turn::default();
        let chunk = pending.next(conn, &mut turn)?;
        conversation.sent += chunk.len();
        let mut to = BufWriter::new(to);
        serde_json::to_writer(&mut to, &chunk).map_err(std::io::Error::from)?;
        Ok(Next::Continue(written(to)?))
    });
    Ok(chunk.await?)
}

fn written<W: Write>(to: BufWriter<W>) -> std::io::Result<W> {
    to.into_inner().map_err(std::io::IntoInnerError::into_error)
}

/// Merges a chunk from the client.
pub async fn apply_chunk(
    vault: &Arc<Vault>,
    speaker: Speaker,
    body: impl Read + Send + 'static,
) -> Result<(), Error> {
    let applied = vault.converse(speaker, move |conn, conversation| {
        let applied = chunk::apply(conn, body, conversation.usn, conversation.min_usn)?;
        conversation.received += applied.objects;
        conversation.added_reviews(applied.new_reviews);
        Ok(Next::Continue(()))
    });
    Ok(applied.await?)
}

/// Compares the counts of both sides; if they differ, the sync is rolled back at once.
pub async fn sanity_check(
    vault: &Arc<Vault>,
    speaker: Speaker,
    request: SanityCheck,
) -> Result<SanityReply, Error> {
    let reply = vault.converse(speaker, move |conn, conversation| {
        let reply = sanity::check(conn, request.client, &mut conversation.reviews)?;
        Ok(if reply.status == SanityStatus::Ok {
            Next::Continue(reply)
        } else {
            tracing::warn!(
                ?reply,
                "the sanity check failed, so the sync is rolled back; Anki will ask for a full sync"
            );
            Next::RollBack(reply)
        })
    });
    Ok(reply.await?)
}

/// The result of a sync.
#[derive(Debug, Clone, Copy)]
pub struct Finished {
    /// The collection's new modification time in milliseconds, which is the answer.
    pub modified: i64,
    /// Objects sent to the client.
    pub sent: usize,
    /// Objects received from the client.
    pub received: usize,
}

/// Commits the sync.
pub async fn finish(vault: &Arc<Vault>, speaker: Speaker) -> Result<Finished, Error> {
    let finished = vault.converse(speaker, |conn, conversation| {
        let modified = clock::now_ms();
        let Usn(usn) = conversation.usn;
        let mut finish = conn.prepare_cached("update col set ls = ?1, mod = ?1, usn = ?2 + 1")?;
        finish.execute((modified, usn))?;
        let &mut Conversation { sent, received, .. } = conversation;
        Ok(Next::Commit(Finished {
            modified,
            sent,
            received,
        }))
    });
    Ok(finished.await?)
}

/// Rolls back this device's sync, if one is under way.
pub async fn abort(vault: &Vault, speaker: Speaker, asked: Instant) -> Result<(), Error> {
    Ok(vault.abort(speaker.device, asked).await?)
}
