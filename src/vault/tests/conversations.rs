//! One normal sync from start to end, and how long others wait for it.

use super::*;
use crate::{
    collection,
    vault::{
        activity::MetaAnswer,
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

/// Begins a sync and changes something.
async fn start(vault: &Arc<Vault>, speaker: Speaker) -> Result<(), Error> {
    let device = speaker.device;
    let begun = vault.start(device, ROOM, move |conn| {
        conn.execute("update col set mod = 7", [])?;
        Ok((Conversation::new(speaker, Usn(0), Usn(0), true), ()))
    });
    begun.await
}

async fn go_on(vault: &Arc<Vault>, speaker: Speaker, next: fn() -> Next<()>) -> Result<(), Error> {
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
    let active = vault.active_request(speaker(1, "a").device);
    let stamps = vault.collection(me(), |collection| Ok(collection.stamps()?));
    let schema = stamps.await.unwrap().schema_changed;
    active.answered_meta(Some(MetaAnswer {
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
    active.answered_meta(None);
    start(&vault, speaker(1, "b")).await.unwrap();
}

#[tokio::test]
async fn a_device_that_waited_is_known_to_have_seen_what_it_sent() {
    let (_folder, _vaults, vault) = vault().await;
    let device = speaker(1, "a").device;
    let active = vault.active_request(device);
    for (told, seen_before) in [(Usn(0), Usn(1)), (Usn(-3), Usn(1))] {
        active.answered_meta(Some(MetaAnswer {
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
    let _talking = vault.active_request(speaker(1, "a").device);
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

/// The clock stands still: only what these tests wait for takes time.
#[tokio::test(start_paused = true)]
async fn a_device_that_has_fallen_silent_makes_way() {
    let (_folder, _vaults, vault) = vault().await;
    drop(vault.active_request(speaker(1, "a").device));
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
    let _talking = vault.active_request(speaker(1, "a").device);
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
    drop(vault.active_request(speaker(1, "a").device));
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

#[tokio::test]
async fn the_number_of_reviews_is_known_until_another_program_changes_the_file() {
    let (_folder, _vaults, vault) = vault().await;
    let known = |vault: Arc<Vault>, next: fn(Option<u32>) -> Next<Option<u32>>| async move {
        start(&vault, speaker(1, "a")).await.unwrap();
        let known = vault.converse(speaker(1, "a"), move |_, conversation| {
            let known = conversation.reviews;
            conversation.added_reviews(2);
            conversation.reviews.get_or_insert(5);
            Ok(next(known))
        });
        known.await.unwrap()
    };
    assert_eq!(known(Arc::clone(&vault), Next::Commit).await, None);
    assert_eq!(known(Arc::clone(&vault), Next::Commit).await, Some(5));
    assert_eq!(known(Arc::clone(&vault), Next::RollBack).await, Some(7));
    assert_eq!(known(Arc::clone(&vault), Next::Commit).await, None);
    assert_eq!(known(Arc::clone(&vault), Next::Commit).await, Some(5));
    Connection::open(vault.collection_path())
        .unwrap()
        .execute("update col set mod = 8", [])
        .unwrap();
    assert_eq!(known(vault, Next::Commit).await, None);
}
