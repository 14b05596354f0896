"""A person's device: a real Anki client in a process of its own."""

import atexit
import itertools
import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

from harness import collection

WORKER = Path(__file__).with_name("worker.py")
# Processes that wait for another device, by their command: to start one takes a second.
IDLE = defaultdict(list)


class ClientError(Exception):
    """The client's own error: what the person at the device gets to see."""

    def __init__(self, error, kind, message):
        super().__init__(f"{error} ({kind}): {message}")
        self.error, self.kind, self.message = error, kind, message


class Device:
    """One collection with its media folder, syncing as one user.

    `worker` is the command that runs a client: the newest one, or `Version.worker()`.
    """

    def __init__(self, folder, server, user, worker=(sys.executable, WORKER)):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True)
        self.path = self.folder / "collection.anki2"
        self.media_folder = self.folder / "collection.media"
        self.server = server
        self.user = user
        self.key = ""
        self.ticks = itertools.count(1)
        self.command = tuple(map(str, worker))
        self.worker = IDLE[self.command].pop() if IDLE[self.command] else start_worker(self.command)
        self.call("use", path=str(self.path))

    def call(self, operation, **arguments):
        request = json.dumps({"do": operation, "with": arguments})
        self.worker.stdin.write(request + "\n")
        self.worker.stdin.flush()
        line = self.worker.stdout.readline()
        assert line, "the client has ended"
        answer = json.loads(line)
        if "error" in answer:
            raise ClientError(**answer)
        return answer["value"]

    def end(self):
        self.call("close")
        IDLE[self.command].append(self.worker)

    # Against the server.

    def login(self, password=None):
        password = self.server.users[self.user] if password is None else password
        self.key = self.call("login", endpoint=self.server.url, user=self.user, password=password)
        return self.key

    def with_server(self, operation):
        return self.call(operation, endpoint=self.server.url, key=self.key)

    def status(self):
        """What the client would have to do, judged from `meta` alone.

        Right after an upload that is a normal sync now and then, with any server: the client
        looks at the clock once for its modification and once for its last sync.
        """
        return self.with_server("status")

    def sync(self):
        return self.with_server("sync")

    def upload(self):
        self.with_server("upload")

    def download(self):
        self.with_server("download")

    def sync_media(self):
        self.with_server("sync_media")

    # On the device.

    def add_note(self, *fields, **options):
        return self.call("add_note", fields=fields, **options)

    def edit_note(self, note_id, *fields):
        self.call("edit_note", note_id=note_id, fields=fields)

    def delete_note(self, note_id):
        self.call("delete_note", note_id=note_id)

    def add_deck(self, name):
        return self.call("add_deck", name=name)

    def review(self, cards):
        self.call("review", cards=cards)

    def change(self, operation, /, **arguments):
        """One of `changes.py`."""
        return self.call("change", name=operation, arguments=arguments)

    def check_database(self):
        """What the client says; `NOTHING_FOUND` if all is well."""
        return self.call("check_database")

    def select(self, sql):
        """Rows as the client itself sees them."""
        return self.call("select", sql=sql)

    def named(self):
        return self.call("named")

    def rows(self):
        # The client locks the file for as long as it has it open.
        self.call("close")
        return collection.rows(self.path)

    def content(self, left_out=()):
        self.call("close")
        return collection.content(self.path, left_out)

    # Media: plain files in a folder, as people put them there.

    def media(self):
        return {path.name: path.read_bytes() for path in self.media_folder.iterdir()}

    def put_media(self, name, content):
        self.media_folder.mkdir(exist_ok=True)
        path = self.media_folder / name
        path.write_bytes(content)
        self.let_time_pass(path, self.media_folder)

    def remove_media(self, name):
        (self.media_folder / name).unlink()
        self.let_time_pass(self.media_folder)

    def let_time_pass(self, *paths):
        """The client finds changed media by time stamps in whole seconds."""
        stamp = time.time() + next(self.ticks)
        for path in paths:
            os.utime(path, (stamp, stamp))


def start_worker(command):
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@atexit.register
def end_workers():
    for worker in itertools.chain.from_iterable(IDLE.values()):
        worker.stdin.close()
        worker.wait(timeout=30)
        worker.stdout.close()


def empty_collection(folder):
    """The file of a collection as the client makes it."""
    device = Device(folder, server=None, user=None)
    device.check_database()
    device.end()
    return device.path
