"""A Debian with a systemd of its own as PID 1, booted in systemd-nspawn.

It shares the host's network, so that a client outside reaches what listens inside, unless it is
given one of its own. Needs root.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import time
from contextlib import contextmanager, suppress
from pathlib import Path

from harness import apt

CACHE = (
    Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "anki-syncd-tests"
)
HOST_PACKAGES = ["systemd-container", "mmdebstrap", "debian-archive-keyring"]
PACKAGES = [
    *["systemd", "systemd-sysv", "dbus", "libpam-systemd", "python3", "ca-certificates"],
    *["iproute2", "procps"],
]
MIRROR = "http://deb.debian.org/debian"
# Where the clock is wrong, or the mirror old, there is still something to test.
ANY_AGE = ["Check-Valid-Until", "Check-Date"]
BOOT_TIMEOUT = 60
STOP_TIMEOUT = 30
CLEAN_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "TERM": "dumb",
    "DEBIAN_FRONTEND": "noninteractive",
    "SYSTEMD_PAGER": "cat",
    "SYSTEMD_COLORS": "0",
}

# What the tests of the sandbox rely on: where nspawn withholds a privilege from its systemd, that
# runs services without the protection, and says nothing. Each has to be refused. (SocketBindDeny=
# is not among them: Debian 12 builds its systemd without.)
REFUSED_CONNECTION = """
import socket
listener = socket.create_server(("127.0.0.1", 0))
client = socket.socket()
client.settimeout(1)
try:
    client.connect(listener.getsockname())
except OSError:
    raise SystemExit(0)
raise SystemExit("connected")
"""
CANARIES = [
    (["IPAddressDeny=any"], ["python3", "-c", REFUSED_CONNECTION]),
    (["PrivateNetwork=yes"], ["sh", "-c", "test $(ip -oneline link | wc -l) = 1"]),
    (["ProtectSystem=strict"], ["sh", "-c", "! touch /etc/canary 2>/dev/null"]),
    (["DevicePolicy=closed"], ["sh", "-c", "! (: < /dev/kmsg) 2>/dev/null"]),
    (
        ["SystemCallFilter=~@mount", "SystemCallErrorNumber=EUCLEAN"],
        ["sh", "-c", "! mount -t tmpfs none /mnt 2>/dev/null"],
    ),
]


def prepare():
    """Sees to what the host needs."""
    if os.geteuid() != 0:
        raise RuntimeError("booting a systemd needs root")
    apt.provide(*HOST_PACKAGES)


def root_archive(suite):
    """A tar of a fresh Debian, made once."""
    command = [
        *["mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", "--format=tar"],
        f"--include={','.join(PACKAGES)}",
        *[f'--aptopt=Acquire::{option} "false"' for option in ANY_AGE],
        # An empty one is filled at boot; the timers would load the machine at some moment.
        '--customize-hook=: > "$1"/etc/machine-id',
        '--customize-hook=for timer in apt-daily apt-daily-upgrade dpkg-db-backup; do '
        'ln -sf /dev/null "$1"/etc/systemd/system/$timer.timer; done',
        # To be read also when it has been powered off.
        '--customize-hook=mkdir -p "$1"/etc/systemd/journald.conf.d; printf '
        r'"[Journal]\nStorage=persistent\nRateLimitIntervalSec=0\n" '
        '> "$1"/etc/systemd/journald.conf.d/tests.conf',
    ]
    name = hashlib.sha256(repr(command).encode()).hexdigest()[:8]
    CACHE.mkdir(parents=True, exist_ok=True)
    archive = CACHE / f"{suite}-{name}.tar"
    with open(archive.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not archive.exists():
            unfinished = archive.with_suffix(".unfinished")
            subprocess.run([*command, suite, unfinished, mirror()], check=True)
            unfinished.rename(archive)
    return archive


def mirror():
    """The one that this machine uses, if it is for Debian at all."""
    if "\nID=debian\n" not in Path("/etc/os-release").read_text():
        return MIRROR
    targets = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI)"], capture_output=True, text=True
    )
    uris = (line.rstrip("/") for line in targets.stdout.splitlines())
    return next((uri for uri in uris if uri.endswith("/debian")), MIRROR)


def unified_cgroups():
    for folder in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified"):
        if (Path(folder) / "cgroup.procs").exists():
            return Path(folder)
    raise RuntimeError("no cgroup2 file system is mounted")


class Container:
    """One booted system, from a fresh copy of its root."""

    def __init__(self, name, suite, folder, own_network=False):
        self.name = name
        self.suite = suite
        self.own_network = own_network
        self.folder = Path(folder)
        self.root = self.folder / "root"
        self.console = self.folder / "console.log"
        # One of the two: nspawn as a unit of the host's systemd, or in a cgroup of ours.
        self.unit = None
        self.cgroup = None
        self.nspawn = None
        self.process = None
        self.leader = None

    # Its life.

    def start(self):
        archive = root_archive(self.suite)
        self.root.mkdir(parents=True)
        subprocess.run(
            ["tar", "-C", self.root, "--numeric-owner", "--xattrs", "--xattrs-include=*", "-xf"]
            + [archive],
            check=True,
        )
        # A proxy's certificate may be among them, for installing packages inside.
        certificates = Path("etc/ssl/certs/ca-certificates.crt")
        if (Path("/") / certificates).exists():
            shutil.copy(Path("/") / certificates, self.root / certificates)
        try:
            self.boot()
            self.wait_until_up()
            self.check_enforcement()
        except BaseException:
            self.stop()
            raise
        return self

    def boot(self):
        command = [
            *["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--boot"],
            *[f"--machine={self.name}", f"--directory={self.root}", "--console=pipe"],
            *["--resolv-conf=replace-host", "--timezone=off", "--link-journal=no"],
            # With fewer, systemd inside silently leaves out protections: see CANARIES. Loading
            # modules is the host's, and fails.
            *["--capability=all", "--drop-capability=CAP_SYS_MODULE"],
            "--system-call-filter=@known",
            *(["--private-network"] if self.own_network else []),
            "systemd.log_target=journal",
        ]
        if Path("/run/systemd/system").exists():
            self.boot_in_a_unit(command)
        else:
            # Whoever kills the tests need not look for containers too.
            self.boot_in_a_cgroup(["setpriv", "--pdeathsig", "TERM", *command])

    def boot_in_a_unit(self, command):
        """Where the host's systemd rules over the cgroups."""
        self.unit = f"anki-syncd-tests-{self.name}.service"
        output = f"append:{self.console}"
        subprocess.run(
            [
                *["systemd-run", "--quiet", "--collect", f"--unit={self.unit}"],
                *["-p", "Type=notify", "-p", "Delegate=yes", "-p", "KillMode=mixed"],
                *["-p", f"StandardOutput={output}", "-p", f"StandardError={output}"],
                *["--setenv=SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1", *command],
            ],
            check=True,
        )
        show = ["systemctl", "show", "--property=MainPID", "--value", self.unit]
        self.process = int(subprocess.check_output(show, text=True))

    def boot_in_a_cgroup(self, command):
        """nspawn makes others below its own: two containers started from one would share them."""
        self.cgroup = unified_cgroups() / f"anki-syncd-tests-{self.name}"
        self.cgroup.mkdir(exist_ok=True)
        with open(self.console, "ab") as console:
            self.nspawn = subprocess.Popen(
                ["sh", "-c", 'echo $$ > "$0"/cgroup.procs && exec "$@"', self.cgroup, *command],
                env={**os.environ, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"},
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                start_new_session=True,
            )
        self.process = self.nspawn.pid

    def wait_until_up(self):
        deadline = time.monotonic() + BOOT_TIMEOUT
        state = "none"
        while state not in ("running", "degraded", "maintenance"):
            if not self.alive() or time.monotonic() > deadline:
                raise RuntimeError(
                    f"{self.name} did not boot ({state}):\n{self.console.read_text()}"
                )
            time.sleep(0.05)
            # Short-lived children come before the one that becomes PID 1: look each time.
            self.leader = self.find_leader()
            if self.leader is not None:
                state = self.run("systemctl", "is-system-running", check=False).stdout.strip()
        if state != "running":
            raise RuntimeError(f"{self.name} is {state}:\n{self.run('systemctl', '--failed')}")

    def reboot(self):
        """With --keep-unit, nspawn ends instead, for whoever started it to start another."""
        self.run("systemctl", "reboot", check=False)
        self.wait_for_end()
        if self.cgroup is not None:
            self.clear_cgroup()
        self.boot()
        self.wait_until_up()

    def find_leader(self):
        with suppress(OSError):
            for task in Path(f"/proc/{self.process}/task").iterdir():
                for child in (task / "children").read_text().split():
                    status = Path(f"/proc/{child}/status").read_text()
                    ids = next(line for line in status.splitlines() if line.startswith("NSpid"))
                    if ids.split()[2:] == ["1"]:
                        return int(child)
        return None

    def alive(self):
        if self.nspawn is not None:
            return self.nspawn.poll() is None
        # Not started by us, so that the number may be another's by now.
        with suppress(OSError):
            return Path(f"/proc/{self.process}/comm").read_text().strip() == "systemd-nspawn"
        return False

    def check_enforcement(self):
        """Fails when this systemd cannot enforce what it promises."""
        assert self.unit_status("true") == 0
        for properties, command in CANARIES:
            status = self.unit_status(*command, properties=properties)
            assert status == 0, f"{' '.join(properties)} is not enforced in this container"

    def stop(self):
        if self.leader is not None and self.alive():
            self.run("systemctl", "poweroff", check=False)
            self.wait_for_end()
        if self.alive():
            # Nothing to keep; and the cgroup takes along whatever is in it.
            os.kill(self.process, 9)
        if self.cgroup is not None:
            self.clear_cgroup()
        elif self.unit is not None:
            subprocess.run(["systemctl", "stop", self.unit], check=False, capture_output=True)
        self.leader = None

    def wait_for_end(self):
        deadline = time.monotonic() + STOP_TIMEOUT
        while self.alive() and time.monotonic() < deadline:
            time.sleep(0.05)

    def clear_cgroup(self):
        with suppress(OSError):
            (self.cgroup / "cgroup.kill").write_text("1")
        self.nspawn.wait(timeout=STOP_TIMEOUT)
        legacy = Path("/sys/fs/cgroup/systemd") / self.cgroup.name
        deadline = time.monotonic() + 5
        for top in (self.cgroup, legacy):
            while top.exists() and time.monotonic() < deadline:
                for folder, _, _ in os.walk(top, topdown=False):
                    with suppress(OSError):
                        os.rmdir(folder)
                time.sleep(0.05)

    # What is done in it.

    def run(self, *command, check=True, text=True, **options):
        """Runs a command inside, and gives its output and status."""
        done = subprocess.run(
            self.inside(*command),
            capture_output=True,
            text=text,
            **options,
        )
        if check and done.returncode != 0:
            raise RuntimeError(
                f"{self.name}: {' '.join(map(str, command))}: status {done.returncode}\n"
                f"{done.stdout}{done.stderr}"
            )
        return done

    def inside(self, *command):
        """The command that runs a command inside."""
        environment = [f"{name}={value}" for name, value in CLEAN_ENVIRONMENT.items()]
        return ["nsenter", "-t", str(self.leader), "-a", "env", "-i", *environment, *command]

    def at_a_terminal(self, command, **environment):
        """Runs a command line as a person does who sits in front of it."""
        settings = [f"{name}={value}" for name, value in environment.items()]
        return self.run("env", *settings, "script", "--quiet", "-e", "-c", command, "/dev/null")

    def output(self, *command):
        return self.run(*command).stdout.strip()

    def systemctl(self, *words):
        return self.output("systemctl", *words)

    def unit_status(self, *command, properties=()):
        """Runs a command as a service of its own; its exit status."""
        settings = [word for setting in properties for word in ("-p", setting)]
        return self.run(
            *["systemd-run", "--quiet", "--pipe", "--wait", "--collect", *settings],
            *["--service-type=exec", "--", *command],
            check=False,
        ).returncode

    def systemd_version(self):
        return int(self.output("systemctl", "--version").split()[1])

    # Its files, from outside. Not below /tmp and /run, where it has mounts of its own.

    def path(self, inside):
        return self.root / str(inside).lstrip("/")

    def write(self, inside, text, mode=0o644, owner=None):
        path = self.path(inside)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
        if owner is not None:
            self.run("chown", owner, inside)

    def install(self, source, inside, mode=0o644):
        path = self.path(inside)
        path.parent.mkdir(parents=True, exist_ok=True)
        # Beside and over it, since one that is being executed cannot be written to.
        new = path.with_name(f".{path.name}.new")
        shutil.copyfile(source, new)
        new.chmod(mode)
        new.rename(path)


@contextmanager
def booted(name, suite, folder, **options):
    container = Container(name, suite, folder, **options)
    container.start()
    try:
        yield container
    finally:
        container.stop()
        shutil.rmtree(container.root, ignore_errors=True)
