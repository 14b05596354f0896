//! A download that is being sent. The device has the collection once all of it was sent.

use std::{
    io::{self, Read, Seek, SeekFrom},
    sync::Arc,
};

use super::{deed::Cards, log::Entry, present::Present};
use crate::vault::download::Download;

/// A download whose end is logged, complete or not.
pub struct Sending {
    content: Download,
    sent: u64,
    length: u64,
    request: Option<(Arc<Present>, Entry)>,
}

impl Sending {
    pub fn new(mut content: Download, present: Arc<Present>, entry: Entry) -> io::Result<Self> {
        let length = content.seek(SeekFrom::End(0))?;
        content.rewind()?;
        Ok(Self {
            content,
            sent: 0,
            length,
            request: Some((present, entry)),
        })
    }
}

impl Read for Sending {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.content.read(buffer)?;
        self.sent += read as u64;
        if self.sent >= self.length
            && let Some((present, entry)) = self.request.take()
        {
            let bytes = self.length;
            let modified = self.content.modified();
            present.did_cards(&entry, Cards::Downloaded { bytes }, modified);
        }
        Ok(read)
    }
}

impl Seek for Sending {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.content.seek(to)
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        if let Some((_, entry)) = &self.request {
            entry.download_broke_off(self.sent, self.length);
        }
    }
}
