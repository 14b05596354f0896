"""Runs one attack beside an honest user, and measures what it costs."""

import json
import os
import subprocess
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from hostile.honest import Figures, HonestUser, login

from harness import MEBIBYTE
from harness.confined import LIMIT, ConfinedServer, allocator

HONEST = "ben"
# How long the honest user is measured without anybody else.
QUIET_SECONDS = 5
# After this long without work memory has been given back.
IDLE_SECONDS = 10
ENOUGH = 24 * MEBIBYTE
QUOTA_MEGS = 300
USERS = {"anna": "anna's secret", "ben": "ben's secret"}


@dataclass
class Row:
    """What an attack cost."""

    number: str
    name: str
    sent: int
    answer: str
    seconds: float
    quiet: Figures
    beside: Figures
    peak: int
    afterwards: int
    kills: int
    stopped_in: float
    # Syncs of the honest user that were done while the attack went on.
    meanwhile: int
    fault: str | None

    def ratios(self):
        """How much longer the slowest of a hundred logins and syncs took."""
        return [
            beside / max(quiet, 1e-9)
            for beside, quiet in zip(self.beside.worst, self.quiet.worst, strict=True)
        ]

    def cells(self):
        login_quiet, sync_quiet = (1000 * seconds for seconds in self.quiet.worst)
        login_beside, sync_beside = (1000 * seconds for seconds in self.beside.worst)
        failed = f", {len(self.beside.failures)} failed" if self.beside.failures else ""
        return [
            self.number,
            self.name,
            f"{self.sent / 1024:,.1f} KiB",
            self.answer,
            f"{self.seconds:.1f} s",
            f"{self.peak / MEBIBYTE:.0f} → {self.afterwards / MEBIBYTE:.0f} MiB"
            + (f", killed {self.kills} ×" if self.kills else ""),
            f"{login_quiet:.0f} → {login_beside:.0f} ms{failed}",
            f"{sync_quiet:.0f} → {sync_beside:.0f} ms",
            f"{self.stopped_in:.1f} s",
        ]


HEADINGS = [
    *["", "attack", "sent", "answer", "took", "peak → after 10 s", "login p99, quiet → beside"],
    *["sync p99", "SIGTERM to end"],
]


def confined(folder, **settings):
    """Ours with hashed passwords, as packages have it, and the limits of a family's server."""
    folder.mkdir(parents=True, exist_ok=True)
    configuration = folder / "anki-syncd.toml"
    lines = {"quota_megs": QUOTA_MEGS, "trusted_proxies": ["192.0.2.1"], **settings}
    text = "".join(f"{name} = {json.dumps(value)}\n" for name, value in lines.items())
    configuration.write_text(text)
    server = ConfinedServer(
        *["ours", folder / "base", folder / "log", USERS],
        arguments=["--config", configuration],
        PASSWORDS_HASHED="1",
    )
    server.settings.update(allocator())
    hashes = {name: hashed(server, password) for name, password in USERS.items()}
    environment = server.environment
    server.environment = lambda: {
        **environment(),
        **{f"SYNC_USER{n}": f"{name}:{hashes[name]}" for n, name in enumerate(USERS, 1)},
    }
    return server


def hashed(server, password):
    command = [server.command[0], "hash-password"]
    done = subprocess.run(command, input=password, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def measure(attack, folder, template, seconds, quiet_seconds=QUIET_SECONDS):
    """A row of the table, from a server of its own."""
    server = confined(folder)
    server.start()
    try:
        login(server, HONEST)
        with HonestUser(server, HONEST) as alone:
            time.sleep(quiet_seconds)
        server.forget_peak()
        with HonestUser(server, HONEST) as beside:
            time.sleep(0.5)
            began = time.monotonic()
            with another_machine():
                outcome = attack.run(server, template, seconds)
            # So that there is something to see beside one that is over at once.
            time.sleep(max(0, 2 - (time.monotonic() - began)))
            took = time.monotonic() - began
        kills = server.group.kills()
        peak = LIMIT if kills else server.peak_memory()
        afterwards = 0 if kills else when_idle(server)
        return Row(
            *[attack.number, attack.name, outcome.sent, outcome.answer, took],
            *[alone.figures(), beside.figures(), peak, afterwards, kills, stopped(server)],
            *[beside.figures().between(began, began + took), outcome.fault],
        )
    finally:
        server.kill()


@contextmanager
def another_machine():
    """Attackers have a processor of their own: here, theirs is what the others leave."""
    os.setpriority(os.PRIO_PROCESS, 0, 19)
    try:
        yield
    finally:
        os.setpriority(os.PRIO_PROCESS, 0, 0)


def when_idle(server):
    """What it has in RAM once that is little, or after some seconds all the same."""
    deadline = time.monotonic() + IDLE_SECONDS
    while (resident := server.resident()) > ENOUGH and time.monotonic() < deadline:
        time.sleep(0.5)
    return resident


def stopped(server):
    began = time.monotonic()
    with suppress(subprocess.TimeoutExpired):
        server.stop()
    return time.monotonic() - began
