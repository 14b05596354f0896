"""Clients that stop in the middle: nobody holds a connection for ever."""

import time
from contextlib import closing, suppress

import pytest

from harness import MEBIBYTE, collection
from harness.raw import Account, Connection, frame

TIMEOUT = 1


@pytest.fixture
def impatient(start_server, tmp_path):
    """Our server with short time-outs."""
    file = tmp_path / "anki-syncd.toml"
    file.write_text(f"header_timeout_secs = {TIMEOUT}\nbody_timeout_secs = {TIMEOUT}\n")
    return start_server("ours", arguments=["--config", file])


def drip(peer, content, seconds):
    """Sends the same again and again; whether the other end has closed the connection by then."""
    end = time.monotonic() + seconds
    peer.settimeout(0.1)
    while time.monotonic() < end:
        try:
            peer.sendall(content)
            if peer.recv(1000) == b"":
                return True
        except TimeoutError:
            pass
        except OSError:
            return True
    return False


def test_a_connection_without_a_request_is_closed(impatient):
    with closing(Connection(impatient, timeout=10 * TIMEOUT)) as connection:
        assert connection.socket.recv(1) == b""


def test_headers_that_never_end_are_cut_off(impatient):
    with closing(Connection(impatient)) as connection:
        connection.socket.sendall(b"POST /sync/meta HTTP/1.1\r\nhost: localhost\r\nx-slow: ")
        assert drip(connection.socket, b"a", 10 * TIMEOUT)


def test_a_body_that_does_not_go_on_is_cut_off(impatient):
    key = Account(impatient).key
    with closing(Connection(impatient, timeout=10 * TIMEOUT)) as connection:
        connection.send_head("/sync/upload", key)
        connection.send_chunk(b"the beginning")
        assert connection.reply().status == 408


def test_a_slow_body_that_goes_on_is_not_cut_off(impatient, template):
    key = Account(impatient).key
    body = frame(template)
    with closing(Connection(impatient)) as connection:
        connection.send_head("/sync/upload", key)
        for start in range(0, len(body), len(body) // 5):
            connection.send_chunk(body[start : start + len(body) // 5])
            time.sleep(TIMEOUT / 2)
        connection.send_end()
        assert connection.reply().text() == "OK"


def test_an_answer_that_nobody_reads_is_given_up(impatient, template, tmp_path):
    account = Account(impatient)
    large = collection.grown(template, tmp_path / "large.anki2", 30)
    assert account.upload(large).text() == "OK"
    with closing(Connection(impatient)) as connection:
        connection.send_head("/sync/download", account.key)
        connection.send_last(frame({}))
        time.sleep(5 * TIMEOUT)
        received = 0
        with suppress(ConnectionResetError):
            while part := connection.socket.recv(MEBIBYTE):
                received += len(part)
    assert 0 < received < 10 * MEBIBYTE
