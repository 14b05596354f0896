use super::*;

fn nearly_full() -> (tempfile::TempDir, Disk) {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::new(folder.path().to_owned());
    let free = Free::at(folder.path()).unwrap().bytes;
    // Other programs use this disk too, so its free space is not known to the byte.
    disk.keep_free(free.saturating_sub(400 * MIB));
    (folder, disk)
}

fn is_full<T>(result: io::Result<T>) -> bool {
    result.is_err_and(|error| error.kind() == ErrorKind::StorageFull)
}

#[test]
fn what_was_promised_to_one_is_not_promised_to_another() {
    let (_folder, disk) = nearly_full();
    let mut first = disk.promise(250 * MIB, Purpose::Keep).unwrap();
    let other = disk.below(std::env::temp_dir());
    assert!(is_full(other.promise(250 * MIB, Purpose::Keep)));
    first.spend(250 * MIB);
    // Nothing was written, so the disk still has the space.
    let second = other.promise(250 * MIB, Purpose::Keep).unwrap();
    assert!(is_full(disk.promise(250 * MIB, Purpose::Keep)));
    drop(second);
    assert!(disk.promise(250 * MIB, Purpose::Keep).is_ok());
    assert_eq!(*disk.budget.promised(), 0);
}

#[test]
fn what_is_sent_may_take_half_of_what_has_to_stay_free() {
    let (_folder, disk) = nearly_full();
    let reserve = disk.budget.reserve.load(Ordering::Relaxed);
    let wanted = reserve / 4 + 400 * MIB;
    assert!(is_full(disk.promise(wanted, Purpose::Keep)));
    assert!(disk.promise(wanted, Purpose::Pass).is_ok());
}

#[test]
fn a_file_that_grows_asks_again_and_stops() {
    let (folder, disk) = nearly_full();
    let _others = disk.promise(200 * MIB, Purpose::Keep).unwrap();
    let mut file = disk.file(folder.path(), Purpose::Keep).unwrap();
    file.write_all(&vec![1; 3 * 1024 * 1024]).unwrap();
    let _the_rest = disk.promise(100 * MIB, Purpose::Keep).unwrap();
    disk.keep_free(u64::MAX);
    assert!(is_full(file.write_all(&vec![1; 3 * 1024 * 1024])));
    let written = file.into_inner().as_file().metadata().unwrap().len();
    assert!(written <= 4 * MIB, "{written}");
}

#[test]
fn what_stays_in_memory_needs_no_disk() {
    let (folder, disk) = nearly_full();
    disk.keep_free(u64::MAX);
    let mut spool = disk.spool(1000, folder.path(), Purpose::Keep);
    spool.write_all(&[1; 1000]).unwrap();
    assert!(is_full(spool.write_all(&[1])));
    assert_eq!(*disk.budget.promised(), 0);
}

#[test]
fn what_goes_to_the_disk_is_what_was_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = Disk::new(folder.path().to_owned()).spool(10, folder.path(), Purpose::Keep);
    spool.write_all(b"0123456789").unwrap();
    assert!(spool.is_in_memory());
    // Overwrites existing bytes and writes beyond the end.
    spool.seek(SeekFrom::Start(8)).unwrap();
    spool.write_all(b"abcd").unwrap();
    assert!(!spool.is_in_memory());
    spool.write_all(b"ef").unwrap();
    spool.rewind().unwrap();
    let mut text = String::new();
    spool.read_to_string(&mut text).unwrap();
    assert_eq!(text, "01234567abcdef");
}
