"""One person's account and devices, of which every sync is made twice: with our server and with
the reference server, from the same bytes of device and server, at the same time of day.

What both leave behind is compared as a whole, and the next sync goes on from what one of them left,
in turn: so the two servers also take over each other's files all the time.
"""

import base64
import hashlib
import itertools
import shutil
import sys
from collections import Counter, namedtuple
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

from harness import collection
from harness.agreement import settle
from harness.device import WORKER, ClientError, Device
from harness.raw import Account as Login
from harness.server import Server
from twin.compare import differences, everything, without_what_a_new_account_has

KINDS = ("ours", "reference")
PASSWORD = "of everybody"
# As many accounts as a server that keeps all of them open has files for.
NAMES = [f"user{number}" for number in range(150)]
# Monday, 7 September 2026, at noon: with any date the same happens every time.
START = 1_788_782_400

Outcome = namedtuple("Outcome", ["value", "failure"])
# What was done with both servers, and how it ended.
TALLY = Counter()


class Difference(AssertionError):
    """The two servers did not do the same."""


class Servers:
    """One server of each kind, with names for many accounts: each has one for each sync, so that
    its files can be put there before the server has looked at them."""

    def __init__(self, folder, clock):
        self.folder = folder
        self.clock = clock
        self.unused = []
        accounts = {f"SYNC_USER{n}": f"{name}:{hashed()}" for n, name in enumerate(NAMES, 1)}
        settings = {"PASSWORDS_HASHED": "1", **accounts, **clock.environment()}
        self.by_kind = {
            kind: Server(
                kind,
                folder / kind,
                folder / f"{kind}.log",
                users=dict.fromkeys(NAMES, PASSWORD),
                **settings,
            )
            for kind in KINDS
        }

    def new_name(self):
        if not self.unused:
            self.begin_anew()
        return self.unused.pop()

    def begin_anew(self):
        self.end()
        for server in self.by_kind.values():
            shutil.rmtree(server.base, ignore_errors=True)
            server.start()
        self.unused = list(NAMES)

    def end(self):
        for server in self.by_kind.values():
            server.stop()


def hashed():
    """In as few rounds as a server takes, or it would need a minute for all of them."""
    salt, rounds = b"salt of everybody", 1000
    made = hashlib.pbkdf2_hmac("sha256", PASSWORD.encode(), salt, rounds)
    salt, made = (base64.b64encode(part).decode().rstrip("=") for part in (salt, made))
    return f"$pbkdf2-sha256$i={rounds},l=32${salt}${made}"


class Account:
    """What the servers have of one person; both the same."""

    def __init__(self, folder, servers):
        self.folder = folder
        self.servers = servers
        self.clock = servers.clock
        # The collection; none before the first sync.
        self.file = folder / "server.anki2"
        # Seconds that pass before whatever a person does.
        self.pace = 1
        # Whose files are gone on with.
        self.turn = itertools.cycle(KINDS)

    def pass_time(self):
        self.clock.advance(self.pace)

    @contextmanager
    def at_once(self):
        """What happens in here happens at the same moment."""
        self.clock.advance()
        self.pace, before = 0, self.pace
        yield
        self.pace = before

    def has_news(self, *statements):
        """Rows that were put there by something else than a sync, for devices to hear of."""
        with closing(collection.connect(self.file)) as database:
            for statement in [*statements, "update col set mod = mod + 1"]:
                database.execute(statement)
            database.commit()

    def begin_sync(self):
        """Who to sync as: the server of each kind, the name, and its key there."""
        name = self.servers.new_name()
        logins = {}
        for kind, server in self.servers.by_kind.items():
            if self.file.exists():
                server.folder(name).mkdir(parents=True, exist_ok=True)
                shutil.copy(self.file, server.folder(name) / "collection.anki2")
            logins[kind] = Login(server, name)
        return logins

    def found(self, logins):
        """What each server has now, as files without locks."""
        files = {}
        for kind, login in logins.items():
            path = login.server.folder(login.user) / "collection.anki2"
            files[kind] = settled(path, self.folder / f"server.{kind}.anki2")
        return files


class Twin(Device):
    """A device, of which there are two copies: what a person does is done in one of them, and
    before a sync the other one becomes the same."""

    def __init__(self, folder, account):
        self.folder = folder
        self.account = account
        worker = account.clock.command(sys.executable, WORKER)
        self.copies = {kind: Device(folder / kind, None, None, worker) for kind in KINDS}
        self.current = KINDS[0]
        # Whether both copies are used, and stay open.
        self.both = False

    @property
    def path(self):
        return self.copies[self.current].path

    def begin_with(self, file):
        for copy in self.copies.values():
            copy.call("close")
            shutil.copy(file, copy.path)

    def end(self):
        for copy in self.copies.values():
            copy.end()

    def stay_open(self):
        """For what a client forgets when it is closed. All that is done from now on has to have
        the same effect in both copies."""
        self.align()
        self.both = True

    def call(self, operation, **arguments):
        self.account.pass_time()
        if not self.both:
            return self.copies[self.current].call(operation, **arguments)
        one, other = (copy.call(operation, **arguments) for copy in self.copies.values())
        assert one == other
        return one

    def align(self):
        current = self.copies[self.current]
        if not current.path.exists():
            # Whatever opens it makes a new one.
            current.call("named")
        current.call("close")
        for copy in self.copies.values():
            if copy is not current:
                copy.call("close")
                shutil.copy(current.path, copy.path)

    def with_server(self, operation):
        self.account.pass_time()
        if not self.both:
            self.align()
        is_new = not self.account.file.exists()
        logins = self.account.begin_sync()
        outcomes = self.outcomes(operation, logins)
        files = self.account.found(logins)
        devices = {
            kind: settled(copy.path, self.folder / f"{kind}.anki2")
            for kind, copy in self.copies.items()
        }
        found = [
            *unequal(f"{operation}: what the client says", *outcomes.values()),
            *unequal(f"{operation}: the servers' files", *contents(files, is_new)),
            *unequal(f"{operation}: the devices' files", *contents(devices, is_new)),
        ]
        if found:
            raise Difference("\n".join(["ours first, then the reference server's:", *found]))
        self.current = next(self.account.turn)
        if files[self.current] is not None:
            shutil.copy(files[self.current], self.account.file)
        value, failure = outcomes[self.current]
        TALLY[operation, failure and failure[0] or value or "done"] += 1
        if failure is not None:
            raise ClientError(*failure)
        return value

    def outcomes(self, operation, logins):
        def outcome(kind):
            copy, login = self.copies[kind], logins[kind]
            copy.server, copy.key = login.server, login.key
            try:
                return Outcome(copy.with_server(operation), None)
            except ClientError as error:
                # Whose address it was does not matter.
                message = error.message.replace(login.server.url, "http://server/")
                return Outcome(None, (error.error, error.kind, message))

        with ThreadPoolExecutor(len(KINDS)) as pool:
            return dict(zip(KINDS, pool.map(outcome, KINDS)))


def replace(pair):
    """The first device sends all it has; the second takes that, and loses what it had not sent."""
    a, b = pair
    assert a.sync() == "FULL_SYNC"
    a.upload()
    b.add_note("to", "be lost")
    assert b.sync() == "FULL_SYNC"
    b.download()
    settle(pair)


def settled(path, into):
    """A copy of a database that somebody has open, in one file; none if there is none."""
    if not path.exists():
        return None
    copied = collection.snapshot(path, into)
    with closing(collection.connect(copied)) as database:
        database.execute("select count() from sqlite_master").fetchone()
    return copied


def contents(files, is_new):
    found = [{} if path is None else everything(path) for path in files.values()]
    return map(without_what_a_new_account_has, found) if is_new else found


def unequal(what, one, other):
    if isinstance(one, Outcome):
        return [] if one == other else [f"{what}: {one}, {other}"]
    return [f"{what}: {line}" for line in differences(one, other)]


def attempt(device, operation="sync"):
    """What may fail, as long as it does with both servers."""
    try:
        return device.with_server(operation)
    except ClientError as error:
        print(error)
        return error.kind
