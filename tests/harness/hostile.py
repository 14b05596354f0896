"""Collections that were made to keep the server busy for hours, or for ever."""

import json
import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path
from shutil import copy

from harness.raw import Connection, frame

OLD = Path(__file__).parents[1] / "vectors" / "upgrade_in_schema11.anki2"


def expression(path, template):
    """Its check evaluates an expression that never ends, in a single instruction."""
    copy(template, path)
    with closing(sqlite3.connect(path)) as database:
        database.execute("pragma journal_mode = delete")
        database.execute("create table extra (size integer)")
        database.execute("insert into extra values (100)")
        endless = "instr(hex(zeroblob(size)), hex(zeroblob(size / 2)) || 'x')"
        database.execute(f"create index slow on extra ({endless})")
        # Only now, or it would be evaluated here.
        database.execute("pragma writable_schema = on")
        larger = "replace(sql, 'zeroblob(size', 'zeroblob(size * 400000')"
        database.execute(f"update sqlite_schema set sql = {larger} where name = 'slow'")
        database.commit()
    return path


def decks(path, template, number=10_000):
    """Decks of the same name, of which each gets one letter more than the last in the upgrade."""
    return with_column(path, "decks", lambda old: copies(next(iter(old.values())), number))


def fields(path, template, number=60_000):
    """The same with the fields of one notetype."""

    def crowd(models):
        notetype = next(iter(models.values()))
        notetype["flds"] = [{**notetype["flds"][0], "ord": ord} for ord in range(number)]
        return models

    return with_column(path, "models", crowd)


KINDS = [expression, decks, fields]


def copies(deck, number):
    return {str(id): {**deck, "id": id, "name": "same"} for id in range(1, number + 1)}


def with_column(path, column, change):
    copy(OLD, path)
    with closing(sqlite3.connect(path)) as database:
        (old,) = database.execute(f"select {column} from col").fetchone()
        new = json.dumps(change(json.loads(old)))
        database.execute(f"update col set {column} = ?", [new])
        database.commit()
    return path


class Attack:
    """Uploads whose answers nobody reads, until it ends."""

    def __init__(self, accounts, file):
        body = frame(file)
        self.connections = []
        for account in accounts:
            connection = Connection(account.server)
            connection.send_head("/sync/upload", account.key)
            connection.send_last(body)
            self.connections.append(connection)

    def unanswered(self):
        count = 0
        for connection in self.connections:
            connection.socket.setblocking(False)
            with suppress(BlockingIOError):
                connection.socket.recv(1)
                continue
            count += 1
        return count

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for connection in self.connections:
            connection.close()


def cpu_seconds(server):
    """What the server's process has used so far."""
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def comes_to_rest(server, within=60):
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        before = cpu_seconds(server)
        time.sleep(3)
        # Also where many others want the processor, work gets more of it than this.
        if cpu_seconds(server) - before < 0.05:
            return True
    return False
