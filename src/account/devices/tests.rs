use std::fs;

use tempfile::TempDir;

use super::*;

const SEEN: Sighting = Sighting {
    client: "26.09.3,abc,linux",
    address: "192.0.2.1",
};

fn device(number: u8) -> Device {
    Device {
        user: "alice".parse().unwrap(),
        id: [number; 12].into(),
        password: PasswordMark(1),
    }
}

fn open(folder: &TempDir) -> Devices {
    Devices::open(folder.path().join("devices.db"), false)
}

fn ids(devices: &Devices) -> HashSet<DeviceId> {
    devices.all().iter().map(|record| record.id).collect()
}

fn file_names(folder: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(folder.path()).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn what_was_stored_is_known_again_by_the_next_process() {
    let folder = tempfile::tempdir().unwrap();
    let devices = open(&folder);
    devices.seen(&device(1), SEEN);
    let silent = Sighting { client: "", ..SEEN };
    devices.synced(&device(1), silent, "sent 1, received 2".to_owned());
    devices.store().await.unwrap();
    assert_eq!(open(&folder).all(), devices.all());
    let record = &devices.all()[0];
    assert_eq!(record.client, SEEN.client);
    assert_eq!(record.last_sync, Some(record.last_seen));
    assert_eq!(file_names(&folder), ["devices.db"]);
}

#[tokio::test]
async fn a_revocation_is_on_disk_when_it_is_done_and_stays_whatever_follows() {
    let folder = tempfile::tempdir().unwrap();
    let devices = open(&folder);
    for number in [1, 2] {
        devices.seen(&device(number), SEEN);
    }
    devices.revoke(&[device(1).id]).await.unwrap();
    let again = open(&folder);
    assert!(again.is_revoked(device(1).id) && !again.is_revoked(device(2).id));
    // By a process that does not know.
    let mut stale = devices.all();
    for record in &mut stale {
        record.revoked = None;
    }
    let (mut file, _) = File::open(folder.path().join("devices.db"), false);
    file.write(&stale, &[device(1).id], Vec::new).unwrap();
    assert!(open(&folder).is_revoked(device(1).id));
}

#[tokio::test]
async fn a_damaged_file_is_set_aside_and_nobody_is_kept_from_syncing() {
    for content in [
        "no database at all, but long enough to be taken for one",
        "",
    ] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("devices.db"), content).unwrap();
        let devices = open(&folder);
        devices.seen(&device(1), SEEN);
        devices.store().await.unwrap();
        assert_eq!(ids(&open(&folder)).len(), 1);
        let names = file_names(&folder);
        assert_eq!(names.len(), 2);
        assert!(names[1].starts_with("devices.db.damaged-"), "{names:?}");
    }
}

#[tokio::test]
async fn a_file_that_is_damaged_or_removed_meanwhile_is_written_anew_with_all_that_was_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let devices = open(&folder);
    devices.seen(&device(1), SEEN);
    devices.revoke(&[device(1).id]).await.unwrap();
    let path = folder.path().join("devices.db");
    for damage in [
        |path| fs::write(path, [b'x'; 4096]),
        |path| fs::remove_file(path),
    ] {
        damage(&path).unwrap();
        devices.seen(&device(2), SEEN);
        devices.store().await.unwrap();
        let again = open(&folder);
        assert!(again.is_revoked(device(1).id));
        assert_eq!(ids(&again).len(), 2);
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_written_is_tried_again_and_a_revocation_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("devices.db");
    let devices = Devices::open(path.join("missing").join("devices.db"), false);
    devices.seen(&device(1), SEEN);
    assert!(devices.revoke(&[device(1).id]).await.is_err());
    assert!(devices.is_revoked(device(1).id));
    fs::create_dir_all(path.join("missing")).unwrap();
    devices.store().await.unwrap();
    let again = Devices::open(path.join("missing").join("devices.db"), false);
    assert!(again.is_revoked(device(1).id));
}

#[tokio::test]
async fn who_has_not_been_seen_for_long_is_forgotten_unless_revoked() {
    let folder = tempfile::tempdir().unwrap();
    let devices = open(&folder);
    for number in 1..=4 {
        devices.seen(&device(number), SEEN);
    }
    devices.synced(&device(2), SEEN, String::new());
    devices.revoke(&[device(3).id]).await.unwrap();
    for record in devices.known().records.values_mut() {
        record.last_seen -= UNUSED_SECS + 1;
    }
    devices.seen(&device(4), SEEN);
    devices.store().await.unwrap();
    let kept = HashSet::from([2, 3, 4].map(|number| device(number).id));
    assert_eq!(ids(&devices), kept);
    let again = open(&folder);
    assert_eq!(ids(&again), kept);
    assert!(again.is_revoked(device(3).id));
}

#[tokio::test]
async fn a_program_that_logs_in_for_every_sync_does_not_fill_the_list_up() {
    let devices = Devices::in_memory();
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
    assert_eq!(devices.all().len(), MOST);
}
