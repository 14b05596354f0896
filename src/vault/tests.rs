//! Tests of a vault as callers use it: opening, replacing and crashes here, other subjects in their
//! own files.

mod conversations;
mod downloads;
mod kept;
mod media;
mod moving;
mod order;
mod turns;

use std::{
    fs,
    io::{Read, Seek},
    path::Path,
};

use rusqlite::Connection;
use tokio::time::Instant;

use super::{base::Base, retention::Retention, *};
use crate::{
    account::users::Standing,
    collection::{
        open::OpenError,
        upload::{CheckError, Refusal, check_upload},
    },
};

const ROOM: Room = Room {
    reserve: 0,
    quota: None,
};

fn me() -> DeviceId {
    DeviceId::from([1; 12])
}

async fn vault() -> (tempfile::TempDir, Vaults, Arc<Vault>) {
    let folder = tempfile::tempdir().unwrap();
    let vaults = Vaults::new(Base::open(folder.path()).unwrap(), Retention::default());
    let vault = vaults.get(&"alice".parse().unwrap()).await.unwrap();
    (folder, vaults, vault)
}

/// An upload with this modification time, so that tests can distinguish uploads.
fn upload(vault: &Vault, modified: i64) -> NamedTempFile {
    let file = vault.upload_file().unwrap().into_inner();
    drop(Collection::open(file.path(), 1).unwrap());
    Connection::open(file.path())
        .unwrap()
        .execute("update col set mod = ?1", [modified])
        .unwrap();
    file
}

async fn modified(vault: &Arc<Vault>) -> i64 {
    vault
        .collection(me(), |collection| Ok(collection.stamps()?.modified))
        .await
        .unwrap()
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn an_upload_takes_the_place_of_an_open_collection() {
    let (folder, vaults, vault) = vault().await;
    assert_eq!(modified(&vault).await, 0);
    vault
        .replace_collection(me(), upload(&vault, 42))
        .await
        .unwrap();
    assert_eq!(modified(&vault).await, 42);
    vaults.close_all().await;
    assert_eq!(
        names(&folder.path().join("alice")),
        [".anki-syncd", "collection.anki2"]
    );
    assert!(names(&vault.temporary()).is_empty());
}

#[tokio::test]
async fn a_refused_upload_leaves_the_collection_as_it_was() {
    let (_folder, _vaults, vault) = vault().await;
    vault
        .replace_collection(me(), upload(&vault, 42))
        .await
        .unwrap();
    let refused = vault
        .replace_collection(me(), vault.upload_file().unwrap().into_inner())
        .await;
    assert!(matches!(
        refused,
        Err(Error::Upload(CheckError::Refused(Refusal::Empty)))
    ));
    assert_eq!(modified(&vault).await, 42);
}

/// The state after a kill: the last commit is only in the journal.
async fn crash(folder: &Path, vaults: &Vaults, vault: &Arc<Vault>) {
    vault
        .collection(me(), |collection| Ok(collection.stamp_download(43)?))
        .await
        .unwrap();
    let files =
        ["collection.anki2", "collection.anki2-wal"].map(|name| folder.join("alice").join(name));
    let contents = files.each_ref().map(|file| fs::read(file).unwrap());
    vaults.close_all().await;
    for (file, content) in files.iter().zip(contents) {
        fs::write(file, content).unwrap();
    }
}

/// The old file's journal, applied to the new file, would destroy it.
#[tokio::test]
async fn a_journal_left_by_a_crash_is_not_applied_to_the_upload_that_follows() {
    let (folder, vaults, vault) = vault().await;
    crash(folder.path(), &vaults, &vault).await;
    vault
        .replace_collection(me(), upload(&vault, 99))
        .await
        .unwrap();
    assert_eq!(modified(&vault).await, 99);
}

#[tokio::test]
async fn a_journal_left_by_a_crash_is_brought_in() {
    let (folder, vaults, vault) = vault().await;
    crash(folder.path(), &vaults, &vault).await;
    assert_eq!(modified(&vault).await, 43);
}

#[tokio::test]
async fn an_upload_replaces_a_damaged_collection() {
    let (folder, _vaults, vault) = vault().await;
    fs::write(
        folder.path().join("alice/collection.anki2"),
        "not a database".repeat(100),
    )
    .unwrap();
    assert!(vault.collection(me(), |_| Ok(())).await.is_err());
    vault
        .replace_collection(me(), upload(&vault, 42))
        .await
        .unwrap();
    assert_eq!(modified(&vault).await, 42);
}

/// The reference server leaves an account like this after an old client's download.
#[tokio::test]
async fn a_collection_of_schema_11_is_served_and_replaced_if_it_cannot_be_upgraded() {
    let (folder, vaults, vault) = vault().await;
    let live = folder.path().join("alice/collection.anki2");
    fs::copy("tests/vectors/upgrade_in_schema11.anki2", &live).unwrap();
    assert_eq!(modified(&vault).await, 1_700_000_000_000);
    vaults.close_all().await;
    assert_eq!(check_upload(&live).unwrap(), 18);

    fs::copy("tests/vectors/upgrade_in_schema11.anki2", &live).unwrap();
    Connection::open(&live)
        .unwrap()
        .execute_batch("update col set models = ''")
        .unwrap();
    let opened = vault.collection(me(), |_| Ok(())).await;
    assert!(matches!(opened, Err(Error::Open(OpenError::Upgrade(_)))));
    vault
        .replace_collection(me(), upload(&vault, 42))
        .await
        .unwrap();
    assert_eq!(modified(&vault).await, 42);
}

#[tokio::test]
async fn a_download_is_one_whole_file_that_carries_the_new_stamps() {
    let (folder, _vaults, vault) = vault().await;
    vault
        .replace_collection(me(), upload(&vault, 42))
        .await
        .unwrap();
    let mut bytes = Vec::new();
    vault
        .copy_collection(me())
        .await
        .unwrap()
        .read_to_end(&mut bytes)
        .unwrap();
    let path = folder.path().join("downloaded");
    fs::write(&path, bytes).unwrap();
    check_upload(&path).unwrap();
    let downloaded = Collection::open(&path, 0).unwrap().stamps().unwrap();
    assert_eq!(downloaded.usn, 1);
    assert_eq!(downloaded.modified, modified(&vault).await);
    assert!(downloaded.modified > 42);
}

#[tokio::test]
async fn an_old_client_gets_schema_11_and_the_collection_stays_at_18() {
    let (folder, _vaults, vault) = vault().await;
    vault
        .replace_collection(me(), upload(&vault, 42))
        .await
        .unwrap();
    let mut bytes = Vec::new();
    vault
        .copy_for_old_clients(me())
        .await
        .unwrap()
        .read_to_end(&mut bytes)
        .unwrap();
    assert_eq!(bytes[18..20], [1, 1]);
    let path = folder.path().join("downloaded");
    fs::write(&path, bytes).unwrap();
    assert_eq!(check_upload(&path).unwrap(), 11);
    let sent = "select mod, usn from col";
    let stamps = |row: &rusqlite::Row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?));
    let downloaded = Connection::open(&path)
        .unwrap()
        .query_row(sent, [], stamps)
        .unwrap();
    assert_eq!(downloaded, (modified(&vault).await, 1));
    assert!(names(&vault.temporary()).is_empty());
    let live = Connection::open(folder.path().join("alice/collection.anki2")).unwrap();
    let version: i64 = live
        .query_row("select ver from col", [], |row| row.get(0))
        .unwrap();
    assert_eq!(version, 18);
    // And back again.
    let returned = vault.upload_file().unwrap().into_inner();
    fs::copy(&path, returned.path()).unwrap();
    vault.replace_collection(me(), returned).await.unwrap();
    assert_eq!(modified(&vault).await, downloaded.0);
}

/// A `sqlite3` in the middle of a query is waited for, and then reported.
#[tokio::test]
async fn a_reader_that_stays_makes_a_full_sync_fail_and_loses_nothing() {
    let (folder, _vaults, vault) = vault().await;
    assert_eq!(modified(&vault).await, 0);
    let reader = Connection::open(folder.path().join("alice/collection.anki2")).unwrap();
    reader.execute_batch("begin; select * from col").unwrap();
    let usn: i64 = reader
        .query_row("select usn from col", [], |row| row.get(0))
        .unwrap();
    assert!(matches!(
        vault.copy_collection(me()).await,
        Err(Error::Busy)
    ));
    assert!(matches!(
        vault.replace_collection(me(), upload(&vault, 42)).await,
        Err(Error::Busy)
    ));
    assert_eq!(usn, 0);
    reader.execute_batch("commit").unwrap();
    vault
        .replace_collection(me(), upload(&vault, 42))
        .await
        .unwrap();
    assert_eq!(modified(&vault).await, 42);
}

#[tokio::test]
async fn what_a_crash_left_half_received_is_cleared_away() {
    let (folder, vaults, vault) = vault().await;
    let leftover = vault.temporary().join("half-an-upload");
    fs::write(&leftover, "x").unwrap();
    drop((vaults, vault));
    let vaults = Vaults::new(Base::open(folder.path()).unwrap(), Retention::default());
    vaults.get(&"alice".parse().unwrap()).await.unwrap();
    assert!(!leftover.exists());
}

#[tokio::test]
async fn contents_that_a_crash_kept_from_their_places_are_cleared_away() {
    let (folder, vaults, vault) = vault().await;
    vault
        .replace_collection(me(), upload(&vault, 42))
        .await
        .unwrap();
    let own = folder.path().join("alice/.anki-syncd");
    fs::create_dir_all(own.join("snapshots")).unwrap();
    let left = [own.join(".tmpabc"), own.join("snapshots/.tmpdef")];
    for left in &left {
        fs::write(left, "half").unwrap();
    }
    drop((vaults, vault));
    let vaults = Vaults::new(Base::open(folder.path()).unwrap(), Retention::default());
    vaults.clear_leftovers().await;
    assert!(!left.iter().any(|left| left.exists()));
}

#[tokio::test]
async fn databases_are_closed_sooner_when_many_users_have_theirs_open() {
    let (_folder, vaults, alice) = vault().await;
    let is_closed_soon = || async {
        modified(&alice).await;
        tokio::select! {
            () = vaults.close_idle() => {}
            () = tokio::time::sleep(Duration::from_millis(1500)) => {}
        }
        !alice.is_open()
    };
    assert!(!is_closed_soon().await);
    for number in 0..vaults::MANY {
        let user = format!("user{number}").parse().unwrap();
        modified(&vaults.get(&user).await.unwrap()).await;
    }
    assert!(is_closed_soon().await);
}
