"""Changes back and forth between real clients, without whole collections."""

import time
from contextlib import suppress

import pytest

from harness import collection
from harness.agreement import AFTER_LOST_FINISH, settle
from harness.device import ClientError
from harness.raw import CLIENT, Account
from harness.sample import card, change_notes, furnish

BASIC = "Basic"
REVERSED = "Basic (and reversed card)"
CLOZE = "Cloze"


@pytest.fixture
def pair(server, new_device):
    """Two devices with the same collection."""
    a, b = new_device(server), new_device(server)
    a.login(), b.login()
    a.notes = b.notes = furnish(a)
    a.upload()
    b.download()
    return a, b


@pytest.fixture
def agreed(server, inspector):
    """Asserts that devices and server are equal after another round of syncs."""

    def check(*devices, **options):
        settle(devices)
        return inspector.agreed(server, devices, **options)

    return check


def next_second():
    """What the client remembers of changes are whole seconds; the later one wins."""
    time.sleep(1 - time.time() % 1 + 0.01)


def values(content, table, position):
    return [row[position] for row in content[table]]


def test_without_changes_nothing_moves(server, pair, agreed):
    a, b = pair
    # Had to hear of b's download, which counts as a change.
    assert a.sync() == "NO_CHANGES"
    account = Account(server)
    before = account.meta()
    for _ in range(3):
        assert a.status() == "NO_CHANGES"
        assert a.sync() == "NO_CHANGES"
    after = account.meta()
    assert [after[key] for key in ("mod", "scm", "usn")] == [
        before[key] for key in ("mod", "scm", "usn")
    ]
    agreed(a, b)


def test_a_sync_adds_one_to_the_usn_and_takes_over_the_time_it_ended(server, pair):
    a, b = pair
    a.sync()
    account = Account(server)
    before = account.meta()
    a.add_note("new", "note")
    assert a.status() == "NORMAL_SYNC"
    started = time.time() * 1000
    a.sync()
    after = account.meta()
    assert after["usn"] == before["usn"] + 1
    assert after["scm"] == before["scm"]
    assert started - 1 <= after["mod"] <= time.time() * 1000
    a.call("close")
    assert collection.stamps(a.path) == (after["mod"], after["scm"], after["usn"])
    assert b.status() == "NORMAL_SYNC"


def notes_and_tags(a):
    change_notes(a, a.notes)


def cards_and_reviews(a):
    cards = [card(a, note) for note in a.notes]
    a.change("study", deck=1, cards=3, ease=1)
    a.change("study", deck=1, cards=3, ease=4)
    a.change("suspend", cards=cards[8:9])
    a.change("bury", cards=cards[9:10])
    a.change("flag", cards=cards[10:11], flag=7)
    a.change("set_due", cards=cards[11:12], days="5-7")
    a.change("forget", cards=cards[:1])
    a.change("move", cards=cards[7:8], deck=a.add_deck("Moved::To"))


def decks_and_options(a):
    deck = a.add_deck("Über::Tief::Tiefer")
    a.change("rename_deck", deck=a.add_deck("Parent::Child"), name="Parent::Renamed")
    a.change("amend_deck", deck=deck, keys={"desc": "<i>beschrieben</i>", "newLimit": 7})
    options = a.change("add_options", name="Exam")
    a.change("amend_options", options=options, keys={"new": {"perDay": 55, "delays": [1.5, 20]}})
    a.change("use_options", deck=deck, options=options)
    gone = a.add_deck("Gone")
    a.add_note("in a deck", "that goes", deck="Gone")
    a.change("remove_deck", deck=gone)


def notetypes(a):
    a.change("amend_notetype", name=BASIC, keys={"css": ".card { color: teal }"})
    a.change("amend_template", name=REVERSED, keys={"afmt": "{{Back}}<hr>changed"})
    a.change("copy_notetype", name=CLOZE, new_name="Lücke")
    a.add_note("{{c1::ein}}", "", notetype="Lücke")
    a.change("amend_notetype", name="Basic (type in the answer)", keys={"name": "Tippen"})


def settings(a):
    a.change("set_config", key="newKey", value=[1, "é", None, {"deep": 1.5}])
    a.change("set_config", key="collapseTime", value=1800)
    a.change("remove_config", key="fsrs")


@pytest.mark.parametrize(
    "make_changes", [notes_and_tags, cards_and_reviews, decks_and_options, notetypes, settings]
)
def test_what_one_device_does_arrives_at_the_other(pair, agreed, make_changes):
    a, b = pair
    make_changes(a)
    assert a.sync() == "NO_CHANGES"
    sent = a.content()
    assert b.sync() == "NO_CHANGES"
    assert collection.differences(sent, b.content()) == {}
    agreed(a, b)


def test_a_deck_that_goes_and_an_options_group_that_comes_reach_the_other(pair, agreed):
    a, b = pair
    gone = a.add_deck("Gone")
    a.add_note("in a deck", "that goes", deck="Gone")
    a.sync(), b.sync()
    assert len(values(b.content(), "notes", 0)) == 16
    a.change("remove_deck", deck=gone)
    a.sync(), b.sync()
    content = agreed(a, b)
    assert str(gone) not in values(content, "decks", 0)
    assert len(values(content, "notes", 0)) == 15


def test_changes_cross_when_both_devices_have_some(pair, agreed):
    a, b = pair
    notes_and_tags(a)
    cards_and_reviews(b)
    agreed(a, b)


def test_of_two_edits_the_later_one_stays_whoever_syncs_first(pair, agreed):
    a, b = pair
    one, two, *_ = a.notes
    a.edit_note(one, "one by a, early", "x"), b.edit_note(two, "two by b, early", "x")
    a.change("flag", cards=[card(a, one)], flag=1), b.change("flag", cards=[card(b, two)], flag=2)
    next_second()
    b.edit_note(one, "one by b, late", "x"), a.edit_note(two, "two by a, late", "x")
    b.change("flag", cards=[card(b, one)], flag=3), a.change("flag", cards=[card(a, two)], flag=4)
    content = agreed(a, b)
    texts = {front for front in values(content, "notes", 7) if "by" in front}
    assert texts == {"'one by b, late'", "'two by a, late'"}
    flags = [flags for flags in values(content, "cards", 16) if flags != "0"]
    assert sorted(flags) == ["3", "4"]


@pytest.mark.parametrize("first", ["deleter", "editor"])
def test_deleted_beats_edited_even_later(pair, agreed, first):
    deleter, editor = pair
    note = deleter.notes[0]
    deleter.delete_note(note)
    next_second()
    editor.edit_note(note, "edited in vain", "x")
    editor.change("flag", cards=[card(editor, note)], flag=1)
    order = [deleter, editor] if first == "deleter" else [editor, deleter]
    content = agreed(*order)
    assert str(note) not in values(content, "notes", 0)
    assert str(note) not in values(content, "cards", 1)


def test_of_two_decks_options_and_notetypes_the_later_ones_stay(pair, agreed):
    a, b = pair

    def amend(device, word, number):
        device.change("amend_deck", deck=1, keys={"desc": word})
        device.change("amend_options", options=1, keys={"new": {"perDay": number}})
        device.change("amend_notetype", name=BASIC, keys={"css": word})

    # The one that syncs first has changed later.
    amend(b, "by b", 11)
    next_second()
    amend(a, "by a", 22)
    agreed(a, b)
    for device in (a, b):
        assert device.change("deck_json", deck=1)["desc"] == "by a"
        assert device.change("options_json", options=1)["new"]["perDay"] == 22
        assert device.change("notetype_json", name=BASIC)["css"] == "by a"


def test_settings_go_as_a_whole_and_those_of_the_newer_side_stay(pair, agreed):
    a, b = pair
    b.change("set_config", key="conflict", value="b")
    a.change("set_config", key="conflict", value="a")
    # Where a's sync ends is later than what b did before.
    a.sync(), b.sync()
    assert [device.change("get_config", key="conflict") for device in (a, b)] == ["a", "a"]
    b.change("set_config", key="conflict", value="b, later")
    agreed(b, a)
    assert a.change("get_config", key="conflict") == "b, later"


def test_many_notes_and_deletions_take_several_portions(pair, agreed):
    a, b = pair
    ids = a.change("add_many", count=700, text="many")
    a.sync(), b.sync()
    assert len(b.content()["notes"]) == 715
    b.change("delete_many", note_ids=ids[200:500])
    b.sync(), a.sync()
    assert len(agreed(a, b)["notes"]) == 415


@pytest.mark.parametrize("count", [124, 125, 126, 250])
def test_portions_that_are_just_full(pair, agreed, count):
    """A note comes with its card, so that 125 of them fill one portion."""
    a, b = pair
    settle([a, b])
    a.change("add_many", count=count, text="many")
    a.sync(), b.sync()
    assert len(agreed(a, b)["notes"]) == 15 + count


def test_a_changed_schema_asks_everybody_for_a_full_sync(pair, agreed):
    a, b = pair
    a.change("add_field", name=BASIC, field="Extra")
    assert a.status() == "FULL_SYNC"
    assert a.sync() == "FULL_SYNC"
    a.upload()
    assert a.sync() == "NO_CHANGES"
    b.add_note("lost", "to the download")
    assert b.sync() == "FULL_SYNC"
    b.download()
    b.add_note("three", "fields", "now")
    agreed(a, b)


def test_counts_that_differ_roll_the_sync_back_and_lead_to_a_full_sync(
    server, inspector, pair, agreed
):
    a, b = pair
    settle([a, b])
    before = inspector.inspect(server)
    b.change("execute", sql="delete from revlog where id = (select max(id) from revlog)")
    b.add_note("not", "to be kept")
    with pytest.raises(ClientError) as failed:
        b.sync()
    assert failed.value.error == "SyncError"
    assert inspector.inspect(server) == before
    # The client has seen to it that this works out.
    assert b.sync() == "FULL_SYNC"
    # Others do not notice.
    a.add_note("goes", "on")
    assert a.sync() == "NO_CHANGES"
    b.download()
    b.add_note("in step", "again")
    agreed(a, b)


def test_a_note_without_its_notetype_is_refused_and_nothing_of_the_sync_stays(
    server, inspector, pair
):
    a, b = pair
    settle([a, b])
    before = inspector.inspect(server)
    note = b.add_note("with", "no notetype")
    b.add_note("beside", "it")
    b.change("execute", sql=f"update notes set mid = 12345 where id = {note}")
    with pytest.raises(ClientError) as failed:
        b.sync()
    assert "Check Database" in failed.value.message
    assert inspector.inspect(server) == before
    a.add_note("goes", "on")
    assert a.sync() == "NO_CHANGES"
    # The person does as told, which repairs the device but needs a full sync.
    said, _ = b.check_database()
    assert "note types were missing" in said
    assert b.sync() == "FULL_SYNC"


def test_a_note_without_its_notetype_by_hand(server, inspector, pair):
    a, b = pair
    settle([a, b])
    before = inspector.inspect(server)
    account = Account(server)
    usn = account.meta()["usn"]
    account.post("/sync/start", {"minUsn": usn, "lnewer": False})
    nothing = {"models": [], "decks": [[], []], "tags": []}
    assert account.post("/sync/applyChanges", {"changes": nothing}).status == 200
    assert account.post("/sync/chunk").json() == {"done": True}
    note = [1, "guid", 12345, 1, usn, "", "x\x1fy", "", "", 0, ""]
    refused = account.post("/sync/applyChunk", {"chunk": {"done": True, "notes": [note]}})
    assert refused.status == 400
    assert account.post("/sync/finish").status == 409
    assert inspector.inspect(server) == before


def test_a_person_cancels_and_syncs_again(pair, agreed):
    a, b = pair
    a.change("add_many", count=2000, text="many")
    cancelled = 0
    for delay in [0.005, 0.02, 0.05]:
        with suppress(ClientError):
            a.call("sync_cancelled", endpoint=a.server.url, key=a.key, after=delay)
            continue
        cancelled += 1
    print(f"{cancelled} of 3 syncs were cancelled in time")
    assert len(agreed(a, b, left_out=AFTER_LOST_FINISH)["notes"]) == 2015


def test_an_abort_leaves_nothing_and_the_next_sync_takes_all(server, inspector, pair, agreed):
    a, b = pair
    settle([a, b])
    before = inspector.inspect(server)
    account = Account(server)
    usn = account.meta()["usn"]
    account.post("/sync/start", {"minUsn": usn, "lnewer": True})
    graves = {"cards": [], "notes": a.notes, "decks": []}
    assert account.post("/sync/applyGraves", {"chunk": graves}).status == 200
    assert account.post("/sync/abort").json() is None
    assert account.post("/sync/finish").status == 409
    assert inspector.inspect(server) == before
    a.delete_note(a.notes[0])
    assert len(agreed(a, b)["notes"]) == 14


def test_filtered_decks_come_change_and_go(pair, agreed):
    a, b = pair
    deck = a.change("add_filtered", name="Gefiltert", search="deck:Default is:new", limit=5)
    agreed(a, b)
    b.change("study", deck=deck, cards=2)
    agreed(b, a)
    assert b.change("deck_json", deck=deck)["dyn"] == 1
    a.change("rebuild_filtered", deck=deck)
    agreed(a, b)
    b.change("empty_filtered", deck=deck)
    agreed(b, a)
    preview = b.change("add_filtered", name="Preview", search="tag:old", reschedule=False)
    b.change("study", deck=preview, cards=1)
    agreed(b, a)
    a.change("remove_deck", deck=deck), a.change("remove_deck", deck=preview)
    content = agreed(a, b)
    assert set(values(content, "cards", 15)) == {"0"}, "some still remember a home deck"


def test_memory_states_and_custom_data_survive(pair, agreed):
    a, b = pair
    annotated = card(a, a.notes[0])
    a.change("annotate", card_id=annotated, data='{"seed":1,"w":"ß"}')
    a.change("study", deck=1, cards=4, ease=3)
    a.change("set_config", key="fsrs", value=True)
    a.change("amend_options", options=1, keys={"desiredRetention": 0.93})
    content = agreed(a, b)
    data = values(content, "cards", 17)
    assert sum('"s":' in text and '"d":' in text for text in data) >= 4
    # There and back: the other device changes the same cards.
    b.change("flag", cards=[annotated], flag=2)
    b.change("study", deck=1, cards=2, ease=1)
    content = agreed(b, a)
    assert any("seed" in text and "ß" in text for text in values(content, "cards", 17))


def test_keys_that_nobody_knows_survive(pair, agreed):
    a, b = pair
    extra = {"addonKey": {"deep": [1, "é", None, 1.5]}}
    a.change("amend_notetype", name=BASIC, keys=extra)
    a.change("amend_template", name=BASIC, keys={"templateKey": "t"})
    a.change("amend_deck", deck=1, keys=extra)
    a.change("amend_options", options=1, keys=extra)
    a.change("set_config", key="addonGlobal", value=extra)
    a.sync(), b.sync()
    # And again through the other device's changes.
    next_second()
    b.change("amend_notetype", name=BASIC, keys={"css": "x"})
    b.change("amend_deck", deck=1, keys={"desc": "x"})
    b.change("amend_options", options=1, keys={"maxTaken": 30})
    agreed(b, a)
    for device in (a, b):
        found = device.change("notetype_json", name=BASIC)
        assert found["addonKey"] == extra["addonKey"]
        assert found["tmpls"][0]["templateKey"] == "t"
        assert device.change("deck_json", deck=1)["addonKey"] == extra["addonKey"]
        assert device.change("options_json", options=1)["addonKey"] == extra["addonKey"]
        assert device.change("get_config", key="addonGlobal") == extra


def test_syncs_go_on_after_a_restart(server, pair, agreed):
    a, b = pair
    a.add_note("before", "it")
    a.sync()
    server.restart()
    b.add_note("after", "it")
    agreed(b, a)
