"""Notetypes: their looks, their fields and templates."""

import pytest

from harness.agreement import settle
from twin.twin import attempt, replace

BASIC = "Basic"
REVERSED = "Basic (and reversed card)"
CLOZE = "Cloze"


def test_looks(pair):
    a, b = pair
    a.change("amend_notetype", name=BASIC, keys={"css": ".card { color: teal } /* 日本 */"})
    a.change(
        "amend_notetype",
        name=CLOZE,
        keys={"latexPre": "\\pre", "latexPost": "\\post", "latexsvg": True, "did": 5},
    )
    a.change("amend_notetype", name="Basic (type in the answer)", keys={"name": "Tippen"})
    a.change(
        "amend_template",
        name=REVERSED,
        keys={"afmt": "{{Back}}<hr>changed", "bqfmt": "b", "bafmt": "a", "bfont": "F", "bsize": 12},
    )
    a.change(
        "amend_field",
        name=BASIC,
        keys={
            **{"sticky": True, "rtl": True, "font": "日本", "size": 70, "description": "d"},
            **{"plainText": True, "collapsed": True, "excludeFromSearch": True},
        },
    )
    settle(pair)
    assert b.change("notetype_json", name=CLOZE)["latexsvg"] is True


def test_keys_of_addons(pair):
    a, b = pair
    keys = {"vers": [], "tags": ["x"], "addon": {"b": 1.5, "a": [2**63, None]}, "é": "日"}
    a.change("amend_notetype", name=BASIC, keys=keys)
    a.change("amend_field", name=BASIC, keys={"media": [], **keys})
    a.change("amend_template", name=BASIC, keys={"zz": {"b": 1}, **keys})
    settle(pair)
    found = b.change("notetype_json", name=BASIC)
    assert found["addon"] == found["flds"][0]["addon"] == found["tmpls"][0]["addon"]
    b.change("amend_notetype", name=BASIC, keys={"css": "", "addon": None})
    settle(pair)


def test_copied_and_used(pair):
    a, b = pair
    a.change("copy_notetype", name=CLOZE, new_name="Lücke")
    a.add_note("{{c1::ein}}", "", notetype="Lücke")
    settle(pair)
    b.add_note("{{c1::zwei}} {{c5::drei}}", "", notetype="Lücke")
    settle(pair)


def test_two_amend_one_notetype(pair, meet):
    def amend(device):
        device.change("amend_notetype", name=BASIC, keys={"css": device.folder.name})
        device.change("amend_template", name=BASIC, keys={"qfmt": f"{{{{Front}}}} {device.folder}"})

    meet(amend)


@pytest.mark.parametrize("names", [("Same", "Same"), ("STRASSE", "straße")])
def test_two_notetypes_of_one_name(pair, names):
    for device, name in zip(pair, names):
        device.change("copy_notetype", name=BASIC, new_name=name)
        device.add_note("of", "this kind", notetype=name)
    settle(pair)
    settle(pair)


def test_two_notetypes_with_one_id(pair):
    """Made in the same millisecond."""
    a, b = pair
    with a.account.at_once():
        a.change("copy_notetype", name=BASIC, new_name="By A")
        b.change("copy_notetype", name=BASIC, new_name="By B")
    settle(pair)
    assert "By A" in a.named()["notetypes"] or "By B" in a.named()["notetypes"]


def reshape(a):
    a.change("reshape", name=BASIC)


def add_a_field(a):
    a.change("add_field", name=CLOZE, field="Extra, ünd more")


def remove_a_field(a):
    a.change("remove_field", name="Basic (optional reversed card)", field="Add Reverse")


def change_the_notetype_of_notes(a):
    a.change("change_notetype", note_ids=a.notes[:4], name=REVERSED)


def sort_by_another_field(a):
    a.change("amend_notetype", name=BASIC, keys={"sortf": 1})


def remove_a_notetype(a):
    a.change("remove_notetype", name=CLOZE)


@pytest.mark.parametrize(
    "change",
    [
        *[reshape, add_a_field, remove_a_field, change_the_notetype_of_notes],
        *[sort_by_another_field, remove_a_notetype],
    ],
)
def test_a_change_that_needs_a_full_sync(pair, change):
    a, _ = pair
    change(a)
    a.add_note("beside", "it", notetype=REVERSED)
    assert a.status() == "FULL_SYNC"
    replace(pair)


@pytest.mark.sampled
@pytest.mark.parametrize(
    "statement",
    [
        "delete from fields where ntid = {} and ord = 1",
        "delete from templates where ntid = {}",
        "update fields set ord = 7 where ntid = {} and ord = 1",
        "update fields set name = '' where ntid = {} and ord = 1",
        "update notetypes set config = x'' where id = {}",
        "update notetypes set config = x'ff' where id = {}",
        "update templates set config = x'0a', usn = -1 where ntid = {}",
        "update notetypes set name = ' ' where id = {}",
    ],
)
@pytest.mark.parametrize("side", ["device", "server"])
def test_damaged_notetypes(pair, statement, side):
    a, b = pair
    [[notetype]] = a.select(f"select mid from notes where id = {a.notes[0]}")
    damage = statement.format(notetype)
    news = f"update notetypes set usn = {{}}, mtime_secs = mtime_secs + 9 where id = {notetype}"
    if side == "device":
        a.add_note("beside", "it")
        a.change("execute", sql=damage)
        a.change("execute", sql=news.format(-1))
        attempt(a)
    else:
        b.account.has_news(damage, news.format("(select usn from col)"))
        b.edit_note(b.notes[1], "edited", "meanwhile")
    attempt(b)
