//! Copies that are made while devices sync.

use std::os::unix::fs::MetadataExt;

use super::*;

async fn back_up(vault: &Arc<Vault>) -> u64 {
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
    let janitor = Arc::clone(&vaults.janitor);
    let (folder, disk) = (vault.folder.clone(), vault.disk.clone());
    let vault = Vault::prepare(folder, disk, janitor, vaults.workers()).unwrap();
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
    let begun = vault.start(me(), ROOM, move |conn| {
        conn.execute_batch(review)?;
        Ok((conversation, ()))
    });
    begun.await.unwrap();
    assert_eq!(back_up(&vault).await, 3);
    let commit = vault.converse(speaker, |_, _| Ok(Next::Commit(())));
    commit.await.unwrap();
    assert_eq!(back_up(&vault).await, 4);
}

/// Whether this process has a lock on the file, as other processes see it.
fn is_locked(path: &Path) -> bool {
    let inode = format!(":{} ", path.metadata().unwrap().ino());
    let own = format!(" {} ", std::process::id());
    let locks = fs::read_to_string("/proc/locks").unwrap();
    let mut locks = locks.lines();
    locks.any(|lock| lock.contains("POSIX") && lock.contains(&own) && lock.contains(&inode))
}

#[tokio::test]
async fn a_collection_that_is_reopened_while_a_backup_reads_stays_locked() {
    let (_folder, _vaults, vault) = vault().await;
    replace(&vault, me(), 3).await.unwrap();
    let reading = vault.read().await.unwrap().unwrap();
    vault.collection.close().await;
    assert!(is_locked(&vault.collection_path()));
    assert_eq!(reviews(&vault).await, 3);
    assert!(is_locked(&vault.collection_path()));
    drop(reading);
}

/// While the copy is made, which is here as long as the reader lives.
#[tokio::test]
async fn an_upload_waits_for_the_copy_instead_of_failing() {
    let (_folder, _vaults, vault) = vault().await;
    replace(&vault, me(), 3).await.unwrap();
    assert_eq!(reviews(&vault).await, 3);
    let reading = vault.turns.read();
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
        vault.janitor.done().await;
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
