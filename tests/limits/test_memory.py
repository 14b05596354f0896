"""How much memory requests can make the server take, whoever sends them."""

import itertools
import json
import threading
import time
from contextlib import closing

import pytest

from harness import MEBIBYTE, collection
from harness.confined import allocator
from harness.multipart import OldAccount, post
from harness.raw import Account, Connection, bomb, frame, wide

BOUND = 64 * MEBIBYTE
GIBIBYTE = 1024 * MEBIBYTE


@pytest.fixture(scope="module")
def zeros():
    return bomb(GIBIBYTE)


def send_bomb(server, path, key, zeros):
    connection = Connection(server)
    try:
        connection.send_head(path, key)
        connection.send_chunk(zeros)
        connection.send_end()
    except OSError:
        pass  # It need not have been read.
    reply = connection.reply()
    connection.close()
    return reply


@pytest.mark.parametrize("path", ["/sync/upload", "/sync/meta", "/msync/uploadChanges"])
def test_a_bomb_without_a_valid_host_key_is_refused_unread(ours, zeros, path):
    assert send_bomb(ours, path, "nobody", zeros).status == 403
    assert ours.peak_memory() < BOUND


def test_a_bomb_as_login_is_refused(ours, zeros):
    assert send_bomb(ours, "/sync/hostKey", "", zeros).status in (400, 413)
    assert ours.peak_memory() < BOUND


@pytest.mark.parametrize("path", ["/sync/meta", "/msync/uploadChanges", "/msync/mediaChanges"])
def test_a_bomb_of_a_user_stops_at_the_limit(ours, zeros, path):
    assert send_bomb(ours, path, Account(ours).key, zeros).status == 413
    assert ours.peak_memory() < BOUND


def test_a_bomb_as_upload_stops_at_the_limit_and_tells_the_person(ours, zeros):
    reply = send_bomb(ours, "/sync/upload", Account(ours).key, zeros)
    assert reply.status == 200
    assert " " in reply.text()
    assert ours.peak_memory() < BOUND
    assert ours.stop() == 0
    left = sum(path.stat().st_size for path in ours.base.rglob("*") if path.is_file())
    assert left < MEBIBYTE


def test_memory_does_not_grow_with_the_collection(start_server, template, tmp_path):
    server = start_server("ours", MAX_SYNC_PAYLOAD_MEGS="1000")
    large = collection.grown(template, tmp_path / "large.anki2", mebibytes=200)
    account = Account(server)
    assert account.upload(large).text() == "OK"
    account.download(tmp_path / "back.anki2")
    assert server.peak_memory() < BOUND
    assert (tmp_path / "back.anki2").stat().st_size >= 200 * MEBIBYTE


def test_memory_does_not_grow_with_the_collection_of_an_old_client(
    start_server, template, tmp_path
):
    server = start_server("ours", MAX_SYNC_PAYLOAD_MEGS="1000")
    large = collection.grown(template, tmp_path / "large.anki2", mebibytes=200)
    assert Account(server).upload(large).text() == "OK"
    account = OldAccount(server)
    old = account.download(tmp_path / "old.anki2")
    assert account.upload(old).text() == "OK"
    assert old.stat().st_size >= 200 * MEBIBYTE
    assert server.peak_memory() < BOUND


def test_what_strangers_send_in_the_old_envelope_is_not_kept_in_memory(ours):
    large = itertools.repeat(bytes(MEBIBYTE), 90)
    reply = post(ours, "/sync/upload", ("data", large), ("c", b"1"), ("k", b"nobody"))
    assert reply.status == 403
    assert ours.peak_memory() < BOUND


def test_memory_does_not_grow_with_the_media(start_server, tmp_path):
    server = start_server("ours")
    account = Account(server)
    content = {f"{number}.bin": bytes([number]) * (9 * MEBIBYTE) for number in range(10)}
    assert account.upload_media(content).json()["data"][0] == 10
    for name in content:
        reply = account.post("/msync/downloadFiles", {"files": [name]})
        assert reply.status == 200
    assert server.peak_memory() < BOUND


START = {"minUsn": 0, "lnewer": True, "graves": None}
NOTHING = b'"models":[],"decks":[[],[]],"tags":[]'
# Short texts, which would be large trees: 16 bytes or more for each two or three.
EMPTY = b"[]," * (4 * MEBIBYTE // 3)
TREES = {
    "a setting": ("applyChanges", b'{"changes":{%b,"conf":{"x":[%b0]}}}' % (NOTHING, EMPTY)),
    "an unknown key": ("applyChanges", b'{"changes":{%b,"x":[%b0]}}' % (NOTHING, EMPTY)),
    "many tags": (
        "applyChanges",
        b'{"changes":{"models":[],"decks":[[],[]],"tags":[%b"a"]}}' % (b'"a",' * 20_000),
    ),
    "an unknown key of a deck": (
        "applyChanges",
        b'{"changes":{"models":[],"decks":[[{"id":1,"dyn":0,"x":[%b0]}],[]],"tags":[]}}' % EMPTY,
    ),
    "an unknown key of a chunk": ("applyChunk", b'{"chunk":{"x":[%b0]}}' % EMPTY),
    "graves": (
        "applyGraves",
        b'{"chunk":{"cards":[],"decks":[],"notes":[%b1]}}' % (b"1," * 200_000),
    ),
}


def post_as_it_is(account, method, body):
    return account.post(f"/sync/{method}", body)


@pytest.mark.parametrize("kind", TREES)
def test_a_message_takes_no_more_than_twice_its_text(ours, kind):
    """Beside what the server takes anyway."""
    account = Account(ours)
    assert account.post("/sync/start", START).status == 200
    method, body = TREES[kind]
    before = ours.peak_memory()
    assert post_as_it_is(account, method, body).status in (200, 400)
    # Stored, it is in pages of the database as well.
    assert ours.peak_memory() - before < 2 * len(body) + 16 * MEBIBYTE


@pytest.mark.parametrize("path", ["/sync/meta", "/sync/finish", "/msync/downloadFiles"])
def test_a_method_that_needs_a_few_numbers_takes_no_megabytes(ours, path):
    body = b'{"v":11,"cv":"x","files":[],"x":[%b0]}' % EMPTY
    account = Account(ours)
    assert account.post("/sync/start", START).status == 200
    assert account.post(path, body).status == 413
    assert ours.peak_memory() < BOUND


@pytest.mark.parametrize("method", ["applyChunk", "applyChanges", "applyGraves", "sanityCheck2"])
def test_outside_of_a_sync_a_body_is_not_even_decoded(ours, zeros, method):
    account = Account(ours)
    before = ours.peak_memory()
    assert send_bomb(ours, f"/sync/{method}", account.key, zeros).status == 409
    assert ours.peak_memory() - before < 8 * MEBIBYTE


def test_an_object_larger_than_any_person_makes_is_refused(ours):
    account = Account(ours)
    assert account.post("/sync/start", START).status == 200
    body = b'{"chunk":{"notes":[[1,"%b' % (b"x" * (33 * MEBIBYTE))
    assert account.post("/sync/applyChunk", body).status == 413
    assert ours.peak_memory() < 3 * BOUND


def test_slow_bodies_of_a_user_do_not_hold_a_decoder_each(start_server, template, tmp_path):
    """Each asks for the largest window there may be, and goes on for ever."""
    ours = start_server("ours", **allocator())
    account = Account(ours)
    # Larger as sent than what is collected before anything is decoded.
    body = wide(10 * MEBIBYTE)
    slow = [Connection(ours) for _ in range(100)]
    for connection in slow:
        connection.send_head("/sync/upload", account.key)
        connection.send_chunk(body)
    deadline = time.monotonic() + 60
    while len(kept(ours)) < len(slow):
        assert time.monotonic() < deadline, "not all of them have arrived"
        time.sleep(0.1)
    large = collection.grown(template, tmp_path / "large.anki2", mebibytes=20)
    assert account.upload(large).text() == "OK"
    assert Account(ours, "ben").meta()["empty"]
    assert ours.peak_memory() < 2 * BOUND
    # What was kept is decoded in the end, and nothing of it has been lost.
    slow[-1].send_end()
    assert " " in slow[-1].reply().text()
    for connection in slow:
        connection.close()
    assert account.download(tmp_path / "back.anki2").stat().st_size >= 20 * MEBIBYTE


def test_large_settings_are_sent_to_one_device_at_a_time(start_server, template, tmp_path):
    """Each user's is within every limit, and takes several times its size on its way."""
    users = {f"user{number}": "secret" for number in range(5)}
    ours = start_server("ours", users=users, **allocator())
    path = collection.grown(template, tmp_path / "large.anki2", mebibytes=1)
    with closing(collection.connect(path)) as database, database:
        text = json.dumps("x" * (24 * MEBIBYTE)).encode()
        database.execute("insert into config values ('large', 1, 1, ?)", [text])
    accounts = [Account(ours, user) for user in users]
    for account in accounts:
        assert account.upload(path).text() == "OK"
        assert account.post("/sync/start", {**START, "lnewer": False}).status == 200
    statuses = []

    def ask(account):
        reply = account.post("/sync/applyChanges", b'{"changes":{%b}}' % NOTHING)
        statuses.append(reply.status)

    in_parallel(ask, accounts)
    assert statuses == [200] * len(users)
    # One of them with its copies, and what the others have on the disk while it is sent.
    assert ours.peak_memory() < 3 * BOUND


def in_parallel(function, arguments):
    threads = [threading.Thread(target=function, args=[one]) for one in arguments]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def kept(server):
    """Files for uploads that are under way."""
    folder = server.folder("anna") / ".anki-syncd/tmp"
    return list(folder.iterdir()) if folder.exists() else []


def test_ten_at_once_are_served_within_the_budget(ours):
    """The same user's requests, of which the first begins, and ends, the sync."""
    account = Account(ours)
    assert account.post("/sync/start", START).status == 200
    method, body = TREES["a setting"]
    packed = frame(body)
    statuses = []

    def send():
        connection = Connection(ours, timeout=120)
        connection.send_head(f"/sync/{method}", account.key)
        connection.send_last(packed)
        statuses.append(connection.reply().status)
        connection.close()

    threads = [threading.Thread(target=send) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(statuses) == 10 and set(statuses) <= {200, 503}
    assert ours.peak_memory() < 2 * BOUND


def test_large_notes_of_a_real_client_need_little_memory(start_server, new_device):
    ours = start_server("ours", **allocator())
    idle = ours.memory()
    device = new_device(ours)
    device.login()
    device.upload()
    other = new_device(ours)
    other.login()
    other.download()
    for number in range(12):
        device.add_note(f"{number}", "x" * (2 * MEBIBYTE))
    device.sync()
    other.sync()
    assert other.select("select count(*), max(length(flds)) from notes")[0][0] == 12
    assert ours.peak_memory() < BOUND
    deadline = time.monotonic() + 10
    while (now := ours.memory()) > idle + 12 * MEBIBYTE:
        assert time.monotonic() < deadline, now
        time.sleep(0.2)
