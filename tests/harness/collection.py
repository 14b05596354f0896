"""Collection files, read and made without a client."""

import sqlite3
from contextlib import closing

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


def integrity(path):
    with closing(connect(path)) as database:
        return database.execute("pragma integrity_check").fetchone()[0]
