#!/usr/bin/env python3
"""What a normal sync of many notes costs the server: CPU time, both servers side by side.

    tests/.venv/bin/python benches/normal.py [--notes N] [--repeats N]

Two real devices; release build. User and system time of the server's process, from /proc, so that
neither the clients nor other load on the machine count.
"""

import argparse
import os
import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from harness.agreement import settle
from harness.device import Device
from harness.server import COMMANDS, Server


def cpu_seconds(server):
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    user, system = map(int, fields[11:13])
    return (user + system) / os.sysconf("SC_CLK_TCK")


def cost(server, sync):
    before = cpu_seconds(server)
    assert sync() == "NO_CHANGES"
    return cpu_seconds(server) - before


def measure(kind, folder, notes, repeats):
    """For every repeat: CPU seconds of taking the notes from one device, of giving them to another."""
    server = Server(kind, folder / "base", folder / "log").start()
    a, b = Device(folder / "a", server, "anna"), Device(folder / "b", server, "anna")
    try:
        a.login(), b.login()
        ids = a.change("add_many", count=notes, text="note")
        a.upload()
        b.download()
        settle([a, b])
        for number in range(repeats):
            a.change("tag", note_ids=ids, tags=f"repeat{number}")
            yield cost(server, a.sync), cost(server, b.sync)
            # Before the next repeat, what b's sync left for a.
            settle([a, b])
    finally:
        a.end(), b.end()
        server.kill()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--notes", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    print(f"{options.notes} changed notes, {options.repeats} repeats: CPU seconds of the server")
    print(f"{'server':10} {'direction':10} {'median':>8} {'min':>8} {'max':>8}")
    with tempfile.TemporaryDirectory() as folder:
        for kind in COMMANDS:
            own = Path(folder) / kind
            own.mkdir()
            repeats = list(measure(kind, own, options.notes, options.repeats))
            for direction, seconds in zip(["receives", "sends"], zip(*repeats, strict=True)):
                numbers = [statistics.median(seconds), min(seconds), max(seconds)]
                print(f"{kind:10} {direction:10}", *(f"{number:8.2f}" for number in numbers))


if __name__ == "__main__":
    main()
