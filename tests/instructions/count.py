#!/usr/bin/env python3
"""Counts the instructions of usual work, in the server alone, under valgrind's callgrind.

    tests/.venv/bin/python tests/instructions/count.py            print them beside the recorded ones
    tests/.venv/bin/python tests/instructions/count.py --record   record them, after a change on purpose

Unlike times, counts are the same on a busy machine. They depend on what made the programs that run,
which is recorded with them.
"""

import argparse
import json
import platform
import re
import statistics
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from harness.apt import provide
from harness.device import Device
from harness.raw import Account
from harness.server import Server

RECORDED = Path(__file__).with_name("recorded.json")
NOTES = 1_000
# Enough that what the server does now and then by itself is little beside it.
LOGINS, UPLOADS, SYNCS, BATCHES = 200, 5, 100, 10


class Counted(Server):
    """A server under callgrind."""

    def __init__(self, folder):
        super().__init__("ours", folder / "base", folder / "log")
        provide("valgrind")
        self.output = folder / "counts"
        valgrind = ["/usr/bin/valgrind", "--quiet", "--tool=callgrind"]
        self.command = [*valgrind, f"--callgrind-out-file={self.output}", *self.command]

    def counted(self):
        """The instructions since this was last asked."""
        subprocess.run(
            ["callgrind_control", "--dump", str(self.process.pid)], check=True, capture_output=True
        )
        dumps = [path for path in self.output.parent.glob("counts.*") if path.suffix[1:].isdigit()]
        (dump,) = dumps
        total = int(re.search(r"^totals: (\d+)", dump.read_text(), re.MULTILINE).group(1))
        dump.unlink()
        return total


def count(folder):
    """Thousands of instructions by what they were for."""
    counts = {}
    server = Counted(folder).start()
    try:

        def note(name, work):
            server.counted()
            work()
            counts[name] = round(server.counted() / 1000)

        account = Account(server)
        note(f"{LOGINS} logins", lambda: [Account(server) for _ in range(LOGINS)])
        a, b = Device(folder / "a", server, "anna"), Device(folder / "b", server, "anna")
        for device in [a, b]:
            device.login()
        ids = a.change("add_many", count=NOTES, text="note")
        a.upload()
        file = account.download(folder / "collection.anki2")
        note(f"{UPLOADS} uploads", lambda: [account.upload(file) for _ in range(UPLOADS)])
        for device in [a, b]:
            device.download()
        note(f"{SYNCS} empty syncs", lambda: [a.sync() for _ in range(SYNCS)])
        for device in [a, b]:
            # A download counts as a change.
            device.sync()
        a.change("tag", note_ids=ids, tags="tag")
        note(f"{NOTES} notes sent", a.sync)
        note(f"{NOTES} notes received", b.sync)

        def batches():
            for batch in range(BATCHES):
                files = {f"{batch} {number}.jpg": bytes(5_000) for number in range(25)}
                account.upload_media(files)

        note(f"{BATCHES} batches of media", batches)
        for device in [a, b]:
            device.end()
    finally:
        server.kill()
    return counts


def made_with():
    """The versions of what counts depend on, and what the processor can do that libraries use."""
    versions = [
        subprocess.run([program, "--version"], check=True, capture_output=True, text=True).stdout
        for program in ["rustc", "valgrind"]
    ]
    flags = re.search(r"^flags\s*:(.*)", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    used = sorted({"avx2", "bmi2", "sha_ni"} & set(flags.group(1).split() if flags else []))
    anki = metadata.version("anki")
    return [*map(str.strip, versions), " ".join(platform.libc_ver()), f"anki {anki}", *used]


def once():
    with tempfile.TemporaryDirectory() as folder:
        return count(Path(folder))


def median():
    """Of five runs, so that what is recorded is in the middle of what differs by itself."""
    runs = [once() for _ in range(5)]
    return {name: round(statistics.median(run[name] for run in runs)) for name in runs[0]}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--record", action="store_true")
    options = parser.parse_args()
    recorded = json.loads(RECORDED.read_text())["thousands"] if RECORDED.exists() else {}
    counts = median() if options.record else once()
    for name, now in counts.items():
        before = recorded.get(name)
        ratio = f" ({now / before:.3f} of the recorded {before:,})" if before else ""
        print(f"{name:25} {now:>12,} thousand{ratio}")
    if options.record:
        record = {"made_with": made_with(), "thousands": counts}
        RECORDED.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
