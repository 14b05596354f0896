"""How much memory requests can make the server take, whoever sends them."""

import pytest

from harness import MEBIBYTE, collection
from harness.raw import Account, Connection, bomb

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


def test_memory_does_not_grow_with_the_media(start_server, tmp_path):
    server = start_server("ours")
    account = Account(server)
    content = {f"{number}.bin": bytes([number]) * (9 * MEBIBYTE) for number in range(10)}
    assert account.upload_media(content).json()["data"][0] == 10
    for name in content:
        reply = account.post("/msync/downloadFiles", {"files": [name]})
        assert reply.status == 200
    assert server.peak_memory() < BOUND
