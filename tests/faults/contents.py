"""The collections and media that scenarios send: small, and the same in every run."""

import hashlib
import json
import shutil
from contextlib import closing
from pathlib import Path

from harness import collection

VECTORS = Path(__file__).resolve().parents[1] / "vectors"
SCHEMA_18, SCHEMA_11 = VECTORS / "new_server_schema18.anki2", VECTORS / "upgrade_in_schema11.anki2"
DECKS = json.loads((VECTORS / "new_server_applyChanges_reply.json").read_text())["decks"][0]
SECOND = 1_700_000_000
BASIC = "select ntid from templates group by ntid having count() = 1 order by ntid limit 1"
MEDIA = {f"{word}.png": word.encode() * 9000 for word in ("one", "two", "three")}


def note(number, notetype, word, usn, second=SECOND):
    return [number, f"guid{number}", notetype, second, usn, "", f"{word}\x1fback", "", "", 0, ""]


def card(number, usn, second=SECOND):
    return [number, number, 1, 0, second, usn, *[0] * 11, "{}"]


def review(number, usn):
    return [1_690_000_000_000 + number, number, usn, 3, 1, 1, 2500, 1000, 1]


def collection_file(path, words, schema):
    """A collection with one note and card for each word."""
    shutil.copy(SCHEMA_18, path)
    with closing(collection.connect(path)) as database:
        database.execute("pragma journal_mode = delete")
        (notetype,) = database.execute(BASIC).fetchone()
        for number, word in enumerate(words, 1):
            row = note(number, notetype, word, 0)
            row[7], row[8] = word, int(hashlib.sha1(word.encode()).hexdigest()[:8], 16)
            database.execute(f"insert into notes values ({', '.join('?' * 11)})", row)
            database.execute(f"insert into cards values ({', '.join('?' * 18)})", card(number, 0))
        database.execute("update col set scm = ?, mod = ?", (schema, schema + 1))
        database.commit()
    return path


def old_collection_file(path):
    return Path(shutil.copy(SCHEMA_11, path))


def notetype_in(path):
    with closing(collection.connect(path)) as database:
        return database.execute(BASIC).fetchone()[0]


def schema_of(path):
    return collection.stamps(path)[1]
