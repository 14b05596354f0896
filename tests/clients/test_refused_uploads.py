"""What is no collection must not replace one; clients show the answer unless it is `OK`."""

import sqlite3
from contextlib import closing

import pytest

from harness import collection
from harness.raw import Account

EMPTY = b""
GARBAGE = bytes(range(256)) * 64


def foreign_database(_, folder):
    path = folder / "foreign.db"
    with closing(sqlite3.connect(path)) as database:
        database.execute("create table shopping (item text)")
        database.execute("insert into shopping values ('milk')")
        database.commit()
    return path.read_bytes()


def truncated(good, _):
    return good[: len(good) // 2]


def with_a_broken_page(good, _):
    # The pages after the first of a table that has several.
    return good[:8192] + b"\xff" * 8192 + good[16384:]


@pytest.fixture
def kept(server, new_device, tmp_path):
    """An account with a collection, and the collection's file and rows."""
    device = new_device(server)
    device.login()
    for number in range(50):
        device.add_note(f"kept {number}", "x" * 500)
    device.upload()
    account = Account(server)
    path = account.download(tmp_path / "kept.anki2")
    return account, path.read_bytes(), collection.rows(path)


def offer(kept, content, tmp_path):
    """Uploads it; returns the answer, and whether the old collection is still there."""
    account, _, rows = kept
    reply = account.upload(content)
    assert reply.status == 200
    after = collection.rows(account.download(tmp_path / "after.anki2"))
    return reply.text(), after == rows


@pytest.mark.parametrize("broken", [truncated, with_a_broken_page])
def test_a_damaged_collection_is_refused(kept, tmp_path, broken):
    answer, untouched = offer(kept, broken(kept[1], tmp_path), tmp_path)
    assert answer != "OK" and " " in answer
    assert untouched


def test_garbage_is_refused(kept, tmp_path):
    answer, untouched = offer(kept, GARBAGE, tmp_path)
    assert answer != "OK" and " " in answer
    assert untouched


@pytest.mark.parametrize("content", [lambda *_: EMPTY, foreign_database])
def test_difference_from_the_reference_what_is_no_collection_is_refused(
    server, kept, tmp_path, content
):
    answer, untouched = offer(kept, content(kept[1], tmp_path), tmp_path)
    if server.kind == "reference":
        assert answer == "OK"
        assert not untouched
    else:
        assert answer != "OK" and " " in answer
        assert untouched


def test_the_same_file_whole_is_taken(kept, tmp_path):
    answer, untouched = offer(kept, kept[1], tmp_path)
    assert answer == "OK"
    assert untouched
