use std::os::unix::fs::symlink;

use super::*;
use crate::vault::retention::Retention;

struct Place {
    folder: tempfile::TempDir,
    snapshots: Snapshots,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let snapshots = Snapshots::new(
            folder.path().join("snapshots"),
            folder.path().into(),
            Disk::new(folder.path().into()),
        );
        Self { folder, snapshots }
    }

    fn live(&self) -> PathBuf {
        self.folder.path().join("collection.anki2")
    }

    /// Replaces the file as an upload does.
    fn replace(&self, content: &str, why: Why) -> Snapshot {
        let kept = self.snapshots.keep(&self.live(), why).unwrap();
        let new = self.folder.path().join("new");
        fs::write(&new, content).unwrap();
        fs::rename(&new, self.live()).unwrap();
        kept
    }

    fn tidy(&self, newest: usize) {
        let retention = Retention {
            newest,
            days: 0,
            bytes: u64::MAX,
        };
        self.snapshots.tidy(&retention, &|| true).unwrap();
    }

    fn contents(&self) -> Vec<String> {
        let content = |snapshot| {
            let copy = self.snapshots.unpack(&snapshot).unwrap();
            fs::read_to_string(copy.path()).unwrap()
        };
        let list = self.snapshots.list().unwrap();
        list.into_iter().map(content).collect()
    }

    fn files(&self) -> usize {
        fs::read_dir(&self.snapshots.folder).unwrap().count()
    }
}

#[test]
fn what_was_kept_is_there_compressed_or_not() {
    let place = Place::new();
    fs::write(place.live(), "first").unwrap();
    for (content, why) in [
        ("second", Why::BeforeUpload),
        ("third", Why::BeforeRestore),
        ("fourth", Why::BeforeUpload),
    ] {
        place.replace(content, why);
    }
    assert_eq!(place.contents(), ["first", "second", "third"]);
    place.tidy(5);
    assert_eq!(place.contents(), ["first", "second", "third"]);
    let list = place.snapshots.list().unwrap();
    assert!(list.iter().all(|snapshot| snapshot.compressed));
    assert_eq!(list[1].why, Why::BeforeRestore);
    assert!(list.is_sorted_by_key(Snapshot::name));
    place.tidy(1);
    assert_eq!(place.contents(), ["third"]);
    assert_eq!(place.files(), 1);
    assert_eq!(fs::read_to_string(place.live()).unwrap(), "fourth");
}

#[test]
fn a_crash_before_the_old_file_lost_its_name_leaves_no_snapshot_that_would_change() {
    let place = Place::new();
    fs::write(place.live(), "first").unwrap();
    place.replace("second", Why::BeforeUpload);
    place
        .snapshots
        .keep(&place.live(), Why::BeforeUpload)
        .unwrap();
    place.snapshots.settle(&place.live()).unwrap();
    assert_eq!(place.contents(), ["first"]);
    assert_eq!(fs::read_to_string(place.live()).unwrap(), "second");
}

#[test]
fn a_compression_that_was_interrupted_anywhere_is_done_another_time() {
    let place = Place::new();
    fs::write(place.live(), "first").unwrap();
    let kept = place.replace("second", Why::BeforeUpload);
    let retention = Retention::default();
    place.snapshots.tidy(&retention, &|| false).unwrap();
    assert!(!place.snapshots.list().unwrap()[0].compressed);
    // A crash between the last two steps.
    let raw = place.snapshots.path(&kept);
    fs::copy(&raw, place.folder.path().join("aside")).unwrap();
    place.tidy(1);
    fs::rename(place.folder.path().join("aside"), &raw).unwrap();
    assert_eq!(place.contents(), ["first"]);
    place.tidy(1);
    assert_eq!(place.contents(), ["first"]);
    assert_eq!(place.files(), 1);
}

#[test]
fn one_that_is_compressed_after_it_was_listed_is_found_all_the_same() {
    let place = Place::new();
    fs::write(place.live(), "first").unwrap();
    let listed = place.replace("second", Why::BeforeUpload);
    assert!(!listed.compressed);
    place.tidy(5);
    let copy = place.snapshots.unpack(&listed).unwrap();
    assert_eq!(fs::read_to_string(copy.path()).unwrap(), "first");
}

#[test]
fn a_damaged_collection_is_left_as_it_was_with_its_journal() {
    let place = Place::new();
    fs::write(place.live(), "broken").unwrap();
    fs::write(journal(&place.live()), "its journal").unwrap();
    let kept = place.replace("second", Why::Damaged);
    place.tidy(1);
    let path = place.snapshots.path(&kept);
    assert_eq!(fs::read_to_string(&path).unwrap(), "broken");
    assert_eq!(fs::read_to_string(journal(&path)).unwrap(), "its journal");
    assert_eq!(place.snapshots.list().unwrap()[0].bytes, 6 + 11);
    // Another damaged one displaces it, no other.
    place.replace("third", Why::BeforeUpload);
    place.tidy(1);
    assert_eq!(place.contents(), ["broken", "second"]);
    place.replace("fourth", Why::Damaged);
    place.tidy(1);
    assert_eq!(place.contents(), ["second", "third"]);
    // One of them has its journal.
    assert_eq!(place.files(), 3);
}

/// A link to nowhere cannot be compressed.
#[test]
fn one_that_cannot_be_compressed_keeps_none_of_the_others_there() {
    let place = Place::new();
    fs::write(place.live(), "first").unwrap();
    let kept = place.replace("second", Why::BeforeUpload);
    place.replace("third", Why::BeforeUpload);
    place.tidy(5);
    let unreadable = place.snapshots.path(&Snapshot {
        at_ms: kept.at_ms + 1_000_000,
        ..kept
    });
    symlink("/nowhere", &unreadable).unwrap();
    let fourth = place.replace("fourth", Why::BeforeUpload);
    let retention = Retention {
        newest: 3,
        days: 0,
        bytes: u64::MAX,
    };
    let tidied = place.snapshots.tidy(&retention, &|| true);
    assert!(tidied.unwrap_err().to_string().contains("before-upload: "));
    let list = place.snapshots.list().unwrap();
    assert_eq!(list.len(), 3);
    // The later one was compressed, and surplus ones were removed.
    assert!(list[2].compressed && list[2].at_ms == fourth.at_ms);
    // Even with little space, it displaces none of the others.
    let scarce = Retention {
        bytes: list[0].bytes + list[2].bytes,
        ..retention
    };
    assert!(place.snapshots.tidy(&scarce, &|| true).is_err());
    assert_eq!(place.snapshots.list().unwrap().len(), 3);
    let scarcer = Retention {
        bytes: 1,
        ..retention
    };
    assert!(place.snapshots.tidy(&scarcer, &|| true).is_err());
    fs::remove_file(unreadable).unwrap();
    assert_eq!(place.contents(), ["third"]);
}

#[test]
fn a_crash_while_a_damaged_collection_was_replaced_gives_it_its_journal_back() {
    let place = Place::new();
    fs::write(place.live(), "broken").unwrap();
    fs::write(journal(&place.live()), "its journal").unwrap();
    place.snapshots.keep(&place.live(), Why::Damaged).unwrap();
    fs::remove_file(journal(&place.live())).unwrap();
    place.snapshots.settle(&place.live()).unwrap();
    let left = fs::read_to_string(journal(&place.live())).unwrap();
    assert_eq!((left.as_str(), place.files()), ("its journal", 0));
}

#[test]
fn a_clock_that_was_set_back_does_not_change_the_order() {
    let place = Place::new();
    fs::write(place.live(), "first").unwrap();
    let future = Snapshot {
        at_ms: clock::now_ms() + 1_000_000,
        why: Why::BeforeUpload,
        bytes: 0,
        compressed: false,
    };
    create_private(&place.snapshots.folder).unwrap();
    fs::write(place.snapshots.path(&future), "earlier").unwrap();
    place.replace("second", Why::BeforeUpload);
    assert_eq!(place.contents(), ["earlier", "first"]);
}

#[test]
fn a_damaged_snapshot_is_noticed() {
    let place = Place::new();
    fs::write(place.live(), "first ".repeat(1000)).unwrap();
    place.replace("second", Why::BeforeUpload);
    place.tidy(1);
    let kept = place.snapshots.list().unwrap().remove(0);
    let path = place.snapshots.path(&kept);
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).unwrap();
    assert!(place.snapshots.unpack(&kept).is_err());
}
