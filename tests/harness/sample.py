"""A small collection, and what there is to compare in one."""

import time

CONTENT = {
    "notes": "select id, guid, mid, trim(tags), flds, sfld, csum from notes order by id",
    "cards": "select id, nid, did, ord, type, queue, due, ivl, factor, reps, lapses, left, odue, odid, flags"
    " from cards order by id",
    "revlog": "select id, cid, ease, ivl, lastIvl, factor, time, type from revlog order by id",
}


def content(device):
    """What a person would miss, the same in every schema."""
    return {table: device.select(sql) for table, sql in CONTENT.items()} | device.named()


def fill(device):
    """Something of everything; returns the note that is there to be edited."""
    first = device.add_note("front", "back")
    device.add_note("Straße", "通り 🛣", deck="Parent::Child", tags=["verb", "häufig"])
    device.add_note("{{c1::cloze}} and {{c2::another}}", notetype="Cloze")
    gone = device.add_note("to be", "deleted")
    device.add_deck("Empty")
    device.review(1)
    device.delete_note(gone)
    let_a_second_pass()
    return first


def furnish(device):
    """The same for the newest client, with more: what is not changed has to survive, too. Returns
    the notes of one kind."""
    device.change("set_config", key="fsrs", value=True)
    notes = [device.add_note(f"front {number}", "back", tags=["old"]) for number in range(12)]
    device.add_note("Straße", "通り 🛣", deck="Parent::Child", tags=["verb::häufig"])
    device.add_note("{{c1::cloze}} and {{c2::another}}", "", notetype="Cloze")
    device.add_note("one way", "other way", notetype="Basic (and reversed card)")
    device.change("study", deck=1, cards=4)
    return notes


def change_notes(device, notes):
    """Some of what `furnish` made changes, one note goes, and others come."""
    first, second, third, *_ = notes
    device.add_note("new <b>Ä</b>", "note", tags=["neu", "ünï::t"])
    device.add_note("{{c1::eins}} {{c3::drei}}", "extra", notetype="Cloze", deck="Parent")
    device.edit_note(first, "edited, 日本語", "[sound:x.mp3]")
    device.change("tag", note_ids=[first, second], tags="added")
    device.change("untag", note_ids=[second], tags="old")
    device.delete_note(third)


def card(device, note):
    """The note's first."""
    return device.change("cards_of", note_id=note)[0]


def let_a_second_pass():
    """Of two edits within one second, clients do not know which is the later one."""
    time.sleep(1.1)


def finds_nothing(device):
    """Whether the client is content with its database.

    The first time, clients put right what they themselves do in another way than others, such as
    the order of tags and the time of the last review.
    """
    device.check_database()
    return device.check_database()[1]
