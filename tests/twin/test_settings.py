"""Settings, the list of tags, and the day that begins."""

import pytest

from harness.agreement import settle
from harness.sample import card
from twin.twin import attempt

DAY = 86_400
VALUES = [
    *[None, True, "", "é 日 \U0001f6e3 \u0000 \"'\\ \u2028", 0, -1, 2**63, 2**64 - 1, -(2**63)],
    *[1.0, 1.5, -0.0, 1e300, 5e-324, 0.1 + 0.2, 123456789012345680000.0, [], {}, [[[]]]],
    {"z": 1, "a": {"y": [1, {"x": None, "b": 2.0}]}, "é": "last", "": "no name"},
]


def test_values_of_every_kind(pair):
    a, b = pair
    for number, value in enumerate(VALUES):
        a.change("set_config", key=f"addon {number}", value=value)
    a.change("set_config", key="", value="no name")
    settle(pair)
    assert b.change("get_config", key=f"addon {len(VALUES) - 1}") == VALUES[-1]
    b.change("remove_config", key="addon 1")
    b.change("set_config", key="addon 0", value="replaced")
    settle(pair)
    assert a.change("get_config", key="addon 1") is None


def test_both_set_some(pair, meet):
    meet(lambda device: device.change("set_config", key="conflict", value=device.folder.name))


@pytest.mark.sampled
@pytest.mark.parametrize(
    "text", ["", "x", "{", "1 2", '{"a":1,"a":2}', " [ 1 , 2 ] ", "1e400", "-0"]
)
@pytest.mark.parametrize("side", ["device", "server"])
def test_text_that_is_no_value(pair, put, text, side):
    a, b = pair
    put_in = f"insert into config values ('odd', -1, 5, cast('{text}' as blob))"
    if side == "device":
        put(put_in)
        attempt(a)
    else:
        b.account.has_news(put_in)
    attempt(b)


def test_the_creation_time_changes(pair):
    a, b = pair
    a.change("set_config", key="x", value=1)
    a.change("execute", sql="update col set crt = crt - 864000")
    settle(pair)
    assert b.select("select crt from col") == a.select("select crt from col")


# Tags.


def test_tags_renamed_moved_and_cleared(pair):
    a, b = pair
    a.change("tag", note_ids=a.notes[:3], tags="Noun::Rare Noun::häufig e\u0301 STRASSE unused")
    settle(pair)
    b.change("unfold_tag", tag="Noun")
    b.change("rename_tag", old="Noun", new="noun")
    b.change("move_tags", tags=["old"], parent="noun::Rare")
    b.change("untag", note_ids=b.notes[:3], tags="unused")
    b.change("clear_unused_tags")
    settle(pair)
    assert "Noun::Rare::old" in a.named()["tags"]


def test_tags_in_other_case(pair, meet):
    """Of both devices, and of parents."""
    meet(
        lambda device: device.change(
            "tag",
            note_ids=pair[0].notes[:2],
            tags="Verb::x STRASSE É" if device is pair[0] else "verb::X::y straße é verb::X::Y::z",
        )
    )


TAGS = [
    *["''", "'::'", "'x::'", "'::x'", "'a b'", "char(9) || 'tab'", "'wide' || char(12288)"],
    *["'e' || char(769)", "'OLD'", "'Old::Child'", "'a::::b'", "char(160) || 'nbsp'"],
]


@pytest.mark.parametrize("side", ["device", "server"])
def test_odd_tags(pair, put, side):
    a, b = pair
    rows = [f"insert or ignore into tags values ({tag}, {{usn}}, 1, null)" for tag in TAGS]
    if side == "device":
        put(*(row.format(usn=-1) for row in rows))
        attempt(a)
    else:
        b.account.has_news(*(row.format(usn="(select usn from col)") for row in rows))
    attempt(b)


# Days.


def bury(device):
    cards = [card(device, note) for note in device.notes]
    device.change("study", deck=1, cards=2, ease=1)
    device.change("bury", cards=cards[3:6])
    device.change("suspend", cards=cards[6:7])


@pytest.mark.parametrize("days", [0.4, 1, 8, 400])
def test_a_day_begins(pair, days):
    a, b = pair
    bury(a)
    settle(pair)
    a.account.clock.advance(int(days * DAY))
    b.edit_note(b.notes[0], "edited", "on another day")
    settle(pair)
    buried = "select count() from cards where queue in (-2, -3)"
    assert (a.select(buried) == [[0]]) == (days >= 1)


@pytest.mark.parametrize(
    "settings",
    [
        {"schedVer": 1},
        {"schedVer": 1, "rollover": None},
        {"schedVer": 2, "rollover": None, "sched2021": False},
        {"schedVer": 2, "rollover": 23, "creationOffset": -600, "localOffset": 300},
        {"schedVer": 2, "rollover": 0, "creationOffset": None, "localOffset": -840},
        {"schedVer": 2, "rollover": 99, "localOffset": 90_000},
        {"rollover": "4", "creationOffset": 1.5},
        {"lastUnburied": 100_000},
        {"lastUnburied": -1},
    ],
    ids=str,
)
def test_schedulers_and_time_zones(pair, settings):
    """Also the old ones, which no client of today counts its days by, but the server does."""
    a, b = pair
    bury(a)
    rows = [
        f"insert or replace into config values ('{key}', 0, 0, cast('{text(value)}' as blob))"
        for key, value in settings.items()
        if value is not None
    ]
    gone = [f"delete from config where KEY = '{key}'" for key in settings if settings[key] is None]
    a.sync()
    a.account.has_news(*rows, *gone)
    for hours in (0, 9, 16):
        a.account.clock.advance(hours * 3600)
        attempt(b)
        b.edit_note(b.notes[0], f"edited {hours}", "later")
        attempt(b)


def text(value):
    return f'"{value}"' if isinstance(value, str) else str(value).lower()


def test_a_bury_undone_by_the_day_and_done_again_elsewhere(pair):
    a, b = pair
    bury(a)
    settle(pair)
    a.account.clock.advance(DAY)
    b.change("bury", cards=[card(b, b.notes[8])])
    a.edit_note(a.notes[8], "edited", "on another day")
    settle(pair)
