"""One account, and five devices that nobody has updated for different lengths of time."""

import json

import pytest

from harness.sample import content, fill, finds_nothing, let_a_second_pass
from harness.versions import GENERATIONS, NEWEST

UNKNOWN = {"kept": [1, None, "é"]}
MEMORY = '{"s":12.5,"d":6.25,"dr":0.9,"decay":0.2}'


@pytest.fixture
def devices(server, device_of):
    """The newest one first, whose collection is on the server."""
    first = device_of(server, NEWEST)
    fill(first)
    put_what_old_clients_do_not_know(first)
    first.upload()
    others = [device_of(server, version) for version in GENERATIONS if version != NEWEST]
    for other in others:
        other.download()
    return [first, *others]


def put_what_old_clients_do_not_know(device):
    device.call("set_unknown", key="aKeyOfTomorrow", value=UNKNOWN)
    device.call("execute", sql=f"update cards set data = '{MEMORY}' where ord = 0")


def what_old_clients_do_not_know(device):
    memory = [json.loads(data) for (data,) in device.select("select data from cards order by id")]
    return device.call("get_unknown", key="aKeyOfTomorrow"), memory


def in_turn(devices):
    """Everyone syncs, and then again, to get what those behind them had."""
    for _ in range(2):
        for device in devices:
            device.sync()


def test_all_of_them_converge(devices):
    for number, device in enumerate(devices):
        let_a_second_pass()
        device.add_note(f"by {number}", "added", deck=f"Of {number}::Sub", tags=[f"tag{number}"])
        device.review(1)
        device.sync()
    in_turn(devices)
    expected = content(devices[0])
    assert len(expected["notes"]) == 3 + len(devices)
    for device in devices:
        assert content(device) == expected
        assert finds_nothing(device)


def test_an_edit_by_each_reaches_all_the_others(devices):
    note = devices[0].select("select id from notes order by id limit 1")[0][0]
    for number, device in enumerate(devices):
        device.edit_note(note, "edited", f"by {number}")
        in_turn([device, *devices])
        let_a_second_pass()
        for other in devices:
            fields = other.select(f"select flds from notes where id = {note}")
            assert fields == [[f"edited\x1fby {number}"]]


def test_what_old_clients_do_not_know_outlives_their_syncs_and_uploads(devices, device_of, server):
    newest = devices[0]
    before = what_old_clients_do_not_know(newest)
    assert before[0] == [UNKNOWN] * 4
    assert json.loads(MEMORY) in before[1]
    in_turn(devices)
    for device in devices[1:]:
        device.upload()
        visitor = device_of(server, NEWEST)
        visitor.download()
        assert what_old_clients_do_not_know(visitor) == before
        assert finds_nothing(visitor)
