"""What is no matter of load: rows whose tests are elsewhere, run by themselves."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass, field

from harness.server import REPOSITORY


@dataclass
class Case:
    """`tests` are arguments of pytest; `settings` go into its environment."""

    number: str
    name: str
    tests: list
    settings: dict = field(default_factory=dict)

    def run(self):
        """In a few words, what became of it."""
        environment = {**os.environ, "SERVER": "ours", **self.settings}
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *self.tests]
        done = subprocess.run(
            command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False
        )
        closing = re.findall(r"^\d+ \w+.*$", done.stdout, re.MULTILINE)
        verdict = "holds" if done.returncode == 0 else "DOES NOT HOLD"
        return f"{verdict}: {closing[-1] if closing else done.stdout[-200:]}"


POWER_CUTS = "tests/faults/test_power_cuts.py"
FAULTS = "tests/faults/test_faults.py"

CASES = [
    Case(
        *["H6", "a device is revoked, and the power is cut"],
        [POWER_CUTS, "-k", "revoke"],
        {"FAULT": "revoke:command:ext4:0"},
    ),
    Case(
        *["H7", "a user is renamed, and any step fails or is the last"],
        ["tests/operators/test_failures.py", "-k", "renamed or rename or data"],
    ),
    Case(
        *["H9", "a user is added, removed or given a password, and any step fails or is the last"],
        ["tests/operators/test_failures.py", "-k", "command"],
    ),
    Case(
        *["H10 a", "the disk fails: no full disk is reported"],
        [FAULTS, "-k", "normal-sync"],
    ),
    Case(
        *["H10 b", "an upload whose stamps are no integers, or too large"],
        ["tests/clients/test_refused_uploads.py"],
    ),
    Case(
        *["H11", "run_as over a folder that is no sync server's"],
        ["tests/privileges/test_root.py", "-k", "folder"],
    ),
    Case(
        *["H12", "a list of users that systemd will not load, and one of 60,000"],
        ["tests/operators/test_failures.py", "-k", "list"],
    ),
    Case(
        *["H13", "collections that lost their keys, or the newer columns of tags"],
        ["tests/clients/test_maimed_uploads.py"],
    ),
    Case(
        *["H14", "60 and 500 media that vanished, and a new device"],
        ["tests/clients/test_media.py", "-k", "first_try or not_mounted"],
    ),
    Case(
        *["H15", "quotes and control characters in settings"],
        ["tests/http/test_settings.py"],
    ),
]
