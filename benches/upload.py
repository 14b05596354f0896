#!/usr/bin/env python3
"""Uploads and downloads of large collections, our server and the reference server side by side.

    tests/.venv/bin/python benches/upload.py [MEBIBYTES …]

Server and client share the machine, and so its cores; release build. The load is a hand-made
client that streams, so that the times are the server's.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from harness import collection
from harness.device import empty_collection
from harness.raw import Account
from harness.server import COMMANDS, Server


def timed(work, *arguments):
    started = time.monotonic()
    result = work(*arguments)
    return time.monotonic() - started, result


def measure(kind, file, folder):
    """Seconds of the upload and of the download, and the server's peak memory over both."""
    server = Server(kind, folder / "base", folder / "log", MAX_SYNC_PAYLOAD_MEGS="1000").start()
    try:
        account = Account(server)
        up, reply = timed(account.upload, file)
        assert reply.text() == "OK", reply.text()
        after_upload = server.peak_memory()
        down, back = timed(account.download, folder / "back.anki2")
        assert back.stat().st_size >= file.stat().st_size
        return up, down, after_upload, server.peak_memory()
    finally:
        server.kill()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sizes", type=int, nargs="*", default=[50, 100, 200], metavar="MEBIBYTES")
    sizes = parser.parse_args().sizes
    print("     file server        upload  download   peak RSS  (after upload)")
    with tempfile.TemporaryDirectory() as folder:
        template = empty_collection(Path(folder) / "template")
        for size in sizes:
            file = collection.grown(template, Path(folder) / "large.anki2", size)
            for kind in COMMANDS:
                with tempfile.TemporaryDirectory(dir=folder) as own:
                    up, down, after_upload, peak = measure(kind, file, Path(own))
                print(
                    f"{file.stat().st_size >> 20:5} MiB {kind:10} {up:7.2f} s {down:7.2f} s"
                    f" {peak >> 20:6} MiB  ({after_upload >> 20} MiB)",
                    flush=True,
                )


if __name__ == "__main__":
    main()
