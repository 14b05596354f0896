"""The server is killed during a device's sync: nothing half-done is left, and the device goes on."""

import threading
import time

import pytest

from harness import collection
from harness.agreement import AFTER_LOST_FINISH, settle
from harness.device import ClientError


@pytest.fixture
def rounds(long):
    return 200 if long else 20


def change(device, number):
    """Some of everything, in several portions."""
    added = device.change("add_many", count=150, text=f"round {number}")
    device.edit_note(device.notes[number % len(device.notes)], f"edited {number}", "x")
    device.change("delete_many", note_ids=added[:20])
    device.change("study", deck=1, cards=2)
    device.change("set_config", key="round", value=number)
    device.add_deck(f"Deck {number}")


def sync_until_killed(server, device, delay):
    """Kills the server a while after the sync has begun; whether the client took it for done."""
    timer = threading.Timer(delay, server.kill)
    timer.start()
    try:
        assert device.sync() == "NO_CHANGES", "a full sync is asked for"
        return True
    except ClientError:
        return False
    finally:
        timer.join()


def test_a_kill_at_any_moment_of_a_sync_costs_that_sync_only(
    ours, new_device, inspector, chance, rounds
):
    a, b = new_device(ours), new_device(ours)
    a.login(), b.login()
    a.notes = a.change("add_many", count=10, text="first")
    a.upload()
    b.download()
    settle([a, b])
    change(a, 0)
    started = time.monotonic()
    a.sync()
    duration = time.monotonic() - started

    unfinished = 0
    for number in range(1, rounds + 1):
        change(a, number)
        delay = chance.uniform(0, 1.5 * duration)
        finished = sync_until_killed(ours, a, delay)
        unfinished += not finished
        left = inspector.snapshot(ours)
        assert collection.unsynced(left) == {}
        assert collection.integrity(left) == "ok"
        print(f"round {number}: killed after {delay:.3f} s, finished: {finished}")
        ours.start()
        assert a.sync() == "NO_CHANGES", "a full sync is asked for"
        assert b.sync() == "NO_CHANGES", "a full sync is asked for"
        if number % 10 == 0:
            settle([a, b])
            inspector.agreed(ours, [a, b], left_out=AFTER_LOST_FINISH)
    print(f"{unfinished} of {rounds} syncs were cut off")
    settle([a, b])
    inspector.agreed(ours, [a, b], left_out=AFTER_LOST_FINISH)
    assert unfinished > 0
