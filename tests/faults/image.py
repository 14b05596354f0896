"""Disks of their own, which are images: what is on one when the power goes, is what was written.

A file system keeps what it has not been asked to write in memory. So a copy of the image, taken
from below while the file system is mounted, is what a power cut would leave; mounting the copy
recovers it by its journal.
"""

import os
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from faults.prepared import copied
from harness import MEBIBYTE
from harness.apt import provide

PATIENCE = 5


@dataclass(frozen=True)
class Disk:
    """One kind; with `eager`, a neighbour who syncs has everything's metadata written at once."""

    name: str
    size: int
    make: tuple
    options: str
    eager: bool = False


# Nothing is written just because time goes by, nor because a file replaces another.
EXT4 = (
    32 * MEBIBYTE,
    ("mkfs.ext4", "-q", "-F", "-m", "0", "-b", "4096", "-J", "size=4"),
    "loop,commit=3000,noauto_da_alloc",
)
# The smallest that it allows. The copy has the same UUID as the mounted original.
XFS = (300 * MEBIBYTE, ("mkfs.xfs", "-q", "-f"), "loop,nouuid")
DISKS = {
    disk.name: disk
    for disk in [
        Disk("ext4", *EXT4),
        Disk("ext4-eager", *EXT4, eager=True),
        Disk("xfs", *XFS),
        Disk("xfs-eager", *XFS, eager=True),
    ]
}


def provide_tools():
    provide("e2fsprogs", "xfsprogs")


def make(disk, image, root):
    """An image with a copy of the folder."""
    with open(image, "wb") as file:
        file.truncate(disk.size)
    subprocess.run([*disk.make, image], check=True, stdout=subprocess.DEVNULL)
    folder = image.with_suffix(".made")
    with mounted(disk, image, folder):
        copied(root, folder / "root")


@contextmanager
def mounted(disk, image, folder):
    """Whoever has files open there must have ended by the end."""
    folder.mkdir(exist_ok=True)
    subprocess.run(["mount", "-o", disk.options, image, folder], check=True)
    try:
        yield
    finally:
        unmount(folder)


def unmount(folder):
    deadline = time.monotonic() + PATIENCE
    while subprocess.run(["umount", folder], capture_output=True).returncode != 0:
        if time.monotonic() > deadline:
            subprocess.run(["umount", "--lazy", folder], check=True)
            return
        time.sleep(0.02)


def device_of(folder):
    """The loop device that is mounted there."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        device, where, *_ = line.split()
        if where == str(folder):
            return Path("/sys/block") / Path(device).name
    raise OSError(f"nothing is mounted on {folder}")


def cut(disk, image, folder, to):
    """What the disk has at this moment. Nobody may write to it meanwhile."""
    if disk.eager:
        with open(folder / "neighbour", "ab") as neighbour:
            neighbour.write(b"x")
            neighbour.flush()
            os.fsync(neighbour.fileno())
    statistics = device_of(folder) / "stat"
    deadline = time.monotonic() + PATIENCE
    while True:
        before = idle_state(statistics)
        sparse_copy(image, to)
        # Or the copy might have later parts of something, and not its earlier ones.
        if before is not None and before == idle_state(statistics):
            return
        if time.monotonic() > deadline:
            raise OSError("the disk does not come to rest")


def idle_state(statistics):
    """How much has been written; none if something is being written."""
    numbers = statistics.read_text().split()
    return tuple(numbers[4:7]) if numbers[8] == "0" else None


def sparse_copy(source, to):
    with open(source, "rb") as old, open(to, "wb") as new:
        size = os.fstat(old.fileno()).st_size
        new.truncate(size)
        end = 0
        while end < size:
            try:
                start = os.lseek(old.fileno(), end, os.SEEK_DATA)
            except OSError:
                return
            end = os.lseek(old.fileno(), start, os.SEEK_HOLE)
            for place in range(start, end, MEBIBYTE):
                piece = os.pread(old.fileno(), min(MEBIBYTE, end - place), place)
                os.pwrite(new.fileno(), piece, place)
