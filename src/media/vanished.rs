//! Files that have gone from the media folder by other hands.

use std::{collections::BTreeSet, fs, io, path::Path};

use super::{Error, MediaStore, database, examine::recorded};
use crate::files::if_there;

/// When none of at least so many files is there, their disk is missing rather than they:
/// nobody removes all of them by hand, while a single one may well be all there is.
const MANY: usize = 10;
/// How many names a line in the log has.
const SHOWN: usize = 5;

impl MediaStore {
    /// Forgets the files that have vanished from the folder, without a trace, so that their
    /// loss does not spread, and a device that has them sends them again. Costs a listing of
    /// the folder when that has changed since the last time, and next to nothing otherwise.
    ///
    /// # Errors
    /// [`Error::Absent`] when all of them are gone, as when a disk is not mounted: nothing is
    /// forgotten then. [`Error::Database`] or [`Error::Io`].
    pub(super) fn look(&mut self) -> Result<(), Error> {
        // Before the listing, so that what changes meanwhile is seen the next time.
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
        // The listing tells it for nearly all of them, without a look at the file.
        if entry.file_type()?.is_file() || entry.path().is_file() {
            names.remove(name);
        }
    }
    Ok(())
}
