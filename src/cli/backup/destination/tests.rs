use std::os::unix::fs::{MetadataExt, symlink};

use super::*;
use crate::layout::COLLECTION;

const ALICE: &str = "alice";

/// Makes backups on consecutive days: of each user a collection, or only the folder.
fn backups(folder: &Path, users: &[&[(&str, bool)]]) -> Vec<PathBuf> {
    let made = (1..).zip(users).map(|(day, users)| {
        let to = Destination::open(folder, day * 86_400_000).unwrap();
        for (user, whole) in *users {
            let part = to.partial().join(user);
            create_private(&part).unwrap();
            if *whole {
                fs::write(part.join(COLLECTION), "cards").unwrap();
            }
        }
        to.complete().unwrap()
    });
    made.collect()
}

fn prune(folder: &Path, keep: u32, users: &[&str]) -> Vec<PathBuf> {
    let to = Destination::open(folder, 0).unwrap();
    let users: Vec<UserName> = users.iter().map(|user| user.parse().unwrap()).collect();
    let mut removed = Vec::new();
    to.prune(keep, &users.iter().collect::<Vec<_>>(), &mut removed)
        .unwrap();
    removed
}

#[test]
fn only_what_is_complete_has_a_name_and_one_backup_is_made_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("to");
    let first = Destination::open(&to, 0).unwrap();
    assert!(Destination::open(&to, 0).is_err());
    create_private(&first.partial().join(ALICE)).unwrap();
    assert!(first.newest_first().unwrap().is_empty());
    drop(first);
    fs::create_dir(to.join(PARTIAL)).unwrap();
    fs::write(to.join(PARTIAL).join("left"), "").unwrap();
    let [backup] = &backups(&to, &[&[(ALICE, true)]])[..] else {
        panic!("not one");
    };
    assert_eq!(fs::read_dir(backup).unwrap().count(), 1);
}

#[test]
fn the_lock_is_not_a_file_that_a_link_leads_to() {
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("other");
    fs::write(&other, "content").unwrap();
    let to = folder.path().join("to");
    fs::create_dir(&to).unwrap();
    symlink(&other, to.join(".lock")).unwrap();
    assert!(Destination::open(&to, 0).is_err());
    fs::remove_file(to.join(".lock")).unwrap();
    fs::hard_link(&other, to.join(".lock")).unwrap();
    Destination::open(&to, 0).unwrap();
    assert_eq!(fs::read_to_string(other).unwrap(), "content");
}

#[test]
fn of_each_user_the_newest_stay() {
    let folder = tempfile::tempdir().unwrap();
    let one = |user| [(user, true)];
    let made = backups(
        folder.path(),
        &["bob", ALICE, "bob", ALICE, ALICE]
            .map(one)
            .each_ref()
            .map(|users| &users[..]),
    );
    fs::create_dir(folder.path().join("by hand")).unwrap();
    let both = [ALICE, "bob"];
    assert_eq!(prune(folder.path(), 2, &both), [made[1].clone()]);
    let removed = [made[3].clone(), made[0].clone()];
    assert_eq!(prune(folder.path(), 1, &both), removed);
    assert!(folder.path().join("by hand").exists());
    assert!(made[2].exists() && made[4].exists());
}

#[test]
fn a_folder_without_a_collection_is_no_users_backup() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, empty): (&[_], &[_]) = (&[(ALICE, true)], &[(ALICE, false)]);
    let made = backups(folder.path(), &[whole, whole, empty, empty, empty]);
    let removed = [made[3].clone(), made[2].clone()];
    assert_eq!(prune(folder.path(), 2, &[ALICE]), removed);
    let newest = Destination::open(folder.path(), 0).unwrap();
    let newest = newest.newest_of(&ALICE.parse().unwrap());
    assert_eq!(newest.unwrap(), Some(made[1].clone()));
}

#[test]
fn backups_that_have_other_users_are_not_judged() {
    let folder = tempfile::tempdir().unwrap();
    let both: &[_] = &[(ALICE, true), ("bob", true)];
    let alice: &[_] = &[(ALICE, true), ("carol", false)];
    let made = backups(folder.path(), &[both, alice, both, alice]);
    assert_eq!(prune(folder.path(), 1, &[ALICE]), [made[1].clone()]);
}

#[test]
fn the_newest_stays_newest_when_the_clock_was_set_back() {
    let folder = tempfile::tempdir().unwrap();
    let made = backups(folder.path(), &[&[(ALICE, true)], &[(ALICE, true)]]);
    let to = Destination::open(folder.path(), 7).unwrap();
    create_private(&to.partial().join(ALICE)).unwrap();
    fs::write(to.partial().join(ALICE).join(COLLECTION), "new").unwrap();
    let newest = to.complete().unwrap();
    assert!(newest > made[1]);
    drop(to);
    let removed = [made[1].clone(), made[0].clone()];
    assert_eq!(prune(folder.path(), 1, &[ALICE]), removed);
    assert!(newest.exists());
}

#[test]
fn the_newest_stays_even_without_anything_of_use() {
    let folder = tempfile::tempdir().unwrap();
    backups(folder.path(), &[&[(ALICE, false)]]);
    assert!(prune(folder.path(), 1, &[ALICE]).is_empty());
}

#[test]
fn a_file_with_a_times_name_is_none_of_our_business() {
    let folder = tempfile::tempdir().unwrap();
    let made = backups(folder.path(), &[&[(ALICE, true)], &[(ALICE, true)]]);
    let file = folder.path().join(clock::as_name(5 * 86_400_000));
    fs::write(&file, "").unwrap();
    assert_eq!(prune(folder.path(), 1, &[ALICE]), [made[0].clone()]);
    assert_eq!(file.metadata().unwrap().size(), 0);
}
