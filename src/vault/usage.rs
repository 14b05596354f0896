//! The size of a user's files.

use std::{fs, io, path::Path};

use serde::{Deserialize, Serialize};

use crate::{files::if_there, layout};

/// Bytes on disk, counted by file sizes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// The collection, with its journal.
    pub collection_bytes: u64,
    /// The media.
    pub media_bytes: u64,
    /// How many media files there are.
    pub media_files: u64,
    /// The server's own files: mostly snapshots.
    pub own_bytes: u64,
}

impl Usage {
    /// The usage of a user's folder; 0 if it does not exist yet. Files that are added or removed
    /// meanwhile may or may not be counted.
    pub fn of(folder: &Path) -> io::Result<Self> {
        let mut usage = Self::default();
        for (name, bytes) in files(folder)? {
            if name.starts_with(layout::COLLECTION) {
                usage.collection_bytes += bytes;
            }
        }
        let media = files(&folder.join(layout::MEDIA))?;
        usage.media_files = media.len() as u64;
        usage.media_bytes = media.iter().map(|(_, bytes)| bytes).sum();
        usage.own_bytes = tree_bytes(&folder.join(layout::OWN))?;
        Ok(usage)
    }
}

/// Names and sizes of the files in a folder, without subfolders.
fn files(folder: &Path) -> io::Result<Vec<(String, u64)>> {
    let mut found = Vec::new();
    for entry in entries(folder)? {
        // Removed since it was listed.
        let Ok(data) = entry.metadata() else { continue };
        if data.is_file() {
            found.push((entry.file_name().to_string_lossy().into_owned(), data.len()));
        }
    }
    Ok(found)
}

fn tree_bytes(folder: &Path) -> io::Result<u64> {
    let mut bytes = files(folder)?.iter().map(|(_, bytes)| bytes).sum();
    for entry in entries(folder)? {
        if entry.file_type()?.is_dir() {
            bytes += tree_bytes(&entry.path())?;
        }
    }
    Ok(bytes)
}

fn entries(folder: &Path) -> io::Result<Vec<fs::DirEntry>> {
    if_there(fs::read_dir(folder))?
        .into_iter()
        .flatten()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_users_files_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, bytes: usize| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, vec![1; bytes]).unwrap();
        };
        put("collection.anki2", 100);
        put("collection.anki2-wal", 20);
        put("media.db", 7);
        put("media/a.mp3", 3);
        put("media/b.mp3", 4);
        put(".anki-syncd/snapshots/old", 50);
        put(".anki-syncd/other", 1);
        assert_eq!(
            Usage::of(folder.path()).unwrap(),
            Usage {
                collection_bytes: 120,
                media_bytes: 7,
                media_files: 2,
                own_bytes: 51,
            }
        );
        assert_eq!(
            Usage::of(&folder.path().join("nobody")).unwrap(),
            Usage::default()
        );
    }
}
