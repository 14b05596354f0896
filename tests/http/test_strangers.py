"""Strangers, who have no valid host key, do not keep devices out."""

import json
import os
import signal
import socket
import threading
import time
from contextlib import ExitStack, closing, suppress

import pytest

from harness import MEBIBYTE, collection
from harness.multipart import BOUNDARY, OldAccount
from harness.raw import CLIENT, META, Account, Connection, frame

# What the server has room for, and somewhat more.
PLACES = 256
CROWD = PLACES + 4
# Strangers of one address make room for each other, so that of a device is another one.
ELSEWHERE = "127.0.1.1"
ENVELOPE = json.dumps({"v": 11, "k": "no.valid.key", "c": CLIENT, "s": "x"})
CHUNKED = "host: x\r\ntransfer-encoding: chunked\r\n"
BODY = b"1\r\nx\r\n"
# A head, and what comes after it now and then.
SLOW = {
    "body to the page": (f"POST / HTTP/1.1\r\n{CHUNKED}\r\n", BODY),
    "body to nowhere": (f"POST /a/b HTTP/1.1\r\n{CHUNKED}\r\n", BODY),
    "body to health": (f"GET /health HTTP/1.1\r\n{CHUNKED}\r\n", BODY),
    "bad key": (f"POST /sync/meta HTTP/1.1\r\n{CHUNKED}anki-sync: {ENVELOPE}\r\n\r\n", BODY),
    "login": (
        f"POST /sync/hostKey HTTP/1.1\r\n{CHUNKED}"
        f"anki-sync: {ENVELOPE.replace('no.valid.key', '')}\r\n\r\n",
        BODY,
    ),
    "form": (
        f"POST /sync/upload HTTP/1.1\r\n{CHUNKED}"
        f"content-type: multipart/form-data; boundary={BOUNDARY}\r\n\r\n",
        BODY,
    ),
    "head": ("POST /sync/meta HTTP/1.1\r\nhost: x\r\nx-slow: ", b"x"),
    "tls": ("\x16\x03\x01", b"\x01"),
    "nothing": ("", b""),
}


class Crowd:
    """Connections that send a little, and some more every so often; who is cut off comes again."""

    def __init__(self, server, count, kinds=tuple(SLOW), sources=("127.0.0.1",), every=2):
        self.address = server.address
        self.kinds, self.sources, self.every = kinds, sources, every
        self.open = {}
        self.ended = threading.Event()
        for number in range(count):
            self.connect(number)
        # Less than what is left unaccepted when the server does not accept any more.
        self.thread = threading.Thread(target=self.go_on)
        self.thread.start()

    def connect(self, number):
        head, _ = SLOW[self.kinds[number % len(self.kinds)]]
        peer = socket.socket()
        peer.settimeout(0.2)
        with suppress(OSError):
            peer.bind((self.sources[number % len(self.sources)], 0))
            peer.connect(self.address)
            peer.sendall(head.encode("latin-1"))
        peer.setblocking(False)
        self.open[number] = peer

    def go_on(self):
        while not self.ended.wait(self.every):
            for number, peer in list(self.open.items()):
                _, more = SLOW[self.kinds[number % len(self.kinds)]]
                try:
                    peer.send(more)
                    if peer.recv(1000) == b"":
                        raise ConnectionResetError
                except BlockingIOError:
                    pass
                except OSError:
                    peer.close()
                    self.connect(number)
                if self.ended.is_set():
                    return

    def close(self):
        self.ended.set()
        self.thread.join()
        for peer in self.open.values():
            peer.close()


@pytest.fixture
def direct(start_server, tmp_path):
    """Without a trusted proxy: those on loopback are otherwise believed to be one."""

    def start(**settings):
        file = tmp_path / "anki-syncd.toml"
        lines = [f"{name} = {json.dumps(value)}\n" for name, value in settings.items()]
        file.write_text("trusted_proxies = []\n" + "".join(lines))
        return start_server("ours", arguments=["--config", file])

    return start


def sync(server, key=None):
    """An honest client's login, if it has no key, and a request."""
    with closing(Connection(server, timeout=15)) as connection:
        if key is None:
            login = {"u": "ben", "p": server.users["ben"]}
            key = connection.post("/sync/hostKey", login).json()["key"]
        assert connection.post("/sync/meta", META, key).status == 200


@pytest.mark.parametrize("kind", SLOW)
@pytest.mark.parametrize("proxied", [False, True])
def test_devices_get_in_beside_slow_connections(direct, start_server, kind, proxied):
    # Behind a proxy that names no clients, all come from one address, which is trusted.
    server = start_server("ours") if proxied else direct()
    account = Account(server)
    with closing(Crowd(server, CROWD, [kind], sources=["127.0.0.1" if proxied else ELSEWHERE])):
        for _ in range(3):
            sync(server)
            sync(server, account.key)


@pytest.mark.parametrize("addresses", [1, 50])
def test_two_thousand_slow_connections(direct, long, addresses):
    server = direct()
    account = Account(server)
    sources = [f"127.0.1.{number + 1}" for number in range(addresses)]
    end = time.monotonic() + (120 if long else 5)
    with closing(Crowd(server, 2000, sources=sources)):
        while time.monotonic() < end:
            sync(server)
            sync(server, account.key)
            time.sleep(0.2)
    assert server.process.poll() is None


def test_a_burst_of_connections_waits_and_is_not_dropped(direct):
    server = direct()
    burst = 1000
    os.kill(server.process.pid, signal.SIGSTOP)
    try:
        with ExitStack() as stack:
            for _ in range(burst):
                # One that is dropped would be tried again after a second.
                peer = socket.create_connection(server.address, timeout=0.9)
                stack.callback(peer.close)
    finally:
        os.kill(server.process.pid, signal.SIGCONT)
    sync(server)


def test_a_device_that_is_served_keeps_its_connection(direct, template, tmp_path):
    server = direct(max_connections=20)
    account = Account(server)
    body = frame(template)
    with closing(Connection(server)) as device:
        device.send_head("/sync/upload", account.key)
        device.send_chunk(body[: len(body) // 2])
        time.sleep(0.2)
        with closing(Crowd(server, 100, sources=[ELSEWHERE], every=0.1)):
            time.sleep(1)
            sync(server)
        device.send_chunk(body[len(body) // 2 :])
        device.send_end()
        assert device.reply().text() == "OK"


@pytest.mark.parametrize("kind", ["body to the page", "body to nowhere", "bad key", "login"])
def test_a_strangers_body_has_little_time_however_it_comes(direct, kind):
    server = direct()
    head, more = SLOW[kind]
    with closing(Connection(server)) as connection:
        peer = connection.socket
        peer.sendall(head.encode())
        began = time.monotonic()
        peer.settimeout(1)
        answer = b""
        while not answer:
            assert time.monotonic() - began < 20, "it goes on for ever"
            with suppress(TimeoutError):
                peer.sendall(more)
                answer = peer.recv(1000)
        assert answer.split()[1] in (b"403", b"404", b"408")
        # And then it is over.
        peer.settimeout(10)
        with suppress(ConnectionResetError):
            while peer.recv(1000):
                pass


def test_an_address_has_so_many_strangers_connections_and_no_more(direct):
    server = direct(max_connections_per_address=5)
    account = Account(server)
    with ExitStack() as stack:
        peers = [
            stack.enter_context(socket.create_connection(server.address, timeout=10))
            for _ in range(20)
        ]
        for peer in peers[:15]:
            assert peer.recv(1) == b""
        peers[-1].settimeout(0.2)
        with pytest.raises(TimeoutError):
            peers[-1].recv(1)
        sync(server, account.key)


def half_form(server, size):
    peer = socket.create_connection(server.address, timeout=10)
    peer.sendall(
        f"POST /sync/upload HTTP/1.1\r\nhost: x\r\ncontent-length: {100 * MEBIBYTE}\r\n"
        f"content-type: multipart/form-data; boundary={BOUNDARY}\r\n\r\n"
        f'--{BOUNDARY}\r\ncontent-disposition: form-data; name="data"; filename="data"\r\n\r\n'.encode()
    )
    peer.setblocking(False)
    with suppress(BlockingIOError):
        sent = 0
        while sent < size:
            sent += peer.send(bytes(size - sent))
    return peer


def test_half_sent_forms_neither_fill_the_memory_nor_keep_old_clients_out(
    start_server, template, tmp_path
):
    # Those on loopback may be a proxy, so that all come in.
    server = start_server("ours")
    account = OldAccount(server)
    large = collection.grown(template, tmp_path / "large.anki2", 20)
    before = server.peak_memory()
    with ExitStack() as stack:
        for _ in range(PLACES):
            stack.callback(half_form(server, MEBIBYTE).close)
        time.sleep(1)
        assert account.call("/sync/meta", {"v": 10, "cv": "x"}).status == 200
        assert account.upload(large).status == 200
        grown = server.peak_memory() - before
        assert grown < 64 * MEBIBYTE, f"{grown / MEBIBYTE:.0f} MiB"


GUESSERS = 8


@pytest.mark.parametrize("same", [False, True], ids=["different guesses", "the same guess"])
def test_the_right_password_gets_in_within_a_minute_beside_guessers(ours, same):
    ended, tried = threading.Event(), []

    def guess(thread):
        number = 0
        while not ended.is_set():
            number += 1
            password = "wrong" if same else f"{thread} {number}"
            with suppress(OSError), closing(Connection(ours)) as connection:
                reply = connection.post("/sync/hostKey", {"u": "anna", "p": password})
                tried.append(reply.status)
            ended.wait(0.05)

    threads = [threading.Thread(target=guess, args=(number,)) for number in range(GUESSERS)]
    for thread in threads:
        thread.start()
    # Until guessing is as slow as it gets.
    time.sleep(20)
    try:
        began = time.monotonic()
        statuses = []
        while 200 not in statuses:
            assert time.monotonic() - began < 60, statuses
            with closing(Connection(ours, timeout=30)) as connection:
                login = {"u": "anna", "p": ours.users["anna"]}
                statuses.append(connection.post("/sync/hostKey", login).status)
            time.sleep(1)
        # Another user is not concerned.
        began = time.monotonic()
        sync(ours)
        assert time.monotonic() - began < 5
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    if not same:
        assert tried.count(403) <= 12 + (time.monotonic() - began + 80) / 20
