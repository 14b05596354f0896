"""An honest user beside an attack: logs in and syncs over and over, and notes how long it takes.

A process of its own, so that the attacker's threads do not hold it up.
"""

import json
import multiprocessing
import time
from contextlib import closing

from harness.raw import META, Connection

# From one login to the next. They are due at fixed times: one that waits for seconds would have
# held up everybody who came in those seconds.
INTERVAL = 0.25
# Who shares the attacker's address shares what that address may have.
ADDRESS = "127.0.2.1"
# Of a new account.
NOTETYPES = 3
NOTHING = {"models": [], "decks": [[], []], "tags": []}


class HonestUser:
    """`with HonestUser(server, "ben") as ben:` … `ben.figures()`."""

    def __init__(self, server, user):
        self.server, self.user = server, user
        self.stopping = multiprocessing.Event()
        self.into, self.outof = multiprocessing.Pipe()
        self.process = multiprocessing.Process(target=self.run)
        self.results = None

    def __enter__(self):
        self.process.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.results = self.outof.recv()
        self.process.join()

    def run(self):
        logins, syncs, done, failures = [], [], [], []
        begun = time.monotonic()
        number = 0
        while not self.stopping.is_set() or not syncs:
            due = begun + number * INTERVAL
            number += 1
            time.sleep(max(0, due - time.monotonic()))
            started = max(due, time.monotonic() - 60)
            try:
                key = login(self.server, self.user)
                logged_in = time.monotonic()
                sync(self.server, key)
                logins.append(logged_in - started)
                done.append(time.monotonic())
                syncs.append(done[-1] - logged_in)
            except (OSError, AssertionError, ValueError, KeyError) as error:
                failures.append(f"{type(error).__name__}: {error}")
                if self.stopping.is_set():
                    break
        self.into.send((logins, syncs, done, failures))

    def figures(self):
        return Figures(*self.results)


class Figures:
    """How long logins and syncs took, in seconds."""

    def __init__(self, logins, syncs, done, failures):
        self.logins, self.syncs, self.done = sorted(logins), sorted(syncs), done
        self.failures = failures

    def between(self, begin, end):
        """How many syncs were done then. All processes of a machine share this clock."""
        return sum(begin < moment < end for moment in self.done)

    @property
    def worst(self):
        return Figures.percentile(self.logins, 99), Figures.percentile(self.syncs, 99)

    @staticmethod
    def percentile(values, hundredth):
        if not values:
            return float("inf")
        return values[min(len(values) - 1, len(values) * hundredth // 100)]


def login(server, user):
    credentials = {"u": user, "p": server.users[user]}
    return ask(server, "/sync/hostKey", credentials)["key"]


def sync(server, key):
    """A normal sync without changes, all of its requests."""
    usn = ask(server, "/sync/meta", META, key)["usn"]
    ask(server, "/sync/start", {"minUsn": usn, "lnewer": False, "graves": None}, key)
    ask(server, "/sync/applyChanges", {"changes": NOTHING}, key)
    ask(server, "/sync/chunk", None, key)
    ask(server, "/sync/applyChunk", {"chunk": {"done": True}}, key)
    # An account that nobody has uploaded to: the notetypes that a new one has, one deck, one preset.
    ask(server, "/sync/sanityCheck2", {"client": [[0, 0, 0], 0, 0, 0, 0, NOTETYPES, 1, 1]}, key)
    ask(server, "/sync/finish", None, key)



def ask(server, path, message, key=""):
    with closing(Connection(server, timeout=60, source=ADDRESS)) as connection:
        reply = connection.post(path, message, key)
    assert reply.status == 200, f"{path}: {reply.status} {reply.body[:100]!r}"
    return json.loads(reply.body)
