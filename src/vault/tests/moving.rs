//! Users who are renamed or removed, and their marks.

use super::*;

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
    // A request that was admitted under the old name.
    let refused = vault.replace_collection(me(), late).await;
    assert!(matches!(refused, Err(Error::Moved | Error::Upload(_))));
    let again = vaults.get(&alice).await.unwrap();
    assert!(matches!(again.media(|_| Ok(())).await, Err(Error::Moved)));
    assert!(!folder.path().join("alice").exists());
    // A new user of that name begins with nothing.
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
    // As if the disk is not mounted.
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
