"""Differences put there on purpose: all of them are seen."""

import shutil
from contextlib import closing

import pytest

from harness import collection
from twin.compare import differences, everything
from twin.twin import Difference


def spoil(path, statement):
    with closing(collection.connect(path)) as database:
        assert database.execute(statement).rowcount > 0, statement
        database.commit()


@pytest.mark.parametrize("kind", ["ours", "reference"])
@pytest.mark.parametrize(
    ("statement", "where"),
    [
        ("update cards set flags = 7 where id = (select min(id) from cards)", "cards .* flags"),
        ("update col set dty = 5", "col .* dty"),
        ("insert into graves values (5, 1, 0)", "graves .* only the "),
        ("update tags set collapsed = not collapsed", "tags .* collapsed"),
    ],
)
def test_one_server_has_another_row(pair, monkeypatch, kind, statement, where):
    a, _ = pair
    begin_sync = a.account.begin_sync

    def planted():
        logins = begin_sync()
        login = logins[kind]
        spoil(login.server.folder(login.user) / "collection.anki2", statement)
        return logins

    monkeypatch.setattr(a.account, "begin_sync", planted)
    a.add_note("a", "note")
    with pytest.raises(Difference, match=f"servers' files: {where}"):
        a.sync()


def test_one_device_has_another_row(pair):
    """The only one that hears of it from a server is the other one's."""
    a, _ = pair
    a.stay_open()
    a.copies["ours"].call("add_note", fields=["for ours", "alone"])
    a.copies["reference"].call("add_note", fields=["for the", "reference server"])
    with pytest.raises(Difference, match="devices' files: notes .* flds"):
        a.sync()


def test_every_column_of_every_table_is_compared(begun, tmp_path):
    file = begun.folder / "server.anki2"
    original = everything(file)
    tables = {name: table for name, table in original.items() if table.rows}
    del tables["sqlite_master"]
    assert {"col", "notes", "cards", "revlog", "decks", "deck_config", "config"} <= set(tables)
    assert {"notetypes", "fields", "templates", "tags"} <= set(tables)
    planted = tmp_path / "planted.anki2"
    for name, table in tables.items():
        for column in table.columns:
            shutil.copy(file, planted)
            first = f"(select {column} from {name} limit 1)"
            other = f"case typeof({column}) when 'blob' then x'0102' else '987654321' end"
            spoil(planted, f"update {name} set {column} = {other} where {column} is {first}")
            assert differences(original, everything(planted)), f"{name}.{column}"
