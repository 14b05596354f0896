//! A file that is in memory while it is small, and later has no name.
//!
//! Unlike [`tempfile::SpooledTempFile`], its file can be written to the disk while it grows.

use std::{
    fs::File,
    io::{self, Cursor, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

/// The content moves to the disk with the first byte that does not fit.
#[derive(Debug)]
pub enum Spooled {
    /// At most `most` bytes; more go to a file in `folder`.
    Memory {
        /// The bytes.
        bytes: Cursor<Vec<u8>>,
        /// How many they may become.
        most: usize,
        /// The folder for the file.
        folder: PathBuf,
    },
    /// All of it.
    Disk(File),
}

impl Spooled {
    pub(super) fn new(most: usize, folder: &Path) -> Self {
        Self::Memory {
            bytes: Cursor::default(),
            most,
            folder: folder.to_path_buf(),
        }
    }

    /// None while the content is in memory.
    pub(super) fn file(&self) -> Option<&File> {
        match self {
            Self::Memory { .. } => None,
            Self::Disk(file) => Some(file),
        }
    }
}

impl Write for Spooled {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self {
            Self::Disk(file) => file.write(buffer),
            Self::Memory {
                bytes,
                most,
                folder,
            } => {
                if bytes.position() + buffer.len() as u64 <= *most as u64 {
                    return bytes.write(buffer);
                }
                let mut file = tempfile::tempfile_in(folder)?;
                file.write_all(bytes.get_ref())?;
                file.seek(SeekFrom::Start(bytes.position()))?;
                let written = file.write(buffer);
                *self = Self::Disk(file);
                written
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Memory { .. } => Ok(()),
            Self::Disk(file) => file.flush(),
        }
    }
}

impl Read for Spooled {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Memory { bytes, .. } => bytes.read(buffer),
            Self::Disk(file) => file.read(buffer),
        }
    }
}

impl Seek for Spooled {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match self {
            Self::Memory { bytes, .. } => bytes.seek(to),
            Self::Disk(file) => file.seek(to),
        }
    }
}
