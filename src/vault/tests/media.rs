//! Media that a full disk, or another failure, has left in the middle of a batch.

use std::os::unix::fs::PermissionsExt;

use tokio::time::{Instant, sleep};

use super::*;

/// The staging folder with a file of a batch, and a file in the place of the media folder, so that
/// the folder cannot be created.
fn interrupt(vault: &Vault) -> [PathBuf; 3] {
    let parts = [layout::STAGING, "media", "media.db"].map(|part| vault.folder.join(part));
    fs::create_dir(&parts[0]).unwrap();
    fs::write(parts[0].join("0"), "staged").unwrap();
    fs::write(&parts[1], "").unwrap();
    parts
}

/// Each opening creates `media.db` if it is missing, so openings can be counted. Opening twice
/// after a failure would count as two failures, and double the pause.
#[tokio::test(start_paused = true)]
async fn what_cannot_be_settled_is_tried_again_once_at_a_time_and_ever_more_seldom() {
    let (_folder, vaults, vault) = vault().await;
    let [staging, in_the_way, database] = interrupt(&vault);
    assert!(vault.media(|_| Ok(())).await.is_err());
    let mut tried = Vec::new();
    let watching = async {
        sleep(Duration::from_millis(500)).await;
        for second in 1..200 {
            fs::remove_file(&database).ok();
            sleep(Duration::from_secs(1)).await;
            if database.exists() {
                tried.push(second);
            }
        }
        fs::remove_file(in_the_way).unwrap();
        let began = Instant::now();
        while leftovers::is_occupied(&staging) {
            sleep(Duration::from_secs(1)).await;
        }
        began.elapsed()
    };
    let settled = tokio::select! {
        () = vaults.close_idle() => unreachable!(),
        settled = watching => settled,
    };
    assert_eq!(tried, [1, 3, 7, 15, 31, 63, 123, 183]);
    assert!(settled < Duration::from_secs(60));
}

#[tokio::test]
async fn the_folders_of_media_are_for_the_servers_eyes_only() {
    let (_folder, _vaults, vault) = vault().await;
    vault.media(|_| Ok(())).await.unwrap();
    for part in ["media", layout::STAGING] {
        let mode = vault.folder.join(part).metadata().unwrap().permissions();
        assert_eq!(mode.mode() & 0o777, 0o700, "{part}");
    }
}
