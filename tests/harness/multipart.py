"""Requests made by hand, in the envelope of sync versions 8 to 10."""

import gzip
import json
import zlib
from contextlib import closing
from http.client import HTTPConnection, IncompleteRead

from harness import MEBIBYTE
from harness.raw import Reply, copy

BOUNDARY = "Anki-sync-boundary"
HEADERS = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}


def form(parts):
    """A form of `(name, content)` in this order, in pieces; content is bytes, or pieces of them."""
    for name, content in parts:
        file = '; filename="data"' if name == "data" else ""
        yield f'--{BOUNDARY}\r\ncontent-disposition: form-data; name="{name}"{file}\r\n\r\n'.encode()
        yield from [content] if isinstance(content, bytes) else content
        yield b"\r\n"
    yield f"--{BOUNDARY}--\r\n".encode()


def send(server, path, body=None, method="POST", headers=HEADERS, into=None):
    with closing(HTTPConnection(*server.address, timeout=60)) as connection:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        content = b""
        if into is None:
            content = response.read()
        else:
            copy(response, into)
            # Reading in pieces does not notice that by itself.
            if response.length:
                raise IncompleteRead(b"", response.length)
        return Reply(response.status, response.headers, content)


def post(server, path, *parts, into=None):
    small = all(isinstance(content, bytes) for _, content in parts)
    # The reference server cuts off those whose end comes later.
    return send(server, path, b"".join(form(parts)) if small else form(parts), into=into)


def packed(message):
    return gzip.compress(message if isinstance(message, bytes) else json.dumps(message).encode())


def packed_file(path):
    compressor = zlib.compressobj(level=1, wbits=31)
    with open(path, "rb") as file:
        while block := file.read(MEBIBYTE):
            yield compressor.compress(block)
    yield compressor.flush()


class OldAccount:
    """A user of a server, logged in by hand as an old client would."""

    def __init__(self, server, user="anna"):
        self.server = server
        login = packed({"u": user, "p": server.users[user]})
        self.key = post(server, "/sync/hostKey", ("data", login), ("c", b"1")).json()["key"]

    @property
    def k(self):
        return ("k", self.key.encode())

    def call(self, path, message=None, into=None):
        """The body first, and the host key behind it."""
        parts = [("data", packed(message or {})), ("c", b"1"), self.k, ("s", b"a|b#c")]
        return post(self.server, path, *parts, into=into)

    def upload(self, path):
        parts = [("data", packed_file(path)), ("c", b"1"), self.k]
        return post(self.server, "/sync/upload", *parts)

    def download(self, into):
        """Without a body, as AnkiDroid and the clients that are written in Python ask for it."""
        assert post(self.server, "/sync/download", self.k, into=into).status == 200
        return into
