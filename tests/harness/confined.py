"""A server under the memory limit of its unit, in a control group of its own. Needs root."""

import contextlib
import re
import time
from pathlib import Path

from harness import MEBIBYTE
from harness.server import REPOSITORY, Server

ROOT = Path("/sys/fs/cgroup")
# What `MemoryMax=` in the unit says.
LIMIT = 512 * MEBIBYTE


def allocator():
    """What the unit sets for the allocator, so that it gives memory back."""
    text = (REPOSITORY / "systemd" / "anki-syncd.service").read_text()
    settings = dict(re.findall(r"\b(MALLOC_\w+)=(\d+)", text))
    assert settings
    return settings


class ControlGroup:
    """Processes that together may have so much memory, whichever version the kernel mounts."""

    def __init__(self, name, limit=LIMIT):
        self.legacy = (ROOT / "memory").is_dir()
        self.path = (ROOT / "memory" if self.legacy else ROOT) / name
        if not self.legacy:
            (ROOT / "cgroup.subtree_control").write_text("+memory")
        self.path.mkdir()
        self.file("memory.limit_in_bytes" if self.legacy else "memory.max").write_text(str(limit))
        if not self.legacy:
            # Or what is over the limit would go there instead.
            with contextlib.suppress(OSError):
                self.file("memory.swap.max").write_text("0")

    def file(self, name):
        return self.path / name

    def take(self, pid):
        self.file("cgroup.procs").write_text(str(pid))

    def kills(self):
        """How many processes the kernel has killed for memory."""
        text = self.file("memory.oom_control" if self.legacy else "memory.events").read_text()
        counts = dict(line.split() for line in text.splitlines())
        return int(counts["oom_kill"])

    def remove(self):
        deadline = time.monotonic() + 5
        while True:
            try:
                return self.path.rmdir()
            except OSError:
                # A process that has ended leaves it a moment later.
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)


class ConfinedServer(Server):
    """Ours, with as much memory as the unit allows."""

    group = None

    def start(self):
        if self.group is None:
            self.group = ControlGroup(f"anki-syncd-test-{self.port}")
        super().start()
        self.group.take(self.process.pid)
        return self

    def resident(self):
        """What the process has in RAM now, in bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
        return int(line.split()[1]) * 1024

    def forget_peak(self):
        """Begins to measure the peak anew."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def end(self, with_signal):
        try:
            return super().end(with_signal)
        finally:
            if self.group is not None:
                self.group.remove()
                self.group = None
