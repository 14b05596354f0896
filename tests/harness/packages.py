"""The packages as built from this checkout, and a container that one of them is installed in."""

import re
import shutil
import subprocess
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.daemon import BACKUPS, BASE, CONTROL, DROP_INS, SERVICE, SOCKET, TIMER, Daemon
from harness.server import REPOSITORY
from harness.steps import Background

BUILD = REPOSITORY / "packaging" / "build"
NEXT_STEP = "sudo anki-syncd user add NAME"
COLLECTIONS_STAY = "the collections are still in /var/lib/anki-syncd"
# Where the container's own mounts do not hide it.
INSIDE = "/root"


@dataclass(frozen=True)
class Built:
    """A folder of packages, two builds of each."""

    folder: Path

    def package(self, kind, architecture="amd64", revision=1):
        names = {
            "deb": f"anki-syncd_*-{revision}_{architecture}.deb",
            "rpm": f"anki-syncd-*-{revision}.{architecture}.rpm",
        }
        (path,) = self.folder.glob(names[kind])
        return path


def build(folder, *options):
    subprocess.run([BUILD, "--output", folder, *options], check=True)
    return Built(folder)


class Packaged(Daemon):
    """The daemon in a container, as its package has installed it, on a port of its own."""

    def clean(self):
        """As if there had never been a package."""
        self.container.run("systemctl", "stop", SOCKET, CONTROL, SERVICE, TIMER, check=False)
        self.remove_traces()
        for unit in (SOCKET, SERVICE):
            shutil.rmtree(self.container.path(f"{DROP_INS}/{unit}.d"), ignore_errors=True)
        for folder in (BASE, BACKUPS, "/etc/anki-syncd"):
            shutil.rmtree(self.container.path(folder), ignore_errors=True)
        self.listen_on(self.port)
        self.cursor = self.newest_cursor()

    def remove_traces(self):
        self.container.run("dpkg", "--purge", "anki-syncd", check=False)

    def bring(self, package):
        """Copies it in; its path there."""
        self.container.install(package, f"{INSIDE}/{package.name}")
        return f"{INSIDE}/{package.name}"

    def apt(self, *words):
        done = self.container.run("apt-get", "-y", "--no-install-recommends", *words)
        return done.stdout + done.stderr

    def apt_install(self, package):
        return self.apt("install", self.bring(package))

    def add_users(self):
        """As the package says it is done next."""
        for name, password in self.users.items():
            self.container.run("anki-syncd", "user", "add", name, input=f"{password}\n")

    def enabled(self, unit=SOCKET):
        shown = self.container.run("systemctl", "is-enabled", unit, check=False)
        return shown.stdout.strip()

    def listening_since(self, socket=SOCKET):
        return self.show("ActiveEnterTimestampMonotonic", socket)

    def modes(self, *paths):
        """Mode and owner of each."""
        lines = self.container.output("stat", "-c", "%a %U:%G", *paths).splitlines()
        return dict(zip(paths, lines, strict=True))

    def resident(self):
        """Memory of its process that is in RAM, in bytes."""
        return resident(self.process_status())

    def process_status(self):
        """Looked at from outside, which is quicker than a command inside."""
        return Path(f"/proc/{self.container.leader}/root/proc/{self.pid()}/status")

    @contextmanager
    def sampled_memory(self):
        """The same many times a second, as a list that is complete after the block."""
        status = self.process_status()
        samples = []
        done = threading.Event()

        def sample():
            while not done.wait(0.02):
                samples.append(resident(status))

        sampling = threading.Thread(target=sample)
        sampling.start()
        try:
            yield samples
        finally:
            done.set()
            sampling.join()


def resident(status):
    return int(re.search(r"VmRSS:\s+(\d+)", status.read_text())[1]) * 1024


class MidSync:
    """A device in the middle of a sync, which another hand then lets go on."""

    def __init__(self, daemon, new_device, new_gate):
        self.daemon = daemon
        self.device, self.witness = new_device(daemon), new_device(daemon)
        self.device.login(), self.witness.login()
        self.device.add_note("first", "note")
        self.device.upload()
        self.witness.download()
        self.device.add_note("in the", "middle")
        self.gate = self.device.server = new_gate(daemon, "/sync/applyChunk")
        self.syncing = Background(self.device.sync)
        self.gate.wait()

    def during(self, change):
        """Does what restarts the service; the sync goes on when the restart has begun."""
        results = []
        changing = threading.Thread(target=lambda: results.append(change()))
        changing.start()
        self.daemon.wait_for(lambda: self.daemon.state() == "deactivating", timeout=60)
        assert self.daemon.listening()
        self.gate.release()
        changing.join()
        self.syncing.join()
        (result,) = results
        return result

    def check(self):
        """Nothing failed, nothing is lost, and it goes on."""
        self.syncing.wait()
        self.device.server = self.daemon
        self.device.add_note("after", "wards")
        self.device.sync()
        self.witness.sync()
        assert len(self.witness.rows()["notes"]) == 3
        assert self.witness.rows()["notes"] == self.device.rows()["notes"]
