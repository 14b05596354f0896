use std::{fs, io::Read};

use rusqlite::Connection;
use tokio::time::Instant;

use std::io::Seek;

use super::{base::Base, retention::Retention, *};
use crate::{
    account::users::Standing,
    collection::{
        open::OpenError,
        upload::{CheckError, Refusal, check_upload},
    },
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

/// An upload that can be told from others by its modification time.
fn upload(vault: &Vault, modified: i64) -> NamedTempFile {
    let file = vault.upload_file().unwrap().into_inner();
    drop(Collection::open(file.path(), 1).unwrap());
    Connection::open(file.path())
        .unwrap()
        .execute("update col set mod = ?1", [modified])
        .unwrap();
    file
}

async fn modified(vault: &Vault) -> i64 {
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

/// The state that a kill leaves: what was committed last is in the journal only.
async fn crash(folder: &Path, vaults: &Vaults, vault: &Vault) {
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

/// A journal of the old file, applied to the new one, would be ruinous.
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

/// As the reference server leaves an account after an old client's download.
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

mod downloads;
mod kept;
mod turns;

mod conversations {
    use super::*;
    use crate::{
        collection,
        vault::{
            activity::Told,
            conversation::{Conversation, Next, Speaker},
        },
        wire::Usn,
    };

    fn speaker(device: u8, session: &str) -> Speaker {
        Speaker {
            device: DeviceId::from([device; 12]),
            session_key: session.into(),
        }
    }

    /// Begins a sync that has changed something.
    async fn start(vault: &Vault, speaker: Speaker) -> Result<(), Error> {
        let device = speaker.device;
        let begun = vault.start(device, move |conn| {
            conn.execute("update col set mod = 7", [])?;
            Ok((Conversation::new(speaker, Usn(0), Usn(0), true), ()))
        });
        begun.await
    }

    async fn go_on(vault: &Vault, speaker: Speaker, next: fn() -> Next<()>) -> Result<(), Error> {
        vault.converse(speaker, move |_, _| Ok(next())).await
    }

    #[tokio::test]
    async fn only_a_commit_makes_a_sync_visible() {
        let (_folder, _vaults, vault) = vault().await;
        for (next, expected) in [
            (Next::Continue as fn(()) -> Next<()>, 0),
            (Next::RollBack, 0),
            (Next::Commit, 7),
        ] {
            start(&vault, speaker(1, "a")).await.unwrap();
            vault
                .converse(speaker(1, "a"), move |_, _| Ok(next(())))
                .await
                .unwrap();
            assert_eq!(modified(&vault).await, expected);
        }
    }

    #[tokio::test]
    async fn a_request_of_another_sync_is_refused_and_ends_nothing() {
        let (_folder, _vaults, vault) = vault().await;
        let go_on_1 = || Next::Continue(());
        assert!(matches!(
            go_on(&vault, speaker(1, "a"), go_on_1).await,
            Err(Error::NotInSync)
        ));
        start(&vault, speaker(1, "a")).await.unwrap();
        assert!(matches!(
            go_on(&vault, speaker(1, "b"), go_on_1).await,
            Err(Error::NotInSync)
        ));
        assert!(matches!(
            go_on(&vault, speaker(2, "a"), go_on_1).await,
            Err(Error::NotInSync)
        ));
        vault
            .abort(speaker(2, "a").device, Instant::now())
            .await
            .unwrap();
        go_on(&vault, speaker(1, "a"), || Next::Commit(()))
            .await
            .unwrap();
        assert_eq!(modified(&vault).await, 7);
    }

    #[tokio::test]
    async fn a_failure_or_a_panic_or_an_abort_rolls_a_sync_back() {
        let (_folder, _vaults, vault) = vault().await;
        let speaker = speaker(1, "a");
        start(&vault, speaker.clone()).await.unwrap();
        let failed = vault.converse(speaker.clone(), |_, _| {
            Err::<Next<()>, _>(collection::Error::ZeroId("deck"))
        });
        assert!(matches!(failed.await, Err(Error::Collection(_))));
        start(&vault, speaker.clone()).await.unwrap();
        let panicked = vault.converse(speaker.clone(), |_, _| -> collection::Result<Next<()>> {
            panic!("on purpose")
        });
        assert!(matches!(panicked.await, Err(Error::Panicked(_))));
        start(&vault, speaker.clone()).await.unwrap();
        let before = Instant::now() - Duration::from_secs(1);
        vault.abort(speaker.device, before).await.unwrap();
        let goes_on = go_on(&vault, speaker.clone(), || Next::Continue(())).await;
        goes_on.expect("an abort of what was before leaves it alone");
        vault.abort(speaker.device, Instant::now()).await.unwrap();
        let gone = go_on(&vault, speaker, || Next::Commit(())).await;
        assert!(matches!(gone, Err(Error::NotInSync)));
        assert_eq!(modified(&vault).await, 0);
    }

    #[tokio::test]
    async fn a_sync_with_a_collection_that_was_replaced_meanwhile_does_not_begin() {
        let (_folder, _vaults, vault) = vault().await;
        let attendance = vault.attend(speaker(1, "a").device);
        let stamps = vault.collection(me(), |collection| Ok(collection.stamps()?));
        let schema = stamps.await.unwrap().schema_changed;
        attendance.tell(Some(Told {
            schema,
            usn: Usn(0),
        }));
        start(&vault, speaker(1, "a")).await.unwrap();
        vault
            .replace_collection(speaker(1, "a").device, upload(&vault, 42))
            .await
            .unwrap();
        let refused = start(&vault, speaker(1, "b")).await;
        assert!(matches!(refused, Err(Error::Replaced)));
        attendance.tell(None);
        start(&vault, speaker(1, "b")).await.unwrap();
    }

    #[tokio::test]
    async fn a_device_that_waited_is_known_to_have_seen_what_it_sent() {
        let (_folder, _vaults, vault) = vault().await;
        let device = speaker(1, "a").device;
        let attendance = vault.attend(device);
        for (told, seen_before) in [(Usn(0), Usn(1)), (Usn(-3), Usn(1))] {
            attendance.tell(Some(Told {
                schema: vault
                    .collection(me(), |collection| Ok(collection.stamps()?.schema_changed))
                    .await
                    .unwrap(),
                usn: told,
            }));
            start(&vault, speaker(1, "a")).await.unwrap();
            go_on(&vault, speaker(1, "a"), || Next::Commit(()))
                .await
                .unwrap();
            assert_eq!(vault.seen_before(device, told.next()), seen_before);
            assert_eq!(vault.seen_before(device, Usn(40)), Usn(40));
        }
    }

    #[tokio::test]
    async fn the_same_device_starting_over_takes_over_at_once() {
        let (_folder, _vaults, vault) = vault().await;
        start(&vault, speaker(1, "a")).await.unwrap();
        start(&vault, speaker(1, "b")).await.unwrap();
        let old = go_on(&vault, speaker(1, "a"), || Next::Commit(())).await;
        assert!(matches!(old, Err(Error::NotInSync)));
        go_on(&vault, speaker(1, "b"), || Next::Commit(()))
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn another_device_waits_until_the_first_has_finished() {
        let (_folder, _vaults, vault) = vault().await;
        let _talking = vault.attend(speaker(1, "a").device);
        start(&vault, speaker(1, "a")).await.unwrap();
        let finish = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            go_on(&vault, speaker(1, "a"), || Next::Commit(())).await
        };
        let (begun, finished) = tokio::join!(start(&vault, speaker(2, "b")), finish);
        finished.unwrap();
        begun.unwrap();
        go_on(&vault, speaker(2, "b"), || Next::Commit(()))
            .await
            .unwrap();
    }

    /// With the clock standing still, only what these tests wait for makes time pass.
    #[tokio::test(start_paused = true)]
    async fn a_device_that_has_fallen_silent_makes_way() {
        let (_folder, _vaults, vault) = vault().await;
        drop(vault.attend(speaker(1, "a").device));
        start(&vault, speaker(1, "a")).await.unwrap();
        let began = tokio::time::Instant::now();
        start(&vault, speaker(2, "b")).await.unwrap();
        assert_eq!(began.elapsed().as_secs(), 8);
        let gone = go_on(&vault, speaker(1, "a"), || Next::Commit(())).await;
        assert!(matches!(gone, Err(Error::NotInSync)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_device_that_goes_on_talking_is_never_interrupted() {
        let (_folder, _vaults, vault) = vault().await;
        let _talking = vault.attend(speaker(1, "a").device);
        start(&vault, speaker(1, "a")).await.unwrap();
        let began = tokio::time::Instant::now();
        let refused = start(&vault, speaker(2, "b")).await;
        assert!(matches!(refused, Err(Error::Occupied)));
        assert_eq!(began.elapsed().as_secs(), 20);
        go_on(&vault, speaker(1, "a"), || Next::Commit(()))
            .await
            .unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_sync_that_nobody_continues_is_rolled_back_after_a_minute() {
        let (folder, vaults, vault) = vault().await;
        drop(vault.attend(speaker(1, "a").device));
        start(&vault, speaker(1, "a")).await.unwrap();
        let journal = folder.path().join("alice/collection.anki2-wal");
        let housekeeping = async {
            tokio::time::sleep(Duration::from_secs(55)).await;
            assert!(journal.exists());
            tokio::time::sleep(Duration::from_secs(10)).await;
        };
        tokio::select! {
            () = vaults.close_idle() => {}
            () = housekeeping => {}
        }
        let gone = go_on(&vault, speaker(1, "a"), || Next::Commit(())).await;
        assert!(matches!(gone, Err(Error::NotInSync)));
        assert!(!journal.exists());
    }
}

#[tokio::test]
async fn a_renamed_users_data_are_there_under_the_new_name_only() {
    let (folder, vaults, vault) = vault().await;
    let (alice, ann) = ("alice".parse().unwrap(), "ann".parse().unwrap());
    let late = upload(&vault, 43);
    vault
        .replace_collection(me(), upload(&vault, 42))
        .await
        .unwrap();
    vaults.rename(&alice, &ann).await.unwrap();
    let renamed = vaults.get(&ann).await.unwrap();
    assert_eq!(modified(&renamed).await, 42);
    // Of a request that was let in under the old name.
    let refused = vault.replace_collection(me(), late).await;
    assert!(matches!(refused, Err(Error::Moved | Error::Upload(_))));
    let again = vaults.get(&alice).await.unwrap();
    assert!(matches!(again.media(|_| Ok(())).await, Err(Error::Moved)));
    assert!(!folder.path().join("alice").exists());
    // Somebody else of that name begins with nothing.
    vaults.welcome([&alice, &ann], |_| true);
    assert_eq!(modified(&vaults.get(&alice).await.unwrap()).await, 0);
    assert_eq!(modified(&vaults.get(&ann).await.unwrap()).await, 42);
}

#[tokio::test]
async fn a_rename_that_cannot_be_leaves_everything_as_it_was() {
    let (folder, vaults, vault) = vault().await;
    let (alice, ann) = ("alice".parse().unwrap(), "ann".parse().unwrap());
    vault
        .replace_collection(me(), upload(&vault, 42))
        .await
        .unwrap();
    fs::create_dir(folder.path().join("ann")).unwrap();
    assert!(vaults.rename(&alice, &ann).await.is_err());
    assert_eq!(modified(&vault).await, 42);
    // There and back again.
    fs::remove_dir(folder.path().join("ann")).unwrap();
    vaults.rename(&alice, &ann).await.unwrap();
    vaults.rename(&ann, &alice).await.unwrap();
    assert_eq!(modified(&vaults.get(&alice).await.unwrap()).await, 42);
}

#[tokio::test]
async fn removed_data_are_gone_and_a_sync_under_way_with_them() {
    let (folder, vaults, vault) = vault().await;
    let alice = "alice".parse().unwrap();
    modified(&vault).await;
    vaults.remove(&alice).await.unwrap();
    assert_eq!(names(folder.path()), [".anki-syncd"]);
    assert!(names(&folder.path().join(".anki-syncd/tmp")).is_empty());
    assert!(matches!(
        vault.abort(me(), Instant::now()).await,
        Err(Error::Moved)
    ));
    vaults.welcome([&alice], |_| true);
    assert_eq!(modified(&vaults.get(&alice).await.unwrap()).await, 0);
}

#[tokio::test]
async fn who_was_kept_out_by_a_mistake_is_not_taken_for_somebody_new() {
    let (folder, vaults, vault) = vault().await;
    let alice = "alice".parse().unwrap();
    modified(&vault).await;
    vaults.remember([&alice], |_| Standing::Able).unwrap();
    vaults.close_all().await;
    // As when the disk is not mounted.
    fs::rename(folder.path().join("alice"), folder.path().join("away")).unwrap();
    for standing in [Standing::KeptOut, Standing::Unclear] {
        vaults.remember([], |_| standing).unwrap();
    }
    vaults.welcome([&alice], |_| false);
    let refused = vaults.base.path().join(".anki-syncd/served/alice");
    assert!(refused.exists());
    vaults.remember([], |_| Standing::Stranger).unwrap();
    assert!(!refused.exists());
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
