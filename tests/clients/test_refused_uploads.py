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


# What a stranger's file would have the server compute, and what is said of it.
COMPUTING = {
    "statistics": (
        "analyze; pragma writable_schema = on; update sqlite_schema set sql ="
        " 'CREATE TABLE sqlite_stat1(tbl, idx as (length(hex(zeroblob(400000000)))), stat)'"
        " where name = 'sqlite_stat1'",
        "sqlite_stat1",
    ),
    "column": (
        "alter table notes add column evil as (length(hex(zeroblob(400000000))))",
        "generated column in the table notes",
    ),
    "counter": ("update col set usn = 'x'", "col.usn"),
    "counter too large": ("update col set usn = 3000000000", "col.usn"),
    "modification": ("update col set mod = 'x'", "col.mod"),
}


def changed(good, tmp_path, change):
    path = tmp_path / "changed.anki2"
    path.write_bytes(good)
    with closing(collection.connect(path)) as database:
        database.executescript("pragma journal_mode = delete;" + change)
    return path.read_bytes()


@pytest.mark.parametrize("change", COMPUTING, ids=str)
def test_difference_from_the_reference_what_computes_is_refused_by_name(
    server, kept, tmp_path, change
):
    if server.kind == "reference":
        pytest.skip("it computes")
    sql, sentence = COMPUTING[change]
    answer, untouched = offer(kept, changed(kept[1], tmp_path, sql), tmp_path)
    assert sentence in answer
    assert "left as it was" in answer
    assert untouched


# Added to a column's length, for hours or a gigabyte in each of 50 notes.
INDEX = "create index evil on notes (length(flds) + id % 2)"
LONGER = (
    "; pragma writable_schema = on; update sqlite_schema"
    " set sql = replace(sql, 'id % 2', 'length(hex(zeroblob(400000000 + id % 2)))') where name = 'evil'"
)
LEFT_BEHIND = [
    INDEX + LONGER,
    "create index evil on cards (id) where id > 5",
    "create trigger evil after update on cards begin delete from notes; end",
    "create view evil as select * from notes, notes, notes",
    "create virtual table evil using fts4 (a)",
]


@pytest.mark.parametrize("change", LEFT_BEHIND)
def test_difference_from_the_reference_what_computes_and_holds_no_rows_is_left_behind(
    server, kept, tmp_path, change
):
    if server.kind == "reference":
        pytest.skip("it computes, or takes it")
    account, good, rows = kept
    reply = account.upload(changed(good, tmp_path, change))
    assert reply.text() == "OK"
    path = account.download(tmp_path / "after.anki2")
    with closing(collection.connect(path)) as database:
        assert not database.execute("select 1 from sqlite_schema where name = 'evil'").fetchall()
    after = collection.rows(path)
    assert {table: after[table] for table in rows} == rows
