//! Zips of media files.

use std::{collections::BTreeMap, fs, io::Cursor, path::Path};

use anki_syncd::media::{Error, MediaStore};

const ALLOWED: u64 = 1 << 20;

/// A client's batch over a file that is there already. It is taken whole or not at all, the
/// folder and its list agree, and nothing is written anywhere else.
pub fn zip(data: &[u8]) {
    let folder = tempfile::tempdir().unwrap();
    let open = || {
        let [database, media, staging] =
            ["media.db", "media", "staging"].map(|name| folder.path().join(name));
        MediaStore::open(&database, media, staging).unwrap()
    };
    let mut store = open();
    let first: &[u8] = include_bytes!("../corpus/media_zip/one-file.zip");
    store.upload(Cursor::new(first), 1, ALLOWED).unwrap();
    let before = files(&folder.path().join("media"));
    assert_eq!(before.len(), 1);
    let uploaded = store.upload(Cursor::new(data), 2, ALLOWED);
    // As the server does after a failure.
    if uploaded.is_err() {
        store = open();
    }
    let after = files(&folder.path().join("media"));
    match uploaded {
        Ok((done, _)) => assert_eq!(done.1, store.last_usn().unwrap()),
        Err(Error::Refused(_) | Error::OverQuota { .. }) => assert_eq!(after, before),
        Err(error) => panic!("neither taken nor refused: {error}"),
    }
    agree(&mut store, &after);
    let names: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.starts_with("media.db-"))
        .collect();
    assert_eq!(names.len(), 3, "{names:?}");
    assert_eq!(
        fs::read_dir(folder.path().join("staging")).unwrap().count(),
        0
    );
}

fn agree(store: &mut MediaStore, files: &BTreeMap<String, Vec<u8>>) {
    let bytes: usize = files.values().map(Vec::len).sum();
    assert!(bytes as u64 <= ALLOWED);
    assert_eq!(store.bytes().unwrap(), bytes as u64);
    assert_eq!(store.files().unwrap(), i64::try_from(files.len()).unwrap());
    for change in store.changes_after(0).unwrap() {
        assert_eq!(files.contains_key(&change.0), !change.2.is_empty());
    }
    for name in files.keys() {
        let asked = std::slice::from_ref(name);
        store.download(asked, Cursor::new(Vec::new())).unwrap();
    }
}

fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            (name, fs::read(entry.path()).unwrap())
        })
        .collect()
}
