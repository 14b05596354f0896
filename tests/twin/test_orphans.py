"""Rows whose other rows are missing, what is deleted, and counts that differ."""

import pytest

from harness.agreement import settle
from harness.sample import card
from twin.twin import attempt

ORPHANS = {
    "a card without its note": "delete from notes where id = {note}",
    "a note without cards": "delete from cards where nid = {note}",
    "a card in no deck": "update cards set did = 12345, odid = 54321, usn = -1 where nid = {note}",
    "a note of no kind": "update notes set mid = 12345, usn = -1 where id = {note}",
    "a review of no card": "insert into revlog values (5, 12345, -1, 3, 1, 0, 2500, 1000, 1)",
    "one field too few": "update notes set flds = 'one', usn = -1 where id = {note}",
    "one field too many": "update notes set flds = flds || char(31), usn = -1 where id = {note}",
    "a card of no template": "update cards set ord = 9, usn = -1 where nid = {note}",
    "two cards of one": "insert into cards select 5, nid, did, ord, mod, -1, type, queue, due, ivl,"
    " factor, reps, lapses, left, odue, odid, flags, data from cards where nid = {note}",
    "a deck of no options": "update decks set kind = x'0a03088f4e', usn = -1 where id = 1",
    "no default deck": "delete from decks where id = 1",
    "no notetypes": "delete from notetypes",
    "a grave of what is there": "insert into graves values ({note}, 1, -1)",
    "a grave of no kind": "insert into graves values (5, 9, -1)",
    "a grave of nothing": "insert into graves values (5, 0, -1), (6, 1, -1), (7, 2, -1)",
}


@pytest.mark.sampled
@pytest.mark.parametrize("damage", ORPHANS.values(), ids=ORPHANS)
@pytest.mark.parametrize("side", ["device", "server"])
def test_orphans(pair, put, damage, side):
    a, b = pair
    damage = damage.format(note=a.notes[0])
    if side == "device":
        put(damage)
        attempt(a)
    else:
        b.account.has_news(damage.replace("-1", "(select usn from col)"))
    b.add_note("of", "its own")
    attempt(b)
    # As told, a person goes on with one of the two whole.
    attempt(b)
    if side == "device":
        attempt(a, "upload")
        attempt(b, "download")
        attempt(b)
    else:
        attempt(a, "download")
        attempt(a)


def test_many_graves(pair):
    a, b = pair
    added = a.change("add_many", count=600, text="doomed")
    deck = a.add_deck("Doomed")
    a.change("move", cards=[card(a, note) for note in added[:5]], deck=deck)
    settle(pair)
    b.change("delete_many", note_ids=added[5:])
    b.change("remove_deck", deck=deck)
    a.change("tag", note_ids=added[:300], tags="in-vain")
    a.change("delete_many", note_ids=added[500:550])
    settle(pair)
    assert a.select("select count() from notes where flds like 'doomed%'") == [[0]]
    # A device that was away for long.
    settle(pair)


def test_what_is_deleted_comes_again(pair):
    """Undone after it was sent, or brought back by a device that had not heard."""
    a, b = pair
    note = a.notes[0]
    a.stay_open()
    a.delete_note(note)
    a.change("undo")
    a.delete_note(note)
    a.sync()
    b.change("suspend", cards=[card(b, note)])
    b.sync()
    b.sync()
    a.sync()


@pytest.mark.sampled
@pytest.mark.parametrize(
    "table", ["notes", "cards", "revlog", "notetypes", "decks", "deck_config", "tags", "graves"]
)
def test_counts_that_differ(pair, put, table):
    a, b = pair
    key = {"tags": "tag", "graves": "oid"}.get(table, "id")
    put(f"delete from {table} where {key} = (select min({key}) from {table})")
    attempt(a)
    attempt(a)
    attempt(b)
