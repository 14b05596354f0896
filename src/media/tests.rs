use std::{
    fs,
    io::{self, Cursor},
};

use zip::{ZipArchive, ZipWriter, write::SimpleFileOptions};

use super::*;

const NO_QUOTA: u64 = u64::MAX;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn open(&self) -> MediaStore {
        MediaStore::open(
            &self.path("media.db"),
            self.path("media"),
            self.path("staging"),
        )
        .unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

/// A zip with separate files and list, so that they can differ.
fn zip_of(files: &[(&str, &[u8])], list: &str) -> Cursor<Vec<u8>> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.start_file("_meta", SimpleFileOptions::default())
        .unwrap();
    zip.write_all(list.as_bytes()).unwrap();
    Cursor::new(zip.finish().unwrap().into_inner())
}

fn put(store: &mut MediaStore, name: &str, content: &[u8]) -> wire::Uploaded {
    let list = serde_json::json!([[name, "0"]]).to_string();
    store
        .upload(zip_of(&[("0", content)], &list), 1, NO_QUOTA)
        .unwrap()
        .0
}

#[test]
fn only_real_changes_take_a_usn() {
    let folder = Folder::new();
    let mut store = folder.open();
    assert_eq!(put(&mut store, "é.png", b"one"), wire::Uploaded(1, 1));
    assert_eq!(put(&mut store, "é.png", b"one"), wire::Uploaded(1, 1));
    assert_eq!(put(&mut store, "é.png", b"two"), wire::Uploaded(1, 2));
    assert_eq!(fs::read(folder.path("media/é.png")).unwrap(), b"two");
    let removal = zip_of(&[], r#"[["é.png",null],["never-there",""]]"#);
    let removed = Taken {
        files: Media::default(),
        removed: 1,
    };
    assert_eq!(
        store.upload(removal, 1, NO_QUOTA).unwrap(),
        (wire::Uploaded(2, 3), removed)
    );
    assert!(!folder.path("media/é.png").exists());
    assert_eq!(
        store.changes_after(0).unwrap(),
        [wire::Change("é.png".into(), 3, String::new())]
    );
    assert_eq!(store.files().unwrap(), 0);
}

#[test]
fn sending_a_file_again_restores_it_when_it_has_vanished() {
    let folder = Folder::new();
    let mut store = folder.open();
    put(&mut store, "a", b"content");
    fs::remove_file(folder.path("media/a")).unwrap();
    // The devices learned that the file is gone, so it is new to them.
    assert_eq!(put(&mut store, "a", b"content"), wire::Uploaded(1, 2));
    assert_eq!(fs::read(folder.path("media/a")).unwrap(), b"content");
}

#[test]
fn a_name_that_comes_twice_in_a_batch_ends_as_its_last_entry_says() {
    let folder = Folder::new();
    let mut store = folder.open();
    store
        .upload(
            zip_of(&[("0", b"x")], r#"[["a","0"],["a",null]]"#),
            1,
            NO_QUOTA,
        )
        .unwrap();
    assert!(!folder.path("media/a").exists());
    store
        .upload(
            zip_of(&[("0", b"x")], r#"[["a",null],["a","0"]]"#),
            1,
            NO_QUOTA,
        )
        .unwrap();
    assert!(folder.path("media/a").exists());
}

#[test]
fn a_batch_with_one_bad_entry_is_refused_whole() {
    let folder = Folder::new();
    let mut store = folder.open();
    let many: Vec<_> = (0..26)
        .map(|number| (format!("n{number}"), None::<String>))
        .collect();
    let many = serde_json::to_string(&many).unwrap();
    let long = serde_json::json!([["a", "0"], ["x".repeat(60_000), null]]).to_string();
    for list in [
        r#"[["a","0"],["b","1"]]"#,
        r#"[["a","0"],["b","empty"]]"#,
        r#"[["a","0"],["../b","0"]]"#,
        r#"[["a","0"],["..","0"]]"#,
        r#"[["a","0"],["","0"]]"#,
        "[[\"a\",\"0\"],[\"e\u{301}\",\"0\"]]",
        r#"[["a","0"],"b"]"#,
        "",
        &many,
        &long,
    ] {
        let zip = zip_of(&[("0", b"good"), ("empty", b"")], list);
        assert!(
            matches!(store.upload(zip, 1, NO_QUOTA), Err(Error::Refused(_))),
            "{list}"
        );
    }
    assert!(matches!(
        store.upload(Cursor::new(b"no zip".to_vec()), 1, NO_QUOTA),
        Err(Error::Refused(Refusal::Zip))
    ));
    assert_eq!(store.last_usn().unwrap(), 0);
    assert_eq!(fs::read_dir(folder.path("media")).unwrap().count(), 0);
}

#[test]
fn a_damaged_file_in_a_zip_is_refused() {
    let folder = Folder::new();
    let mut store = folder.open();
    let mut zip = zip_of(&[("0", &[7; 1000])], r#"[["a","0"]]"#).into_inner();
    zip[40] ^= 0xff;
    assert!(matches!(
        store.upload(Cursor::new(zip), 1, NO_QUOTA),
        Err(Error::Refused(Refusal::Zip))
    ));
}

#[test]
fn a_download_names_its_files_and_stops_once_it_is_large_enough() {
    let folder = Folder::new();
    let mut store = folder.open();
    let large = vec![1; 1_500_000];
    for name in ["a", "b", "c"] {
        put(&mut store, name, &large);
    }
    let names = ["a", "b", "c"].map(String::from);
    let (zip, packed) = store.download(&names, Cursor::new(Vec::new())).unwrap();
    let mut zip = ZipArchive::new(zip).unwrap();
    assert_eq!(zip.len(), 3);
    assert_eq!((packed.files, packed.bytes), (2, 3_000_000));
    let list = io::read_to_string(zip.by_name("_meta").unwrap()).unwrap();
    assert_eq!(list, r#"{"0":"a","1":"b"}"#);
    assert_eq!(
        zip.by_name("1").unwrap().compression(),
        zip::CompressionMethod::Stored
    );
}

#[test]
fn files_that_vanished_are_forgotten_all_at_once_and_not_spread() {
    let folder = Folder::new();
    let mut store = folder.open();
    let names = ["a", "b", "c"].map(String::from);
    for name in &names {
        put(&mut store, name, b"content");
    }
    fs::remove_file(folder.path("media/a")).unwrap();
    fs::remove_file(folder.path("media/b")).unwrap();
    assert!(matches!(
        store.download(&names, Cursor::new(Vec::new())),
        Err(Error::Missing(_))
    ));
    assert_eq!(store.changes_after(0).unwrap().len(), 1);
    assert_eq!(store.files().unwrap(), 1);
    assert!(store.download(&names[2..], Cursor::new(Vec::new())).is_ok());
}

#[test]
fn asking_for_nothing_or_too_much_or_the_unknown_is_refused() {
    let mut store = Folder::new().open();
    let unknown = ["x".to_owned()];
    let many = vec!["x".to_owned(); 26];
    assert!(matches!(
        store.download(&unknown, Cursor::new(Vec::new())),
        Err(Error::Missing(_))
    ));
    assert!(matches!(
        store.download(&many, Cursor::new(Vec::new())),
        Err(Error::Refused(Refusal::Names))
    ));
    assert!(matches!(
        store.download(&[], Cursor::new(Vec::new())),
        Err(Error::Refused(Refusal::Names))
    ));
}

#[test]
fn what_is_over_the_quota_is_refused_whole_unless_it_makes_less() {
    let folder = Folder::new();
    let mut store = folder.open();
    put(&mut store, "a", &[1; 60]);
    put(&mut store, "b", &[2; 60]);
    let more = || zip_of(&[("0", &[3; 30])], r#"[["c","0"]]"#);
    assert!(matches!(
        store.upload(more(), 1, 149),
        Err(Error::OverQuota {
            bytes: 150,
            allowed: 149
        })
    ));
    let mut store = folder.open();
    assert_eq!(store.bytes().unwrap(), 120);
    assert!(!folder.path("media/c").exists());
    // Over the quota already, as after the quota was lowered.
    store.upload(zip_of(&[], r#"[["a",null]]"#), 1, 10).unwrap();
    store.upload(more(), 1, 90).unwrap();
    assert_eq!(store.bytes().unwrap(), 90);
}

#[test]
fn files_that_vanished_are_missed_before_a_client_is_told_of_them() {
    let folder = Folder::new();
    let mut store = folder.open();
    for number in 0..20 {
        put(&mut store, &number.to_string(), b"content");
    }
    assert_eq!(store.changes_after(0).unwrap().len(), 20);
    for number in 0..19 {
        fs::remove_file(folder.path(&format!("media/{number}"))).unwrap();
    }
    assert_eq!(store.changes_after(0).unwrap().len(), 1);
    assert_eq!(store.files().unwrap(), 1);
    assert_eq!(store.last_usn().unwrap(), 20);
}

#[test]
fn when_all_are_gone_nothing_is_forgotten_and_nothing_stored() {
    let folder = Folder::new();
    let mut store = folder.open();
    for number in 0..12 {
        put(&mut store, &number.to_string(), b"content");
    }
    fs::rename(folder.path("media"), folder.path("away")).unwrap();
    fs::create_dir(folder.path("media")).unwrap();
    let absent = |result: Result<(), Error>| assert!(matches!(result, Err(Error::Absent(12))));
    absent(store.changes_after(0).map(drop));
    absent(store.files().map(drop));
    let names = ["0".to_owned()];
    absent(store.download(&names, Cursor::new(Vec::new())).map(drop));
    let more = zip_of(&[("0", b"more")], r#"[["more","0"]]"#);
    absent(store.upload(more, 1, NO_QUOTA).map(drop));
    fs::remove_dir(folder.path("media")).unwrap();
    absent(store.changes_after(0).map(drop));
    let reopened = MediaStore::open(
        &folder.path("media.db"),
        folder.path("media"),
        folder.path("staging"),
    );
    absent(reopened.map(drop));
    fs::rename(folder.path("away"), folder.path("media")).unwrap();
    assert_eq!(store.changes_after(0).unwrap().len(), 12);
}

#[test]
fn what_has_failed_leaves_nothing_staged_whatever_it_was() {
    let folder = Folder::new();
    let mut store = folder.open();
    let lies = |declared: &[u8], real: &[u8]| {
        let mut zip = zip_of(&[("0", real)], r#"[["a","0"]]"#).into_inner();
        let length = u32::try_from(real.len()).unwrap().to_le_bytes();
        let smaller = u32::try_from(declared.len()).unwrap().to_le_bytes();
        // In the file's head, and in the list at the end.
        for at in (0..zip.len() - 4).rev() {
            if zip[at..at + 4] == length {
                zip[at..at + 4].copy_from_slice(&smaller);
            }
        }
        Cursor::new(zip)
    };
    let more_than_declared = lies(&[0; 7], &vec![0; 70_001]);
    assert!(matches!(
        store.upload(more_than_declared, 1, NO_QUOTA),
        Err(Error::Refused(Refusal::Zip))
    ));
    let missing = zip_of(&[("0", b"x")], r#"[["a","0"],["b","1"]]"#);
    assert!(store.upload(missing, 1, NO_QUOTA).is_err());
    let over = zip_of(&[("0", b"xyz")], r#"[["a","0"]]"#);
    assert!(store.upload(over, 1, 2).is_err());
    let disk = Disk::new(folder.path("media"));
    disk.keep_free(u64::MAX);
    let mut store = store.within(disk);
    let full = zip_of(&[("0", b"xyz")], r#"[["a","0"]]"#);
    assert!(matches!(store.upload(full, 1, NO_QUOTA), Err(Error::Io(_))));
    assert_eq!(fs::read_dir(folder.path("staging")).unwrap().count(), 0);
    assert!(store.changes_after(0).unwrap().is_empty());
}

#[test]
fn work_on_media_ends_when_nobody_waits_for_it() {
    let folder = Folder::new();
    let store = folder.open();
    let budget = crate::work::Budget::REQUEST;
    let job = std::sync::Arc::new(crate::work::Job::new(budget, crate::work::Stop::default()));
    let ended = job.run(|| {
        job.abandon();
        let long = "with recursive n(i) as (select 1 union all select i + 1 from n limit 1000000) select max(i) from n";
        let read = store.conn.query_row(long, [], |row| row.get::<_, i64>(0));
        read.map_err(crate::vault::Error::from)
    });
    assert!(matches!(
        ended,
        Err(crate::vault::Error::Interrupted(
            crate::work::Interrupted::Left
        ))
    ));
}
