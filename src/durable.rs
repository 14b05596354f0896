//! What has to survive a power cut.

use std::{fs::File, io, path::Path};

/// Makes names that were added to or removed from a folder durable.
///
/// # Errors
/// As the file system says.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
