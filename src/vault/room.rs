//! Limits on storing: free space of the disk, and quota of a user.

use crate::disk::MIB;

pub use crate::disk::Free;

/// The limits of the operator.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    /// Bytes of the disk that stay free: enough to finish syncs under way, and to start the server
    /// again.
    pub reserve: u64,
    /// The most bytes of one user's collection and media together; none for no limit.
    pub quota: Option<u64>,
}

/// The disk is full or nearly so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the disk is nearly full ({} MiB are free, {} MiB have to stay free), so the server stores nothing more: delete or move files, or lower min_free_megs",
    free / MIB,
    reserve.div_ceil(MIB)
)]
pub struct NearlyFull {
    free: u64,
    reserve: u64,
}

impl Room {
    /// Whether more may be stored on a disk with this free space.
    pub fn admit(self, free: Free) -> Result<(), NearlyFull> {
        if free.bytes < self.reserve || free.files == Some(0) {
            return Err(NearlyFull {
                free: free.bytes,
                reserve: self.reserve,
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_disk_without_room_or_without_names_is_nearly_full() {
        let room = Room {
            reserve: 10 * MIB,
            quota: None,
        };
        let free = |bytes, files| Free { bytes, files };
        assert_eq!(room.admit(free(10 * MIB, Some(1))), Ok(()));
        assert_eq!(room.admit(free(10 * MIB, None)), Ok(()));
        let refused = room.admit(free(10 * MIB - 1, None)).unwrap_err();
        assert!(
            refused.to_string().contains("9 MiB are free, 10 MiB"),
            "{refused}"
        );
        assert!(room.admit(free(10 * MIB, Some(0))).is_err());
    }

    #[test]
    fn the_disk_of_a_folder_has_something_left() {
        let free = Free::at(Path::new("/")).unwrap();
        assert!(free.bytes > 0);
        assert!(Free::at(Path::new("/not/there")).is_err());
    }
}
