"""Decks, filtered ones among them, and their options."""

import pytest

from harness.agreement import settle
from harness.sample import card
from twin.twin import attempt, replace


def deck_names(device):
    return device.named()["decks"]


def test_a_tree_of_decks(pair):
    a, b = pair
    leaf = a.add_deck("Über::Tief::Tiefer")
    child = a.add_deck("Parent::Child")
    a.change("rename_deck", deck=child, name="Parent::Renamed")
    gone = a.add_deck("Gone::Also")
    a.add_note("in a deck", "that goes", deck="Gone::Also")
    settle(pair)
    a.change("move_decks", decks=[child], parent=leaf)
    a.change("rename_deck", deck=a.add_deck("Über"), name="über")
    b.change("remove_deck", deck=gone)
    settle(pair)
    assert "über::Tief::Tiefer::Renamed" in deck_names(b)
    assert "Gone::Also" not in deck_names(a)


def test_keys_of_a_deck(pair):
    """Those that clients know, within and beyond their limits, and others."""
    a, b = pair
    deck = a.add_deck("Amended")
    a.change(
        "amend_deck",
        deck=deck,
        keys={
            **{"desc": "<i>beschrieben</i> 日本", "md": True, "newLimit": 7, "reviewLimit": 0},
            **{"newLimitToday": {"limit": 5, "today": 3}, "extendNew": 10, "extendRev": -5},
            **{"desiredRetention": 53, "browserCollapsed": False, "collapsed": False},
            **{"addon": {"z": [1, None, {"b": 1.5, "a": -0.0}], "é": 2**63}, "mid": 123, "x": ""},
        },
    )
    settle(pair)
    kept = b.change("deck_json", deck=deck)
    assert kept["addon"]["é"] == 2**63
    b.change("amend_deck", deck=deck, keys={"desc": "", "newLimit": None, "desiredRetention": 90})
    settle(pair)


def test_two_amend_one_deck(pair, meet):
    deck = pair[0].add_deck("Shared")
    settle(pair)

    def amend(device):
        device.change("amend_deck", deck=deck, keys={"desc": device.folder.name, "addon": 1})
        device.change("rename_deck", deck=1, name=f"Default of {device.folder.name}")

    meet(amend)
    assert sum("Default of " in name for name in deck_names(pair[0])) == 1


@pytest.mark.parametrize("names", [("Same", "Same"), ("straße::X", "STRASSE"), ("é", "e\u0301")])
def test_two_decks_of_one_name(pair, names):
    for device, name in zip(pair, names):
        device.add_note("in", "a clash", deck=name)
        device.add_deck(f"{name}::Child")
    settle(pair)
    settle(pair)
    # Whose deck got another name on the server does not hear of it.
    assert len(deck_names(pair[0])) == len(deck_names(pair[1]))


def test_three_decks_of_one_name(pair):
    """A `+` at the end is what the second one gets."""
    a, b = pair
    a.add_deck("Same"), a.add_deck("same+")
    b.add_deck("SAME"), b.add_deck("Same++")
    settle(pair)
    assert sum(name.lower().startswith("same") for name in deck_names(b)) == 4


def test_a_deck_goes_and_gets_cards(pair):
    a, b = pair
    deck = a.add_deck("Doomed")
    settle(pair)
    b.add_note("too", "late", deck="Doomed")
    b.change("move", cards=[card(b, b.notes[0])], deck=deck)
    a.change("remove_deck", deck=deck)
    settle(pair)
    assert b.select(f"select count() from cards where did = {deck}") == [[2]]


def test_a_deck_goes_and_is_renamed(pair, meet):
    deck = pair[0].add_deck("Doomed")
    settle(pair)
    meet(
        lambda device: device.change("remove_deck", deck=deck),
        lambda device: device.change("rename_deck", deck=deck, name="Saved"),
    )


def test_filtered_decks(pair):
    a, b = pair
    deck = a.change("add_filtered", name="Filtered", search="deck:Default", limit=8)
    other = a.change("add_filtered", name="Preview", search="is:new", limit=3, reschedule=False)
    settle(pair)
    b.change("study", deck=deck, cards=2, ease=3)
    b.change("study", deck=other, cards=1, ease=1)
    settle(pair)
    a.change("amend_deck", deck=deck, keys={"previewDelay": 5, "delays": [1.5, 10], "addon": [1]})
    a.change("rebuild_filtered", deck=deck)
    b.change("empty_filtered", deck=other)
    settle(pair)
    a.change("remove_deck", deck=deck)
    settle(pair)
    assert b.select("select count() from cards where odid != 0 and did != odid") != []
    assert "Filtered" not in deck_names(b)


def test_a_filtered_deck_goes_and_is_studied(pair, meet):
    deck = pair[0].change("add_filtered", name="Filtered", search="deck:Default", limit=8)
    settle(pair)
    meet(
        lambda device: device.change("remove_deck", deck=deck),
        lambda device: device.change("study", deck=deck, cards=2),
    )


def test_a_filtered_deck_takes_what_another_device_moves(pair, meet):
    cards = [card(pair[0], note) for note in pair[0].notes]
    deck = pair[1].add_deck("Elsewhere")
    settle(pair)
    meet(
        lambda device: device.change("add_filtered", name="Filtered", search="deck:Default"),
        lambda device: device.change("move", cards=cards, deck=deck),
    )


OF_FSRS = {
    "fsrsWeights": [0.5, 1.25],
    "fsrsParams5": [2.5] * 19,
    "fsrsParams6": [0.1 * number for number in range(21)],
    "desiredRetention": 0.87,
    "sm2Retention": 0.8,
    "ignoreRevlogsBeforeDate": "2020-01-01",
    "easyDaysPercentages": [1.0, 0.5, 0.0, 1.0, 1.0, 1.0, 1.0],
    "weightSearch": "deck:x -is:suspended",
}
OTHERS = {
    **{"maxTaken": 61, "autoplay": False, "timer": 1, "replayq": False, "newMix": 1},
    **{"newPerDayMinimum": 2, "interdayLearningMix": 2, "reviewOrder": 12, "newSortOrder": 4},
    **{"newGatherPriority": 5, "buryInterdayLearning": True, "stopTimerOnAnswer": True},
    **{"secondsToShowQuestion": 1.5, "secondsToShowAnswer": 2.5, "questionAction": 1},
    **{"answerAction": 4, "waitForAudio": False},
    "new": {"delays": [1.5, 20, 1440], "ints": [2, 5, 0], "initialFactor": 2011, "order": 0},
    "rev": {"bury": True, "ease4": 1.35, "ivlFct": 0.95, "maxIvl": 400, "hardFactor": 1.15},
    "lapse": {"delays": [], "leechAction": 0, "leechFails": 4, "minInt": 2, "mult": 0.33},
}
BEYOND = {
    **{"maxTaken": 100_000, "desiredRetention": 0.3, "sm2Retention": 0.99, "reviewOrder": 99},
    "new": {"perDay": 100_000, "ints": [0, 50_000, 7], "initialFactor": 1300, "delays": []},
    "rev": {"maxIvl": 0, "ease4": 9, "ivlFct": 0.1, "perDay": 10_000, "hardFactor": 2},
    "lapse": {"mult": 1.5, "leechFails": 0, "minInt": 0},
}
OF_ADDONS = {
    "addon": {"b": [1, None], "a": 1e300, "é": "日"},
    "other": 1.0,
    "new": {"separate": True, "mine": {"y": 1, "x": 2}},
    "rev": {"minSpace": 1, "fuzz": 0.05},
    "lapse": {"zzz": [1]},
}


@pytest.mark.parametrize(
    "keys", [OF_FSRS, OTHERS, BEYOND, OF_ADDONS], ids=["FSRS", "others", "beyond", "of add-ons"]
)
def test_options(pair, keys):
    a, b = pair
    options = a.change("add_options", name="Exam ünd 日本")
    a.change("amend_options", options=options, keys=keys)
    a.change("use_options", deck=a.add_deck("With options"), options=options)
    settle(pair)
    found = b.change("options_json", options=options)
    assert found["name"] == "Exam ünd 日本"
    # The other one stores again what it got.
    b.change("amend_options", options=options, keys={"maxTaken": 33})
    settle(pair)


def test_two_amend_the_same_options(pair, meet):
    meet(
        lambda device: device.change(
            "amend_options",
            options=1,
            keys={"new": {"perDay": 11 + (device is pair[0])}, "name": device.folder.name},
        )
    )


def test_options_go_while_another_device_uses_them(pair):
    a, b = pair
    options = a.change("add_options", name="Doomed")
    settle(pair)
    b.change("use_options", deck=1, options=options)
    b.sync()
    a.change("remove_options", options=options)
    replace(pair)


DAMAGE = [
    *["name = 'A::B'", "name = ''", "name = 'x' || char(31)", "name = ' trimmed : '"],
    *["name = 'e' || char(769)", "kind = x''", "kind = x'0a'", "common = x'ff'", "usn = 1000000"],
    *["mtime_secs = 1.5", "mtime_secs = -1", "common = 'text'", "kind = x'12020801'"],
]


@pytest.mark.sampled
@pytest.mark.parametrize("side", ["device", "server"])
@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_decks(pair, put, damage, side):
    a, b = pair
    deck = a.add_deck("Damaged")
    settle(pair)
    if side == "device":
        put(f"update decks set usn = -1, {damage} where id = {deck}")
        attempt(a)
    else:
        b.account.has_news(
            f"update decks set usn = (select usn from col), {damage} where id = {deck}"
        )
    attempt(b)
