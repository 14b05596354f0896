//! `meta`: the state by which the client decides how to sync.

use std::sync::Arc;

use rusqlite::Connection;

use super::Error;
use crate::{
    account::DeviceId,
    clock,
    collection::{self, config},
    vault::Vault,
    wire::{
        header::VERSIONS,
        meta::{Meta, MetaRequest},
    },
};

/// Answers `meta`, and ends a sync of the same device.
///
/// A collection above the upload limit is reported like any other. The reference server makes the
/// client choose a one-way sync, and then refuses the upload: the user has no way out.
pub async fn meta(
    vault: &Arc<Vault>,
    device: DeviceId,
    request: MetaRequest,
) -> Result<Meta, Error> {
    if !VERSIONS.contains(&request.version) {
        return Err(Error::Version(request.version));
    }
    let with_media = Arc::clone(vault);
    let asked = vault.collection(device, move |collection| {
        let stamps = collection.stamps()?;
        let lacking = lacking_feature(collection.connection(), request.version)?;
        let meta = Meta {
            modified: stamps.modified,
            schema_changed: stamps.schema_changed,
            usn: stamps.usn,
            server_time: clock::now_secs(),
            proceed: lacking.is_none(),
            message: lacking.unwrap_or_default().to_owned(),
            host_number: 0,
            empty: stamps.empty,
            media_usn: 0,
        };
        Ok((meta, with_media.media_usn_at_hand()))
    });
    let (meta, media_usn) = asked.await?;
    let media_usn = match media_usn {
        Some(usn) => usn,
        None => vault.media(|media| media.last_usn()).await?,
    };
    Ok(Meta { media_usn, ..meta })
}

/// A feature that the collection needs and clients of this sync version lack, as a sentence for the
/// user.
fn lacking_feature(conn: &Connection, version: u8) -> collection::Result<Option<&'static str>> {
    let scheduler = config::get::<i64>(conn, "schedVer")?;
    let creation_offset = config::get::<i32>(conn, "creationOffset")?;
    Ok(if version < 9 && scheduler == Some(2) {
        Some(
            "This version of Anki does not know the scheduler that your collection uses. Please update Anki.",
        )
    } else if version < 10 && creation_offset.is_some() {
        Some(
            "This version of Anki does not know how your collection handles time zones. Please update Anki.",
        )
    } else {
        None
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collection::open::Collection;

    #[test]
    fn a_client_that_lacks_a_feature_of_the_collection_is_told_to_stop() {
        let folder = tempfile::tempdir().unwrap();
        let collection = Collection::open(&folder.path().join("c"), 0).unwrap();
        let conn = collection.connection();
        let lacks = |version| lacking_feature(conn, version).unwrap().is_some();
        assert_eq!([8, 9, 10, 11].map(lacks), [true, false, false, false]);
        conn.execute(
            "update config set val = '-60' where KEY = 'creationOffset'",
            [],
        )
        .unwrap();
        assert_eq!([8, 9, 10, 11].map(lacks), [true, true, false, false]);
        conn.execute("update config set val = '1' where KEY = 'schedVer'", [])
            .unwrap();
        assert_eq!([8, 9, 10, 11].map(lacks), [true, true, false, false]);
        conn.execute(
            "update config set val = 'null' where KEY = 'creationOffset'",
            [],
        )
        .unwrap();
        assert_eq!([8, 9, 10, 11].map(lacks), [false; 4]);
    }
}
