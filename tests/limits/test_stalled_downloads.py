"""Downloads that nobody reads: they share copies, and hold no more of the disk than a few."""

import sqlite3
from contextlib import closing, suppress

import pytest
import zstandard

from harness import MEBIBYTE, collection
from harness.disk import fill, make_room
from harness.raw import Account, Connection, frame

SIZE = 20


@pytest.fixture
def account(start_on, template, tmp_path):
    """With a collection that is larger than what sockets take in."""
    account = Account(start_on(min_free_megs=16))
    large = collection.grown(template, tmp_path / "large.anki2", SIZE)
    assert account.upload(large).text() == "OK"
    return account


@pytest.fixture
def stalled(account):
    """Begins a download, of which nothing is read."""
    connections = []

    def begin():
        connection = Connection(account.server)
        connections.append(connection)
        connection.send_head("/sync/download", account.key)
        connection.send_last(frame({}))
        # The head says that the copy has been made.
        assert connection.socket.recv(12).endswith(b"200")
        return connection

    yield begin
    for connection in connections:
        connection.close()


def copies(account):
    """Copies on the disk, in sizes of the collection."""
    folder = account.server.folder("anna") / ".anki-syncd/tmp"
    return sum(path.stat().st_size for path in folder.iterdir()) / (SIZE * MEBIBYTE)


def change(account):
    """What another device's sync does to the collection, as far as a download is concerned."""
    path = account.server.folder("anna") / "collection.anki2"
    with closing(sqlite3.connect(path)) as database:
        database.execute("pragma journal_mode = wal")
        database.create_collation("unicase", lambda a, b: (a > b) - (a < b))
        with database:
            database.execute("update col set mod = mod + 1, usn = usn + 1")


def test_downloads_of_one_state_share_a_copy(account, stalled):
    for _ in range(4):
        stalled()
    assert 0.9 < copies(account) < 1.5


def test_however_many_states_are_being_downloaded_there_are_two_copies(
    account, stalled, tmp_path
):
    connections = []
    for _ in range(4):
        connections.append(stalled())
        change(account)
    assert copies(account) < 2.5
    # The last one is whole; the first was given up.
    assert collection.integrity(rest(connections[-1], tmp_path / "last")) == "ok"
    with pytest.raises((AssertionError, OSError, zstandard.ZstdError, sqlite3.DatabaseError)):
        assert collection.integrity(rest(connections[0], tmp_path / "first")) == "ok"


def rest(connection, path):
    """What comes of a download whose beginning has been read."""
    content = b""
    with suppress(ConnectionResetError):
        while part := connection.socket.recv(MEBIBYTE):
            content += part
            if content.endswith(b"0\r\n\r\n"):
                break
    assert content.endswith(b"0\r\n\r\n"), "cut off"
    body = without_chunks(content.split(b"\r\n\r\n", 1)[1])
    path.write_bytes(zstandard.ZstdDecompressor().decompressobj().decompress(body))
    return path


def without_chunks(content):
    parts, start = [], 0
    while True:
        end = content.index(b"\r\n", start)
        length = int(content[start:end], 16)
        if length == 0:
            return b"".join(parts)
        parts.append(content[end + 2 : end + 2 + length])
        start = end + 4 + length


def test_a_download_without_room_for_its_copy_is_refused_and_changes_nothing(disk, account):
    before = account.meta()
    fill(disk, 10 * MEBIBYTE)
    assert account.post("/sync/download").status == 507
    after = account.meta()
    assert {**before, "ts": 0} == {**after, "ts": 0}
    assert copies(account) == 0
    make_room(disk)
    assert account.post("/sync/download").status == 200


def test_a_disk_that_is_nearly_full_still_hands_out_what_is_there(disk, account):
    fill(disk, (SIZE + 12) * MEBIBYTE)
    assert account.post("/sync/download").status == 200
    fill_more = account.upload_media({"a.bin": bytes(30 * MEBIBYTE)})
    assert fill_more.status == 507
