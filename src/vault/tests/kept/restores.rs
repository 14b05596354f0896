//! Which devices may upload after a restore.

use super::*;
use crate::vault::activity::MetaAnswer;
use tokio::time::Instant;

fn refused(result: &Result<(), Error>) -> bool {
    matches!(
        result,
        Err(Error::Upload(CheckError::Refused(Refusal::Restored { .. })))
    )
}

/// A collection with 3 reviews, then one with 4, then the first one restored.
async fn restored() -> (tempfile::TempDir, Vaults, Arc<Vault>) {
    let (folder, vaults, vault) = vault().await;
    replace(&vault, me(), 3).await.unwrap();
    replace(&vault, me(), 4).await.unwrap();
    restore(&vault, 0).await;
    (folder, vaults, vault)
}

async fn download(vault: &Arc<Vault>, device: DeviceId) {
    let mut copy = vault.copy_collection(device).await.unwrap();
    io::copy(&mut copy, &mut io::sink()).unwrap();
}

/// Begins a normal sync after `meta`, as a device does.
async fn start(vault: &Arc<Vault>, device: DeviceId) {
    let stamps = vault.collection(device, |collection| Ok(collection.stamps()?));
    let stamps = stamps.await.unwrap();
    let active = vault.active_request(device);
    active.answered_meta(Some(MetaAnswer {
        schema: stamps.schema_changed,
        usn: Usn(stamps.usn),
    }));
    let speaker = Speaker {
        device,
        session_key: "a".into(),
    };
    let conversation = Conversation::new(speaker, Usn(0), Usn(0), true);
    let begun = vault.start(device, ROOM, |_| Ok((conversation, ())));
    begun.await.unwrap();
    vault.abort(device, Instant::now()).await.unwrap();
}

/// Reads as another program does, such as `sqlite3`. Meanwhile the journal cannot be moved into the
/// file.
async fn read(vault: &Arc<Vault>) -> Connection {
    let reader = Connection::open(vault.collection_path()).unwrap();
    reader.execute_batch("begin").unwrap();
    let usn = reader.query_row("select usn from col", [], |row| row.get::<_, i64>(0));
    usn.unwrap();
    let written = vault.collection(me(), |collection| Ok(collection.stamp_download(1)?));
    written.await.unwrap();
    reader
}

#[tokio::test]
async fn after_a_restore_a_device_may_upload_only_what_it_has_downloaded() {
    let (_folder, _vaults, vault) = restored().await;
    assert!(refused(&replace(&vault, me(), 5).await));
    assert_eq!(reviews(&vault).await, 3);
    download(&vault, me()).await;
    assert!(refused(&replace(&vault, other(), 5).await));
    replace(&vault, me(), 6).await.unwrap();
    // The other device still has the collection that the restore replaced.
    assert!(refused(&replace(&vault, other(), 5).await));
    assert_eq!(reviews(&vault).await, 6);
    assert!(vault.allow_upload().unwrap());
    assert!(!vault.allow_upload().unwrap());
    replace(&vault, other(), 5).await.unwrap();
    assert_eq!(reviews(&vault).await, 5);
}

#[tokio::test]
async fn a_download_that_broke_off_does_not_count() {
    let (_folder, _vaults, vault) = restored().await;
    let mut copy = vault.copy_collection(me()).await.unwrap();
    let length = copy.seek(io::SeekFrom::End(0)).unwrap();
    copy.rewind().unwrap();
    io::copy(&mut copy.by_ref().take(length - 1), &mut io::sink()).unwrap();
    assert!(refused(&replace(&vault, me(), 5).await));
    // A client need not read beyond the end.
    io::copy(&mut copy.take(1), &mut io::sink()).unwrap();
    replace(&vault, me(), 5).await.unwrap();
}

#[tokio::test]
async fn an_old_client_has_downloaded_once_it_has_all_of_its_own_copy() {
    let (_folder, _vaults, vault) = restored().await;
    let mut copy = vault.copy_for_old_clients(me()).await.unwrap();
    assert!(refused(&replace(&vault, me(), 5).await));
    io::copy(&mut copy, &mut io::sink()).unwrap();
    replace(&vault, me(), 5).await.unwrap();
}

/// The device logged in again, and is a new one since then.
#[tokio::test]
async fn a_device_that_merges_with_the_restored_collection_has_it() {
    let (_folder, _vaults, vault) = restored().await;
    download(&vault, me()).await;
    start(&vault, other()).await;
    replace(&vault, other(), 5).await.unwrap();
}

#[tokio::test]
async fn a_restore_that_fails_leaves_the_one_before_in_force() {
    let (_folder, _vaults, vault) = restored().await;
    let again = || async {
        let snapshot = vault.snapshots.list().unwrap().remove(1);
        let (copy, _) = look(&vault, &snapshot).await;
        vault.restore(copy).await
    };
    start(&vault, me()).await;
    let reader = read(&vault).await;
    assert!(matches!(again().await, Err(Error::Busy)));
    drop(reader);
    assert!(refused(&replace(&vault, other(), 5).await));
    // The same if a later step fails, or the power.
    vault.janitor.done().await;
    let (snapshots, aside) = (
        vault.folder.join(layout::SNAPSHOTS),
        vault.folder.join("aside"),
    );
    let snapshot = vault.snapshots.list().unwrap().remove(1);
    let (copy, _) = look(&vault, &snapshot).await;
    fs::rename(&snapshots, &aside).unwrap();
    fs::write(&snapshots, "").unwrap();
    assert!(matches!(vault.restore(copy).await, Err(Error::Io(_))));
    fs::remove_file(&snapshots).unwrap();
    fs::rename(&aside, &snapshots).unwrap();
    assert!(refused(&replace(&vault, other(), 5).await));
    // A device with the present collection does not therefore have the one that failed.
    replace(&vault, me(), 6).await.unwrap();
    again().await.unwrap();
    assert!(refused(&replace(&vault, me(), 5).await));
}

#[tokio::test]
async fn only_what_is_damaged_or_not_there_has_no_summary() {
    let (_folder, vaults, vault) = vault().await;
    assert_eq!(vault.summary().await.unwrap(), None);
    replace(&vault, me(), 3).await.unwrap();
    assert_eq!(vault.summary().await.unwrap().unwrap().reviews, 3);
    vaults.close_all().await;
    let path = vault.collection_path();
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(vault.summary().await.is_err());
    fs::remove_dir(&path).unwrap();
    fs::write(&path, "not a database".repeat(100)).unwrap();
    assert_eq!(vault.summary().await.unwrap(), None);
}

#[tokio::test]
async fn a_restore_that_a_crash_cut_short_refuses_no_upload() {
    let (_folder, _vaults, vault) = vault().await;
    replace(&vault, me(), 3).await.unwrap();
    vault.restores.add(7, 7, None).unwrap();
    replace(&vault, other(), 4).await.unwrap();
}

/// If there are no cards, a client uploads without asking, and never offers a download.
#[tokio::test]
async fn a_restored_collection_without_cards_refuses_no_upload() {
    let (_folder, _vaults, vault) = vault().await;
    replace(&vault, me(), 3).await.unwrap();
    let (copy, _) = vault.examine(upload(&vault, 42)).await.unwrap();
    vault.restore(copy).await.unwrap();
    replace(&vault, other(), 4).await.unwrap();
    replace(&vault, me(), 5).await.unwrap();
}

#[tokio::test]
async fn a_download_that_ends_after_uploads_were_allowed_does_not_forbid_them_again() {
    let (_folder, _vaults, vault) = restored().await;
    let mut copy = vault.copy_collection(me()).await.unwrap();
    assert!(vault.allow_upload().unwrap());
    io::copy(&mut copy, &mut io::sink()).unwrap();
    replace(&vault, other(), 5).await.unwrap();
}
