"""Every column of every table of two database files, compared."""

import json
import marshal
import re
from contextlib import closing

from harness import collection

# The number of the field that holds what a program knows no field for, as JSON.
UNKNOWN_KEYS = 255
# A large number in JSON: 1e300 is what the reference server writes, 1e+300 what ours does. Whoever
# reads it gets the same number.
EXPONENT = re.compile(rb"(?<=\d)e\+(?=\d)")
# An account that nobody has sent anything yet: the notetypes that ours puts there are not the
# client's own, and fewer; of the setting that names one of them, the reference server says that it
# was never sent. Nobody merges with any of this, and the first upload replaces it.
OF_A_NEW_ACCOUNT = (
    *("notetypes", "fields", "templates"),
    *("sqlite_master", "sqlite_stat1", "sqlite_stat4"),
)
VARINT, EIGHT_BYTES, LENGTH, FOUR_BYTES = 0, 1, 2, 5


class Table:
    """The columns of all rows, as they are; the rows by their keys only when that is needed."""

    def __init__(self, columns, keys, rows):
        self.columns = columns
        self.keys = keys
        self.rows = rows
        # One and 1.0 are equal to Python, and two things to a client.
        self.exactly = marshal.dumps([columns, rows], 2)

    def by_key(self):
        found = {}
        for values in self.rows:
            row = {name: as_meant(value) for name, value in zip(self.columns, values)}
            found[tuple(row[key] for key in self.keys)] = row
        return found

    def without(self, column, value):
        at = self.columns.index(column)
        return Table(self.columns, self.keys, [row for row in self.rows if row[at] != value])


def everything(path):
    """All tables, and how they are made."""
    with closing(collection.connect(path)) as database:
        # What only damage leaves behind is compared as well.
        database.text_factory = lambda text: text.decode(errors="surrogateescape")
        made = database.execute("select type, name, sql from sqlite_master").fetchall()
        found = {name: table(database, name) for kind, name, _ in made if kind == "table"}
        return {**found, "sqlite_master": Table(["type", "name", "sql"], ["type", "name"], made)}


def table(database, name):
    columns = database.execute(f"pragma table_info({name})").fetchall()
    names = [column for _, column, *_ in columns]
    # Tables of SQLite's own have no key.
    keys = [column for _, column, *_, place in columns if place] or names
    return Table(names, keys, database.execute(f"select * from {name}").fetchall())


def without_what_a_new_account_has(content):
    kept = {table: rows for table, rows in content.items() if table not in OF_A_NEW_ACCOUNT}
    if "config" in kept:
        kept["config"] = kept["config"].without("KEY", "curModel")
    return kept


def differences(one, other):
    """Lines that say where two files differ."""
    found = []
    for name in sorted({*one, *other}):
        if name not in one or name not in other:
            found.append(f"{name}: one of the two does not have it")
        elif one[name].exactly != other[name].exactly:
            rows = one[name].by_key(), other[name].by_key()
            found += [f"{name} {line}" for line in rows_that_differ(*rows)]
    return found


def rows_that_differ(one, other):
    for key in sorted({*one, *other}, key=repr):
        row, twin = one.get(key), other.get(key)
        if row is None or twin is None:
            which = "first" if twin is None else "second"
            yield f"{key}: only the {which} has it: {row or twin}"
            continue
        for column in {**row, **twin}:
            values = row.get(column), twin.get(column)
            if repr(values[0]) != repr(values[1]):
                yield f"{key} {column}: {values[0]!r}, {values[1]!r}"


def as_meant(value):
    """Keys that a program has no field for come in any order, which the reference server makes
    anew each time. Inside of them there is one."""
    if not isinstance(value, bytes):
        return value
    try:
        fields = list(decoded(value))
        return tuple(
            (number, ordered(content) if number == UNKNOWN_KEYS else content)
            for number, content in fields
        )
    except (ValueError, IndexError):
        # No such message, but maybe JSON.
        return EXPONENT.sub(b"e", value)


def ordered(text):
    # What is written as a number with a point is not the same without.
    found = json.loads(EXPONENT.sub(b"e", text), parse_float=lambda number: ["float", number])
    return tuple(sorted((key, json.dumps(value)) for key, value in found.items()))


def decoded(message):
    """The fields of a protobuf message, each with its bytes."""
    at = 0
    while at < len(message):
        tag, at = varint(message, at)
        number, kind = tag >> 3, tag & 7
        start = at
        if kind == VARINT:
            _, at = varint(message, at)
        elif kind == LENGTH:
            length, start = varint(message, at)
            at = start + length
        elif kind in (EIGHT_BYTES, FOUR_BYTES):
            at += 8 if kind == EIGHT_BYTES else 4
        else:
            raise ValueError("no protobuf message")
        if number == 0 or at > len(message):
            raise ValueError("no protobuf message")
        yield number, message[start:at]


def varint(message, at):
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at
