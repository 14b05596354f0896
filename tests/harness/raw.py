"""Requests made by hand, in the envelope of sync version 11: what no real client would send."""

import io
import json
import os
import socket
import zipfile
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPMessage, HTTPResponse
from pathlib import Path

import zstandard

from harness import MEBIBYTE

CHUNK = 4096
CLIENT = "26.09.3,handmade,linux"
META = {"v": 11, "cv": CLIENT}
END = b"0\r\n\r\n"


@dataclass
class Reply:
    status: int
    headers: HTTPMessage
    body: bytes

    def json(self):
        return json.loads(self.body)

    def text(self):
        return self.body.decode()


class Connection:
    """One connection, kept alive for as many requests as the server allows."""

    def __init__(self, server, timeout=60, source=None):
        source = source and (source, 0)
        self.socket = socket.create_connection(server.address, timeout, source_address=source)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def close(self):
        self.socket.close()

    def send_head(self, path, key="", method="POST", **other):
        """Starts a request; `other` adds headers, replaces them, or with `None` leaves them out."""
        envelope = {"v": 11, "k": key, "c": CLIENT, "s": "handmade"}
        headers = {
            "host": "localhost",
            "anki-sync": json.dumps(envelope),
            "content-type": "application/octet-stream",
            "transfer-encoding": "chunked",
            **other,
        }
        fields = [f"{name}: {value}" for name, value in headers.items() if value is not None]
        self.socket.sendall("\r\n".join([f"{method} {path} HTTP/1.1", *fields, "", ""]).encode())

    def send_chunk(self, content):
        self.socket.sendall(chunks(content))

    def send_end(self):
        self.socket.sendall(END)

    def send_last(self, content):
        """In one segment, since the reference server cuts off those whose end comes later."""
        self.socket.sendall(chunks(content) + END)

    def reply(self, into=None):
        """Reads the answer; with `into` the decoded body goes to that file instead of memory."""
        response = HTTPResponse(self.socket, method="POST")
        response.begin()
        size = response.getheader("anki-original-size")
        content = response
        if size is not None:
            content = zstandard.ZstdDecompressor().stream_reader(response)
        if into is None:
            body, length = (body := content.read()), len(body)
        else:
            body, length = b"", copy(content, into)
        assert size is None or int(size) == length, "anki-original-size is wrong"
        # Only so does the end of the transfer encoding get read, and the connection usable again.
        assert response.read() == b"", "something follows the zstd frame"
        return Reply(response.status, response.headers, body)

    def post(self, path, message=None, key="", into=None):
        try:
            self.send_head(path, key)
            pending = b""
            for block in compressed(message):
                self.send_chunk(pending)
                pending = block
            self.send_last(pending)
        except (BrokenPipeError, ConnectionResetError):
            pass  # The server may have seen enough; its answer says why.
        return self.reply(into)


class Account:
    """A user of a server, logged in by hand; every request on a connection of its own."""

    def __init__(self, server, user="anna"):
        self.server = server
        self.user = user
        self.key = ""
        credentials = {"u": user, "p": server.users[user]}
        self.key = self.post("/sync/hostKey", credentials).json()["key"]

    def post(self, path, message=None, into=None):
        with closing(Connection(self.server)) as connection:
            return connection.post(path, message, self.key, into)

    def meta(self):
        return self.post("/sync/meta", META).json()

    def upload(self, path):
        return self.post("/sync/upload", path)

    def download(self, into):
        reply = self.post("/sync/download", into=into)
        assert reply.status == 200
        return into

    def upload_media(self, files):
        return self.post("/msync/uploadChanges", media_zip(files))

    def download_media(self, names):
        """The files of one answer, by their names: not necessarily all that were asked for."""
        reply = self.post("/msync/downloadFiles", {"files": names})
        with zipfile.ZipFile(io.BytesIO(reply.body)) as archive:
            meta = json.loads(archive.read("_meta"))
            return {name: archive.read(entry) for entry, name in meta.items()}

    def media_changes(self, since=0):
        return self.post("/msync/mediaChanges", {"lastUsn": since}).json()["data"]


def chunks(content):
    """In the transfer encoding, cut up as finely as real clients do."""
    parts = (content[start : start + CHUNK] for start in range(0, len(content), CHUNK))
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)


def compressed(message):
    """One zstd frame without the size of its content, in blocks; JSON unless bytes or a file."""
    compressor = zstandard.ZstdCompressor(level=1, write_content_size=False).compressobj()
    for block in blocks(message):
        if data := compressor.compress(block):
            yield data
    yield compressor.flush()


def frame(message):
    return b"".join(compressed(message))


def blocks(message):
    if isinstance(message, Path):
        with open(message, "rb") as file:
            while block := file.read(MEBIBYTE):
                yield block
    elif isinstance(message, bytes):
        yield message
    else:
        yield json.dumps({"_pad": None} if message is None else message).encode()


def bomb(size):
    """Zeros in a zstd frame, some thirty thousand times smaller than its content."""
    compressor = zstandard.ZstdCompressor(write_content_size=False).compressobj()
    zeros = bytes(MEBIBYTE)
    parts = [compressor.compress(zeros) for _ in range(size // MEBIBYTE)]
    return b"".join(parts) + compressor.flush()


def wide(size):
    """The beginning of a frame with the largest window that is allowed, and all of it in use."""
    parameters = zstandard.ZstdCompressionParameters.from_level(
        1, window_log=23, write_content_size=False
    )
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    zeros = bytes(MEBIBYTE)
    parts = [compressor.compress(zeros) for _ in range(size // MEBIBYTE)]
    # What cannot be compressed, so that it is larger than a piece that is decoded at once.
    parts.append(compressor.compress(os.urandom(MEBIBYTE // 4)))
    return b"".join(parts) + compressor.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)


def media_zip(files):
    """A batch of media for `uploadChanges`; a file without content is one that was removed."""
    buffer = io.BytesIO()
    meta = []
    with zipfile.ZipFile(buffer, "w") as archive:
        for number, (name, content) in enumerate(files.items()):
            if content is not None:
                archive.writestr(str(number), content)
            meta.append([name, None if content is None else str(number)])
        archive.writestr("_meta", json.dumps(meta))
    return buffer.getvalue()


def copy(source, path):
    length = 0
    with open(path, "wb") as file:
        while block := source.read(MEBIBYTE):
            length += file.write(block)
    return length
