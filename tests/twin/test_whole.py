"""Whole collections one way, and new accounts."""

import pytest

from harness.agreement import settle
from harness.sample import card
from twin.twin import attempt


def test_a_new_account(new_account, new_twin):
    a, b = new_twin(new_account), new_twin(new_account)
    a.add_note("front", "back", deck="Parent::Child", tags=["verb"])
    a.status()
    assert a.sync() == "FULL_UPLOAD"
    a.upload()
    assert a.sync() == "NO_CHANGES"
    assert b.sync() == "FULL_DOWNLOAD"
    b.download()
    assert b.content() == a.content()
    settle([a, b])


def test_a_new_account_and_a_new_device(new_account, new_twin):
    a = new_twin(new_account)
    attempt(a, "status")
    attempt(a)
    a.change("set_config", key="x", value=1)
    attempt(a)


def test_a_new_account_is_downloaded(new_account, new_twin):
    a = new_twin(new_account)
    a.add_note("to", "be lost")
    a.download()


def test_an_upload_replaces_what_another_device_sent(pair):
    a, b = pair
    b.add_note("sent", "in vain", tags=["gone"])
    b.sync()
    a.change("ask_for_full_sync")
    a.add_note("the one", "that stays")
    assert a.sync() == "FULL_SYNC"
    a.upload()
    assert b.sync() == "FULL_SYNC"
    b.download()
    assert b.content() == a.content()
    settle(pair)


def test_both_changed_the_schema(pair):
    a, b = pair
    for device in pair:
        device.change("add_field", name="Basic", field=device.folder.name)
    assert a.sync() == "FULL_SYNC"
    a.upload()
    assert b.sync() == "FULL_SYNC"
    b.upload()
    assert a.sync() == "FULL_SYNC"
    a.download()
    settle(pair)


def test_another_collection_comes_up_and_the_first_one_again(pair, new_twin):
    a, b = pair
    other = new_twin(a.account)
    other.add_note("the only", "one")
    assert other.sync() == "FULL_SYNC"
    other.upload()
    assert b.sync() == "FULL_SYNC"
    b.upload()
    other.download()
    assert other.content() == b.content()


def test_an_upload_that_was_not_needed(pair):
    a, b = pair
    a.upload()
    a.upload()
    b.download()
    b.download()
    settle(pair)


def test_a_collection_without_cards_is_uploaded(pair, new_twin):
    other = new_twin(pair[0].account)
    other.add_deck("But a deck")
    attempt(other)
    other.upload()
    attempt(pair[0])


def test_what_no_normal_sync_leaves_behind_goes_up_whole(pair, put):
    a, b = pair
    put(
        "update notes set usn = 7 where id % 2",
        "update decks set usn = -1",
        "insert into graves values (5, 0, -1), (6, 1, 3), (7, 2, 0)",
        "insert into config values ('left', -1, 5, cast('1' as blob))",
        "update tags set usn = -1, collapsed = 0",
        "update notetypes set usn = 1000",
        "update col set dty = 5, ls = 3",
    )
    a.upload()
    b.download()
    b.add_note("goes", "on")
    settle(pair)


@pytest.mark.sampled
@pytest.mark.parametrize("table", ["notes", "cards", "revlog", "decks", "tags", "notetypes"])
def test_the_server_has_rows_that_were_never_sent(pair, table):
    a, b = pair
    where = {"tags": "tag = (select min(tag) from tags)", "decks": "id = 1"}
    which = where.get(table, f"id = (select max(id) from {table})")
    a.account.has_news(f"update {table} set usn = -1 where {which}")
    b.add_note("beside", "it")
    attempt(b)
    attempt(b)


def test_the_database_is_checked_in_between(pair):
    a, b = pair
    a.change("execute", sql=f"update cards set did = 12345 where id = {card(a, a.notes[0])}")
    a.change("execute", sql=f"delete from cards where nid = {a.notes[1]}")
    a.check_database()
    attempt(a)
    a.upload()
    b.download()
    settle(pair)
