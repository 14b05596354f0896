"""Being told to stop: what is under way ends well, and the folder is left tidy."""

import signal
import threading
import time

import pytest

from harness import collection
from harness.raw import Account, Connection, frame


def journals(base):
    return [path for path in base.rglob("*") if path.name.endswith(("-wal", "-shm", "-journal"))]


@pytest.mark.parametrize("with_signal", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_an_idle_server(ours, template, with_signal):
    account = Account(ours)
    assert account.upload(template).text() == "OK"
    account.upload_media({"one.txt": b"1"})
    assert ours.end(with_signal) == 0
    assert journals(ours.base) == []


def test_an_upload_under_way_may_finish(ours, template, tmp_path):
    account = Account(ours)
    assert account.upload(template).text() == "OK"
    new = collection.grown(template, tmp_path / "new.anki2", 3)
    body = frame(new)

    connection = Connection(ours)
    connection.send_head("/sync/upload", account.key)
    connection.send_chunk(body[: len(body) // 2])
    time.sleep(0.2)
    status = []
    stopping = threading.Thread(target=lambda: status.append(ours.stop()))
    stopping.start()
    time.sleep(0.5)
    connection.send_chunk(body[len(body) // 2 :])
    connection.send_end()
    assert connection.reply().text() == "OK"
    stopping.join()

    assert status == [0]
    assert journals(ours.base) == []
    assert collection.rows(ours.folder("anna") / "collection.anki2") == collection.rows(new)


def test_connections_without_a_request_do_not_hold_it_up(ours):
    idle, half = Connection(ours), Connection(ours)
    half.socket.sendall(b"POST /sync/meta HTTP/1.1\r\n")
    used = Connection(ours)
    used.post("/sync/hostKey", {"u": "ben", "p": ours.users["ben"]})
    started = time.monotonic()
    assert ours.stop() == 0
    assert time.monotonic() - started < 10
    for connection in (idle, half, used):
        connection.close()
