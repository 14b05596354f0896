//! A copy of the collection, on its way to a device.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
};

use tempfile::NamedTempFile;

use super::{Error, Vault, fold, opened, restored::Restores};
use crate::{account::host_key::DeviceId, clock, collection::file::downgrade_copy};

/// The collection as one file. Once all of it was read, the device counts as having it: it
/// is read as it is sent, so that one that breaks off in the middle does not. How much of
/// the last of it has arrived, nobody can tell.
pub struct Download {
    file: File,
    length: u64,
    device: DeviceId,
    schema: i64,
    restores: Restores,
}

impl Read for Download {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        if self.file.stream_position()? == self.length {
            self.restores.has(self.device, self.schema);
        }
        Ok(read)
    }
}

impl Seek for Download {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

impl Vault {
    /// A copy of the collection as one file, for a download, which counts as a modification.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn copy_collection(&self, device: DeviceId) -> Result<Download, Error> {
        let (copy, schema) = self.copy_into_file(device).await?;
        self.download(copy.into_file(), device, schema)
    }

    /// As [`Vault::copy_collection`], in schema 11, the only one that old clients read.
    /// The collection itself stays as it is.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn copy_for_old_clients(&self, device: DeviceId) -> Result<Download, Error> {
        let (copy, schema) = self.copy_into_file(device).await?;
        let bytes = copy.as_file().metadata()?.len();
        let downgraded = self.share.run_on_file(bytes, move || {
            downgrade_copy(copy.path())?;
            Ok::<_, Error>(copy.into_file())
        });
        self.download(downgraded.await?, device, schema)
    }

    fn download(&self, file: File, device: DeviceId, schema: i64) -> Result<Download, Error> {
        Ok(Download {
            length: file.metadata()?.len(),
            file,
            device,
            schema,
            restores: self.restores.clone(),
        })
    }

    /// And its schema stamp.
    async fn copy_into_file(&self, device: DeviceId) -> Result<(NamedTempFile, i64), Error> {
        let (path, temporary) = (self.collection_path(), self.temporary());
        self.in_turn_alone(device, move |open| {
            let collection = &opened(open, &path)?.collection;
            collection.stamp_download(clock::now_ms())?;
            fold(collection)?;
            let schema = collection.stamps()?.schema_changed;
            // The locks that SQLite has on the file are the process's: they are lost when any
            // descriptor of it is closed, and another program would take the journal away.
            *open = None;
            let mut copy = NamedTempFile::new_in(temporary)?;
            // The kernel shares the blocks where the file system can.
            io::copy(&mut File::open(&path)?, copy.as_file_mut())?;
            copy.rewind()?;
            Ok((copy, schema))
        })
        .await
    }
}
