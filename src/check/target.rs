//! Whether the folder for backups is on a mounted disk, and on another one than the data.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use nix::sys::stat::{major, minor};
use procfs::process::Process;

/// Why backups must not be written to this folder: while its disk is not mounted, they would fill
/// the disk that contains the mount point.
pub fn unmounted(folder: &Path) -> Option<String> {
    // This triggers an automount.
    let _ = folder.read_dir();
    let fstab = fs::read_to_string("/etc/fstab").unwrap_or_default();
    let mounts = Process::myself()
        .and_then(|process| process.mountinfo())
        .ok()?;
    let mounts = mounts.0.into_iter();
    let mounted: Vec<_> = mounts
        .filter(|mount| mount.fs_type != "autofs")
        .map(|mount| unescaped(&mount.mount_point.to_string_lossy()))
        .collect();
    let place = missing(folder, &fstab, &mounted)?;
    Some(format!(
        "{} is on a disk that is not mounted: run `mount {}`",
        folder.display(),
        place.display()
    ))
}

/// The folder's mount point in /etc/fstab, if nothing is mounted there.
fn missing(folder: &Path, fstab: &str, mounted: &[PathBuf]) -> Option<PathBuf> {
    let lines = fstab.lines().map(str::trim);
    let lines = lines.filter(|line| !line.starts_with('#'));
    let points = lines.filter_map(|line| Some(unescaped(line.split_whitespace().nth(1)?)));
    let point = points
        .filter(|point| folder.starts_with(point))
        .max_by_key(|point| point.components().count())?;
    (!mounted.contains(&point)).then_some(point)
}

/// /etc/fstab and mountinfo write a blank as `\040`.
fn unescaped(path: &str) -> PathBuf {
    path.replace("\\040", " ").into()
}

/// Whether both are on the same disk, so that its failure loses both.
pub fn on_one_disk(one: &Path, other: &Path) -> bool {
    let disk = |path: &Path| {
        let there = path.ancestors().find_map(|path| path.metadata().ok())?;
        Some(disk(there.dev()))
    };
    matches!((disk(one), disk(other)), (Some(one), Some(other)) if one == other)
}

/// The disk of a partition, or else the number of the device itself.
fn disk(device: u64) -> PathBuf {
    let number = format!("/sys/dev/block/{}:{}", major(device), minor(device));
    let Ok(path) = fs::canonicalize(&number) else {
        return number.into();
    };
    match path.parent() {
        Some(disk) if path.join("partition").exists() => disk.to_owned(),
        _ => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_whose_mount_point_has_no_disk_is_found() {
        let fstab = "# /dev/sdz /mnt/old ext4\nUUID=1 / ext4 defaults 0 1\n\n\
                     /dev/sdb1 /mnt/my\\040usb ext4 nofail 0 2\n/dev/sdc1 none swap sw\n";
        let mounted = ["/", "/mnt/other"].map(PathBuf::from);
        let missing = |folder: &str| missing(Path::new(folder), fstab, &mounted);
        assert_eq!(missing("/mnt/my usb/anki"), Some("/mnt/my usb".into()));
        assert_eq!(missing("/mnt/my usb"), Some("/mnt/my usb".into()));
        assert_eq!(missing("/mnt/old/anki"), None);
        assert_eq!(missing("/var/backups"), None);
    }

    #[test]
    fn what_is_in_one_folder_is_on_one_disk() {
        let folder = tempfile::tempdir().unwrap();
        assert!(on_one_disk(folder.path(), &folder.path().join("not/there")));
        assert!(!on_one_disk(folder.path(), Path::new("/proc")));
    }
}
