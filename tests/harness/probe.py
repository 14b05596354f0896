"""Tries what a daemon that has been taken over would try, and writes down what was refused.

Run inside the sandbox of the service as `probe.py FOLDER RESULT`: FOLDER is the one that may be
written to. Needs nothing but Python. Run outside the sandbox, as root, all of it has to work: that
shows the attempts to be sound.
"""

import contextlib
import ctypes
import errno
import json
import mmap
import os
import shutil
import socket
import stat
import subprocess
import sys
import time

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWUSER = 0x10000000
CLONE_NEWNS = 0x00020000
CAP_LAST = 40
PR_CAPBSET_READ = 23
SCHED_FIFO = 1
PERSONALITY_LINUX32 = 0x0008
KEYCTL_JOIN_SESSION_KEYRING = 1
SYSLOG_ACTION_SIZE_BUFFER = 10
# Mounts, or attributes of processes: nothing there is a place for files.
NOT_FILES = ("/proc", "/sys")


def checked(result):
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


# Writing. Rights on files are opened wide beforehand: they are not what is tested here.


def writable_places(folder):
    """Every place outside the folder where a file can be made or opened for writing."""
    found = []
    for top, folders, files in os.walk("/"):
        if top.startswith(NOT_FILES) or top == folder:
            folders.clear()
            continue
        path = os.path.join(top, "probe")
        with contextlib.suppress(OSError):
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
            os.unlink(path)
            found.append(top)
        for name in files:
            path = os.path.join(top, name)
            with contextlib.suppress(OSError):
                if stat.S_ISREG(os.lstat(path).st_mode):
                    os.close(os.open(path, os.O_WRONLY))
                    found.append(path)
    return found


def write_anywhere_else(folder):
    places = writable_places(folder)
    if not places:
        raise PermissionError(errno.EACCES, "nowhere")
    return places


# Executing.


def execute(path):
    return subprocess.run([path, "--version"], capture_output=True, check=False).returncode


def execute_a_copy(folder):
    copy = os.path.join(folder, "copy")
    shutil.copy(os.path.realpath("/usr/bin/env"), copy)
    os.chmod(copy, 0o755)
    try:
        execute(copy)
    finally:
        os.unlink(copy)


def execute_from_memory(folder):
    file = os.memfd_create("copy")
    with open(os.path.realpath("/usr/bin/env"), "rb") as program:
        os.write(file, program.read())
    subprocess.run([f"/proc/self/fd/{file}", "--version"], pass_fds=[file], check=True)


def writable_and_executable_memory(folder):
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC).close()


# Privileges.


def set_user_id_bit(folder):
    path = os.path.join(folder, "suid")
    with open(path, "w"):
        os.chmod(path, 0o4755)
    os.unlink(path)


def any_capability(folder):
    if not any(LIBC.prctl(PR_CAPBSET_READ, number) == 1 for number in range(CAP_LAST + 1)):
        raise PermissionError(errno.EPERM, "the bounding set is empty")


def in_child(attempt):
    """Changes of the process itself end with a child."""

    def attempted(folder):
        child = os.fork()
        if child == 0:
            try:
                attempt(folder)
            except OSError as error:
                os._exit(error.errno)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        number = os.waitstatus_to_exitcode(status)
        if number > 0:
            raise OSError(number, os.strerror(number))

    return attempted


def see_other_processes(folder):
    with open("/proc/1/environ", "rb"):
        pass


def talk_to_the_bus(folder):
    with socket.socket(socket.AF_UNIX) as client:
        client.connect("/run/dbus/system_bus_socket")


def make_device(folder):
    path = os.path.join(folder, "device")
    os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 1))
    os.unlink(path)


def chown_to_other(folder):
    path = os.path.join(folder, "owned")
    with open(path, "w"):
        os.chown(path, 65534, 65534)
    os.unlink(path)


def open_socket(family, kind=socket.SOCK_STREAM, protocol=0):
    return lambda folder: socket.socket(family, kind, protocol).close()


def key_in_a_keyring(folder):
    key = LIBC.syscall(
        {"x86_64": 250, "aarch64": 219}[os.uname().machine],
        KEYCTL_JOIN_SESSION_KEYRING,
        None,
    )
    checked(key)


PROBES = {
    "write-anywhere-else": write_anywhere_else,
    "socket-inet": open_socket(socket.AF_INET),
    "socket-inet6": open_socket(socket.AF_INET6),
    "socket-udp": open_socket(socket.AF_INET, socket.SOCK_DGRAM),
    "socket-netlink": open_socket(socket.AF_NETLINK, socket.SOCK_RAW),
    "socket-packet": open_socket(socket.AF_PACKET, socket.SOCK_RAW),
    "bus": talk_to_the_bus,
    "execute-sh": lambda folder: execute("/bin/sh"),
    "execute-env": lambda folder: execute("/usr/bin/env"),
    "execute-helper": lambda folder: execute("/usr/lib/systemd/systemd"),
    "execute-copy": execute_a_copy,
    "execute-memory": execute_from_memory,
    "write-execute-memory": writable_and_executable_memory,
    "setuid": in_child(lambda folder: os.setuid(0)),
    "setgid": in_child(lambda folder: os.setgid(0)),
    "setgroups": in_child(lambda folder: os.setgroups([0])),
    "set-user-id-bit": set_user_id_bit,
    "capability": any_capability,
    "user-namespace": in_child(lambda folder: checked(LIBC.unshare(CLONE_NEWUSER))),
    "mount-namespace": in_child(lambda folder: checked(LIBC.unshare(CLONE_NEWNS))),
    "chroot": in_child(lambda folder: os.chroot(folder)),
    "mount": in_child(
        lambda folder: checked(LIBC.mount(b"none", folder.encode(), b"tmpfs", 0, None))
        or checked(LIBC.umount(folder.encode()))
    ),
    "chown": chown_to_other,
    "device": make_device,
    "other-processes": see_other_processes,
    "kernel-log": lambda folder: checked(LIBC.klogctl(SYSLOG_ACTION_SIZE_BUFFER, None, 0)),
    "real-time": in_child(
        lambda folder: os.sched_setscheduler(0, SCHED_FIFO, os.sched_param(1))
    ),
    "personality": in_child(lambda folder: checked(LIBC.personality(PERSONALITY_LINUX32))),
    "hostname": lambda folder: socket.sethostname(socket.gethostname()),
    # To what it is: nothing is lost where it works.
    "clock": lambda folder: time.clock_settime(time.CLOCK_REALTIME, time.time()),
    "kernel-settings": lambda folder: open("/proc/sys/kernel/core_pattern").close(),
    "keyring": in_child(key_in_a_keyring),
    "priority": in_child(lambda folder: os.setpriority(os.PRIO_PROCESS, 0, -5)),
}


def main(folder, result):
    outcomes = {}
    for name, probe in PROBES.items():
        try:
            outcomes[name] = {"refused": None, "value": probe(folder)}
        except OSError as error:
            outcomes[name] = {"refused": str(error)}
    with open(result, "w") as file:
        json.dump(outcomes, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
