//! The zip files that transport media.

use std::{
    collections::BTreeMap,
    io::{self, Read, Seek, Write},
};

use zip::{CompressionMethod, ZipArchive, ZipWriter, result::ZipError, write::SimpleFileOptions};

use super::{
    Error, Refusal,
    database::{Entry, entry_of},
    name::MediaName,
};
use crate::wire::media::{FILE_BYTES, FILES_PER_BATCH, META_BYTES, UploadEntry};

const META: &str = "_meta";

/// A zip from a client.
pub struct Upload<R>(ZipArchive<R>);

impl<R: Read + Seek> Upload<R> {
    /// Opens the zip.
    ///
    /// # Errors
    /// [`Refusal::Zip`], or a failure to read it from the server's disk.
    pub fn open(zip: R) -> Result<Self, Error> {
        Ok(Self(ZipArchive::new(zip).map_err(blame)?))
    }

    /// The zip's list: real names, each with its name in the zip unless the file was removed.
    ///
    /// # Errors
    /// [`Refusal`] for a list that is missing or too long, or contains an invalid name.
    pub fn entries(&mut self) -> Result<Vec<(MediaName, Option<String>)>, Error> {
        let mut meta = Vec::new();
        let file = self.0.by_name(META).map_err(blame)?;
        file.take(META_BYTES + 1)
            .read_to_end(&mut meta)
            .map_err(|_| Refusal::Zip)?;
        if meta.len() as u64 > META_BYTES {
            return Err(Refusal::List.into());
        }
        let entries: Vec<UploadEntry> = serde_json::from_slice(&meta).map_err(|_| Refusal::List)?;
        if entries.len() > FILES_PER_BATCH {
            return Err(Refusal::List.into());
        }
        let checked = entries.into_iter().map(|UploadEntry(name, in_zip)| {
            let name = MediaName::new(name).map_err(Refusal::Name)?;
            Ok((name, in_zip.filter(|name| !name.is_empty())))
        });
        checked.collect()
    }

    /// The size of a file as the zip declares it. [`extract`](Self::extract) stops there: a few
    /// kilobytes can unpack to a gigabyte.
    /// # Errors
    /// [`Refusal`] for a file that is missing, empty or too large.
    pub fn declared(&mut self, name_in_zip: &str) -> Result<u64, Error> {
        match self.0.by_name(name_in_zip).map_err(blame)?.size() {
            0 => Err(Refusal::Nothing.into()),
            size if size > FILE_BYTES => Err(Refusal::Large.into()),
            size => Ok(size),
        }
    }

    /// Copies a file out, and returns its checksum and size.
    ///
    /// # Errors
    /// [`Refusal`] for a file that is missing, empty, too large or damaged; or a failure to write.
    pub fn extract(&mut self, name_in_zip: &str, mut to: impl Write) -> Result<Entry, Error> {
        let mut file = self.0.by_name(name_in_zip).map_err(blame)?;
        let mut left = file.size();
        // The crate compares the checksum at the end. All its errors are errors in the zip.
        let entry = entry_of(
            &mut file,
            |_| Refusal::Zip.into(),
            |piece| {
                left = left.checked_sub(piece.len() as u64).ok_or(Refusal::Zip)?;
                Ok::<_, Error>(to.write_all(piece)?)
            },
        )?;
        if entry.size == 0 {
            return Err(Refusal::Nothing.into());
        }
        Ok(entry)
    }
}

fn blame(error: ZipError) -> Error {
    match error {
        ZipError::Io(error) if error.kind() != io::ErrorKind::UnexpectedEof => error.into(),
        _ => Refusal::Zip.into(),
    }
}

/// A zip for a client: files named `0`, `1` … and a list of their real names at the end.
pub struct Download<W: Write + Seek> {
    zip: ZipWriter<W>,
    names: BTreeMap<usize, String>,
}

impl<W: Write + Seek> Download<W> {
    /// Begins a zip.
    pub fn new(to: W) -> Self {
        Self {
            zip: ZipWriter::new(to),
            names: BTreeMap::new(),
        }
    }

    /// Adds a file and returns its size.
    pub fn add(&mut self, name: String, mut file: impl Read) -> io::Result<u64> {
        let number = self.names.len();
        self.zip.start_file(number.to_string(), stored())?;
        self.names.insert(number, name);
        io::copy(&mut file, &mut self.zip)
    }

    /// Completes the zip.
    pub fn finish(mut self) -> io::Result<W> {
        self.zip.start_file(META, stored())?;
        serde_json::to_writer(&mut self.zip, &self.names)?;
        Ok(self.zip.finish()?)
    }
}

fn stored() -> SimpleFileOptions {
    SimpleFileOptions::default().compression_method(CompressionMethod::Stored)
}
