"""A sync server as a process: ours, or the reference server that comes with Anki."""

import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
# `tests/run` names the binary that the packages get; on its own, a test takes cargo's.
BINARY = os.environ.get("ANKI_SYNCD", TARGET / "release" / "anki-syncd")
COMMANDS = {
    "ours": [str(BINARY), "--allow-root"],
    "reference": [sys.executable, "-m", "anki.syncserver"],
}
USERS = {"anna": "anna's pass:wörd", "ben": "b"}


class Server:
    """One server over one folder of users; the address stays the same over restarts."""

    # The path of a unix socket in place of the address.
    socket = None

    def __init__(self, kind, base, log, users=USERS, host="127.0.0.1", arguments=(), **settings):
        self.kind = kind
        self.base = Path(base)
        self.log = Path(log)
        self.users = users
        self.host = host
        self.port = free_port()
        self.arguments = list(map(str, arguments))
        self.command = [*COMMANDS[kind], *self.arguments]
        self.settings = settings
        self.process = None

    @property
    def address(self):
        return self.host.strip("[]"), self.port

    @property
    def url(self):
        return f"http://{self.host}:{self.port}/"

    def environment(self):
        """Nothing else, so that the settings of whoever runs the tests stay out."""
        accounts = {
            f"SYNC_USER{number}": f"{name}:{password}"
            for number, (name, password) in enumerate(self.users.items(), 1)
        }
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.log.parent),
            "SYNC_BASE": str(self.base),
            "SYNC_HOST": self.host,
            "SYNC_PORT": str(self.port),
            **accounts,
            **self.settings,
        }

    def folder(self, user):
        return self.base / user

    def start(self):
        with open(self.log, "ab") as log:
            program = Path(self.command[0])
            assert program.exists(), f"{program} is missing: cargo build --release"
            self.process = subprocess.Popen(
                self.command,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        # The bundled server hashes the password of each user first.
        deadline = time.monotonic() + 20 + len(self.users) / 5
        while not self.healthy():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.kind} did not start:\n{self.log_text()}")
            time.sleep(0.02)
        return self

    def healthy(self):
        connection = http.client.HTTPConnection(*self.address, timeout=5)
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def stop(self):
        """Ends the server as an administrator would and returns its exit status."""
        # The reference server ignores anything gentler when it is the first process.
        return self.end(signal.SIGKILL if self.kind == "reference" else signal.SIGTERM)

    def kill(self):
        return self.end(signal.SIGKILL)

    def end(self, with_signal):
        if self.process is None:
            return None
        self.process.send_signal(with_signal)
        try:
            return self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        finally:
            self.process = None

    def restart(self):
        self.stop()
        return self.start()

    def attempt(self, *words, given=None):
        """Runs an operator's command with this server's settings, and with its standard input if
        it is given one.
        """
        return subprocess.run(
            [COMMANDS["ours"][0], *self.arguments, *map(str, words)],
            env=self.environment(),
            input=given,
            stdin=subprocess.DEVNULL if given is None else None,
            capture_output=True,
            text=True,
            timeout=120,
        )

    def begin(self, *words):
        """The same, under way."""
        return subprocess.Popen(
            [COMMANDS["ours"][0], *self.arguments, *map(str, words)],
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def operate(self, *words, given=None, status=0):
        """The same, and what it prints."""
        done = self.attempt(*words, given=given)
        assert done.returncode == status, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout if status == 0 else done.stderr

    def answer(self, *words):
        """What a command says to programs."""
        return json.loads(self.operate(*words, "--json"))

    def peak_memory(self):
        """The most memory the process has had in RAM since it started, in bytes."""
        return self.status_of_process("VmHWM")

    def memory(self):
        """What it has in RAM now, in bytes."""
        return self.status_of_process("VmRSS")

    def cpu_seconds(self):
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2]
        user, system = map(int, fields.split()[11:13])
        return (user + system) / os.sysconf("SC_CLK_TCK")

    def status_of_process(self, name):
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith(name))
        return int(line.split()[1]) * 1024

    def log_text(self):
        return self.log.read_text(errors="replace")


def free_port():
    """Below those that the kernel gives to clients, since it is to be free now and then only."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("", port))
            return port


class Activated(Server):
    """Ours on a unix socket, which systemd's tool for trying services out hands over."""

    def __init__(self, base, log, **settings):
        super().__init__("ours", base, log, **settings)
        # Their paths are not allowed to be long.
        self.socket_folder = tempfile.TemporaryDirectory()
        self.socket = Path(self.socket_folder.name) / "anki-syncd.sock"
        names = [f"--setenv={name}" for name in self.environment()]
        self.command = ["/usr/bin/systemd-socket-activate", f"-l{self.socket}", *names, *self.command]

    def healthy(self):
        """Also what starts it."""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(5)
            try:
                client.connect(str(self.socket))
                client.sendall(b"GET /health HTTP/1.0\r\n\r\n")
                return b" 200 " in client.recv(100)
            except OSError:
                return False

    def end(self, with_signal):
        self.socket.unlink(missing_ok=True)
        return super().end(with_signal)
