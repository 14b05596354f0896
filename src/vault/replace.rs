//! Replaces the collection, and keeps the present one.

use std::{fs, io, sync::Arc};

use tempfile::NamedTempFile;

use super::{
    Error, Open, Vault, fold,
    snapshot::{Snapshot, Why},
    workers::Share,
};
use crate::{
    account::DeviceId,
    clock,
    collection::{
        file::{Summary, accept_upload, stamp_restored, summary},
        open::Stamps,
        upload::{CheckError, Refusal},
    },
    durable::sync_folder,
    files::if_there,
    sqlite::{WAL, WAL_INDEX, beside},
    work::{self, Interrupted},
};

impl Vault {
    /// Replaces the collection with an upload that passes the check. Returns its modification
    /// stamp.
    ///
    /// # Errors
    /// [`Error::Upload`] and all other errors leave the present collection unchanged.
    pub async fn replace_collection(
        self: &Arc<Self>,
        device: DeviceId,
        upload: NamedTempFile,
    ) -> Result<i64, Error> {
        let (upload, summary) = checked(&self.share, upload).await?;
        let (schema, modified) = (summary.schema_changed, summary.modified_ms);
        let keeps = self.janitor.retention().newest > 0;
        let vault = Arc::clone(self);
        self.in_turn_alone(device, move |open| {
            let why = keeps.then_some(Why::BeforeUpload);
            vault.install(upload, open, why, |present| match present {
                // If there is nothing to download, a device uploads without asking.
                Some(present) if !present.empty => {
                    vault.restores.admit(device, schema, present.schema_changed)
                }
                _ => Ok(()),
            })
        })
        .await?;
        self.tidy_snapshots();
        Ok(modified)
    }

    /// Checks a collection that might be restored: a private copy, which is upgraded to the present
    /// schema.
    pub async fn examine(&self, copy: NamedTempFile) -> Result<(NamedTempFile, Summary), Error> {
        checked(&self.operator, copy).await
    }

    /// Replaces the collection with one that was [examined](Self::examine). Every device has to
    /// download it. Returns the snapshot of the present one; none if it was empty.
    ///
    /// # Errors
    /// [`Error`]; the present collection is unchanged.
    pub async fn restore(self: &Arc<Self>, copy: NamedTempFile) -> Result<Option<Snapshot>, Error> {
        let now = clock::now_ms();
        let bytes = copy.as_file().metadata()?.len();
        let stamped = self.operator.run_on_file(bytes, move || {
            stamp_restored(copy.path(), now)?;
            copy.as_file().sync_all()?;
            Ok::<_, Error>(copy)
        });
        let copy = stamped.await?;
        let vault = Arc::clone(self);
        let kept = self.in_turn_alone(DeviceId::OPERATOR, move |open| {
            vault.install(copy, open, Some(Why::BeforeRestore), |present| {
                let present = present.map(|present| present.schema_changed);
                Ok(vault.restores.add(now, now, present)?)
            })
        });
        let kept = kept.await?;
        self.tidy_snapshots();
        Ok(kept)
    }

    /// Lets all devices upload again, as before the restore. Returns whether there was a restore.
    ///
    /// # Errors
    /// [`io::Error`]; uploads are still refused then.
    pub fn allow_upload(&self) -> io::Result<bool> {
        self.restores.forget()
    }

    /// Puts the new file in place, if `agree` allows it for the present collection's stamps, as far
    /// as they are known. A crash leaves the old collection, or the new one and the snapshot.
    pub(super) fn install(
        &self,
        new: NamedTempFile,
        open: &mut Option<Open>,
        why: Option<Why>,
        agree: impl FnOnce(Option<Stamps>) -> Result<(), Error>,
    ) -> Result<Option<Snapshot>, Error> {
        let why = self.close(open, why, agree)?;
        let kept = why
            .map(|why| self.snapshots.keep(&self.collection_path(), why))
            .transpose()?;
        let take_back = |_: &Error| {
            if let Some(kept) = &kept
                && let Err(error) = self.snapshots.take_back(kept, &self.collection_path())
            {
                tracing::warn!(%error, "cannot remove the snapshot of a collection that was not replaced");
            }
        };
        self.put(new).inspect_err(take_back)?;
        // Otherwise a power cut could bring the old collection back. The device that uploaded would
        // take it for its own, and merge into it.
        sync_folder(&self.folder)?;
        Ok(kept)
    }

    /// Makes the present collection one closed file, and asks `agree` after that. Returns the
    /// reason for its snapshot, unless it is empty.
    fn close(
        &self,
        open: &mut Option<Open>,
        why: Option<Why>,
        agree: impl FnOnce(Option<Stamps>) -> Result<(), Error>,
    ) -> Result<Option<Why>, Error> {
        let why = match self.opened(open) {
            Ok(Open { collection, .. }) => {
                // The old journal must be gone before the new file gets the name: otherwise SQLite
                // would apply it to the new file.
                fold(collection)?;
                let stamps = collection.stamps();
                // Otherwise an interrupted query would look like a collection without stamps.
                work::check()?;
                agree(stamps.ok())?;
                why.filter(|_| collection.is_worth_keeping())
            }
            Err(error) if error.is_damage() => {
                agree(None)?;
                tracing::warn!(%error, "the replaced collection was damaged; it is kept as a snapshot");
                Some(Why::Damaged)
            }
            Err(error) => return Err(error),
        };
        *open = None;
        Ok(why)
    }

    fn put(&self, new: NamedTempFile) -> Result<(), Error> {
        for journal in [WAL, WAL_INDEX] {
            if_there(fs::remove_file(beside(&self.collection_path(), journal)))?;
        }
        // Otherwise a power cut might leave the old journal beside the new file.
        sync_folder(&self.folder)?;
        new.persist(self.collection_path())
            .map_err(|error| error.error)?;
        Ok(())
    }
}

/// Upgrades a file from outside to the present schema, and makes it durable.
async fn checked(share: &Share, file: NamedTempFile) -> Result<(NamedTempFile, Summary), Error> {
    let bytes = file.as_file().metadata()?.len();
    let check = move || {
        accept_upload(file.path(), clock::now_secs())?;
        file.as_file().sync_all()?;
        let summary = summary(file.path())?;
        Ok((file, summary))
    };
    match share.run_on_file(bytes, check).await {
        Err(Error::Interrupted(Interrupted::Exhausted)) => {
            Err(CheckError::Refused(Refusal::Laborious).into())
        }
        checked => checked,
    }
}
