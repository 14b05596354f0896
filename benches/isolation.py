#!/usr/bin/env python3
"""What one user's large uploads cost another one: latency of `meta`, both servers side by side.

    tests/.venv/bin/python benches/isolation.py [--requests N] [--mebibytes N]

Server and load share the machine, and so its cores; release build. The uploading client is a
process of its own, so that it cannot hold up the one that measures.
"""

import argparse
import multiprocessing
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from harness import collection
from harness.device import empty_collection
from harness.raw import META, Account, Connection
from harness.server import COMMANDS, Server

INTERVAL = 0.02
UPLOADS = 2


def upload_for_ever(account, file, uploads):
    while True:
        assert account.upload(file).text() == "OK"
        with uploads.get_lock():
            uploads.value += 1


def latencies(account, enough):
    """Seconds that each `meta` took, over one connection, until there are enough of them.

    They count from when the request was due, not from when the connection was free for it: one
    that is held up for seconds would have held up everybody who came in those seconds.
    """
    connection = Connection(account.server, timeout=600)
    seconds = []
    begun = time.monotonic()
    while not enough(len(seconds)):
        due = begun + len(seconds) * INTERVAL
        time.sleep(max(0, due - time.monotonic()))
        assert connection.post("/sync/meta", META, account.key).status == 200
        seconds.append(time.monotonic() - due)
    connection.close()
    return sorted(seconds)


def measure(kind, file, folder, requests):
    server = Server(kind, folder / "base", folder / "log", MAX_SYNC_PAYLOAD_MEGS="1000").start()
    try:
        ben = Account(server, "ben")
        quiet = latencies(ben, lambda count: count >= requests)
        uploads = multiprocessing.Value("i")
        noise = multiprocessing.Process(
            target=upload_for_ever, args=(Account(server, "anna"), file, uploads)
        )
        noise.start()
        # Whole uploads, since it is their ends that hold others up.
        loaded = latencies(ben, lambda count: count >= requests and uploads.value >= UPLOADS)
        noise.kill()
        noise.join()
        return quiet, loaded, uploads.value
    finally:
        server.kill()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=500)
    parser.add_argument("--mebibytes", type=int, default=200)
    options = parser.parse_args()
    print(f"{'server':10} {'other user':10} {'p50':>9} {'p99':>9} {'max':>9}")
    with tempfile.TemporaryDirectory() as folder:
        template = empty_collection(Path(folder) / "template")
        file = collection.grown(template, Path(folder) / "large.anki2", options.mebibytes)
        for kind in COMMANDS:
            with tempfile.TemporaryDirectory(dir=folder) as own:
                quiet, loaded, uploads = measure(kind, file, Path(own), options.requests)
            row(kind, "idle", quiet)
            row(kind, "uploading", loaded, f"  (over {uploads} uploads)")


def row(kind, state, seconds, remark=""):
    points = [seconds[len(seconds) // 2], seconds[len(seconds) * 99 // 100], seconds[-1]]
    times = " ".join(f"{point * 1000:6.1f} ms" for point in points)
    print(f"{kind:10} {state:10} {times}{remark}", flush=True)


if __name__ == "__main__":
    main()
