"""A data folder with its settings, for the operator's `check`."""

import json
import subprocess
from dataclasses import dataclass

from harness.collection import connect

MEDIA = {"a.png": b"first", "b.mp3": b"second", "c.jpg": b"third"}


@dataclass
class Outcome:
    status: int
    findings: list
    errors: str

    @property
    def ids(self):
        return {finding["id"] for finding in self.findings}

    def of(self, id):
        return next(finding for finding in self.findings if finding["id"] == id)


class Setup:
    """A data folder with the settings of a server, which need not run."""

    def __init__(self, server, folder):
        self.server = server
        self.base = server.base
        self.folder = folder
        self.user = self.base / "anna"
        self.collection = self.user / "collection.anki2"
        self.media = self.user / "media"
        self.database = self.user / "media.db"
        self.programs = folder / "programs"
        self.programs.mkdir()
        self.configuration = folder / "anki-syncd.toml"
        self.held = []
        self.tell_time(synchronised="yes")

    def tell_time(self, synchronised):
        """Not this machine's own, which the tests do not know."""
        program = self.programs / "timedatectl"
        program.write_text(f"#!/bin/sh\necho {synchronised}\n")
        program.chmod(0o755)

    def configure(self, text):
        self.configuration.write_text(text)

    def list_users(self, content, mode=0o600):
        """In a file, instead of the environment."""
        self.server.users = {}
        users = self.folder / "users"
        users.write_bytes(content)
        users.chmod(mode)
        self.configure(f"users_file = {json.dumps(str(users))}\n")
        return users

    def environment(self):
        environment = self.server.environment()
        return {**environment, "PATH": f"{self.programs}:{environment['PATH']}"}

    def run(self, *arguments, **options):
        if self.configuration.exists():
            arguments = ("--config", self.configuration, *arguments)
        return subprocess.run(
            [self.server.command[0], "check", *arguments],
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=120,
            **{"stdin": subprocess.DEVNULL, **options},
        )

    def check(self, *arguments, **options):
        done = self.run("--json", *arguments, **options)
        assert done.returncode in (0, 1), done.stderr
        return Outcome(done.returncode, json.loads(done.stdout), done.stderr)

    def repair(self):
        return self.check("--repair", "--yes")

    def let_others_pass(self):
        """The way to the folder must not be what keeps another account out."""
        for folder in [self.folder, *self.folder.parents][:3]:
            folder.chmod(folder.stat().st_mode | 0o011)

    def execute(self, path, sql):
        """Leaves one file, as after a client has closed it."""
        with connect(path) as database:
            database.executescript(sql)
        database.close()

    def tree(self):
        """Everything about the files that looking must not change."""
        return {
            path.relative_to(self.base): (path.lstat().st_mode, path.lstat().st_mtime_ns)
            for path in self.base.rglob("*")
        }
