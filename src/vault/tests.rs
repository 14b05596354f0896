use std::io::Read;

use rusqlite::Connection;

use super::*;
use crate::collection::open::Refusal;

async fn vault() -> (tempfile::TempDir, Vaults, Arc<Vault>) {
    let folder = tempfile::tempdir().unwrap();
    let vaults = Vaults::new(Base::open(folder.path()).unwrap());
    let vault = vaults.get(&"alice".parse().unwrap()).await.unwrap();
    (folder, vaults, vault)
}

/// An upload that can be told from others by its modification time.
fn upload(vault: &Vault, modified: i64) -> NamedTempFile {
    let file = vault.upload_file().unwrap();
    drop(Collection::open(file.path(), 1).unwrap());
    Connection::open(file.path())
        .unwrap()
        .execute("update col set mod = ?1", [modified])
        .unwrap();
    file
}

async fn modified(vault: &Vault) -> i64 {
    vault
        .collection(|collection| Ok(collection.stamps()?.modified))
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
    vault.replace_collection(upload(&vault, 42)).await.unwrap();
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
    vault.replace_collection(upload(&vault, 42)).await.unwrap();
    let refused = vault.replace_collection(vault.upload_file().unwrap()).await;
    assert!(matches!(
        refused,
        Err(Error::Upload(CheckError::Refused(Refusal::Empty)))
    ));
    assert_eq!(modified(&vault).await, 42);
}

/// A server that was killed leaves its journal behind. Applied to another file it would be ruinous.
#[tokio::test]
async fn a_journal_left_by_a_crash_is_not_applied_to_the_upload_that_follows() {
    let (folder, vaults, vault) = vault().await;
    vault.replace_collection(upload(&vault, 42)).await.unwrap();
    vault
        .collection(|collection| Ok(collection.stamp_download(43)?))
        .await
        .unwrap();
    let path = folder.path().join("alice");
    let (database, journal) = (
        path.join("collection.anki2"),
        path.join("collection.anki2-wal"),
    );
    let crashed = (fs::read(&database).unwrap(), fs::read(&journal).unwrap());
    vaults.close_all().await;
    fs::write(&database, crashed.0).unwrap();
    fs::write(&journal, crashed.1).unwrap();
    vault.replace_collection(upload(&vault, 99)).await.unwrap();
    assert_eq!(modified(&vault).await, 99);
}

#[tokio::test]
async fn a_journal_left_by_a_crash_is_brought_in() {
    let (folder, vaults, vault) = vault().await;
    vault
        .collection(|collection| Ok(collection.stamp_download(43)?))
        .await
        .unwrap();
    let path = folder.path().join("alice");
    let (database, journal) = (
        path.join("collection.anki2"),
        path.join("collection.anki2-wal"),
    );
    let crashed = (fs::read(&database).unwrap(), fs::read(&journal).unwrap());
    vaults.close_all().await;
    fs::write(&database, crashed.0).unwrap();
    fs::write(&journal, crashed.1).unwrap();
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
    assert!(vault.collection(|_| Ok(())).await.is_err());
    vault.replace_collection(upload(&vault, 42)).await.unwrap();
    assert_eq!(modified(&vault).await, 42);
}

#[tokio::test]
async fn a_download_is_one_whole_file_that_carries_the_new_stamps() {
    let (folder, _vaults, vault) = vault().await;
    vault.replace_collection(upload(&vault, 42)).await.unwrap();
    let mut bytes = Vec::new();
    vault
        .copy_collection()
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

/// Someone's `sqlite3` in the middle of a query is waited for, and then told of.
#[tokio::test]
async fn a_reader_that_stays_makes_a_full_sync_fail_and_loses_nothing() {
    let (folder, _vaults, vault) = vault().await;
    assert_eq!(modified(&vault).await, 0);
    let reader = Connection::open(folder.path().join("alice/collection.anki2")).unwrap();
    reader.execute_batch("begin; select * from col").unwrap();
    let usn: i64 = reader
        .query_row("select usn from col", [], |row| row.get(0))
        .unwrap();
    assert!(matches!(vault.copy_collection().await, Err(Error::Busy)));
    assert!(matches!(
        vault.replace_collection(upload(&vault, 42)).await,
        Err(Error::Busy)
    ));
    assert_eq!(usn, 0);
    reader.execute_batch("commit").unwrap();
    vault.replace_collection(upload(&vault, 42)).await.unwrap();
    assert_eq!(modified(&vault).await, 42);
}

#[tokio::test]
async fn what_a_crash_left_half_received_is_cleared_away() {
    let (folder, vaults, vault) = vault().await;
    let leftover = vault.temporary().join("half-an-upload");
    fs::write(&leftover, "x").unwrap();
    drop((vaults, vault));
    let vaults = Vaults::new(Base::open(folder.path()).unwrap());
    vaults.get(&"alice".parse().unwrap()).await.unwrap();
    assert!(!leftover.exists());
}
