//! Snapshots, restores and backups of an open vault.

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

/// A collection that somebody has studied, which can be told by the number of reviews.
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
    // Each of another device's making.
    conn.execute("update col set scm = ?1", [1000 + reviews])
        .unwrap();
    file
}

async fn replace(vault: &Vault, device: DeviceId, reviews: u64) -> Result<(), Error> {
    let replaced = vault.replace_collection(device, studied(vault, reviews));
    replaced.await.map(drop)
}

async fn reviews(vault: &Vault) -> u64 {
    let counted = vault.collection(me(), |collection| {
        let count = "select count() from revlog";
        Ok(collection
            .connection()
            .query_row(count, [], |row| row.get(0))?)
    });
    counted.await.unwrap()
}

/// Of each snapshot, from the oldest on.
async fn kept(vault: &Vault) -> Vec<(u64, Why)> {
    vault.keeping.done().await;
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

async fn restore(vault: &Vault, number: usize) {
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
    vaults.keeping.done().await;
    let list = vault.snapshots.list().unwrap();
    assert_eq!((list.len(), list[0].why), (1, Why::Damaged));
    assert_eq!(
        fs::read_to_string(vault.snapshots.path(&list[0])).unwrap(),
        garbage
    );
    let copy = vault.snapshots.unpack(&list[0]).unwrap();
    assert!(matches!(vault.examine(copy).await, Err(Error::Upload(_))));
}

/// The new file vanishes at the last moment, when a second journal's name is the only one.
#[tokio::test]
async fn a_damaged_collection_that_is_not_replaced_after_all_has_its_journal_back() {
    let (_folder, _vaults, vault) = vault().await;
    let collection = vault.collection_path();
    let journal = vault.folder.join("collection.anki2-wal");
    fs::write(&collection, "not a database".repeat(100)).unwrap();
    let new = upload(&vault, 42);
    let vanishing = new.path().to_owned();
    let failed = vault.place().install(new, &mut None, None, |_| {
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
    vaults.keeping.stop().await;
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
    // And undone.
    let newest = kept(&vault).await.len() - 1;
    restore(&vault, newest).await;
    assert_eq!(reviews(&vault).await, 4);
}

mod restores;

mod backups {
    use super::*;

    async fn back_up(vault: &Vault) -> u64 {
        let backup = vault.back_up().await.unwrap();
        let path = backup.folder().join("collection.anki2");
        assert_eq!(fs::read(&path).unwrap()[18..20], [1, 1], "a plain file");
        assert_eq!(names(backup.folder()), ["collection.anki2"]);
        assert_eq!(backup.collection, Some(summary(&path).unwrap()));
        backup.collection.unwrap().reviews
    }

    #[tokio::test]
    async fn a_backup_is_gone_when_it_is_no_longer_needed() {
        let (_folder, vaults, vault) = vault().await;
        replace(&vault, me(), 3).await.unwrap();
        let backup = vault.back_up().await.unwrap();
        let path = backup.folder().to_owned();
        drop(backup);
        gone(&path).await;
        let forgotten = vault.back_up().await.unwrap();
        std::mem::forget(forgotten);
        vaults.close_all().await;
        assert!(
            !names(&vault.folder)
                .iter()
                .any(|name| name.ends_with("-wal"))
        );
        let keeping = Arc::clone(&vaults.keeping);
        let (folder, disk) = (vault.folder.clone(), vault.disk.clone());
        let vault = Vault::prepare(folder, disk, keeping, vaults.workers()).unwrap();
        assert!(names(&vault.folder.join(layout::BACKUP)).is_empty());
    }

    #[tokio::test]
    async fn a_user_who_has_never_synced_has_nothing_to_back_up() {
        let (_folder, _vaults, vault) = vault().await;
        let backup = vault.back_up().await.unwrap();
        assert!(backup.collection.is_none());
        assert!(names(backup.folder()).is_empty());
        assert_eq!(names(&vault.folder), [".anki-syncd"]);
    }

    #[tokio::test]
    async fn a_backup_shows_the_state_before_the_sync_under_way_which_goes_on() {
        let (_folder, _vaults, vault) = vault().await;
        replace(&vault, me(), 3).await.unwrap();
        let speaker = Speaker {
            device: me(),
            session_key: "a".into(),
        };
        let review = "insert into revlog values (99, 1, 0, 1, 1, 1, 1, 1, 1)";
        let conversation = Conversation::new(speaker.clone(), Usn(0), Usn(0), true);
        let begun = vault.start(me(), move |conn| {
            conn.execute_batch(review)?;
            Ok((conversation, ()))
        });
        begun.await.unwrap();
        assert_eq!(back_up(&vault).await, 3);
        let commit = vault.converse(speaker, |_, _| Ok(Next::Commit(())));
        commit.await.unwrap();
        assert_eq!(back_up(&vault).await, 4);
    }

    /// While the copy is made, which is here as long as the reader lives.
    #[tokio::test]
    async fn an_upload_waits_for_the_copy_instead_of_failing() {
        let (_folder, _vaults, vault) = vault().await;
        replace(&vault, me(), 3).await.unwrap();
        assert_eq!(reviews(&vault).await, 3);
        let reading = vault.readers.enter();
        let reader = crate::collection::open::Reader::open(&vault.collection_path()).unwrap();
        let release = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            assert_eq!(reviews(&vault).await, 3);
            drop(reader);
            drop(reading);
        };
        let (uploaded, ()) = tokio::join!(replace(&vault, me(), 4), release);
        uploaded.unwrap();
        assert_eq!(reviews(&vault).await, 4);
    }

    #[tokio::test]
    async fn media_are_linked_while_a_device_has_its_turn_with_them() {
        let (_folder, _vaults, vault) = vault().await;
        vault.media(MediaStore::files).await.unwrap();
        fs::write(vault.folder.join("media/one"), "a").unwrap();
        let copies = vault.folder.join(layout::BACKUP);
        let turn = vault.media(move |_| {
            let deadline = std::time::Instant::now() + Duration::from_secs(20);
            let is_there = || {
                let copy = fs::read_dir(&copies).unwrap().next();
                copy.is_some_and(|copy| copy.unwrap().path().join("media/one").exists())
            };
            while !is_there() {
                assert!(std::time::Instant::now() < deadline, "not linked");
                std::thread::sleep(Duration::from_millis(10));
            }
            Ok(())
        });
        let (turn, backup) = tokio::join!(turn, vault.back_up());
        turn.unwrap();
        assert_eq!(backup.unwrap().media, Some(Media { files: 1, bytes: 1 }));
    }

    #[tokio::test]
    async fn a_damaged_collection_is_no_backup_but_the_media_are() {
        let (folder, vaults, vault) = vault().await;
        replace(&vault, me(), 3000).await.unwrap();
        vault.media(MediaStore::files).await.unwrap();
        let path = folder.path().join("alice/collection.anki2");
        let whole = fs::read(&path).unwrap();
        let mut damaged = whole.clone();
        damaged[whole.len() - 8192..].fill(0x55);
        for content in [damaged, b"no database".repeat(1000)] {
            vaults.close_all().await;
            fs::write(&path, content).unwrap();
            let backup = vault.back_up().await.unwrap();
            assert!(backup.collection.is_none() && backup.damage.is_some());
            assert_eq!(backup.media, Some(Media::default()));
        }
    }

    #[test]
    fn a_copy_of_many_files_is_removed_where_nobody_waits_for_it() {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime
            .enable_all()
            .max_blocking_threads(1)
            .build()
            .unwrap();
        runtime.block_on(async {
            let (_folder, _vaults, vault) = vault().await;
            vault.keeping.done().await;
            let backup = vault.back_up().await.unwrap();
            let (go, wait) = std::sync::mpsc::channel::<()>();
            let occupied = tokio::task::spawn_blocking(move || wait.recv());
            let path = backup.folder().to_owned();
            drop(backup);
            assert!(path.exists());
            go.send(()).unwrap();
            occupied.await.unwrap().unwrap();
            gone(&path).await;
        });
    }

    async fn gone(path: &Path) {
        while path.exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
