//! Compresses and removes snapshots in the background, and unpacks them for a restore.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::Path,
};

use tempfile::NamedTempFile;

use super::{
    super::retention::{Candidate, Retention},
    Snapshot, Snapshots, Why,
};
use crate::{clock, disk::Purpose, durable::sync_folder};

/// A fast level. Slower ones hardly make real collections smaller.
const LEVEL: i32 = 3;
/// How often the work checks whether the server stops: compressing a gibibyte takes longer than
/// systemd waits.
const BLOCK: usize = 256 * 1024;

impl Snapshots {
    /// Compresses snapshots and removes surplus ones. `go_on` is called now and then; the rest can
    /// be done later.
    ///
    /// # Errors
    /// As the file system says, for the first that cannot be compressed; the others are done.
    pub fn tidy(&self, retention: &Retention, go_on: &dyn Fn() -> bool) -> io::Result<()> {
        // First those that are surplus at any size: otherwise a full disk would stay full.
        let by_number = Retention {
            bytes: u64::MAX,
            ..*retention
        };
        self.thin_out(&by_number, &[])?;
        let mut result = Ok(());
        let mut failed = Vec::new();
        for snapshot in self.uncompressed()? {
            if snapshot.why == Why::Damaged {
                continue;
            }
            match self.compress(&snapshot, go_on) {
                Ok(true) => {}
                Ok(false) => return result,
                Err(error) => {
                    let told = format!("{}: {error}", snapshot.name());
                    result = result.and(Err(io::Error::new(error.kind(), told)));
                    failed.push(snapshot.at_ms);
                }
            }
        }
        self.thin_out(retention, &failed)?;
        result
    }

    /// Snapshots above the limit do not displace others.
    fn thin_out(&self, retention: &Retention, too_large: &[i64]) -> io::Result<()> {
        let snapshots = self.list()?;
        let candidates: Vec<_> = snapshots
            .iter()
            .map(|snapshot| Candidate {
                at_ms: snapshot.at_ms,
                bytes: if too_large.contains(&snapshot.at_ms) {
                    0
                } else {
                    snapshot.bytes
                },
                damaged: snapshot.why == Why::Damaged,
            })
            .collect();
        for number in retention.surplus(&candidates, clock::now_ms()) {
            self.discard(&snapshots[number]);
        }
        Ok(())
    }

    pub(super) fn uncompressed(&self) -> io::Result<Vec<Snapshot>> {
        let mut snapshots = self.files()?;
        snapshots.retain(|snapshot| !snapshot.compressed);
        snapshots.sort_by_key(|snapshot| snapshot.at_ms);
        Ok(snapshots)
    }

    /// False if `go_on` has stopped it.
    fn compress(&self, snapshot: &Snapshot, go_on: &dyn Fn() -> bool) -> io::Result<bool> {
        let raw = self.path(snapshot);
        let to = self.path(&Snapshot {
            compressed: true,
            ..snapshot.clone()
        });
        if !to.exists() {
            let Some(compressed) = self.compressed(&raw, go_on)? else {
                return Ok(false);
            };
            compressed.persist(to)?;
            // Before the uncompressed one is removed: otherwise a power cut could leave neither.
            sync_folder(&self.folder)?;
        }
        fs::remove_file(raw)?;
        Ok(true)
    }

    fn compressed(
        &self,
        raw: &Path,
        go_on: &dyn Fn() -> bool,
    ) -> io::Result<Option<NamedTempFile>> {
        let mut from = File::open(raw)?;
        let mut encoder = zstd::Encoder::new(
            // Compressing soon frees more space than it takes.
            self.disk.file(&self.temporary, Purpose::Pass)?,
            LEVEL,
        )?;
        encoder.include_checksum(true)?;
        let mut block = vec![0; BLOCK];
        loop {
            match from.read(&mut block)? {
                0 => break,
                read => encoder.write_all(&block[..read])?,
            }
            if !go_on() {
                return Ok(None);
            }
        }
        let compressed = encoder.finish()?.into_inner();
        compressed.as_file().sync_all()?;
        Ok(Some(compressed))
    }

    /// A private copy of the collection. It is removed when dropped.
    ///
    /// # Errors
    /// As the file system says, or if the snapshot is damaged.
    pub fn unpack(&self, snapshot: &Snapshot) -> io::Result<NamedTempFile> {
        let mut copy = self.disk.file(&self.temporary, Purpose::Keep)?;
        let (file, compressed) = self.open(snapshot)?;
        if compressed {
            io::copy(&mut zstd::Decoder::new(file)?, &mut copy)?;
        } else {
            io::copy(&mut { file }, &mut copy)?;
        }
        Ok(copy.into_inner())
    }

    /// Its file, and whether that is compressed: it may have been compressed after it was listed.
    fn open(&self, snapshot: &Snapshot) -> io::Result<(File, bool)> {
        match File::open(self.path(snapshot)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && !snapshot.compressed => {
                let compressed = Snapshot {
                    compressed: true,
                    ..snapshot.clone()
                };
                Ok((File::open(self.path(&compressed))?, true))
            }
            opened => Ok((opened?, snapshot.compressed)),
        }
    }
}
