//! Files that another program has removed from the media folder.

use std::{collections::BTreeSet, fs, io, path::Path};

use super::{Error, MediaStore, database, examine::recorded};
use crate::files::if_there;

/// If none of at least this many files exists, their disk is probably not mounted. A user can have
/// a single file and remove it by hand, but hardly all of many.
const MANY: usize = 10;
/// How many names a log line contains.
const SHOWN: usize = 5;

impl MediaStore {
    /// Removes the entries of files that have vanished from the folder, so that their loss does not
    /// spread, and a device that has them sends them again. Lists the folder only if it has changed
    /// since the last time.
    /// # Errors
    /// [`Error::Absent`] if all of them are missing, as when a disk is not mounted: no entry is
    /// removed then. [`Error::Database`] or [`Error::Io`].
    pub(super) fn look(&mut self) -> Result<(), Error> {
        // Read before the listing, so that the next call sees changes that happen meanwhile.
        let changed = self.folders.changed()?;
        if changed.is_some() && changed == self.seen {
            return Ok(());
        }
        let mut vanished = BTreeSet::new();
        recorded(&self.conn, |name| {
            vanished.insert(name.to_owned());
            Ok(())
        })?;
        let listed = vanished.len();
        cross_off(&self.folders.media, &mut vanished)?;
        let all = vanished.len() == listed;
        if all && (listed >= MANY || listed > 0 && changed.is_none()) {
            return Err(Error::Absent(listed));
        }
        self.forget(&vanished)?;
        self.seen = changed;
        Ok(())
    }

    fn forget(&mut self, vanished: &BTreeSet<String>) -> Result<(), Error> {
        if vanished.is_empty() {
            return Ok(());
        }
        let transaction = self.conn.transaction()?;
        for name in vanished {
            database::forget(&transaction, name)?;
        }
        transaction.commit()?;
        let some: Vec<_> = vanished.iter().take(SHOWN).collect();
        tracing::warn!(
            files = ?some,
            "{} media files are missing from the folder; they are removed from media.db, so that a device that has them sends them again",
            vanished.len()
        );
        Ok(())
    }
}

fn cross_off(folder: &Path, names: &mut BTreeSet<String>) -> io::Result<()> {
    for entry in if_there(fs::read_dir(folder))?.into_iter().flatten() {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| names.contains(*name)) else {
            continue;
        };
        // For nearly all files, the listing shows the type without another system call.
        if entry.file_type()?.is_file() || entry.path().is_file() {
            names.remove(name);
        }
    }
    Ok(())
}
