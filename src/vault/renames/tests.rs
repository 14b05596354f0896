use tempfile::TempDir;

use super::*;
use crate::vault::{base::Base, retention::Retention};

fn name(name: &str) -> UserName {
    name.parse().unwrap()
}

fn open(folder: &TempDir) -> Vaults {
    Vaults::new(Base::open(folder.path()).unwrap(), Retention::default())
}

fn listed(users: &[&str]) -> impl Fn(&UserName) -> Standing {
    move |user| {
        if users.contains(&user.as_str()) {
            Standing::Able
        } else {
            Standing::Stranger
        }
    }
}

async fn follow(vaults: &Vaults, users: &[&str]) -> usize {
    let moved = vaults.follow(listed(users)).await;
    moved.unwrap().moved.len()
}

fn prepare(folder: &TempDir) {
    fs::create_dir_all(folder.path().join("anna")).unwrap();
    fs::write(folder.path().join("anna/data"), "anna's").unwrap();
}

fn whose(folder: &TempDir) -> Vec<&'static str> {
    let has = |user: &&str| folder.path().join(user).join("data").exists();
    ["anna", "ann", "ben"].into_iter().filter(has).collect()
}

fn make_old(folder: &TempDir) {
    let path = folder.path().join(".anki-syncd/renames");
    let mut renames = read(&path).unwrap();
    for rename in &mut renames {
        rename.begun -= FOLLOWED_SECS;
    }
    write(&path, &renames).unwrap();
}

#[tokio::test]
async fn the_data_are_where_the_list_has_the_user_whoever_failed_when() {
    let folder = tempfile::tempdir().unwrap();
    prepare(&folder);
    let vaults = open(&folder);
    vaults
        .begin_rename(&name("anna"), &name("ann"))
        .await
        .unwrap();
    assert_eq!(
        (follow(&vaults, &["anna"]).await, whose(&folder)),
        (0, vec!["anna"])
    );
    assert_eq!(
        (follow(&vaults, &["ann", "ben"]).await, whose(&folder)),
        (1, vec!["ann"])
    );
    // The list came back in a power cut.
    drop(vaults);
    let vaults = open(&folder);
    assert_eq!(
        (follow(&vaults, &["anna"]).await, whose(&folder)),
        (1, vec!["anna"])
    );
    assert_eq!(
        (follow(&vaults, &["ann"]).await, whose(&folder)),
        (1, vec!["ann"])
    );
    assert_eq!(
        (follow(&vaults, &["ann"]).await, whose(&folder)),
        (0, vec!["ann"])
    );
}

#[tokio::test]
async fn an_old_rename_is_followed_once_more_and_then_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    prepare(&folder);
    let vaults = open(&folder);
    vaults
        .begin_rename(&name("anna"), &name("ann"))
        .await
        .unwrap();
    make_old(&folder);
    assert_eq!(
        (follow(&vaults, &["ann"]).await, whose(&folder)),
        (1, vec!["ann"])
    );
    assert_eq!(
        (follow(&vaults, &["anna"]).await, whose(&folder)),
        (0, vec!["ann"])
    );
}

#[tokio::test]
async fn names_that_are_two_peoples_or_nobodys_are_not_followed_any_more() {
    for between in [vec!["anna", "ann"], vec![]] {
        let folder = tempfile::tempdir().unwrap();
        prepare(&folder);
        let vaults = open(&folder);
        vaults
            .begin_rename(&name("anna"), &name("ann"))
            .await
            .unwrap();
        assert_eq!(follow(&vaults, &between).await, 0);
        assert_eq!(follow(&vaults, &["ann"]).await, 0);
        assert_eq!(whose(&folder), ["anna"]);
    }
}

#[tokio::test]
async fn nobodys_folder_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    prepare(&folder);
    let vaults = open(&folder);
    fs::create_dir(folder.path().join("ann")).unwrap();
    assert!(
        vaults
            .begin_rename(&name("anna"), &name("ann"))
            .await
            .is_err()
    );
    fs::remove_dir(folder.path().join("ann")).unwrap();
    vaults
        .begin_rename(&name("anna"), &name("ann"))
        .await
        .unwrap();
    fs::create_dir(folder.path().join("ann")).unwrap();
    assert_eq!(follow(&vaults, &["ann"]).await, 0);
    assert_eq!(whose(&folder), ["anna"]);
}

#[tokio::test]
async fn whose_data_are_missing_gets_no_other_name() {
    let folder = tempfile::tempdir().unwrap();
    prepare(&folder);
    let vaults = open(&folder);
    drop(vaults.get(&name("anna")).await.unwrap());
    fs::rename(folder.path().join("anna"), folder.path().join("away")).unwrap();
    let refused = vaults.begin_rename(&name("anna"), &name("ann")).await;
    assert!(matches!(refused, Err(Error::Absent { .. })));
}

#[tokio::test]
async fn whose_data_cannot_be_moved_is_not_new_under_the_other_name() {
    let folder = tempfile::tempdir().unwrap();
    prepare(&folder);
    let vaults = open(&folder);
    vaults
        .begin_rename(&name("anna"), &name("ann"))
        .await
        .unwrap();
    // A file in the place of the folder makes the preparation fail.
    fs::remove_dir_all(folder.path().join("anna")).unwrap();
    fs::write(folder.path().join("anna"), "").unwrap();
    let followed = vaults.follow(listed(&["ann"])).await.unwrap();
    assert!(followed.failed.is_some());
    assert!(matches!(
        vaults.get(&name("ann")).await.err(),
        Some(Error::Absent { .. })
    ));
}

#[tokio::test]
async fn a_damaged_list_of_renames_keeps_nobody_from_starting() {
    let folder = tempfile::tempdir().unwrap();
    prepare(&folder);
    let vaults = open(&folder);
    fs::write(folder.path().join(".anki-syncd/renames"), [0; 10]).unwrap();
    assert_eq!(follow(&vaults, &["anna"]).await, 0);
    vaults
        .begin_rename(&name("anna"), &name("ann"))
        .await
        .unwrap();
    assert_eq!(follow(&vaults, &["ann"]).await, 1);
}

#[tokio::test]
async fn data_wait_until_a_mistake_in_the_list_is_corrected() {
    use Standing::{Able, KeptOut, Stranger, Unclear};
    for (anna, ann) in [
        (Stranger, KeptOut),
        (KeptOut, Stranger),
        (Unclear, Unclear),
        (Unclear, KeptOut),
    ] {
        let folder = tempfile::tempdir().unwrap();
        prepare(&folder);
        let vaults = open(&folder);
        let begun = vaults.begin_rename(&name("anna"), &name("ann")).await;
        begun.unwrap();
        make_old(&folder);
        let standing = |user: &UserName| if *user == name("anna") { anna } else { ann };
        assert!(vaults.follow(standing).await.unwrap().moved.is_empty());
        assert_eq!(whose(&folder), ["anna"]);
        assert_eq!(follow(&vaults, &["ann"]).await, 1);
        assert_eq!(whose(&folder), ["ann"]);
    }
    // Another unreadable entry does not separate the new name from its data.
    let folder = tempfile::tempdir().unwrap();
    prepare(&folder);
    let vaults = open(&folder);
    let begun = vaults.begin_rename(&name("anna"), &name("ann")).await;
    begun.unwrap();
    let standing = |user: &UserName| if *user == name("ann") { Able } else { Unclear };
    assert_eq!(vaults.follow(standing).await.unwrap().moved.len(), 1);
}
