"""System calls of another process, held until somebody here has decided about each: seccomp's
user notification, as the kernel's `seccomp_unotify(2)` describes it.

It sees every call, also those that a program makes without the C library, which a preloaded library
would miss.
"""

import ctypes
import errno
import fcntl
import os
import struct

PR_SET_NO_NEW_PRIVS = 38
SET_MODE_FILTER = 1
# A signal that does not end the process must not make it repeat a call that is being held.
NEW_LISTENER, WAIT_KILLABLE = 1 << 3, 1 << 5
RECEIVE, SEND = 0xC0502100, 0xC0182101
CONTINUE = 1
USER_NOTIFICATION, ALLOW = 0x7FC00000, 0x7FFF0000
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06
# Where `struct seccomp_data` has the number, and the low half of the given argument.
NUMBER, ARGUMENTS = 0, 16
NO_FILE = 0xFFFFFFFF

# name: number on x86_64, on aarch64; none where there is no such call.
NUMBERS = {
    "write": (1, 64),
    "writev": (20, 66),
    "pwrite64": (18, 68),
    "pwritev": (296, 70),
    "copy_file_range": (326, 285),
    "sendfile": (40, 71),
    "fsync": (74, 82),
    "fdatasync": (75, 83),
    "sync_file_range": (277, 84),
    "syncfs": (306, 267),
    "truncate": (76, 45),
    "ftruncate": (77, 46),
    "fallocate": (285, 47),
    "open": (2, None),
    "creat": (85, None),
    "openat": (257, 56),
    "openat2": (437, 437),
    "rename": (82, None),
    "renameat": (264, 38),
    "renameat2": (316, 276),
    "link": (86, None),
    "linkat": (265, 37),
    "symlinkat": (266, 36),
    "unlink": (87, None),
    "unlinkat": (263, 35),
    "mkdir": (83, None),
    "mkdirat": (258, 34),
    "rmdir": (84, None),
    "mmap": (9, 222),
}
MACHINE = {"x86_64": 0, "aarch64": 1}[os.uname().machine]
NAMES = {numbers[MACHINE]: name for name, numbers in NUMBERS.items()}
NAMES.pop(None, None)
SECCOMP = (317, 277)[MACHINE]
LIBC = ctypes.CDLL(None, use_errno=True)


class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p)]


def instruction(code, operand, if_true=0, if_false=0):
    return struct.pack("HBBI", code, if_true, if_false, operand)


def filter_program():
    """The whole of it; `mmap` last, since the argument is loaded in place of the number."""
    mmap = NUMBERS["mmap"][MACHINE]
    lines = [instruction(LOAD, NUMBER)]
    for number, name in NAMES.items():
        if name != "mmap":
            lines += [instruction(EQUAL, number, 0, 1), instruction(RETURN, USER_NOTIFICATION)]
    lines += [
        instruction(EQUAL, mmap, 0, 3),
        instruction(LOAD, ARGUMENTS + 8 * 4),
        instruction(EQUAL, NO_FILE, 1, 0),
        instruction(RETURN, USER_NOTIFICATION),
        instruction(RETURN, ALLOW),
    ]
    return b"".join(lines)


PROGRAM = ctypes.create_string_buffer(filter_program())
INSTRUCTIONS = Program(len(PROGRAM.raw) // 8, ctypes.addressof(PROGRAM))


def hold_own_calls():
    """From now on, in this process and its children; returns the descriptor they are decided at.

    To be followed by nothing but handing that over and executing the program.
    """
    if LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0:
        raise OSError(ctypes.get_errno(), "no_new_privs")
    for flags in (NEW_LISTENER | WAIT_KILLABLE, NEW_LISTENER):
        listener = LIBC.syscall(SECCOMP, SET_MODE_FILTER, flags, ctypes.byref(INSTRUCTIONS))
        if listener >= 0:
            return listener
    raise OSError(ctypes.get_errno(), "seccomp")


class Notification:
    """One call that is being held."""

    LAYOUT = struct.Struct("=QIIiIQ6Q")
    ANSWER = struct.Struct("=QqiI")

    def __init__(self, listener):
        """Waits for the next one; fails with ENOENT when whoever made it is gone."""
        held = bytearray(self.LAYOUT.size)
        fcntl.ioctl(listener, RECEIVE, held)
        self.listener = listener
        self.id, self.thread, _, number, _, _, *self.arguments = self.LAYOUT.unpack(held)
        self.name = NAMES[number]

    def proceed(self):
        self.answer(0, 0, CONTINUE)

    def fail(self, number):
        self.answer(0, -number, 0)

    def succeed(self, value=0):
        """Without anything having been done."""
        self.answer(value, 0, 0)

    def answer(self, value, error, flags):
        packed = bytearray(self.ANSWER.pack(self.id, value, error, flags))
        try:
            fcntl.ioctl(self.listener, SEND, packed)
        except OSError as gone:
            # The process has been killed meanwhile.
            if gone.errno != errno.ENOENT:
                raise

    # What it is about.

    def descriptor(self, position=0):
        return ctypes.c_int32(self.arguments[position] & 0xFFFFFFFF).value

    def memory(self, address, length):
        with open(f"/proc/{self.thread}/mem", "rb", buffering=0) as memory:
            return os.pread(memory.fileno(), length, address)

    def text(self, position):
        address = self.arguments[position]
        # Not over the end of the page at once, behind which there may be nothing.
        first = 4096 - address % 4096
        content = self.memory(address, first)
        if b"\0" not in content:
            content += self.memory(address + first, 4096)
        return os.fsdecode(content.split(b"\0", 1)[0])

    def link(self, name):
        return os.readlink(f"/proc/{self.thread}/{name}")
