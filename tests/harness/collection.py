"""Collection files, read and made without a client."""

import base64
import hashlib
import itertools
import random
import shutil
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import zstandard

from harness import MEBIBYTE

NOTE_TEXT = 1000
# Statistics of SQLite's, which each side makes for itself.
NOT_CONTENT = ("sqlite_stat1", "sqlite_stat4")
# Columns that a normal sync leaves to each side: settings and tags travel without them.
NOT_SYNCED = {"config": ("usn", "mtime_secs"), "tags": ("usn", "collapsed", "config")}
WITH_USN = ("cards", "notes", "revlog", "graves", "decks", "deck_config", "tags", "notetypes")


def connect(path):
    database = sqlite3.connect(path)
    database.create_collation("unicase", unicase)
    return database


def unicase(one, other):
    one, other = one.casefold(), other.casefold()
    return (one > other) - (one < other)


def rows(path, left_out=()):
    """Every row of every table, sorted; of `col` what does not change with each sync."""
    with closing(connect(path)) as database:
        tables = [
            name
            for (name,) in database.execute("select name from sqlite_master where type = 'table'")
            if name not in NOT_CONTENT
        ]
        content = {table: sorted(quoted_rows(database, table, left_out)) for table in tables}
        content["col"] = database.execute("select crt, scm, ver from col").fetchall()
        return content


def content(path, left_out=()):
    """The rows that normal syncs make equal everywhere, without the columns left out."""
    synced = rows(path, left_out)
    # Each side keeps those that it has heard of, for as long as it likes.
    del synced["graves"]
    with closing(connect(path)) as database:
        for table, not_synced in NOT_SYNCED.items():
            synced[table] = sorted(quoted_rows(database, table, not_synced))
        # Of tags that no note has any more, nobody hears.
        used = {
            tag for (tags,) in database.execute("select tags from notes") for tag in tags.split()
        }
    synced["tags"] = [row for row in synced["tags"] if row[0].strip("'") in used]
    return synced


def differences(one, other):
    """The rows that only one of two contents has, by table: what a person wants to see of them."""
    found = {}
    for table in one:
        only = [sorted(set(a[table]) - set(b[table])) for a, b in [(one, other), (other, one)]]
        if any(only):
            found[table] = only
    return found


def unsynced(path):
    """By table, how many rows have never been given a USN by the server."""
    with closing(connect(path)) as database:
        counts = {
            table: database.execute(f"select count() from {table} where usn = -1").fetchone()[0]
            for table in WITH_USN
        }
    return {table: count for table, count in counts.items() if count}


def snapshot(path, into):
    """A copy of a database that an idle server has open: the reference server locks it."""
    log = path.with_name(f"{path.name}-wal")
    shutil.copy(path, into)
    if log.exists():
        shutil.copy(log, into.with_name(f"{into.name}-wal"))
    return into


def snapshots(folder, into):
    """The collections that the server has kept of a user's, from the oldest on, as files."""
    into.mkdir(exist_ok=True)
    while True:
        names = {}
        for path in sorted((folder / ".anki-syncd" / "snapshots").glob("*.anki2*")):
            # One that is being compressed is there twice.
            names[path.name.removesuffix(".zst")] = path
        # Or it has just been, and is not there any more under the name that it had.
        with suppress(FileNotFoundError):
            return [unpacked(path, into / name) for name, path in names.items()]


def unpacked(path, into):
    if path.suffix != ".zst":
        return Path(shutil.copy(path, into))
    with open(path, "rb") as source, open(into, "wb") as target:
        zstandard.ZstdDecompressor().copy_stream(source, target)
    return into


def quoted_rows(database, table, left_out=()):
    """Values as SQL literals: comparable with each other, whatever their types."""
    columns = [column[1] for column in database.execute(f"pragma table_info({table})")]
    quoted = ", ".join(f"quote({column})" for column in columns if column not in left_out)
    return database.execute(f"select {quoted} from {table}")


def stamps(path):
    """What `meta` tells of a collection: modification, schema modification, USN."""
    with closing(connect(path)) as database:
        return database.execute("select mod, scm, usn from col").fetchone()


def integrity(path):
    with closing(connect(path)) as database:
        return database.execute("pragma integrity_check").fetchone()[0]


def grown(template, path, mebibytes, seed=0):
    """A copy of an empty collection, filled with notes whose text hardly compresses."""
    shutil.copy(template, path)
    with closing(connect(path)) as database:
        # One file, as after a client has closed it.
        database.execute("pragma journal_mode = delete")
        notetype = database.execute(
            "select ntid from templates group by ntid having count() = 1 limit 1"
        ).fetchone()[0]
        source = random.Random(seed)
        numbers = itertools.count(1)
        while size(database) < mebibytes * MEBIBYTE:
            batch = [note(number, notetype, source) for number in itertools.islice(numbers, 500)]
            database.executemany(
                "insert into notes values (?, ?, ?, 1, 0, '', ?, ?, ?, 0, '')", batch
            )
        database.execute(
            "insert into cards select id, id, 1, 0, 1, 0, 0, 0, id, 0, 0, 0, 0, 0, 0, 0, 0, '{}'"
            " from notes"
        )
        database.commit()
    return path


def size(database):
    pages, page_size = (
        database.execute(f"pragma {name}").fetchone()[0] for name in ["page_count", "page_size"]
    )
    return pages * page_size


def note(number, notetype, source):
    front = f"{source.getrandbits(64):016x} {number}"
    text = base64.b64encode(source.randbytes(NOTE_TEXT * 3 // 4)).decode()
    checksum = int(hashlib.sha1(front.encode()).hexdigest()[:8], 16)
    return number, f"guid{number}", notetype, f"{front}\x1f{text}", front, checksum
