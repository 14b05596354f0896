"""The daemon as packages install it: its units and files in a container."""

import http.client
import json
import re
import shutil
import time
from contextlib import closing
from pathlib import Path

from harness.server import COMMANDS, REPOSITORY, free_port

UNITS = REPOSITORY / "systemd"
BINARY = Path(COMMANDS["ours"][0])
SERVICE = "anki-syncd.service"
SOCKET = "anki-syncd.socket"
CONTROL = "anki-syncd-control.socket"
METRICS = "anki-syncd-metrics.socket"
BACKUP = "anki-syncd-backup.service"
TIMER = "anki-syncd-backup.timer"
GENERATOR = "/usr/lib/systemd/system-generators/anki-syncd-generator"
SETTINGS = "/etc/anki-syncd"
CONFIGURATION = f"{SETTINGS}/anki-syncd.toml"
USERS_CREDENTIAL = f"{SETTINGS}/users"
BASE = "/var/lib/anki-syncd"
BACKUPS = "/var/backups/anki-syncd"
DROP_INS = "/etc/systemd/system"
USERS = {"anna": "anna's pass:wörd", "ben": "b3n's secret", "cleo": "cle0 öffne dich"}


class Daemon:
    """What a client sees of a server, and what an administrator does with it."""

    def __init__(self, container):
        self.container = container
        self.users = dict(USERS)
        self.move_to(free_port())
        self.cursor = None

    def install(self):
        assert BINARY.exists(), f"{BINARY} is missing: cargo build --release"
        inside = self.container
        inside.install(BINARY, "/usr/bin/anki-syncd", mode=0o755)
        for unit in (SERVICE, SOCKET, CONTROL, METRICS, BACKUP, TIMER):
            inside.install(UNITS / unit, f"/usr/lib/systemd/system/{unit}")
        inside.install(UNITS / "anki-syncd-generator", GENERATOR, mode=0o755)
        inside.install(UNITS / "anki-syncd.sysusers", "/usr/lib/sysusers.d/anki-syncd.conf")
        inside.run("systemd-sysusers")
        version = inside.run("/usr/bin/anki-syncd", "--version", check=False)
        assert version.returncode == 0, f"built for a newer system than this: {version.stderr}"

    def reset(self, **settings):
        """As freshly installed, with users, on a port of its own."""
        units = [SOCKET, CONTROL, METRICS, SERVICE, BACKUP, TIMER]
        self.systemctl("stop", *units)
        for unit in units:
            shutil.rmtree(self.container.path(f"{DROP_INS}/{unit}.d"), ignore_errors=True)
        for folder in (BASE, SETTINGS, BACKUPS):
            shutil.rmtree(self.container.path(folder), ignore_errors=True)
        self.configure(**settings)
        self.users = dict(USERS)
        self.write_users()
        self.listen_on(self.port)
        self.container.run("systemctl", "reset-failed", *units, check=False)
        self.cursor = self.newest_cursor()

    # Its files.

    def configure(self, **settings):
        lines = [f"{name} = {json.dumps(value)}\n" for name, value in settings.items()]
        self.container.write(CONFIGURATION, "".join(lines))

    def write_users(self, path=USERS_CREDENTIAL, owner=None):
        lines = [f"{name}:{password}\n" for name, password in self.users.items()]
        text = "# who may sync\n\n" + "".join(lines)
        mode = 0o600 if path == USERS_CREDENTIAL else 0o640
        self.container.write(path, text, mode=mode, owner=owner)

    def encrypt(self, name, source):
        """A credential in place of its source, by a key of the machine, since there is no TPM."""
        sealed = f"{source}.cred"
        self.container.run(
            "systemd-creds", "encrypt", "--with-key=host", f"--name={name}", source, sealed
        )
        self.container.path(source).unlink()
        return sealed

    def drop_in(self, text, unit=SERVICE, name="tests.conf"):
        self.container.write(f"{DROP_INS}/{unit}.d/{name}", text)
        self.systemctl("daemon-reload")

    def remove_drop_in(self, unit=SERVICE, name="tests.conf"):
        self.container.path(f"{DROP_INS}/{unit}.d/{name}").unlink()
        self.systemctl("daemon-reload")

    def listen_on(self, *addresses):
        lines = "".join(f"ListenStream={address}\n" for address in addresses)
        # Before override.conf, which `systemctl edit` writes.
        self.drop_in(f"[Socket]\nListenStream=\n{lines}", SOCKET, "00-port.conf")

    def move_to(self, port):
        """Where clients look for it from now on."""
        self.port = port
        self.address = ("127.0.0.1", port)
        self.url = f"http://127.0.0.1:{port}/"

    def folder(self, user):
        return self.container.path(f"{BASE}/{user}")

    # Its state.

    def systemctl(self, *words):
        return self.container.systemctl(*words)

    def show(self, name, unit=SERVICE):
        return self.systemctl("show", f"--property={name}", "--value", unit)

    def state(self, unit=SERVICE):
        return self.show("ActiveState", unit)

    def pid(self):
        return int(self.show("MainPID"))

    def listening(self):
        return self.state(SOCKET) == "active"

    def wait_for(self, condition, timeout=15):
        deadline = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < deadline, f"not within {timeout} s\n{self.log_text()}"
            time.sleep(0.05)

    def signal(self, name):
        self.container.run("systemctl", "kill", "--kill-whom=main", f"--signal={name}", SERVICE)

    def health(self, host="127.0.0.1"):
        connection = http.client.HTTPConnection(host, self.port, timeout=30)
        with closing(connection):
            connection.request("GET", "/health")
            return connection.getresponse().status

    # Its journal, since the last reset.

    def newest_cursor(self):
        shown = self.container.output("journalctl", "--show-cursor", "-n", "1", "-o", "cat")
        return re.search("^-- cursor: (.*)$", shown, re.MULTILINE)[1]

    def journal(self, *options):
        self.container.run("journalctl", "--sync")
        text = self.container.output(
            *["journalctl", "-o", "json", "--all", f"--after-cursor={self.cursor}", *options]
        )
        return [json.loads(line) for line in text.splitlines()]

    def entries(self):
        """What the daemon itself has said."""
        return [
            entry
            for entry in self.journal("-u", SERVICE)
            if entry.get("SYSLOG_IDENTIFIER") == "anki-syncd"
        ]

    def messages(self):
        return [entry["MESSAGE"] for entry in self.entries()]

    def log_text(self):
        return self.container.output(
            *["journalctl", "-o", "short-precise", f"--after-cursor={self.cursor}"]
        )
