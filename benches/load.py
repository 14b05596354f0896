#!/usr/bin/env python3
"""Many users at once, on this server and on the bundled one: syncs a second, how long they take, memory.

    tests/.venv/bin/python benches/load.py [--users N] [--seconds N] [--pause MS] [--only ours] [--svg FILE]

Each user has a device, which logs in, uploads a collection, and then syncs again and again: most
syncs bring a review, some nothing, some media. The devices are one program (`benches/load/`), since
real clients would need more of the machine than the server. They share the processors with it.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from harness import MEBIBYTE
from harness.confined import allocator
from harness.device import Device
from harness.raw import Account
from harness.server import COMMANDS, REPOSITORY, Server
from plot import lines

NOTES = 500
# From one look at the server's memory to the next.
INTERVAL = 1


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--users", type=int, default=100)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--pause", type=int, default=0, help="milliseconds between two syncs of a user")
    parser.add_argument("--only", choices=list(COMMANDS))
    parser.add_argument("--svg", type=Path, help="a file for a chart of the memory over time")
    options = parser.parse_args()
    # A connection for each user, on both sides.
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    binary = generator()
    memory = {}
    for kind in [options.only] if options.only else COMMANDS:
        memory[kind] = run(kind, binary, options)
    if options.svg:
        title = f"Memory (MiB) over time (s): {options.users} users"
        options.svg.write_text(lines(title, memory))


def generator():
    """The program of the devices, as cargo has built it."""
    built = subprocess.run(
        ["cargo", "bench", "--locked", "--no-run", "--bench", "load", "--message-format", "json"],
        cwd=REPOSITORY,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout
    artifacts = map(json.loads, built.splitlines())
    return next(
        artifact["executable"]
        for artifact in artifacts
        if artifact.get("target", {}).get("name") == "load"
    )


def run(kind, binary, options):
    """Prints the figures of one server, and answers its memory over time."""
    with tempfile.TemporaryDirectory(prefix="anki-syncd-load-") as folder:
        folder = Path(folder)
        file = collection(folder)
        users = {f"u{number}": "p" for number in range(options.users)}
        settings = folder / "anki-syncd.toml"
        # A connection that has just ended counts for a moment.
        settings.write_text(f"max_connections = {max(256, 4 * options.users)}\n")
        server = Server(kind, folder / "base", folder / "log", users)
        if kind == "ours":
            # As its unit starts it. They would slow the bundled server down.
            server.settings.update(allocator())
            server.command += ["--config", str(settings)]
        command = [binary, f"127.0.0.1:{server.port}", file]
        command += ["--users", options.users, "--seconds", options.seconds, "--pause", options.pause]
        try:
            began = time.monotonic()
            server.start()
            print(f"## {kind}: {options.users} users, {options.seconds} s")
            print(f"start to ready {time.monotonic() - began:.2f} s")
            output = folder / "figures"
            memory, cpu = watch(server, list(map(str, command)), output)
            report(json.loads(output.read_text()), options.seconds, cpu)
            time.sleep(10)
            peak, left = server.peak_memory() / MEBIBYTE, server.memory() / MEBIBYTE
            print(f"memory: at most {peak:.0f} MiB, 10 s later {left:.0f} MiB\n", flush=True)
        finally:
            server.kill()
        return memory


def watch(server, command, output):
    """Runs the devices; answers the memory over time, and the processor time of their syncs."""
    began, memory, before = time.monotonic(), [], None
    with open(output, "w") as into, subprocess.Popen(command, stdout=into) as devices:
        try:
            while devices.poll() is None:
                memory.append((time.monotonic() - began, server.memory() / MEBIBYTE))
                # Their first line, when all have uploaded.
                if before is None and output.stat().st_size:
                    before = server.cpu_seconds()
                time.sleep(INTERVAL)
        finally:
            devices.kill()
    if devices.returncode:
        raise SystemExit(f"the devices have failed: {devices.returncode}")
    return memory, server.cpu_seconds() - before


def report(figures, seconds, cpu):
    steps = figures["steps"]
    syncs = sum(of["count"] for step, of in steps.items() if of["in_time"])
    print(f"CPU of the server for a sync, of any kind: {1000 * cpu / syncs:.2f} ms\n")
    print("| step | number | a second | p50 ms | p99 ms | longest ms |\n" + "|---" * 6 + "|")
    for step, of in steps.items():
        rate = f"{of['in_time'] / seconds:.1f}" if of["in_time"] else ""
        times = " | ".join(f"{of[name] * 1000:.0f}" for name in ("p50", "p99", "longest"))
        print(f"| {step} | {of['count']} | {rate} | {times} |")
    print("failures:", figures["failures"] or "none")


def collection(folder):
    """A collection with some notes, as Anki has uploaded it."""
    server = Server("ours", folder / "first", folder / "first.log")
    try:
        device = Device(folder / "device", server.start(), "anna")
        device.login()
        device.change("add_many", count=NOTES, text="note")
        device.upload()
        device.end()
        return Account(server).download(folder / "collection.anki2")
    finally:
        server.kill()


if __name__ == "__main__":
    main()
