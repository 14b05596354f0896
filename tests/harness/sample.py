"""A small collection, and what there is to compare in one."""

CONTENT = [
    "select id, guid, mid, trim(tags), flds, sfld, csum from notes order by id",
    "select id, nid, did, ord, type, queue, due, ivl, factor, reps, lapses, left, odue, odid, flags"
    " from cards order by id",
    "select id, cid, ease, ivl, lastIvl, factor, time, type from revlog order by id",
]


def content(device):
    """What a person would miss, the same in every schema."""
    return [device.select(sql) for sql in CONTENT], device.named()


def fill(device):
    """Something of everything; returns the note that is there to be edited."""
    first = device.add_note("front", "back")
    device.add_note("Straße", "通り 🛣", deck="Parent::Child", tags=["verb", "häufig"])
    device.add_note("{{c1::cloze}} and {{c2::another}}", "", notetype="Cloze")
    gone = device.add_note("to be", "deleted")
    device.add_deck("Empty")
    device.review(1)
    device.delete_note(gone)
    return first
