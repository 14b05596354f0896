//! Devices get their turns in the order in which they came. A client that has left, or that cannot
//! have its turn yet, holds up no other.

use std::sync::{Mutex, mpsc};

use tokio::{
    task::{JoinHandle, yield_now},
    time::{Instant, sleep, timeout},
};

use super::*;
use crate::{
    vault::conversation::{Conversation, Next, Speaker},
    wire::Usn,
};

/// Far enough apart that a device that polled would do so at a different moment.
const APART: Duration = Duration::from_millis(10);

fn device(number: u8) -> DeviceId {
    DeviceId::from([number; 12])
}

fn speaker(number: u8) -> Speaker {
    Speaker {
        device: device(number),
        session_key: number.to_string(),
    }
}

/// Begins a sync, and notes the device.
async fn start(vault: &Arc<Vault>, number: u8, turns: &Turns) -> Result<(), Error> {
    let turns = turns.clone();
    let begun = vault.start(device(number), ROOM, move |_| {
        turns.lock().unwrap().push(number);
        let conversation = Conversation::new(speaker(number), Usn(0), Usn(0), true);
        Ok((conversation, ()))
    });
    begun.await
}

async fn finish(vault: &Arc<Vault>, number: u8) {
    let finished = vault.converse(speaker(number), |_, _| Ok(Next::Commit(())));
    finished.await.unwrap();
}

/// The devices in the order of their turns.
type Turns = Arc<Mutex<Vec<u8>>>;

/// A whole sync of a device. It takes a second.
fn sync(vault: &Arc<Vault>, number: u8, turns: &Turns) -> JoinHandle<()> {
    let (vault, turns) = (Arc::clone(vault), turns.clone());
    tokio::spawn(async move {
        let _talking = vault.active_request(device(number));
        start(&vault, number, &turns).await.unwrap();
        sleep(Duration::from_secs(1)).await;
        finish(&vault, number).await;
    })
}

#[tokio::test(start_paused = true)]
async fn three_devices_that_wait_get_their_turn_in_the_order_in_which_they_came() {
    let (_folder, _vaults, vault) = vault().await;
    let _talking = vault.active_request(device(1));
    let turns = Turns::default();
    start(&vault, 1, &turns).await.unwrap();
    let mut waiting = Vec::new();
    for number in 2..5 {
        waiting.push(sync(&vault, number, &turns));
        sleep(APART).await;
    }
    sleep(Duration::from_millis(525)).await;
    finish(&vault, 1).await;
    for sync in waiting {
        sync.await.unwrap();
    }
    assert_eq!(*turns.lock().unwrap(), [1, 2, 3, 4]);
}

#[tokio::test(start_paused = true)]
async fn who_comes_when_it_is_somebodys_turn_who_waits_comes_after_them() {
    let (_folder, _vaults, vault) = vault().await;
    let talking = vault.active_request(device(1));
    let turns = Turns::default();
    start(&vault, 1, &turns).await.unwrap();
    let first = sync(&vault, 2, &turns);
    sleep(APART).await;
    drop(talking);
    // At the very moment when the device counts as silent.
    sleep(Duration::from_secs(8)).await;
    let second = sync(&vault, 3, &turns);
    first.await.unwrap();
    second.await.unwrap();
    assert_eq!(*turns.lock().unwrap(), [1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_while_it_waits_does_not_hold_up_the_next() {
    let (_folder, _vaults, vault) = vault().await;
    let _talking = vault.active_request(device(1));
    let turns = Turns::default();
    start(&vault, 1, &turns).await.unwrap();
    let early = sync(&vault, 2, &turns);
    let late = {
        let vault = Arc::clone(&vault);
        tokio::spawn(async move { vault.collection(device(3), |_| Ok(())).await })
    };
    sleep(APART).await;
    let waits = sync(&vault, 4, &turns);
    sleep(APART).await;
    early.abort();
    sleep(APART).await;
    finish(&vault, 1).await;
    // Awake by now, and on its way in.
    late.abort();
    let began = Instant::now();
    waits.await.unwrap();
    assert_eq!(began.elapsed().as_secs(), 1);
    assert_eq!(*turns.lock().unwrap(), [1, 4]);
}

#[tokio::test(start_paused = true)]
async fn a_device_that_starts_over_does_not_wait_for_those_who_wait_for_it() {
    let (_folder, _vaults, vault) = vault().await;
    let _talking = vault.active_request(device(1));
    let turns = Turns::default();
    start(&vault, 1, &turns).await.unwrap();
    let waits = sync(&vault, 2, &turns);
    sleep(APART).await;
    let began = Instant::now();
    start(&vault, 1, &turns).await.unwrap();
    assert!(began.elapsed() < APART);
    finish(&vault, 1).await;
    waits.await.unwrap();
    assert_eq!(*turns.lock().unwrap(), [1, 1, 2]);
}

/// A backup of a large collection takes minutes.
#[tokio::test(start_paused = true)]
async fn who_waits_for_a_backup_holds_up_none_who_need_not() {
    let (_folder, _vaults, vault) = vault().await;
    let reading = vault.turns.read();
    let replaced = {
        let (vault, file) = (Arc::clone(&vault), upload(&vault, 42));
        tokio::spawn(async move { vault.replace_collection(device(1), file).await })
    };
    sleep(APART).await;
    let began = Instant::now();
    let syncs = timeout(Duration::from_secs(5), async {
        let turns = Turns::default();
        sync(&vault, 2, &turns).await.unwrap();
        sync(&vault, 3, &turns).await.unwrap();
    });
    syncs.await.unwrap();
    drop(reading);
    assert_eq!(replaced.await.unwrap().unwrap(), 42);
    assert_eq!(began.elapsed().as_secs(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_device_that_goes_on_while_another_one_waits_for_a_thread_is_not_interrupted() {
    let (_folder, _vaults, vault) = vault().await;
    let turns = Turns::default();
    let talking = vault.active_request(device(1));
    start(&vault, 1, &turns).await.unwrap();
    drop(talking);
    sleep(Duration::from_secs(9)).await;
    let (go, wait) = mpsc::channel::<()>();
    let wait = Arc::new(Mutex::new(wait));
    // More than the threads of a user.
    for _ in 0..8 {
        let (share, wait) = (vault.share.clone(), Arc::clone(&wait));
        tokio::spawn(async move {
            let busy = move || Ok::<_, Error>(wait.lock().unwrap().recv().is_ok());
            share.run(busy).await
        });
    }
    let settled = async || {
        for _ in 0..50 {
            yield_now().await;
        }
    };
    settled().await;
    let second = sync(&vault, 2, &turns);
    settled().await;
    let talking = vault.active_request(device(1));
    drop(go);
    sleep(Duration::from_secs(1)).await;
    assert!(!second.is_finished());
    finish(&vault, 1).await;
    drop(talking);
    second.await.unwrap();
    assert_eq!(*turns.lock().unwrap(), [1, 2]);
}
