"""Collection files, read and made without a client."""

import base64
import hashlib
import itertools
import random
import shutil
import sqlite3
from contextlib import closing

from harness import MEBIBYTE

NOTE_TEXT = 1000
# Statistics of SQLite's, which each side makes for itself.
NOT_CONTENT = ("sqlite_stat1", "sqlite_stat4")


def connect(path):
    database = sqlite3.connect(path)
    database.create_collation("unicase", unicase)
    return database


def unicase(one, other):
    one, other = one.casefold(), other.casefold()
    return (one > other) - (one < other)


def rows(path):
    """Every row of every table, sorted; of `col` what does not change with each sync."""
    with closing(connect(path)) as database:
        tables = [
            name
            for (name,) in database.execute("select name from sqlite_master where type = 'table'")
            if name not in NOT_CONTENT
        ]
        content = {table: sorted(quoted_rows(database, table)) for table in tables}
        content["col"] = database.execute("select crt, scm, ver from col").fetchall()
        return content


def quoted_rows(database, table):
    """Values as SQL literals: comparable with each other, whatever their types."""
    columns = [column[1] for column in database.execute(f"pragma table_info({table})")]
    quoted = ", ".join(f"quote({column})" for column in columns)
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
