"""Normal syncs, as a device makes them that has changes while the server has others."""

from contextlib import closing
from copy import deepcopy

from faults import contents
from faults.scenarios.scenario import Scenario
from faults.world import NotDone
from harness import collection
from harness.raw import META

# What a device has changed: a note of its own, an edited one, and one that is gone.
NEW, EDITED, GONE = 1001, 2, 3
LATER = contents.SECOND + 1000


def counts(path):
    """The numbers of rows after the sync, whether or not it has been done before."""
    with closing(collection.connect(path)) as database:
        ids = {
            table: {row for (row,) in database.execute(f"select id from {table}")}
            for table in ("cards", "notes", "revlog", "notetypes", "decks", "deck_config")
        }
    for table in ("cards", "notes"):
        ids[table] = (ids[table] | {NEW}) - {GONE}
    ids["revlog"].add(contents.review(NEW, 0)[0])
    numbers = [len(ids[table]) for table in ("cards", "notes", "revlog")]
    return [[0, 0, 0], *numbers, 0, *(len(ids[t]) for t in ("notetypes", "decks", "deck_config"))]


def begin(world, client, known_usn=0):
    """Until everything has been sent, and nothing is confirmed."""
    meta = client.done("/sync/meta", META)
    if meta["empty"]:
        raise AssertionError("the account is empty: the device would be told to upload")
    usn = meta["usn"]
    client.done("/sync/start", {"minUsn": known_usn, "lnewer": True})
    graves = {"notes": [GONE], "cards": [GONE], "decks": []}
    client.done("/sync/applyGraves", {"chunk": graves})
    deck = deepcopy(contents.DECKS[0]) | {"usn": usn, "mod": LATER, "desc": "changed"}
    changes = {"models": [], "decks": [[deck], []], "tags": ["sent"]}
    client.done("/sync/applyChanges", {"changes": changes})
    received = []
    while not received or not received[-1]["done"]:
        received.append(client.done("/sync/chunk"))
    notetype = contents.notetype_in(world.files / "a.anki2")
    chunk = {
        "done": True,
        "revlog": [contents.review(NEW, usn)],
        "cards": [contents.card(NEW, usn)],
        "notes": [
            contents.note(NEW, notetype, "new", usn, LATER),
            contents.note(EDITED, notetype, "edited", usn, LATER),
        ],
    }
    client.done("/sync/applyChunk", {"chunk": chunk})


def sync(world, client):
    begin(world, client)
    expected = counts(world.base / client.user / "collection.anki2")
    checked = client.done("/sync/sanityCheck2", {"client": expected})
    if checked["status"] != "ok":
        raise AssertionError(f"the sanity check fails: {checked}")
    finished = client.done("/sync/finish")
    if not isinstance(finished, int):
        raise NotDone(f"finish: {finished}")


class NormalSync(Scenario):
    """With changes both ways."""

    def step(self, world):
        sync(world, world.client("anna-phone"))


class AbortedSync(Scenario):
    def step(self, world):
        client = world.client("anna-phone")
        begin(world, client)
        client.done("/sync/abort")


class SyncOfAnotherDeviceAfterwards(Scenario):
    """The second of two in a row, which finds the first one's journal."""

    def before(self, world):
        sync(world, world.client("anna-laptop"))

    def step(self, world):
        sync(world, world.client("anna-phone"))
