use std::{collections::HashSet, fs, path::PathBuf};

use tempfile::TempDir;

use super::{own::MOST, record::UNUSED_SECS, *};
use crate::account::secret::PasswordMark;

mod taken_over;

const SEEN: ClientInfo = ClientInfo {
    client: "26.09.3,abc,linux",
    address: "192.0.2.1",
};

fn alice() -> UserName {
    "alice".parse().unwrap()
}

fn device(number: u8) -> Device {
    Device {
        user: alice(),
        id: [number; 12].into(),
        password: PasswordMark(1),
    }
}

/// A base folder in which alice has data.
fn base() -> TempDir {
    let base = tempfile::tempdir().unwrap();
    fs::create_dir(base.path().join("alice")).unwrap();
    base
}

fn files(base: &TempDir) -> PathBuf {
    base.path().join("alice/.anki-syncd/devices")
}

async fn open(base: &TempDir) -> Devices {
    let devices = Devices::below(base.path());
    devices.prepare(&alice()).await.unwrap();
    devices
}

async fn listed(devices: &Devices) -> Vec<Record> {
    devices.list(Some(&alice())).await.unwrap()
}

async fn ids(devices: &Devices) -> HashSet<DeviceId> {
    let records = listed(devices).await;
    records.iter().map(|record| record.id).collect()
}

async fn revoke(devices: &Devices, number: u8) -> Result<(), NotStored> {
    devices.revoke(&[(alice(), device(number).id)]).await
}

async fn is_revoked(devices: &Devices, number: u8) -> bool {
    devices.is_revoked(&device(number)).await.unwrap()
}

fn file_names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn what_was_stored_is_known_again_by_the_next_process() {
    let base = base();
    let devices = open(&base).await;
    devices.seen(&device(1), SEEN);
    let silent = ClientInfo { client: "", ..SEEN };
    devices.synced(&device(1), silent, "sent 1, received 2".to_owned(), Some(7));
    devices.store().await.unwrap();
    let records = listed(&devices).await;
    assert_eq!(listed(&open(&base).await).await, records);
    assert_eq!(records[0].client, SEEN.client);
    assert_eq!(records[0].last_sync, Some(records[0].last_seen));
    let known = open(&base).await;
    assert!(known.has(&device(1), 7) && !known.has(&device(1), 8));
    assert_eq!(file_names(&files(&base)), [device(1).id.to_string()]);
}

#[tokio::test]
async fn a_revocation_is_in_the_name_of_a_file_and_holds_whatever_its_content() {
    let base = base();
    let devices = open(&base).await;
    for number in [1, 2] {
        devices.seen(&device(number), SEEN);
    }
    devices.store().await.unwrap();
    revoke(&devices, 1).await.unwrap();
    let (one, two) = (device(1).id, device(2).id);
    assert_eq!(
        file_names(&files(&base)),
        [format!("{one}.revoked"), two.to_string()]
    );
    // After a power cut, a file may be empty or have its earlier content.
    fs::write(files(&base).join(one.to_string()), "{}").unwrap();
    for content in ["", "damaged", "[1]", "{\"of\": \"a later version\"}"] {
        fs::write(files(&base).join(format!("{one}.revoked")), content).unwrap();
        let again = open(&base).await;
        assert!(is_revoked(&again, 1).await, "{content:?}");
        assert!(!is_revoked(&again, 2).await, "{content:?}");
        assert_eq!(ids(&again).await, HashSet::from([one, two]));
    }
}

#[tokio::test]
async fn a_damaged_file_costs_what_it_said_and_the_device_can_be_revoked() {
    let base = base();
    let devices = open(&base).await;
    for number in [1, 2] {
        devices.seen(&device(number), SEEN);
    }
    devices.store().await.unwrap();
    let damaged = files(&base).join(device(1).id.to_string());
    fs::write(&damaged, [0; 100]).unwrap();
    fs::write(files(&base).join("something else"), "").unwrap();
    let again = open(&base).await;
    let both = HashSet::from([device(1).id, device(2).id]);
    assert_eq!(ids(&again).await, both);
    again.seen(&device(1), SEEN);
    again.store().await.unwrap();
    assert_ne!(fs::read(&damaged).unwrap(), [0; 100]);
    fs::write(&damaged, [0; 100]).unwrap();
    let again = open(&base).await;
    again
        .revoke(&[(device(1).user, device(1).id)])
        .await
        .unwrap();
    assert!(is_revoked(&open(&base).await, 1).await);
}

#[tokio::test]
async fn nobody_is_let_in_as_long_as_revocations_cannot_be_read() {
    let base = base();
    fs::create_dir(base.path().join("alice/.anki-syncd")).unwrap();
    fs::write(files(&base), "no folder").unwrap();
    let devices = Devices::below(base.path());
    assert!(devices.is_revoked(&device(1)).await.is_err());
    fs::remove_file(files(&base)).unwrap();
    assert!(!is_revoked(&devices, 1).await);
}

#[tokio::test]
async fn a_users_folder_that_is_missing_is_made_for_nothing_but_a_revocation() {
    let base = tempfile::tempdir().unwrap();
    let devices = open(&base).await;
    devices.seen(&device(1), SEEN);
    devices.store().await.unwrap();
    assert!(file_names(base.path()).is_empty());
    revoke(&devices, 1).await.unwrap();
    assert!(is_revoked(&open(&base).await, 1).await);
}

#[tokio::test]
async fn what_cannot_be_written_is_tried_again_and_a_revocation_says_so() {
    let base = base();
    let devices = open(&base).await;
    fs::write(base.path().join("alice/.anki-syncd"), "in the way").unwrap();
    devices.seen(&device(1), SEEN);
    assert!(revoke(&devices, 1).await.is_err());
    assert!(is_revoked(&devices, 1).await);
    fs::remove_file(base.path().join("alice/.anki-syncd")).unwrap();
    devices.store().await.unwrap();
    assert!(is_revoked(&open(&base).await, 1).await);
}

#[tokio::test]
async fn those_of_users_who_never_come_are_listed_without_being_kept_in_memory() {
    let base = base();
    let devices = open(&base).await;
    devices.seen(&device(1), SEEN);
    devices.store().await.unwrap();
    fs::write(base.path().join("no-folder"), "").unwrap();
    let again = Devices::below(base.path());
    assert_eq!(again.list(None).await.unwrap(), listed(&devices).await);
    assert!(again.loaded(&alice()).is_none());
}

#[tokio::test]
async fn who_has_not_been_seen_for_long_is_forgotten_unless_revoked() {
    let base = base();
    let devices = open(&base).await;
    for number in 1..=4 {
        devices.seen(&device(number), SEEN);
    }
    devices.synced(&device(2), SEEN, String::new(), None);
    devices.store().await.unwrap();
    revoke(&devices, 3).await.unwrap();
    let own = devices.loaded(&alice()).unwrap();
    for record in own.known().records.values_mut() {
        record.last_seen -= UNUSED_SECS + 1;
    }
    devices.seen(&device(4), SEEN);
    devices.store().await.unwrap();
    let kept = HashSet::from([2, 3, 4].map(|number| device(number).id));
    assert_eq!(ids(&devices).await, kept);
    let again = open(&base).await;
    assert_eq!(ids(&again).await, kept);
    assert!(is_revoked(&again, 3).await);
}

#[tokio::test]
async fn a_program_that_logs_in_for_every_sync_does_not_fill_the_list_up() {
    let devices = Devices::in_memory();
    devices.prepare(&alice()).await.unwrap();
    for number in 0..2 * u32::try_from(MOST).unwrap() {
        let mut id = [0; 12];
        id[..4].copy_from_slice(&number.to_be_bytes());
        let device = Device {
            id: id.into(),
            ..device(0)
        };
        devices.seen(&device, SEEN);
    }
    devices.store().await.unwrap();
    assert_eq!(listed(&devices).await.len(), MOST);
}

#[tokio::test]
async fn a_list_that_comes_with_its_disk_is_read_before_anybody_is_let_in_or_written_there() {
    for writes_first in [false, true] {
        let base = base();
        let devices = open(&base).await;
        devices.seen(&device(1), SEEN);
        devices.store().await.unwrap();
        revoke(&devices, 1).await.unwrap();
        let (folder, away) = (base.path().join("alice"), base.path().join("away"));
        fs::rename(&folder, &away).unwrap();
        let again = open(&base).await;
        assert!(!is_revoked(&again, 1).await);
        again.seen(&device(1), SEEN);
        again.seen(&device(2), SEEN);
        again.store().await.unwrap();
        fs::rename(&away, &folder).unwrap();
        if writes_first {
            again.store().await.unwrap();
        }
        assert!(is_revoked(&again, 1).await, "{writes_first}");
        again.store().await.unwrap();
        assert!(is_revoked(&open(&base).await, 1).await);
    }
}

#[tokio::test]
async fn a_revocation_is_not_written_where_a_disk_will_hide_it() {
    let base = base();
    let (folder, away) = (base.path().join("alice"), base.path().join("away"));
    fs::write(folder.join("collection.anki2"), "").unwrap();
    let marks = base.path().join(".anki-syncd/served");
    fs::create_dir_all(&marks).unwrap();
    fs::write(marks.join("alice"), "").unwrap();
    let devices = open(&base).await;
    devices.seen(&device(1), SEEN);
    devices.store().await.unwrap();
    fs::rename(&folder, &away).unwrap();
    fs::create_dir(&folder).unwrap();
    assert!(revoke(&devices, 1).await.is_err());
    assert!(is_revoked(&devices, 1).await);
    assert_eq!(file_names(&folder), [""; 0]);
    fs::remove_dir(&folder).unwrap();
    fs::rename(&away, &folder).unwrap();
    devices.store().await.unwrap();
    assert!(is_revoked(&open(&base).await, 1).await);
}

#[tokio::test]
async fn what_a_crash_or_a_failure_left_beside_the_files_goes() {
    let base = base();
    let devices = open(&base).await;
    devices.seen(&device(1), SEEN);
    // A folder that is not empty cannot be replaced.
    let in_the_way = files(&base).join(device(1).id.to_string());
    fs::create_dir_all(in_the_way.join("something")).unwrap();
    assert!(devices.store().await.is_err());
    assert_eq!(file_names(&files(&base)), [device(1).id.to_string()]);
    fs::remove_dir_all(&in_the_way).unwrap();
    devices.store().await.unwrap();
    fs::write(files(&base).join(format!("{}.new", device(2).id)), "{").unwrap();
    Devices::below(base.path()).clear_leftovers().await;
    assert_eq!(file_names(&files(&base)), [device(1).id.to_string()]);
}

#[tokio::test]
async fn a_name_is_stored_and_comes_with_a_disk_that_is_mounted_late() {
    let base = base();
    let devices = open(&base).await;
    devices.seen(&device(1), SEEN);
    let name = || Some("Anna's phone".parse().unwrap());
    devices
        .rename(&alice(), device(1).id, name())
        .await
        .unwrap();
    let again = open(&base).await;
    assert_eq!(again.name(&device(1)), name());
    again.seen(&device(1), SEEN);
    assert_eq!(listed(&again).await[0].name, name());
    let (folder, away) = (base.path().join("alice"), base.path().join("away"));
    fs::rename(&folder, &away).unwrap();
    let late = open(&base).await;
    late.seen(&device(1), SEEN);
    assert_eq!(late.name(&device(1)), None);
    fs::rename(&away, &folder).unwrap();
    late.prepare(&alice()).await.unwrap();
    assert_eq!(late.name(&device(1)), name());
    late.rename(&alice(), device(1).id, None).await.unwrap();
    assert_eq!(open(&base).await.name(&device(1)), None);
}
