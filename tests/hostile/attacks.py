"""What a hostile account, or a stranger, sends. Each attack runs beside an honest user.

An attack is a function of the server and of how long it may go on; it answers what it sent and
what became of it, in a few words.
"""

import io
import json
import os
import socket
import sqlite3
import tempfile
import threading
import time
import zipfile
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Callable

import zstandard

from harness import MEBIBYTE, collection
from harness.multipart import BOUNDARY
from harness.raw import Account, Connection, frame

ATTACKER = "anna"


@dataclass
class Attack:
    """`number` is the row's in the table."""

    number: str
    name: str
    run: Callable
    # Some need an account, others do not.
    by: str = "user"


@dataclass
class Outcome:
    """`fault` says what must not be, beside what the honest user sees."""

    sent: int
    answer: str
    fault: str | None = None


def together(count, work):
    """Runs `work` in so many threads; answers what came of each, a failure as its name."""
    answers = []

    def run(number):
        try:
            answers.append(str(work(number)))
        except Exception as error:  # noqa: BLE001 - what came of it is the answer
            answers.append(type(error).__name__)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return summed_up(answers)


def summed_up(answers):
    return ", ".join(f"{answers.count(one)} × {one}" for one in sorted(set(answers)))


def verdict(reply):
    """The status, and the first words of a sentence."""
    text = reply.body.decode(errors="replace")
    if reply.status != 200:
        return str(reply.status)
    return "200 OK" if text == "OK" else f"200 {text[:60]}" if text[:1].isalpha() else "200"


def posted(server, path, body, key, timeout=90):
    """Sends bytes that are a frame already."""
    with closing(Connection(server, timeout=timeout)) as connection:
        with suppress(BrokenPipeError, ConnectionResetError):
            connection.send_head(path, key)
            connection.send_last(body)
        return verdict(connection.reply())


# Uploaded databases.


def hostile_database(template, expression, size):
    """A collection whose index has to be computed to be checked."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "hostile.anki2"
        path.write_bytes(template.read_bytes())
        with closing(sqlite3.connect(path, isolation_level=None)) as database:
            database.create_collation("unicase", lambda a, b: (a > b) - (a < b))
            database.execute("create table bait (x)")
            database.execute(f"create index trap on bait ({expression(1)})")
            database.execute("insert into bait values (1)")
            # What it costs is hidden from who makes the file.
            database.execute("pragma writable_schema = on")
            database.execute(
                "update sqlite_master set sql = ? where name = 'trap'",
                (f"create index trap on bait ({expression(size)})",),
            )
            database.execute("pragma writable_schema = off")
        return path.read_bytes()


def slow_expression(size):
    """Compares half of the zeros at every position, and finds the end to differ."""
    return f"instr(hex(zeroblob({size})), hex(zeroblob({size // 2})) || 'x')"


def large_expression(size):
    return f"length(hex(zeroblob({size})))"


def uploads(expression, size, count):
    def run(server, template, seconds):
        body = frame(hostile_database(template, expression, size))
        key = Account(server, ATTACKER).key
        answer = together(
            count, lambda _: posted(server, "/sync/upload", body, key, timeout=seconds)
        )
        return Outcome(len(body) * count, answer)

    return run


def deep_tree(server, template, seconds):
    """Nothing that Anki does not make: a table of rows that are all to be read."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "long.anki2"
        path.write_bytes(template.read_bytes())
        with closing(sqlite3.connect(path)) as database:
            database.create_collation("unicase", lambda a, b: (a > b) - (a < b))
            database.execute(
                "with recursive n (id) as (select 1 union all select id + 1 from n limit 2000000)"
                " insert into revlog select id, 1, -1, 1, 1, 1, 2500, 1000, 1 from n"
            )
            database.commit()
        body = frame(path)
    key = Account(server, ATTACKER).key
    answer = together(16, lambda _: posted(server, "/sync/upload", body, key, timeout=seconds))
    return Outcome(len(body) * 16, answer)


# Bodies that become large.


def json_body(path, text, count, prepare=None):
    def run(server, template, seconds):
        account = Account(server, ATTACKER)
        body = zstandard.ZstdCompressor(level=19, write_content_size=False).compress(text())
        if prepare is not None:
            prepare(server, account)
        answer = together(
            count, lambda _: posted(server, path, body, account.key, timeout=seconds)
        )
        return Outcome(len(body) * count, answer)

    return run


def started(server, account):
    start = {"minUsn": 0, "lnewer": True, "graves": None}
    assert account.post("/sync/start", start).status == 200


def nested_settings():
    lists = b"[]," * (50 * MEBIBYTE // 3)
    return b'{"changes":{"models":[],"decks":[[],[]],"tags":[],"conf":{"x":[' + lists + b"0]}}}"


def nested_settings_of_many():
    lists = b"[]," * (290 * MEBIBYTE // 3)
    return b'{"changes":{"models":[],"decks":[[],[]],"tags":[],"conf":{"x":[' + lists + b"0]}}}"


def padded_meta():
    return b'{"v":11,"cv":"x","_pad":[' + b"[]," * (290 * MEBIBYTE // 3) + b"0]}"


def unasked_chunk():
    card = b"[1,2,3,0,5,6,0,0,0,0,0,0,0,0,0,0,0,\"\"],"
    cards = card * (100 * MEBIBYTE // len(card))
    return b'{"chunk":{"done":true,"cards":[' + cards[:-1] + b"]}}"


def large_notes(server, template, seconds):
    """What an honest user may have: twelve notes of two megabytes each, in one chunk."""
    account = Account(server, ATTACKER)
    start = {"minUsn": 0, "lnewer": False, "graves": None}
    assert account.post("/sync/start", start).status == 200
    nothing = {"models": [], "decks": [[], []], "tags": []}
    changes = account.post("/sync/applyChanges", {"changes": nothing}).json()
    notetype = changes["models"][0]["id"]
    notes = [
        [n, f"guid{n}", notetype, 1, 0, "", "x" * 2_000_000 + "\x1fback", "", "", 0, ""]
        for n in range(1, 13)
    ]
    body = frame({"chunk": {"done": True, "notes": notes}})
    answer = posted(server, "/sync/applyChunk", body, account.key)
    return Outcome(len(body), answer, None if answer.startswith("200") else "they were refused")


# Connections.


def dripping(count, head, addresses=1, seconds_between=2.0):
    """Connections that send a byte now and then, again and again as they are closed."""
    sources = cycle(f"127.0.0.{number + 1}" for number in range(addresses))

    def run(server, template, seconds):
        deadline = time.monotonic() + seconds
        sockets, sent, closed = [], 0, 0
        while time.monotonic() < deadline:
            while len(sockets) < count and time.monotonic() < deadline:
                try:
                    connection = socket.create_connection(
                        server.address, timeout=2, source_address=(next(sources), 0)
                    )
                    connection.sendall(head)
                    sent += len(head)
                    sockets.append(connection)
                except OSError:
                    break
            time.sleep(seconds_between)
            for connection in list(sockets):
                try:
                    connection.settimeout(1)
                    connection.sendall(b"x")
                    sent += 1
                except OSError:
                    closed += 1
                    connection.close()
                    sockets.remove(connection)
        answer = f"{len(sockets)} still open, {closed} closed by the server"
        for connection in sockets:
            connection.close()
        return Outcome(sent, answer)

    return run


SLOW_BODY = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n"
SLOW_HEAD = b"POST /sync/meta HTTP/1.1\r\nhost: x\r\nx-slow: "
HALF_A_FORM = (
    b"POST /sync/upload HTTP/1.1\r\nhost: x\r\ncontent-length: 90000000\r\n"
    b"content-type: multipart/form-data; boundary=" + BOUNDARY.encode() + b"\r\n\r\n"
    b"--" + BOUNDARY.encode() + b'\r\ncontent-disposition: form-data; name="data"; filename="data"\r\n\r\n'
    + bytes(600_000)
)


def guessing(server, template, seconds):
    """Eight threads that guess an account's password; then its owner, from the same address."""
    stopping = threading.Event()
    tried = []

    def guess(number):
        while not stopping.is_set():
            wrong = {"u": ATTACKER, "p": f"guess {number} {len(tried)}"}
            with suppress(OSError), closing(Connection(server, timeout=90)) as connection:
                tried.append(connection.post("/sync/hostKey", wrong).status)

    threads = [threading.Thread(target=guess, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    time.sleep(5)
    began, status = time.monotonic(), None
    while status != 200 and time.monotonic() - began < 90:
        with suppress(OSError), closing(Connection(server, timeout=90)) as connection:
            right = {"u": ATTACKER, "p": server.users[ATTACKER]}
            status = connection.post("/sync/hostKey", right).status
        if status != 200:
            time.sleep(1)
    took = time.monotonic() - began
    stopping.set()
    for thread in threads:
        thread.join()
    rate = tried.count(403) / max(1, took + 5)
    answer = f"owner in after {took:.0f} s ({status}); {rate:.1f} guesses verified a second"
    fault = None if status == 200 and took <= 60 else "the right password did not get in"
    return Outcome(0, answer, fault)


def stalled_downloads(server, template, seconds):
    """Four devices that ask for the collection and do not read it."""
    with tempfile.TemporaryDirectory() as folder:
        large = collection.grown(template, Path(folder) / "large.anki2", mebibytes=60)
        account = Account(server, ATTACKER)
        assert account.upload(large).text() == "OK"
    before = filled(server)
    connections = []
    for _ in range(4):
        connection = Connection(server, timeout=5)
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.send_head("/sync/download", Account(server, ATTACKER).key)
        connection.send_last(frame(None))
        connections.append(connection)
    deadline, most = time.monotonic() + min(seconds, 40), 0
    while time.monotonic() < deadline:
        most = max(most, filled(server) - before)
        time.sleep(0.25)
    for connection in connections:
        connection.close()
    answer = f"copies took {most / MEBIBYTE:.0f} MiB of disk at the most"
    return Outcome(0, answer, "more than two copies" if most > 150 * MEBIBYTE else None)


def filled(server):
    """Bytes of the disk that the files below SYNC_BASE take; other programs write there too."""
    total = 0
    for folder, _, names in os.walk(server.base):
        for name in names:
            with suppress(FileNotFoundError):
                total += 512 * os.stat(os.path.join(folder, name)).st_blocks
    return total


def media_bomb(server, template, seconds):
    """A small zip whose files are large together, over the user's quota; and what it leaves."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(20):
            archive.writestr(str(number), bytes(40 * MEBIBYTE))
        names = [[f"{number}.bin", str(number)] for number in range(20)]
        archive.writestr("_meta", json.dumps(names))
    account = Account(server, ATTACKER)
    body = frame(buffer.getvalue())
    answer = together(
        2, lambda _: posted(server, "/msync/uploadChanges", body, account.key, timeout=seconds)
    )
    left = sum(
        path.stat().st_size for path in server.folder(ATTACKER).rglob("*") if path.is_file()
    )
    answer += f"; {left / MEBIBYTE:.0f} MiB left on the disk"
    return Outcome(2 * len(body), answer, "files are left" if left > MEBIBYTE else None)


ATTACKS = [
    Attack("H1 a", "16 uploads with an index that computes for hours", uploads(slow_expression, 2_000_000, 16)),
    Attack("H1 b", "an upload with an index that takes memory", uploads(large_expression, 400_000_000, 1)),
    Attack("H1 c", "10 of them", uploads(large_expression, 400_000_000, 10)),
    Attack("H1 d", "16 uploads of two million reviews", deep_tree),
    Attack("H2 a", "50 MiB of [], in conf", json_body("/sync/applyChanges", nested_settings, 1, started)),
    Attack("H2 b", "290 MiB of them", json_body("/sync/applyChanges", nested_settings_of_many, 1, started)),
    Attack("H2 c", "290 MiB to meta", json_body("/sync/meta", padded_meta, 1)),
    Attack("H2 d", "10 × 290 MiB to meta", json_body("/sync/meta", padded_meta, 10)),
    Attack("H2 e", "100 MiB of cards when no sync is under way", json_body("/sync/applyChunk", unasked_chunk, 1)),
    Attack("H2 f", "10 × 50 MiB of [], in conf", json_body("/sync/applyChanges", nested_settings, 10, started)),
    Attack("H2 g", "12 notes of 2 MB", large_notes),
    Attack("H3 a", "260 connections that drip a body", dripping(260, SLOW_BODY), "stranger"),
    Attack("H3 b", "260 connections that drip a head", dripping(260, SLOW_HEAD), "stranger"),
    Attack("H3 c", "2,000 connections that drip a body", dripping(2000, SLOW_BODY), "stranger"),
    Attack("H3 d", "2,000 of them from 50 addresses", dripping(2000, SLOW_BODY, 50), "stranger"),
    Attack("H4", "zip of 41 KB, 800 MiB of media, over the quota", media_bomb),
    Attack("H5", "8 threads that guess, and the owner", guessing, "stranger"),
    Attack("H8", "4 stalled downloads of 60 MiB", stalled_downloads),
    Attack("H10 c", "256 half-sent forms", dripping(256, HALF_A_FORM), "stranger"),
]
