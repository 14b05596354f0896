"""What a folder of users holds, in a form that can be compared: what people would miss."""

import hashlib
import json
import os
import re
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from faults.world import PASSWORDS, Client, NotDone
from harness import collection
from harness.raw import META

# Times that each run sets anew.
TIMES = ("mtime_secs", "mtime")
JOURNAL = re.compile(r"-(wal|shm|journal)$")
# Bytes of the two copies of the header of SQLite's shared memory.
WAL_INDEX_HEADERS = 96
# What collections have been found to hold, by their content.
STATES = {}
# Names that are drawn, or tell the time.
DRAWN = re.compile(r"[0-9a-zA-Z_-]*[0-9][0-9a-zA-Z_-]*")


class Inconsistent(AssertionError):
    """Something that must not be, whatever happened."""


def observe(world, scenario, known_schemas):
    """All that counts, as a running server shows it and as its files say."""
    seen = {
        "users": listed(world.list),
        "keys": {name: account(world.client(name), known_schemas) for name in sorted(world.keys)},
        "logins": {pair: login(world, *pair, known_schemas) for pair in scenario.logins},
    }
    for folder in sorted(world.base.iterdir()):
        if folder.is_dir() and not folder.name.startswith("."):
            agreeing = scenario.agreeing_media
            seen[folder.name] = user_state(folder, world.work, known_schemas, agreeing)
    if scenario.devices:
        seen["devices"] = device_states(world)
    seen["backups"] = backups(world.backups, known_schemas)
    return seen


def listed(path):
    """The names in the users file, which must be whole, and whether their passwords are new."""
    entries = [line.partition(":") for line in path.read_text().splitlines()]
    if not all(colon for _, colon, _ in entries):
        raise Inconsistent(f"the users file has a torn line: {entries}")
    return [
        name if password in PASSWORDS.values() else f"{name} with a new password"
        for name, _, password in entries
    ]


def account(client, known_schemas):
    """What a device with a key learns; its next sync must not become a full one without need."""
    reply = client.attempt("/sync/meta", META)
    if reply.status != 200:
        return reply.status
    meta = json.loads(reply.body)
    schema = meta["scm"] if meta["scm"] in known_schemas else "new"
    return schema, meta["empty"], meta["media_usn"], meta["usn"]


def login(world, user, password, known_schemas):
    try:
        client = Client.logged_in(world, user, password)
    except NotDone as refused:
        if "403" in str(refused):
            return "refused"
        raise
    seen = account(client, known_schemas)
    return seen if isinstance(seen, int) else seen[:3]


def device_states(world):
    """Of the devices that are known by name; and how many others each user has."""
    names = {device: name for name, device in world.device_ids.items()}
    states, others = {}, {}
    for device in json.loads(world.command("device", "list", "--all", "--json")):
        if name := names.get(device["id"]):
            states[name] = device["state"]
        else:
            others[device["user"]] = others.get(device["user"], 0) + 1
    return {"states": states, "others": others}


# One user.


def user_state(folder, work, known_schemas, agreeing_media):
    return {
        "collection": collection_state(folder / "collection.anki2", known_schemas),
        "media": media_state(folder, agreeing_media),
        "snapshots": snapshots(folder, work / "snapshots", known_schemas),
    }


def collection_state(path, known_schemas):
    """By table, a digest of the rows; those of `with usn` have their USNs in them."""
    if not path.exists():
        return None
    content = content_of(path)
    if content not in STATES:
        STATES[content] = read_collection(path, known_schemas)
    return STATES[content]


def content_of(path):
    """Of a database with its journal, and how much of that counts: the same is the same state.

    A commit that failed by its last fsync is in the journal, and counts only once there is no
    shared memory that says otherwise.
    """
    digest = hashlib.sha1(path.read_bytes())
    for suffix, length in (("-wal", None), ("-shm", WAL_INDEX_HEADERS)):
        beside = path.with_name(path.name + suffix)
        digest.update(beside.read_bytes()[:length] if beside.exists() else b"")
    return digest.digest()


def read_collection(path, known_schemas):
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=20)) as database:
        database.create_collation("unicase", collection.unicase)
        if (found := database.execute("pragma integrity_check").fetchone()[0]) != "ok":
            raise Inconsistent(f"{path}: {found}")
        names = [
            name
            for (name,) in database.execute("select name from sqlite_master where type = 'table'")
            if name not in (*collection.NOT_CONTENT, "col")
        ]
        state = {
            table: (
                digest(sorted(collection.quoted_rows(database, table, ("usn", *TIMES)))),
                digest(sorted(collection.quoted_rows(database, table, TIMES))),
            )
            for table in names
        }
        creation, schema, version, usn = database.execute(
            "select crt, scm, ver, usn from col"
        ).fetchone()
    schema = schema if schema in known_schemas else "new"
    if state["cards"] == NOTHING and schema == "new":
        # One that was made for somebody who has not uploaded yet is another each time.
        return {"empty": (True, True)}
    state["col"] = (digest([creation, schema, version]), usn)
    return state


def media_state(folder, agreeing=True):
    """What is recorded of media; the files must agree with it, unless that is to be repaired."""
    files = {
        path.name: hashlib.sha1(path.read_bytes()).hexdigest()
        for path in (folder / "media").glob("*")
    }
    path = folder / "media.db"
    if not path.exists():
        if files:
            raise Inconsistent(f"{folder}: media without media.db: {sorted(files)}")
        return None
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=20)) as database:
        rows = database.execute(
            "select fname, lower(hex(csum)), size, usn from media order by fname"
        ).fetchall()
        totals = database.execute(
            "select last_usn, total_bytes, total_nonempty_files from meta"
        ).fetchone()
    shown = [(name, sha1 if size else None, usn) for name, sha1, size, usn in rows]
    if not agreeing:
        return [*shown, *sorted(files.items())]
    recorded = {name: sha1 for name, sha1, size, _ in rows if size}
    if recorded != files:
        raise Inconsistent(f"{folder}: media.db says {recorded}, the folder {files}")
    sizes = [size for _, _, size, _ in rows if size]
    newest = max((usn for *_, usn in rows), default=0)
    if totals[1:] != (sum(sizes), len(sizes)) or totals[0] < newest:
        raise Inconsistent(f"{folder}: media.db counts {totals}, and has {rows}")
    return shown


def snapshots(folder, into, known_schemas):
    """What has been kept of earlier collections, each of which must be whole."""
    shutil.rmtree(into, ignore_errors=True)
    kept = collection.snapshots(folder, into)
    return sorted(digest(content(path, known_schemas)) for path in kept)


def content(path, known_schemas=()):
    """A collection without its USNs."""
    tables = collection_state(path, known_schemas)
    return sorted((table, digests[0]) for table, digests in tables.items())


def backups(folder, known_schemas):
    """The complete ones: what can be restored from each."""
    found = []
    for path in sorted(folder.glob("[!.]*/[!.]*")):
        database = path / "collection.anki2"
        if path.is_dir() and not path.name.startswith("."):
            media = media_state(path)
            named = media and [(name, sha1) for name, sha1, _ in media]
            whole = content(database, known_schemas) if database.exists() else None
            found.append((path.name, digest(whole), digest(named)))
    return sorted(found)


# Everything else.


def files(root):
    """The names of the files that there are, with what is drawn or tells the time left out.

    Without journals, which SQLite brings in when it next opens the database, and without
    snapshots, which have been looked into.
    """
    names = set()
    # What goes meanwhile is passed over.
    for path in (Path(folder) / name for folder, _, found in os.walk(root) for name in found):
        *folders, name = path.relative_to(root).parts
        if path.is_file() and not JOURNAL.search(name) and not is_snapshot(folders, name):
            # Media keep their names, since no two files of theirs are alike.
            is_media = folders[-1:] == ["media"] and ".anki-syncd" not in folders
            shown = name if is_media else DRAWN.sub("#", name)
            names.add("/".join([*(DRAWN.sub("#", folder) for folder in folders), shown]))
    return names


def is_snapshot(folders, name):
    return folders[-1:] == ["snapshots"] and name.endswith((".anki2", ".anki2.zst"))


def digest(value):
    return hashlib.sha1(repr(value).encode()).hexdigest()[:12]


# As the digests of a table without rows.
NOTHING = (digest([]), digest([]))


def without_usns(seen):
    """The same with what a repeated sync counts on left out."""

    def reduced(user):
        media = user["media"] and [(name, sha1) for name, sha1, *_ in user["media"]]
        tables = user["collection"] and {
            table: digests[0] for table, digests in user["collection"].items()
        }
        return {"collection": tables, "media": media}

    plain = {"users", "keys", "logins", "backups", "devices"}
    kept = {"users": seen["users"], "backups": sorted(set(seen["backups"]))}
    for part in ("keys", "logins"):
        kept[part] = {
            who: what[:2] if isinstance(what, tuple) else what for who, what in seen[part].items()
        }
    return kept | {name: reduced(value) for name, value in seen.items() if name not in plain}


def difference(one, other):
    """The parts in which two states differ, for whoever reads the failure."""
    found = {}
    for name in sorted({*one, *other}, key=str):
        a, b = one.get(name), other.get(name)
        if a != b:
            nested = isinstance(a, dict) and isinstance(b, dict)
            found[name] = difference(a, b) if nested else (a, b)
    return found
