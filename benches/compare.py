#!/usr/bin/env python3
"""What usual work costs, this server and the bundled one side by side: time, and the server's CPU time.

    tests/.venv/bin/python benches/compare.py [--repeats N] [--scale F] [--only SCENE …] [--json FILE]
    tests/.venv/bin/python benches/compare.py --against BINARY    with another build, not the bundled one

Each repeat starts both servers in turns, on fresh folders in TMPDIR. Clients are real ones, except
where they would be slower than the server; they share the machine with it. The release build, or the
one that ANKI_SYNCD names. With --scale 0.01, everything is a hundredth as large: to see that it works.
"""

import argparse
import json
import multiprocessing
import os
import sqlite3
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import closing
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from harness import MEBIBYTE, collection
from harness.agreement import settle
from harness.confined import allocator
from harness.device import Device, empty_collection
from harness.raw import META, Account, Connection
from harness.server import COMMANDS, Server
from plot import bars

IDLE_SECONDS = 10
# From one request of the other user to the next.
INTERVAL = 0.02


class Bench:
    """One server on a fresh folder, and what its work costs."""

    def __init__(self, kind, folder, scale, note):
        self.kind, self.folder, self.scale, self.note = kind, folder, scale, note
        # The unit's settings would slow the bundled server down, which has no unit.
        settings = {} if kind == "reference" else allocator()
        self.server = Server(
            *[kind, folder / "base", folder / "log"], MAX_SYNC_PAYLOAD_MEGS="1000", **settings
        )
        self.devices = []

    def number(self, full):
        return max(1, round(full * self.scale))

    def device(self, name, user="anna"):
        device = Device(self.folder / name, self.server, user)
        device.login()
        self.devices.append(device)
        return device

    def cost(self, row, work, *arguments):
        """Runs the work, and notes its time and the server's CPU time, in seconds."""
        before, began = self.server.cpu_seconds(), time.monotonic()
        result = work(*arguments)
        self.note(row, time.monotonic() - began, self.server.cpu_seconds() - before)
        return result

    def end(self):
        for device in self.devices:
            device.end()
        if self.server.process:
            self.server.kill()


def large_collection(bench):
    """200 MiB up and down, what stays in memory, and the end."""
    began = time.monotonic()
    bench.server.start()
    bench.note("start to ready", time.monotonic() - began)
    template = empty_collection(bench.folder / "template")
    file = collection.grown(template, bench.folder / "large.anki2", bench.number(200))
    account = Account(bench.server)
    reply = bench.cost("upload", account.upload, file)
    assert reply.text() == "OK", reply.text()
    bench.cost("download", account.download, bench.folder / "back.anki2")
    time.sleep(IDLE_SECONDS * min(1, bench.scale))
    bench.note("resident after the work (MiB)", bench.server.memory() / MEBIBYTE)
    began = time.monotonic()
    bench.server.stop()
    bench.note("stop when idle", time.monotonic() - began)


def notes(bench):
    """Normal syncs: empty, small, and of very many notes."""
    bench.server.start()
    a, b = bench.device("a"), bench.device("b")
    ids = a.change("add_many", count=bench.number(30_000), text="note")
    a.upload()
    b.download()
    settle([a, b])
    empty, small = bench.number(100), bench.number(30)
    bench.cost("100 empty syncs", lambda: [a.sync() for _ in range(empty)])

    def back_and_forth():
        for number in range(small):
            a.change("tag", note_ids=ids[:1], tags=f"small{number}")
            a.sync()
            b.sync()

    bench.cost("30 × 2 small syncs", back_and_forth)
    settle([a, b])
    a.change("tag", note_ids=ids, tags="everywhere")
    bench.cost("30,000 notes sent", a.sync)
    bench.cost("30,000 notes received", b.sync)


def media(bench):
    """6,000 files of 20 KB."""
    both_ways(bench, bench.number(6_000), 20_000, "media")


def tiny_media(bench):
    """20,000 files of 200 bytes, and one more."""
    a, b = both_ways(bench, bench.number(20_000), 200, "20,000 tiny media")
    a.put_media("one more.jpg", b"one more")
    bench.cost("one more medium where there are 20,000, sent", a.sync_media)
    bench.cost("one more medium where there are 20,000, received", b.sync_media)


def both_ways(bench, count, size, name):
    bench.server.start()
    a, b = bench.device("a"), bench.device("b")
    a.upload()
    b.download()
    a.media_folder.mkdir(exist_ok=True)
    for number in range(count):
        (a.media_folder / f"{number}.jpg").write_bytes(os.urandom(size))
    a.let_time_pass(a.media_folder)
    bench.cost(f"{name} sent", a.sync_media)
    bench.cost(f"{name} received", b.sync_media)
    assert len(list(b.media_folder.iterdir())) == count
    return a, b


def reviews(bench):
    """A small sync in a collection with many reviews, and the first one after a start."""
    bench.server.start()
    template = empty_collection(bench.folder / "template")
    for count in [1_000, bench.number(1_000_000)]:
        user = "anna" if count == 1_000 else "ben"
        file = with_reviews(template, bench.folder / f"{count}.anki2", count)
        assert Account(bench.server, user).upload(file).text() == "OK"
        device = bench.device(f"of {user}", user)
        device.download()
        note = device.add_note("front", "back")
        settle([device])

        def small_syncs(device=device, note=note):
            for number in range(10):
                device.edit_note(note, "front", str(number))
                device.sync()

        size = "1,000" if user == "anna" else "1,000,000"
        bench.cost(f"10 small syncs, {size} reviews", small_syncs)
    bench.server.restart()
    device.edit_note(note, "front", "after the start")
    bench.cost("first sync after a start, 1,000,000 reviews", device.sync)


def with_reviews(template, path, count):
    path.write_bytes(template.read_bytes())
    with closing(sqlite3.connect(path)) as database:
        database.execute(
            "with recursive n (id) as (select 1 union all select id + 1 from n limit ?)"
            " insert into revlog select id, 1, 0, 1, 1, 1, 2500, 1000, 1 from n",
            [count],
        )
        database.commit()
    return path


def another_user(bench):
    """How long another user's requests take while one uploads large collections."""
    bench.server.start()
    template = empty_collection(bench.folder / "template")
    file = collection.grown(template, bench.folder / "large.anki2", bench.number(200))
    uploads = multiprocessing.Value("i")
    anna, ben = Account(bench.server, "anna"), Account(bench.server, "ben")
    noise = multiprocessing.Process(target=upload_for_ever, args=(anna, file, uploads))
    noise.start()
    waits = []
    with closing(Connection(bench.server, timeout=600)) as connection:
        begun = time.monotonic()
        # Whole uploads, since it is their ends that hold others up.
        while len(waits) < bench.number(500) or uploads.value < 2:
            # Due at fixed times: who is held up for seconds holds up all who come meanwhile.
            due = begun + len(waits) * INTERVAL
            time.sleep(max(0, due - time.monotonic()))
            assert connection.post("/sync/meta", META, ben.key).status == 200
            waits.append(time.monotonic() - due)
    noise.kill()
    noise.join()
    waits.sort()
    bench.note("another user's request beside uploads, p99", waits[len(waits) * 99 // 100])
    bench.note("another user's request beside uploads, longest", waits[-1])


def upload_for_ever(account, file, uploads):
    while True:
        assert account.upload(file).text() == "OK"
        with uploads.get_lock():
            uploads.value += 1


SCENES = [large_collection, notes, media, tiny_media, reviews, another_user]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [scene.__name__ for scene in SCENES]
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1)
    parser.add_argument("--only", nargs="+", choices=names, default=names)
    parser.add_argument("--against", type=Path, metavar="BINARY", help="another build of this server")
    parser.add_argument("--svg", type=Path, help="a file for a chart of the ratios of time")
    parser.add_argument("--json", type=Path, help="a file for all figures")
    options = parser.parse_args()
    if options.against:
        del COMMANDS["reference"]
        COMMANDS["other build"] = [str(options.against.resolve()), "--allow-root"]
    figures = defaultdict(lambda: {kind: [] for kind in COMMANDS})
    for scene in SCENES:
        if scene.__name__ in options.only:
            for number in range(options.repeats):
                # In turns, and each first as often as the other, where the machine changes.
                for kind in list(COMMANDS)[:: 1 if number % 2 else -1]:
                    run(scene, kind, options.scale, figures)
    _, other = COMMANDS
    print(f"| work | time, ours | {other} | ratio | CPU, ours | {other} | ratio |\n" + "|---" * 7 + "|")
    for row, both in figures.items():
        print(line(row, both))
    if options.svg:
        ratios = {row: time_of(both, "ours") / time_of(both, other) for row, both in figures.items()}
        options.svg.write_text(bars(f"Time and memory: a part of the {other} server's", ratios))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1))


def run(scene, kind, scale, figures):
    with tempfile.TemporaryDirectory(prefix="anki-syncd-bench-") as folder:

        def note(row, time_taken, cpu=None):
            figures[row][kind].append((time_taken, cpu))

        bench = Bench(kind, Path(folder), scale, note)
        try:
            scene(bench)
        finally:
            bench.end()


def time_of(both, kind):
    return statistics.median(seconds for seconds, _ in both[kind])


def line(row, both):
    """Medians with the smallest and the largest, and how much ours is of the other's."""
    cells = [row]
    for values in zip(*(zip(*both[kind], strict=True) for kind in COMMANDS), strict=True):
        if None in values[0]:
            cells += ["", "", ""]
            continue
        medians = [statistics.median(of_one) for of_one in values]
        cells += [
            f"{median:.3f} ({min(of_one):.3f} to {max(of_one):.3f})"
            for median, of_one in zip(medians, values, strict=True)
        ]
        cells.append(f"{medians[0] / medians[1]:.2f}" if medians[1] else "")
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main()
