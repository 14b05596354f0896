"""A process whose system calls on the files of one folder are counted, and one is spoilt."""

import ctypes
import errno
import os
import select
import signal
import socket
import threading
import time
from dataclasses import dataclass

from faults import seccomp
from faults.faults import CREATE, SHORTENED, SYNCS

PIDFD_OPEN, PIDFD_GETFD = 434, 438
AT_FDCWD = -100
# Which argument is the descriptor of what is changed, other than the first one.
DESCRIPTOR_AT = {"mmap": 4, "copy_file_range": 2}
# Which arguments are folder and path of what is changed; of two paths it is the new one.
PATH_AT = {
    "open": (None, 0),
    "creat": (None, 0),
    "openat": (0, 1),
    "openat2": (0, 1),
    "truncate": (None, 0),
    "rename": (None, 1),
    "renameat": (2, 3),
    "renameat2": (2, 3),
    "link": (None, 1),
    "linkat": (2, 3),
    "symlinkat": (1, 2),
    "unlink": (None, 0),
    "unlinkat": (0, 1),
    "mkdir": (None, 0),
    "mkdirat": (0, 1),
    "rmdir": (None, 0),
}
FLAGS_AT = {"open": 1, "openat": 2}


@dataclass(frozen=True)
class Call:
    """A counted call, as a report shows it."""

    name: str
    path: str
    creates: bool = False

    def __str__(self):
        return f"{self.name} {self.path}"


class Supervised:
    """A process under supervision; nothing is counted before `arm`."""

    def __init__(self, command, environment, output, root, lying=False, given=None):
        self.root = str(root)
        self.lying = lying
        self.calls = []
        self.armed = False
        self.fault, self.at = None, 0
        self.injected = None
        # Called with the number of every counted call, before it is carried out.
        self.before_each = None
        ours, theirs = socket.socketpair()
        self.pid = os.fork()
        if self.pid == 0:
            become(command, environment, given, output, theirs)
        theirs.close()
        with ours:
            _, descriptors, _, _ = socket.recv_fds(ours, 1, 1)
        if not descriptors:
            os.waitpid(self.pid, 0)
            raise OSError("the process cannot be supervised")
        self.listener = descriptors[0]
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()
        self.status = None

    # What is to happen.

    def arm(self, fault=None, at=0):
        """Counts from here on; with a fault, the call of that number gets it."""
        self.calls, self.injected = [], None
        self.fault, self.at = fault, at
        self.armed = True

    def disarm(self):
        self.armed = False

    # The process.

    def poll(self):
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
        return self.status

    def wait(self, timeout=30):
        deadline = time.monotonic() + timeout
        while self.poll() is None:
            if time.monotonic() > deadline:
                self.send_signal(signal.SIGKILL)
                raise TimeoutError(f"process {self.pid} has not ended within {timeout} s")
            time.sleep(0.002)
        self.thread.join(timeout)
        return self.status

    def send_signal(self, number):
        if self.poll() is None:
            os.kill(self.pid, number)

    # Its calls.

    def serve(self):
        poller = select.poll()
        poller.register(self.listener, select.POLLIN)
        try:
            while True:
                ((_, events),) = poller.poll()
                if not events & select.POLLIN:
                    return
                try:
                    self.decide(seccomp.Notification(self.listener))
                except FileNotFoundError:
                    # Whoever made the call is gone.
                    continue
        finally:
            os.close(self.listener)

    def decide(self, held):
        lies = self.lying and held.name in SYNCS
        path = self.path(held) if self.armed or lies else None
        if path is None:
            held.proceed()
        elif self.armed and self.spoilt(held, path):
            pass
        elif lies:
            held.succeed()
        else:
            held.proceed()

    def spoilt(self, held, path):
        """Counts the call; whether it has been answered, or the process killed."""
        creates = held.name == "creat" or bool(
            held.name in FLAGS_AT and held.arguments[FLAGS_AT[held.name]] & CREATE
        )
        call = Call(held.name, path, creates)
        self.calls.append(call)
        if self.before_each:
            self.before_each(len(self.calls))
        if self.fault is None or not self.is_due(call):
            return False
        self.injected = self.injected or call
        if self.fault.kills:
            os.kill(self.pid, signal.SIGKILL)
        elif self.fault.shortens:
            shorten(held)
        else:
            held.fail(self.fault.error)
        return True

    def is_due(self, call):
        """The call of the given number, or if it is another than before, the next that fits."""
        if not self.fault.hits(call.name, call.creates):
            return False
        if self.injected:
            return self.fault.stays
        return len(self.calls) >= self.at

    def path(self, held):
        """Of the file below the folder that the call is about; none if it is about another."""
        try:
            path = self.named(held) if held.name in PATH_AT else self.described(held)
        except OSError:
            return None
        if path == self.root or path.startswith(f"{self.root}/"):
            return path[len(self.root) + 1 :] or "."
        return None

    def described(self, held):
        return held.link(f"fd/{held.descriptor(DESCRIPTOR_AT.get(held.name, 0))}")

    def named(self, held):
        folder_at, path_at = PATH_AT[held.name]
        path = held.text(path_at)
        if path.startswith("/"):
            return path
        folder = AT_FDCWD if folder_at is None else held.descriptor(folder_at)
        above = held.link("cwd" if folder == AT_FDCWD else f"fd/{folder}")
        return f"{above}/{path}"


def become(command, environment, given, output, to):
    """In the child: puts itself under supervision, and becomes the program."""
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY) if given is None else given, 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        listener = seccomp.hold_own_calls()
        socket.send_fds(to, [b"0"], [listener])
        os.execve(command[0], command, environment)
    finally:
        os._exit(127)


def shorten(held):
    """Writes the first half, in the name of the process."""
    assert held.name in SHORTENED
    length = held.arguments[2]
    content = held.memory(held.arguments[1], max(1, length // 2)) if length else b""
    process = called(PIDFD_OPEN, held_process(held), 0)
    try:
        file = called(PIDFD_GETFD, process, held.descriptor(), 0)
        try:
            if held.name == "pwrite64":
                written = os.pwrite(file, content, held.arguments[3])
            else:
                written = os.write(file, content)
        finally:
            os.close(file)
    finally:
        os.close(process)
    held.succeed(written)


def held_process(held):
    with open(f"/proc/{held.thread}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("Tgid:"))


def called(number, *arguments):
    result = seccomp.LIBC.syscall(number, *arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), errno.errorcode.get(ctypes.get_errno(), ""))
    return result
