"""One server over one folder, which can be a disk of its own: its clients, and its commands."""

import http.client
import json
import os
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager, suppress
from http.client import HTTPException
from pathlib import Path

from faults.supervisor import Supervised
from harness import multipart, raw
from harness.server import COMMANDS

PROGRAM = COMMANDS["ours"][0]
PASSWORDS = {"anna": "anna's pass:wörd", "ben": "b", "cleo": "c"}
PATIENCE = 20


class NotDone(Exception):
    """What was asked for has not been confirmed."""


class Client(raw.Account):
    """A device that has logged in some time ago."""

    def __init__(self, world, key, user):
        self.server, self.key, self.user = world, key, user

    @classmethod
    def logged_in(cls, world, user, password):
        client = cls(world, "", user)
        client.key = client.done("/sync/hostKey", {"u": user, "p": password})["key"]
        return client

    def attempt(self, path, message=None):
        """The reply, whatever its status."""
        try:
            return self.post(path, message)
        except (OSError, HTTPException, AssertionError, ValueError) as error:
            raise NotDone(f"{path}: {error!r}") from error

    def done(self, path, message=None):
        """The reply of a request that was confirmed."""
        reply = self.attempt(path, message)
        if reply.status != 200:
            raise NotDone(f"{path}: {reply.status} {reply.body[:200]}")
        return json.loads(reply.body) if reply.body[:1] in b'{["0123456789n' else reply.body


class OldClient(multipart.OldAccount):
    """The same device in the envelope of older clients."""

    def __init__(self, client):
        self.server, self.key = client.server, client.key


class World:
    """`root` is what faults and power cuts are about; `work` is beside it, on another disk."""

    def __init__(self, root, work, port):
        self.root, self.work, self.port = Path(root), Path(work), port
        self.base, self.list = self.root / "base", self.root / "etc" / "users"
        self.backups, self.files = self.root / "backups", self.root / "files"
        self.address = ("127.0.0.1", port)
        self.process = None
        # Of its devices, by names such as anna-phone.
        self.keys, self.device_ids = {}, {}
        # With these, the next command or the next start is supervised; they get the process.
        self.on_command = self.on_start = None
        self.work.mkdir(parents=True, exist_ok=True)
        self.log = self.work / "log"
        self.configuration = self.work / "anki-syncd.toml"
        self.configuration.write_text(
            f"base = {json.dumps(str(self.base))}\n"
            f"users_file = {json.dumps(str(self.list))}\n"
            f'host = "127.0.0.1"\nport = {port}\nmin_free_megs = 0\n'
        )

    # The server.

    def environment(self):
        return {"PATH": os.environ["PATH"], "HOME": str(self.work), "RUST_LOG": "info"}

    def start(self, supervised=False, lying=False, prepare=None):
        """Starts the server; `prepare` gets the supervised process at once."""
        command = [PROGRAM, "--allow-root", "--config", str(self.configuration)]
        with open(self.log, "ab") as log:
            if supervised:
                self.process = Supervised(
                    command, self.environment(), log.fileno(), self.root, lying
                )
                if prepare:
                    prepare(self.process)
            else:
                self.process = subprocess.Popen(
                    command,
                    env=self.environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )
        self.wait_until_healthy()

    def begin(self):
        """Starts it unless it runs, supervised if somebody wants to."""
        if not self.is_running():
            self.start(supervised=self.on_start is not None, prepare=self.on_start)

    def wait_until_healthy(self):
        deadline = time.monotonic() + PATIENCE
        while not self.healthy():
            if self.process.poll() is not None:
                raise NotDone(f"the server did not start: {self.log_text()[-2000:]}")
            if time.monotonic() > deadline:
                raise NotDone(f"the server does not answer: {self.log_text()[-2000:]}")
            time.sleep(0.002)

    def healthy(self):
        with suppress(OSError, HTTPException):
            connection = http.client.HTTPConnection(*self.address, timeout=5)
            try:
                connection.request("GET", "/health")
                return connection.getresponse().status == 200
            finally:
                connection.close()
        return False

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def stop(self):
        """As an administrator would; its exit status."""
        return self.end(signal.SIGTERM)

    def kill(self):
        return self.end(signal.SIGKILL)

    def end(self, number):
        if self.process is None:
            return None
        with suppress(ProcessLookupError):
            self.process.send_signal(number)
        try:
            return self.process.wait(timeout=30)
        finally:
            self.process = None

    def log_text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    # Its devices.

    def client(self, name):
        return Client(self, self.keys[name], name.split("-")[0])

    def old_client(self, name):
        return OldClient(self.client(name))

    # Its operator.

    def command(self, *words, given=""):
        """Runs a command; what it prints, if it says that it is done."""
        status, text = self.run(*words, given=given)
        if status != 0:
            raise NotDone(f"{words}: {status} {text}")
        return text

    def run(self, *words, given=""):
        command = [PROGRAM, "--config", str(self.configuration), *map(str, words)]
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as stdin:
            stdin.write(given.encode())
            stdin.seek(0)
            if self.on_command:
                process = Supervised(
                    command, self.environment(), output.fileno(), self.root, given=stdin.fileno()
                )
                self.on_command(process)
                status = process.wait(60)
            else:
                status = subprocess.run(
                    command,
                    env=self.environment(),
                    stdin=stdin,
                    stdout=output,
                    stderr=output,
                    timeout=60,
                ).returncode
            output.seek(0)
            return status, output.read().decode(errors="replace")


@contextmanager
def running(world):
    """A server for as long as it takes to prepare something."""
    world.start()
    try:
        yield world
    finally:
        status = world.stop()
    assert status == 0, world.log_text()


def free_port(number):
    """One of those that the kernel gives to nobody else, the same for the same worker."""
    for port in range(10_000 + 40 * number, 10_000 + 40 * number + 40):
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port
    raise OSError("no port is free")
