"""Filling a disk, and making room on it."""

import os

from harness import MEBIBYTE


def fill(disk, leave=0):
    """Fills the disk, leaving that many bytes."""
    with open(disk / "filler", "wb") as filler:
        try:
            while True:
                filler.write(os.urandom(MEBIBYTE))
        except OSError:
            pass
        written = filler.tell()
    if leave:
        os.truncate(disk / "filler", written - leave)
    else:
        # And what is left of the last piece.
        with open(disk / "filler", "ab", buffering=0) as filler:
            try:
                while True:
                    filler.write(bytes(512))
            except OSError:
                pass
    os.sync()


def make_room(disk):
    (disk / "filler").unlink()
    os.sync()
