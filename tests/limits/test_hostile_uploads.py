"""Uploads that were made to keep the server busy cost nobody but their user anything."""

import signal
import time
from contextlib import closing
from pathlib import Path

import pytest

from harness import collection, hostile
from harness.raw import Account, Connection

CROWD = {f"user{number}": "password" for number in range(16)}


@pytest.fixture(params=hostile.KINDS, ids=lambda kind: kind.__name__)
def kind(request):
    return request.param


@pytest.fixture
def file(kind, template, tmp_path):
    return kind(tmp_path / "hostile.anki2", template)


def crowd(server):
    server.users = {"ben": "b", **CROWD}
    server.restart()
    return [Account(server, user) for user in CROWD]


@pytest.mark.parametrize("attackers", [lambda server: [Account(server)] * 16, crowd], ids=["one", "many"])
def test_others_sync_meanwhile_and_the_server_can_be_stopped(
    ours, new_device, attackers, kind, file
):
    accounts = attackers(ours)
    device = new_device(ours, "ben")
    device.login()
    device.change("add_many", count=3, text="before")
    device.upload()
    with hostile.Attack(accounts, file) as attack:
        time.sleep(2)
        device.login()
        device.change("add_many", count=3, text="meanwhile")
        assert device.sync() == "NO_CHANGES"
        assert "ben" in ours.operate("status")
        # What computes is left behind, so that nothing of it goes on.
        if kind is not hostile.expression:
            assert attack.unanswered() > 0, "the attack was over"
        began = time.monotonic()
        assert ours.end(signal.SIGTERM) == 0
        took = time.monotonic() - began
    print(f"ended after {took:.1f} s")
    assert took < 20
    assert "panicked" not in ours.log_text()
    if kind is not hostile.expression:
        left = {path.parent.name for path in ours.base.glob("*/collection.anki2")}
        assert left == {"ben"}, "an upload that was broken off has become a collection"


def test_work_ends_when_the_client_leaves(ours, template, tmp_path):
    # Its check would take most of a minute on a quick machine.
    file = hostile.decks(tmp_path / "hostile.anki2", template, number=40_000)
    with hostile.Attack([Account(ours)], file):
        time.sleep(2)
        assert not hostile.comes_to_rest(ours, within=4)
    assert hostile.comes_to_rest(ours, within=20)


def test_the_check_of_an_upload_gives_way_to_short_requests(ours, template):
    assert Account(ours).upload(template).text() == "OK"
    threads = Path(f"/proc/{ours.process.pid}/task").glob("*/stat")
    # Field 19, of which the two first are the number and the name.
    niceness = [int(thread.read_text().rpartition(")")[2].split()[16]) for thread in threads]
    assert set(niceness) == {0, 5}


def test_what_takes_too_long_is_refused_with_a_sentence_and_one_line_in_the_log(
    ours, template, tmp_path
):
    account = Account(ours)
    assert account.upload(template).text() == "OK"
    before = collection.rows(ours.folder("anna") / "collection.anki2")
    file = hostile.fields(tmp_path / "hostile.anki2", template, number=6000)
    with closing(Connection(ours, timeout=300)) as connection:
        reply = connection.post("/sync/upload", file, account.key)
    assert reply.status == 200
    assert "takes far too long to check" in reply.text()
    lines = [line for line in ours.log_text().splitlines() if "WARN" in line]
    assert len(lines) == 1
    assert "anna" in lines[0]
    assert "takes far too long" in lines[0]
    ours.stop()
    assert collection.rows(ours.folder("anna") / "collection.anki2") == before
