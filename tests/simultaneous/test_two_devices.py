"""Two devices of one person sync at the same moment."""

import threading
import time

import pytest

from harness.agreement import AFTER_WAITING, settle
from harness.device import ClientError
from harness.raw import Account


@pytest.fixture
def rounds(long):
    return 100 if long else 10


def pair(server, new_device):
    a, b = new_device(server), new_device(server)
    a.login(), b.login()
    ids = a.change("add_many", count=2, text="shared")
    a.upload()
    b.download()
    a.notes, b.notes = ids[:1], ids[1:]
    return a, b


def change(device, word):
    """Enough for several portions, so that the syncs overlap."""
    device.change("add_many", count=200, text=word)
    # Their ids are the next 200 milliseconds, which the other device must not use too.
    time.sleep(0.25)
    device.edit_note(device.notes[0], word, "edited")


def sync_at_once(devices):
    """Answers what went wrong, for each device."""
    barrier = threading.Barrier(len(devices))
    failures = []

    def sync(device):
        barrier.wait()
        try:
            assert device.sync() == "NO_CHANGES", "a full sync is asked for"
        except (ClientError, AssertionError) as error:
            failures.append(str(error))

    threads = [threading.Thread(target=sync, args=[device]) for device in devices]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failures


def simultaneous(server, devices, rounds):
    failures = []
    for number in range(rounds):
        for letter, device in zip("ab", devices, strict=True):
            change(device, f"{letter} {number}")
        failures += sync_at_once(devices)
    return failures


def test_both_succeed_and_nothing_is_lost(start_server, new_device, inspector, rounds, capsys):
    ours, reference = start_server("ours"), start_server("reference")
    devices = pair(ours, new_device)
    theirs = simultaneous(reference, pair(reference, new_device), rounds)
    failures = simultaneous(ours, devices, rounds)
    with capsys.disabled():
        print(f"\n{rounds} pairs at once, failed syncs: ours {len(failures)}, reference {len(theirs)}")
    assert failures == []
    settle(devices)
    content = inspector.agreed(ours, devices, left_out=AFTER_WAITING)
    fronts = [row[6] for row in content["notes"]]
    for number in range(rounds):
        for letter in "ab":
            own = sum(front.startswith(f"'{letter} {number} ") for front in fronts)
            assert own >= 200, f"{letter} has lost notes of round {number}"


def test_what_arrives_stamped_before_another_sync_reaches_the_other_device(
    ours, new_device, inspector
):
    """Clients stamp what they send with the USN that `meta` told them a while ago."""
    a, b = pair(ours, new_device)
    settle([a, b])
    late = Account(ours)
    told = late.meta()["usn"]
    a.add_note("comes", "in between")
    a.sync()
    assert late.meta()["usn"] == told + 1

    late.post("/sync/start", {"minUsn": told, "lnewer": False})
    a.call("close")
    notetype = a.change("notetype_json", name="Basic")
    deck = a.change("deck_json", deck=1)
    notetype.update(usn=told, mod=notetype["mod"] + 10, css="late")
    deck.update(usn=told, mod=deck["mod"] + 10, desc="late")
    changes = {"models": [notetype], "decks": [[deck], []], "tags": ["late"]}
    assert late.post("/sync/applyChanges", {"changes": changes}).status == 200
    late.post("/sync/chunk")
    note = [1, "guid", notetype["id"], 1, told, "late", "late\x1fy", "", "", 0, ""]
    card = [1, 1, 1, 0, 1, told, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, "{}"]
    review = [1, 1, told, 3, 1, 1, 2500, 1000, 1]
    chunk = {"done": True, "notes": [note], "cards": [card], "revlog": [review]}
    assert late.post("/sync/applyChunk", {"chunk": chunk}).status == 200
    assert isinstance(late.post("/sync/finish").json(), int)

    settle([a, b])
    content = inspector.agreed(ours, [a, b], left_out=AFTER_WAITING)
    assert "'late'" in [row[6] for row in content["notes"]]
    assert a.change("deck_json", deck=1)["desc"] == "late"
    assert a.change("notetype_json", name="Basic")["css"] == "late"
