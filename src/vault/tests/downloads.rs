//! How long downloads share copies on the disk.

use std::sync::atomic::Ordering;

use super::*;
use crate::vault::download::Download;

async fn download(vault: &Arc<Vault>) -> Download {
    vault.copy_collection(me()).await.unwrap()
}

async fn change(vault: &Arc<Vault>) {
    vault
        .collection(me(), |collection| Ok(collection.stamp_download(43)?))
        .await
        .unwrap();
}

fn read(download: &mut Download) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    download.read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn copies(vault: &Vault) -> usize {
    names(&vault.temporary()).len()
}

#[tokio::test]
async fn who_downloads_the_same_state_gets_the_same_copy_at_a_pace_of_ones_own() {
    let (_folder, _vaults, vault) = vault().await;
    let mut first = download(&vault).await;
    let mut begun = [0; 100];
    first.read_exact(&mut begun).unwrap();
    let stamp = modified(&vault).await;
    let mut second = download(&vault).await;
    assert_eq!(copies(&vault), 1);
    assert_eq!(modified(&vault).await, stamp);
    let whole = read(&mut second).unwrap();
    assert_eq!([&begun[..], &read(&mut first).unwrap()].concat(), whole);
    assert_eq!(
        second.seek(io::SeekFrom::End(0)).unwrap(),
        whole.len() as u64
    );
    // One after the other, each counts separately.
    drop((first, second));
    assert_eq!(copies(&vault), 0);
    drop(download(&vault).await);
    assert!(modified(&vault).await > stamp);
}

#[tokio::test]
async fn a_download_is_not_mixed_with_a_later_state_and_the_oldest_gives_way() {
    let (_folder, _vaults, vault) = vault().await;
    let mut first = download(&vault).await;
    change(&vault).await;
    let mut second = download(&vault).await;
    assert_eq!(copies(&vault), 2);
    let (earlier, later) = (read(&mut first).unwrap(), read(&mut second).unwrap());
    assert!(earlier != later);
    first.rewind().unwrap();
    second.rewind().unwrap();
    change(&vault).await;
    let mut third = download(&vault).await;
    assert_eq!(copies(&vault), 2);
    assert!(read(&mut first).is_err());
    assert_eq!(read(&mut second).unwrap(), later);
    read(&mut third).unwrap();
}

#[tokio::test]
async fn old_clients_share_a_copy_of_their_own() {
    let (_folder, _vaults, vault) = vault().await;
    let mut current = download(&vault).await;
    let mut old = vault.copy_for_old_clients(me()).await.unwrap();
    let mut other = vault.copy_for_old_clients(me()).await.unwrap();
    assert_eq!(copies(&vault), 2);
    let downgraded = read(&mut old).unwrap();
    assert_eq!(downgraded[18..20], [1, 1]);
    assert_eq!(read(&mut other).unwrap(), downgraded);
    assert_eq!(read(&mut current).unwrap()[18..20], [2, 2]);
}

#[tokio::test]
async fn without_room_for_a_copy_nothing_is_stamped() {
    let (_folder, vaults, vault) = vault().await;
    vault
        .collection(me(), |collection| {
            let large = "insert into config values ('large', 0, 0, zeroblob(1000000))";
            Ok(collection.connection().execute(large, [])?)
        })
        .await
        .unwrap();
    let before = modified(&vault).await;
    vaults.disk().keep_free(u64::MAX);
    let refused = vault.copy_collection(me()).await;
    assert!(matches!(refused, Err(Error::Io(_))));
    assert_eq!(modified(&vault).await, before);
    assert_eq!(copies(&vault), 0);
}

#[tokio::test]
async fn a_download_as_it_is_waits_for_no_check_of_other_peoples_files() {
    let (_folder, vaults, vault) = vault().await;
    let stop = Arc::new(AtomicBool::new(false));
    let checks: Vec<_> = (0..64)
        .map(|_| {
            let (share, stop) = (vaults.workers().share(), Arc::clone(&stop));
            tokio::spawn(async move {
                let check = move || {
                    while !stop.load(Ordering::Relaxed) {
                        std::thread::sleep(Duration::from_millis(1));
                    }
                    Ok::<_, Error>(())
                };
                share.run_on_file(1, check).await
            })
        })
        .collect();
    let copy = tokio::time::timeout(Duration::from_secs(20), download(&vault)).await;
    stop.store(true, Ordering::Relaxed);
    for check in checks {
        check.await.unwrap().unwrap();
    }
    assert!(!read(&mut copy.unwrap()).unwrap().is_empty());
}
