"""Cards, what is learnt of them, and the log of reviews."""

import pytest

from harness.agreement import settle
from harness.sample import card
from twin.twin import attempt


def cards(device):
    return [card(device, note) for note in device.notes]


def test_states(pair):
    a, b = pair
    ids = cards(a)
    a.change("study", deck=1, cards=3, ease=1)
    a.change("study", deck=1, cards=3, ease=4)
    a.change("suspend", cards=ids[6:8])
    a.change("unsuspend", cards=ids[7:8])
    a.change("bury", cards=ids[9:10])
    a.change("flag", cards=ids[10:11], flag=7)
    a.change("flag_quietly", cards=ids[8:9], flag=2)
    a.change("set_due", cards=ids[11:12], days="5-7!")
    a.change("forget", cards=ids[:1])
    a.change("reposition", cards=ids[5:7], start=500)
    a.change("move", cards=ids[7:8], deck=a.add_deck("Moved::To"))
    a.change("annotate", card_id=ids[3], data='{"c":[1,2.5],"x":"é"}')
    settle(pair)
    content = b.content()
    assert [row[16] for row in content["cards"] if row[16] != "0"].count("7") == 1
    b.change("unbury", cards=ids[9:10])
    b.change("set_due", cards=ids[:3], days="0")
    settle(pair)


def test_what_two_devices_do_with_one_card(pair, meet):
    cards = [card(pair[0], note) for note in pair[0].notes[:5]]

    def act(device):
        is_first = device is pair[0]
        device.change("flag", cards=cards[:1], flag=1 if is_first else 2)
        device.change("flag_quietly", cards=cards[1:2], flag=3 if is_first else 4)
        device.change("suspend" if is_first else "bury", cards=cards[2:3])
        device.change("set_due", cards=cards[3:4], days="3" if is_first else "9")
        device.change("annotate", card_id=cards[4], data='{"by":%d}' % is_first)

    meet(act)
    assert pair[0].select(f"select flags from cards where id = {cards[0]}") != [[0]]


def test_both_study(pair, meet):
    meet(lambda device: device.change("study", deck=1, cards=4, ease=2 + (device is pair[0])))


def test_two_reviews_with_one_id(pair):
    """Made in the same millisecond."""
    a, b = pair
    reviews = "select id, ease from revlog order by id desc limit 1"
    with a.account.at_once():
        a.change("study", deck=1, cards=1, ease=1)
        b.change("study", deck=1, cards=1, ease=4)
    [[one, _]], [[other, _]] = a.select(reviews), b.select(reviews)
    assert one == other
    settle(pair)
    assert len(a.select(f"select * from revlog where id = {one}")) == 1


DATA = [
    *["", "{}", "null", "[]", "x", '{"pos":5}', '{"pos":-1}', '{"pos":5.0}', '{"pos":"5"}'],
    *['{"s":12.5,"d":6.25,"dr":0.9,"decay":0.2}', '{"s":1.5}', '{"d":5}', '{"s":1e39,"d":1}'],
    *['{"s":36500.1234567,"d":5.0005,"dr":0.915,"decay":0.12345,"lrt":1788000000}'],
    *['{"cd":"{\\"x\\":1}"}', '{"cd":"{}"}', '{"cd":""}'],
    *['{"pos":1,"cd":null}', '{"pos":1,"cd":{}}'],
    *['{"pos":1,"new":[1]}', '{"pos":1,"pos":2}', '{"lrt":1.5}', '{"lrt":null}', '{"pos":1} x'],
    *['{"s":0.00004,"d":0.0004}', '{"s":-0.0,"d":1}', '{"dr":1.0005}', '{"s":5,"d":1.5,"lrt":-1}'],
]


def rows_of_data(device):
    """A card for each of these, made up."""
    zeros = ", ".join("0" * 11)
    return [
        "insert into cards values"
        f" ({number}, {device.notes[0]}, 1, {number}, 1, -1, {zeros}, '{data}')"
        for number, data in enumerate(DATA, 1)
    ]


def test_memory_states_and_custom_data(pair, put):
    a, b = pair
    put(*rows_of_data(a))
    settle(pair)
    assert b.select("select count() from cards where id < 1000") == [[len(DATA)]]


def test_memory_states_and_custom_data_on_the_server(pair):
    a, b = pair
    news = "update cards set usn = (select usn from col) where id < 1000"
    a.account.has_news(*rows_of_data(a), news)
    b.sync()
    assert b.select("select count() from cards where id < 1000") == [[len(DATA)]]


ODD_CARDS = [
    *["due = 5000000000", "due = -5000000000", "due = 1.9", "due = 'x'", "odue = 99999999999"],
    *["ivl = -5", "ivl = 5000000000", "ivl = 2.7", "factor = 70000", "factor = -1", "factor = 2.5"],
    *["ord = 70000", "ord = -1", "reps = -1", "lapses = 4294967296", "left = -1", "type = 4"],
    *["queue = -4", "queue = 5", "flags = 256", "flags = -1", "mod = 1.5", "mod = -1", "data = 5"],
    *["data = x'7b7d'", "nid = 0", "did = -7", "odid = 12345", "mod = 'x'", "usn = 1000000"],
]


@pytest.mark.sampled
@pytest.mark.parametrize("odd", ODD_CARDS)
def test_odd_cards(pair, put, odd):
    a, b = pair
    put(f"update cards set usn = -1, {odd} where id = {card(a, a.notes[0])}")
    attempt(a)
    attempt(b)


@pytest.mark.sampled
@pytest.mark.parametrize("odd", ODD_CARDS)
def test_odd_cards_on_the_server(pair, odd):
    """What an earlier version or an upload may have left there."""
    _, b = pair
    which = card(b, b.notes[0])
    b.account.has_news(f"update cards set usn = (select usn from col), {odd} where id = {which}")
    attempt(b)


ODD_REVIEWS = [
    *["ease = 256", "ease = -1", "ease = 2.5", "ivl = -3000000000", "ivl = 1.9", "lastIvl = 'x'"],
    *["factor = -1", "factor = 5000000000", "time = -1", "time = 1e12", "type = 6", "type = -1"],
    *["type = 'x'", "cid = 0", "usn = 1000000"],
]


@pytest.mark.sampled
@pytest.mark.parametrize("odd", ODD_REVIEWS)
def test_odd_reviews(pair, put, odd):
    a, b = pair
    put(f"update revlog set usn = -1, {odd}, id = 1 where id = (select max(id) from revlog)")
    attempt(a)
    attempt(b)
