"""Notes, their texts and tags, and what two devices do to one of them."""

import pytest

from harness.agreement import settle
from harness.sample import card, change_notes

CLOZE = "Cloze"


def notes(device, where):
    return device.select(f"select flds, tags from notes where {where}")


def test_added_edited_and_deleted(pair):
    a, b = pair
    first, _, third, *_ = a.notes
    change_notes(a, a.notes)
    a.change("replace_everywhere", note_ids=a.notes[4:], search="front", replacement="face")
    settle(pair)
    assert notes(b, f"id = {first}") == [["edited, 日本語\x1f[sound:x.mp3]", " added old "]]
    assert notes(b, f"id = {third}") == []
    assert notes(b, f"id = {a.notes[4]}")[0][0].startswith("face")


TEXTS = [
    *["0123", " 42 ", "1e5", "3.0", "-0", "12.5", "0x10", "1_000", "9223372036854775808", "infinity"],
    *["", " ", "\u00a0", "a\u00a0b", "a&nbsp;b", "&nbsp;", "<br>", "a<br>b", "a<div>b</div>"],
    *["a & b", "&amp;lt;", "&amp; &bogus;", "&#0;x", "&#x41;", "&#X41;", "&apos;", "&lt;b&gt;"],
    *["<img src=a.png>", '<img src="a b.png" class=x>', "<img src= a.png >", "<img src=''>"],
    *["<audio data-src='x.mp3'>", "<object data=o.swf></object>", "<image src=x>", "<img src=x"],
    *["<!-- c --> x", "<style>.a{}</style>x", "<style>x", "<scripty>a</script>b", "a < b > c", "<>"],
    *["[sound:a.mp3]", "[[type:x]]", "ſt ﬁ ß İ K", "e\u0301 é", "ÅÅ", "\U0001f6e3\ufe0f", "\ufeffx"],
    *["'", '"', "\\", "{{c1::x}}", "line\nbreak", "tab\tstop", "\u2028", "ünï\u200bcode", "日" * 300],
]


def test_texts_of_every_kind(pair):
    """What is made of a first field for sorting and for finding duplicates."""
    a, b = pair
    for number, text in enumerate(TEXTS):
        a.add_note(text, f"{number} {text}")
    settle(pair)
    last = f"{TEXTS[-1]}\x1f{len(TEXTS) - 1} {TEXTS[-1]}"
    assert [last, ""] in notes(b, "true")


@pytest.mark.parametrize("whole", [False, True], ids=["normal sync", "upload"])
def test_texts_that_only_damage_leaves(pair, put, whole):
    a, b = pair
    put(
        *(
            f"update notes set flds = {flds}, tags = {tags}, usn = -1 where id = {note}"
            for note, flds, tags in zip(
                a.notes,
                [
                    "'a' || char(13, 10) || 'b' || char(31) || char(1, 2, 127) || 'c'",
                    "char(31)",
                    "'nothing after' || char(31)",
                    "char(65533, 65535) || char(31) || 'x'",
                    "'e' || char(769) || char(31) || 'not composed'",
                ],
                [
                    "'no spaces'",
                    "'  many   spaces  '",
                    "char(12288) || 'wide' || char(12288) || 'ones'",
                    "' twice twice Twice '",
                    "' e' || char(769) || ' a::::b :: '",
                ],
            )
        )
    )
    if whole:
        a.upload()
        b.download()
        b.edit_note(b.notes[5], "edited", "afterwards")
    settle(pair)
    assert "\x01" not in notes(b, f"id = {b.notes[0]}")[0][0] or whole


def test_columns_that_nobody_uses(pair, put):
    a, b = pair
    one, two, *_ = a.notes
    put(
        f"update notes set flags = 7, data = 'kept?', usn = -1 where id = {one}",
        f"update notes set sfld = 'wrong', csum = 1, guid = '', usn = -1 where id = {two}",
        f"update notes set guid = (select guid from notes where id = {one}), mod = 0, usn = -1"
        f" where id = {a.notes[2]}",
    )
    settle(pair)
    assert b.select(f"select mod from notes where id = {a.notes[2]}") == [[0]]


def test_huge_fields(pair):
    a, b = pair
    text = "<b>Straße &amp; 日本語</b> <img src='x.png'> "
    note = a.add_note("huge", text * 50_000, tags=["big"])
    a.add_note(text * 20_000, "huge to sort by")
    a.add_note("{{c1::" + "x" * 1_000_000 + "}}", "", notetype=CLOZE)
    settle(pair)
    assert len(notes(b, f"id = {note}")[0][0]) > 2_000_000


def test_many_take_several_portions(pair):
    a, b = pair
    added = a.change("add_many", count=700, text="many")
    settle(pair)
    b.change("delete_many", note_ids=added[100:650])
    a.change("tag", note_ids=added[:300], tags="edited meanwhile")
    settle(pair)
    assert len(notes(a, "flds like 'many%'")) == 150


def test_two_edits_of_one_note(pair, meet):
    note = pair[0].notes[0]

    def edit(device):
        device.edit_note(note, f"by {device.folder.name}", "x")
        device.change("tag", note_ids=[note], tags=f"of-{device.folder.name}")

    meet(edit)
    assert notes(pair[0], f"id = {note}")[0][0].startswith("by ")


def test_an_edit_and_a_deletion(pair, meet):
    note = pair[0].notes[0]

    def edit(device):
        device.edit_note(note, "edited", "in vain")
        device.change("flag", cards=[card(device, note)], flag=1)

    meet(edit, lambda device: device.delete_note(note))
    assert notes(pair[0], f"id = {note}") == []


def test_two_deletions(pair, meet):
    note = pair[0].notes[0]
    meet(lambda device: device.delete_note(note))
    assert notes(pair[0], f"id = {note}") == []


def test_two_notes_with_one_id(pair):
    """Made in the same millisecond."""
    a, b = pair
    with a.account.at_once():
        one = a.add_note("made by", "a", tags=["of-a"])
        other = b.add_note("{{c1::made}} {{c2::by}}", "b", notetype=CLOZE)
    assert one == other
    a.sync()
    b.sync()
    a.sync()
    assert len(notes(a, f"id = {one}")) == 1


def test_undone_before_and_after_a_sync(pair):
    """The client stays open, so that there is something to undo."""
    a, b = pair
    note = a.notes[0]
    a.stay_open()
    a.edit_note(note, "one", "x")
    a.edit_note(note, "two", "x")
    a.change("undo")
    a.sync()
    a.edit_note(note, "three", "x")
    a.change("suspend", cards=[card(a, note)])
    a.change("undo")
    a.change("undo")
    a.change("redo")
    a.sync()
    a.delete_note(note)
    a.change("undo")
    a.sync()
    b.sync()
    assert notes(b, f"id = {note}")[0][0] == "three\x1fx"
