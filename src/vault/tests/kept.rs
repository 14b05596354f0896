//! Snapshots, restores and backups of an open vault.

mod backups;
mod restores;

use super::*;
use crate::{
    collection::file::{Summary, summary},
    media::Media,
    vault::{
        conversation::{Conversation, Next, Speaker},
        snapshot::{Snapshot, Why},
    },
    wire::Usn,
};

fn other() -> DeviceId {
    DeviceId::from([2; 12])
}

/// A collection with this number of reviews, so that tests can distinguish collections.
fn studied(vault: &Vault, reviews: u64) -> NamedTempFile {
    let file = upload(vault, 42);
    let conn = Connection::open(file.path()).unwrap();
    for id in 1..=reviews {
        conn.execute(
            "insert into revlog values (?1, 1, 0, 1, 1, 1, 1, 1, 1)",
            [id],
        )
        .unwrap();
    }
    let card = "insert into cards values (1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, '')";
    conn.execute_batch(card).unwrap();
    // Each as if another device had made it.
    conn.execute("update col set scm = ?1", [1000 + reviews])
        .unwrap();
    file
}

async fn replace(vault: &Arc<Vault>, device: DeviceId, reviews: u64) -> Result<(), Error> {
    let replaced = vault.replace_collection(device, studied(vault, reviews));
    replaced.await.map(drop)
}

async fn reviews(vault: &Arc<Vault>) -> u64 {
    let counted = vault.collection(me(), |collection| {
        let count = "select count() from revlog";
        Ok(collection
            .connection()
            .query_row(count, [], |row| row.get(0))?)
    });
    counted.await.unwrap()
}

/// Reviews and reason of each snapshot, from the oldest on.
async fn kept(vault: &Vault) -> Vec<(u64, Why)> {
    vault.janitor.done().await;
    let mut kept = Vec::new();
    for snapshot in vault.snapshots.list().unwrap() {
        let (_copy, summary) = look(vault, &snapshot).await;
        kept.push((summary.reviews, snapshot.why));
    }
    kept
}

async fn look(vault: &Vault, snapshot: &Snapshot) -> (NamedTempFile, Summary) {
    vault
        .examine(vault.snapshots.unpack(snapshot).unwrap())
        .await
        .unwrap()
}

async fn restore(vault: &Arc<Vault>, number: usize) {
    let snapshot = vault.snapshots.list().unwrap().remove(number);
    let (copy, _) = look(vault, &snapshot).await;
    vault.restore(copy).await.unwrap();
}

#[tokio::test]
async fn an_upload_keeps_what_it_replaces_unless_that_is_empty() {
    let (_folder, _vaults, vault) = vault().await;
    replace(&vault, me(), 3).await.unwrap();
    assert_eq!(kept(&vault).await, []);
    replace(&vault, me(), 4).await.unwrap();
    replace(&vault, me(), 5).await.unwrap();
    let expected = [(3, Why::BeforeUpload), (4, Why::BeforeUpload)];
    assert_eq!(kept(&vault).await, expected);
    let list = vault.snapshots.list().unwrap();
    assert!(list.iter().all(|snapshot| snapshot.compressed));
}

#[tokio::test]
async fn a_snapshot_has_what_was_in_the_journal_only() {
    let (_folder, _vaults, vault) = vault().await;
    replace(&vault, me(), 3).await.unwrap();
    let studied = vault.collection(me(), |collection| {
        let review = "insert into revlog values (99, 1, 0, 1, 1, 1, 1, 1, 1)";
        Ok(collection.connection().execute_batch(review)?)
    });
    studied.await.unwrap();
    replace(&vault, me(), 1).await.unwrap();
    assert_eq!(kept(&vault).await, [(4, Why::BeforeUpload)]);
}

#[tokio::test]
async fn no_upload_is_taken_when_what_it_replaces_cannot_be_kept() {
    let (folder, _vaults, vault) = vault().await;
    replace(&vault, me(), 3).await.unwrap();
    let in_the_way = folder.path().join("alice/.anki-syncd/snapshots");
    fs::write(&in_the_way, "").unwrap();
    assert!(matches!(replace(&vault, me(), 4).await, Err(Error::Io(_))));
    assert_eq!(reviews(&vault).await, 3);
    fs::remove_file(in_the_way).unwrap();
    replace(&vault, me(), 4).await.unwrap();
}

#[tokio::test]
async fn snapshots_may_be_switched_off_but_a_restore_makes_one_all_the_same() {
    let (_folder, vaults, vault) = vault().await;
    replace(&vault, me(), 3).await.unwrap();
    replace(&vault, me(), 4).await.unwrap();
    vaults.retain(Retention {
        newest: 0,
        days: 1,
        ..Retention::default()
    });
    replace(&vault, me(), 5).await.unwrap();
    assert_eq!(kept(&vault).await, [(3, Why::BeforeUpload)]);
    restore(&vault, 0).await;
    let expected = [(3, Why::BeforeUpload), (5, Why::BeforeRestore)];
    assert_eq!(kept(&vault).await, expected);
}

#[tokio::test]
async fn a_damaged_collection_that_an_upload_replaces_is_kept_as_it_was() {
    let (folder, vaults, vault) = vault().await;
    let garbage = "not a database".repeat(100);
    fs::write(folder.path().join("alice/collection.anki2"), &garbage).unwrap();
    replace(&vault, me(), 3).await.unwrap();
    vaults.janitor.done().await;
    let list = vault.snapshots.list().unwrap();
    assert_eq!((list.len(), list[0].why), (1, Why::Damaged));
    assert_eq!(
        fs::read_to_string(vault.snapshots.path(&list[0])).unwrap(),
        garbage
    );
    let copy = vault.snapshots.unpack(&list[0]).unwrap();
    assert!(matches!(vault.examine(copy).await, Err(Error::Upload(_))));
}

/// The new file vanishes at the last moment, when the journal only has its second name.
#[tokio::test]
async fn a_damaged_collection_that_is_not_replaced_after_all_has_its_journal_back() {
    let (_folder, _vaults, vault) = vault().await;
    let collection = vault.collection_path();
    let journal = vault.folder.join("collection.anki2-wal");
    fs::write(&collection, "not a database".repeat(100)).unwrap();
    let new = upload(&vault, 42);
    let vanishing = new.path().to_owned();
    let failed = vault.install(new, &mut None, None, |_| {
        fs::write(&journal, "its journal")?;
        Ok(fs::remove_file(vanishing)?)
    });
    assert!(matches!(failed, Err(Error::Io(_))));
    assert_eq!(fs::read_to_string(&journal).unwrap(), "its journal");
    assert!(vault.snapshots.list().unwrap().is_empty());
    assert!(collection.exists());
}

#[tokio::test]
async fn what_a_crash_left_uncompressed_is_compressed_at_the_next_opening() {
    let (folder, vaults, vault) = vault().await;
    vaults.janitor.stop().await;
    replace(&vault, me(), 3).await.unwrap();
    replace(&vault, me(), 4).await.unwrap();
    assert!(!vault.snapshots.list().unwrap()[0].compressed);
    drop((vaults, vault));
    let vaults = Vaults::new(Base::open(folder.path()).unwrap(), Retention::default());
    let vault = vaults.get(&"alice".parse().unwrap()).await.unwrap();
    assert_eq!(kept(&vault).await, [(3, Why::BeforeUpload)]);
    assert!(vault.snapshots.list().unwrap()[0].compressed);
}

#[tokio::test]
async fn a_restored_collection_is_one_that_no_device_can_merge_with() {
    let (_folder, _vaults, vault) = vault().await;
    replace(&vault, me(), 3).await.unwrap();
    replace(&vault, me(), 4).await.unwrap();
    let before = clock::now_ms();
    restore(&vault, 0).await;
    assert_eq!(reviews(&vault).await, 3);
    let stamps = vault.collection(me(), |collection| Ok(collection.stamps()?));
    let stamps = stamps.await.unwrap();
    assert!(stamps.schema_changed >= before && stamps.modified >= before);
    // Undoes the restore.
    let newest = kept(&vault).await.len() - 1;
    restore(&vault, newest).await;
    assert_eq!(reviews(&vault).await, 4);
}
