"""What can go wrong with a system call, and where."""

import errno
from dataclasses import dataclass

WRITES = {"write", "writev", "pwrite64", "pwritev", "copy_file_range", "sendfile"}
SYNCS = {"fsync", "fdatasync", "syncfs", "sync_file_range"}
OPENS = {"open", "creat", "openat", "openat2"}
NAMES = {"rename", "renameat", "renameat2", "link", "linkat", "symlinkat", "mkdir", "mkdirat"}
REMOVALS = {"unlink", "unlinkat", "rmdir"}
LENGTHS = {"truncate", "ftruncate", "fallocate"}
CHANGES = WRITES | SYNCS | NAMES | REMOVALS | LENGTHS
ALL = CHANGES | OPENS | {"mmap"}
# Those that need room on the disk; delayed allocation may say so at an fsync only.
NEED_ROOM = WRITES | SYNCS | NAMES | {"fallocate"}
SHORTENED = {"write", "pwrite64"}
# Where POSIX lets a signal interrupt; the caller is to try again.
INTERRUPTED = {"write", "pwrite64", "fsync", "fdatasync", "ftruncate", *OPENS}
CREATE = 0o100


@dataclass(frozen=True)
class Fault:
    """One kind of fault: which calls it can hit, with what, and whether it stays."""

    name: str
    calls: frozenset
    error: int = 0
    stays: bool = False
    kills: bool = False
    shortens: bool = False

    def hits(self, call, creates):
        """Whether it can hit a call of this name; `creates` says that one opens for creating."""
        return call in self.calls or (self.error == errno.ENOSPC and call in OPENS and creates)


KINDS = {
    fault.name: fault
    for fault in [
        Fault("kill", frozenset(ALL), kills=True),
        # A bad sector, once.
        Fault("eio", frozenset(ALL - {"mmap"}), errno.EIO),
        # A disk that takes nothing any more.
        Fault("broken", frozenset(CHANGES), errno.EIO, stays=True),
        Fault("full", frozenset(NEED_ROOM), errno.ENOSPC, stays=True),
        Fault("full-once", frozenset(NEED_ROOM), errno.ENOSPC),
        Fault("short", frozenset(SHORTENED), shortens=True),
        Fault("interrupted", frozenset(INTERRUPTED), errno.EINTR),
        Fault("no-memory", frozenset({"mmap"}), errno.ENOMEM),
        Fault("no-descriptor", frozenset(OPENS), errno.EMFILE),
    ]
}
