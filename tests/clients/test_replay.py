"""What a real client and the reference server once said to each other, said again.

`tests/recordings/26.9.3.json` holds conversations of two devices of one account, in the order in
which they took place: each request is sent as it was, and the answer compared with the one then.
"""

import base64
import io
import json
import os
import sqlite3
import zipfile
from contextlib import closing
from pathlib import Path

import pytest
import zstandard

from harness import collection
from harness.raw import CLIENT, Account, Connection

RECORDINGS = Path(__file__).parents[1] / "recordings" / "26.9.3.json"
# Answers that are another time's: when it is, and what followed from that.
OF_THEIR_TIME = {
    "/sync/meta": ("mod", "ts"),
    "/sync/hostKey": ("key",),
    "/msync/begin": ("sk",),
}
# Between the recordings the devices synced a few times without being recorded.
UNRECORDED = "syncs that were not recorded had moved the USN on"
# Where the answer differs, on both servers alike: scenario, number, path; and why.
EXPECTED = {
    ("04-first-full-upload", 0, "/sync/meta"): "the account was made at another time",
    ("10a-schema-change-A-full-upload", 0, "/sync/meta"): UNRECORDED,
    ("12-sanity-check-failure", 0, "/sync/meta"): UNRECORDED,
    ("12-sanity-check-failure", 5, "/sync/sanityCheck2"): "a note came with one that was not recorded",
    ("12-sanity-check-failure", 7, "/sync/meta"): UNRECORDED,
    ("13a-abort-by-user", 0, "/sync/meta"): UNRECORDED,
    ("13b-sync-after-abort", 0, "/sync/meta"): UNRECORDED,
}
# Set by the first sync of a day.
DAY = "lastUnburied"


@pytest.fixture
def account(start_server):
    server = start_server(os.environ["SERVER"], users={"user": "pass"})
    return Account(server, "user")


def test_recorded_conversations_are_answered_as_they_were(account, tmp_path):
    scenarios = json.loads(RECORDINGS.read_text())
    different = set()
    for scenario in scenarios:
        for number, exchange in enumerate(scenario["exchanges"]):
            path = exchange["path"]
            reply = say(account, path, exchange["session"], decoded(exchange, "request", raw=True))
            found = comparable(path, reply.status, reply.body, tmp_path)
            body = decoded(exchange, "response")
            wanted = comparable(path, exchange["status"], body, tmp_path)
            if found != wanted:
                different.add((scenario["scenario"], number, path))
                print(f"{scenario['scenario']} {number} {path}")
                print(f"  was: {wanted!s:.600}\n  is:  {found!s:.600}")
    assert different == set(EXPECTED)


def say(account, path, session, body):
    envelope = {"v": 11, "k": account.key, "c": CLIENT, "s": session}
    with closing(Connection(account.server)) as connection:
        connection.send_head(path, **{"anki-sync": json.dumps(envelope)})
        connection.send_last(body)
        return connection.reply()


def decoded(exchange, side, raw=False):
    body = base64.b64decode(exchange[side])
    if raw or (side == "response" and exchange["status"] != 200):
        return body
    with zstandard.ZstdDecompressor().stream_reader(body) as reader:
        return reader.read()


def comparable(path, status, body, folder):
    """An answer without what is another time's."""
    if status != 200:
        return status
    if path == "/sync/download":
        return database(body, folder / "download.anki2")
    if path == "/msync/downloadFiles":
        return files(body)
    if path == "/sync/finish":
        return type(json.loads(body))
    if path == "/sync/upload":
        return body
    answer = json.loads(body)
    for key in OF_THEIR_TIME.get(path, ()):
        (answer["data"] if "data" in answer else answer).pop(key)
    if isinstance(answer, dict) and answer.get("conf"):
        answer["conf"].pop(DAY, None)
    return answer


def database(body, path):
    path.write_bytes(body)
    with closing(sqlite3.connect(path)) as opened:
        opened.execute("pragma journal_mode = delete")
    content = collection.content(path)
    content["config"] = [row for row in content["config"] if DAY not in row[0]]
    return content


def files(body):
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        meta = json.loads(archive.read("_meta"))
        return {name: archive.read(entry) for entry, name in meta.items()}
