"""Bodies that arrive as proxies and slow lines deliver them."""

import random
import time
from contextlib import closing

import pytest

from harness import MEBIBYTE, collection
from harness.raw import CLIENT, META, Account, Connection, frame

LARGE = "large.bin"


@pytest.fixture
def account(ours, template, tmp_path):
    """A user with 3 MiB of collection and a medium of 3 MiB."""
    account = Account(ours)
    large = collection.grown(template, tmp_path / "large.anki2", 3)
    assert account.upload(large).text() == "OK"
    medium = {LARGE: random.Random(1).randbytes(3 * MEBIBYTE)}
    assert account.upload_media(medium).status == 200
    return account


def post_with_late_end(connection, path, message, key):
    """The end of the body comes in a segment of its own, as Caddy and others send it."""
    connection.send_head(path, key)
    connection.send_chunk(frame(message))
    time.sleep(0.05)
    connection.send_end()
    return connection.reply()


@pytest.mark.parametrize(
    ("path", "message", "status", "at_least"),
    [
        ("/sync/meta", META, 200, 100),
        ("/sync/download", {}, 200, 3 * MEBIBYTE),
        ("/sync/upload", b"no collection", 200, 10),
        ("/msync/begin", {"v": CLIENT}, 200, 20),
        ("/msync/mediaChanges", {"lastUsn": 0}, 200, 20),
        ("/msync/downloadFiles", {"files": [LARGE]}, 200, 3 * MEBIBYTE),
        ("/msync/mediaSanity", {"local": 1}, 200, 10),
        ("/msync/uploadChanges", b"no zip", 400, 0),
        ("/msync/downloadFiles", {"files": ["missing.bin"]}, 409, 0),
        ("/sync/meta", b"no json", 400, 0),
        ("/sync/meta", {**META, "v": 12}, 501, 0),
        ("/sync/nothing", {}, 404, 0),
    ],
)
def test_a_late_end_of_the_body_costs_nothing_of_the_answer(
    ours, account, path, message, status, at_least
):
    with closing(Connection(ours)) as connection:
        reply = post_with_late_end(connection, path, message, account.key)
        assert reply.status == status
        assert len(reply.body) >= at_least
        again = post_with_late_end(connection, "/sync/meta", META, account.key)
        assert again.status == 200


def test_a_late_end_after_a_login(ours):
    credentials = {"u": "ben", "p": ours.users["ben"]}
    with closing(Connection(ours)) as connection:
        assert post_with_late_end(connection, "/sync/hostKey", credentials, "").status == 200


def test_a_late_end_after_a_wrong_host_key(ours):
    with closing(Connection(ours)) as connection:
        assert post_with_late_end(connection, "/sync/download", {}, "wrong").status == 403


def test_a_body_that_comes_byte_by_byte(ours, account):
    with closing(Connection(ours)) as connection:
        connection.send_head("/sync/meta", account.key)
        for byte in frame(META):
            connection.send_chunk(bytes([byte]))
        connection.send_end()
        assert "scm" in connection.reply().json()


def test_a_body_with_its_length_instead_of_chunks(ours, account):
    body = frame(META)
    with closing(Connection(ours)) as connection:
        connection.send_head(
            "/sync/meta", account.key, **{"transfer-encoding": None, "content-length": len(body)}
        )
        connection.socket.sendall(body)
        assert "scm" in connection.reply().json()
