//! The totals after a batch, computed before anything is unpacked.

use std::{
    collections::BTreeMap,
    io::{Read, Seek},
};

use rusqlite::Transaction;

use super::{Error, archive::Upload, database, name::MediaName};

/// The totals after a batch, from the sizes that its zip declares.
pub(super) struct Expected {
    /// Bytes of all media before the batch.
    before: u64,
    after: u64,
    /// Bytes of the files in the zip.
    pub(super) staged: u64,
}

impl Expected {
    pub(super) fn new<R: Read + Seek>(
        upload: &mut Upload<R>,
        entries: &[(MediaName, Option<String>)],
        transaction: &Transaction,
    ) -> Result<Self, Error> {
        let before = database::bytes(transaction)?;
        let mut staged = 0;
        let mut sizes = BTreeMap::new();
        for (name, in_zip) in entries {
            let size = match in_zip {
                Some(in_zip) => upload.declared(in_zip)?,
                None => 0,
            };
            staged += size;
            sizes.insert(name, size);
        }
        let mut after = before;
        for (name, size) in sizes {
            let present = database::entry(transaction, name.as_str())?;
            after = (after + size).saturating_sub(present.map_or(0, |entry| entry.size));
        }
        Ok(Self {
            before,
            after,
            staged,
        })
    }

    pub(super) fn check(&self, allowed: u64) -> Result<(), Error> {
        let bytes = self.after;
        if bytes > allowed && bytes > self.before {
            return Err(Error::OverQuota { bytes, allowed });
        }
        Ok(())
    }
}
