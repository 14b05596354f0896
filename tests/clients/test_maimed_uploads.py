"""Collections that another program has rewritten: their devices go on syncing as if nothing had been."""

from contextlib import closing

import pytest

from harness import collection
from harness.device import ClientError
from harness.raw import Account
from harness.sample import finds_nothing

MAIMED = {
    "keys": "; ".join(
        f"create table zz as select * from {table}; drop table {table}; alter table zz rename to {table}"
        for table in ("notes", "cards", "revlog")
    ),
    "tags": "alter table tags rename to old;"
    "create table tags (tag text primary key not null collate unicase, usn integer not null);"
    "insert into tags select tag, usn from old;"
    "drop table old",
}


def keys(path, table):
    with closing(collection.connect(path)) as database:
        return [row[1] for row in database.execute(f"pragma table_info({table})") if row[5]]


@pytest.fixture
def maimed(server, new_device):
    """A device with a collection that has lost its tables' keys, by an upload that it sees as its own."""
    if server.kind == "reference":
        pytest.skip("it takes them as they are, and every edit then fails")
    device = new_device(server)
    device.login()
    for number in range(5):
        device.add_note(f"note {number}", "x", tags=[f"tag{number}"])
    device.review(2)
    device.upload()
    return device


@pytest.mark.parametrize("how", MAIMED)
def test_it_is_mended_and_edits_sync_without_a_full_sync(server, maimed, new_device, tmp_path, how):
    device = maimed
    device.call("close")
    with closing(collection.connect(device.path)) as database:
        database.executescript("pragma journal_mode = delete;" + MAIMED[how])
    before = collection.rows(device.path)
    if how == "tags":
        # Anki itself opens no such file; the client that makes it uploads it.
        upload_as_it_is(server, device)
    else:
        device.upload()
    other = new_device(server)
    other.login()
    other.download()
    other.call("close")
    assert keys(other.path, "notes") == ["id"]
    after = collection.rows(other.path)
    for table in ("notes", "cards", "revlog", "decks", "notetypes"):
        assert len(after[table]) == len(before[table])

    first = other.select("select min(id) from notes")[0][0]
    for text in ("once", "twice"):
        other.edit_note(first, text, "edited")
        other.review(1)
        assert other.status() == "NORMAL_SYNC"
        assert other.sync() == "NO_CHANGES"
    if how == "keys":
        edit_on_the_maimed_one(device, other)
    third = new_device(server)
    third.login()
    third.download()
    assert third.content() == other.content()
    assert finds_nothing(third)


def upload_as_it_is(server, device):
    account = Account(server)
    assert account.upload(device.path.read_bytes()).text() == "OK"


def edit_on_the_maimed_one(device, other):
    """It has its own file still, without keys, until it downloads once."""
    try:
        device.sync()
    except ClientError:
        pass
    device.download()
    assert keys_of(device) == ["id"]
    note = device.select("select max(id) from notes")[0][0]
    device.edit_note(note, "by the first", "edited")
    assert device.sync() == "NO_CHANGES"
    assert other.sync() == "NO_CHANGES"
    assert [note] in other.select("select id from notes where flds like 'by the first%'")


def keys_of(device):
    return [row[1] for row in device.select("pragma table_info(notes)") if row[5]]
