"""A disk that fills up: on a small file system of its own, with real clients."""

import http.client
import os
import time
from contextlib import closing

import pytest

from harness import MEBIBYTE, collection
from harness.agreement import settle
from harness.device import ClientError
from harness.disk import fill, make_room

RESERVE = 16


def is_healthy(server):
    connection = http.client.HTTPConnection(*server.address, timeout=5)
    with closing(connection):
        connection.request("GET", "/health")
        return connection.getresponse().status == 200


def account_with_two_devices(server, new_device):
    first, second = new_device(server), new_device(server)
    first.login(), second.login()
    first.add_note("was there", "before")
    first.put_media("before.bin", os.urandom(100_000))
    first.upload(), first.sync_media()
    second.download(), second.sync_media()
    return first, second


def refused(operation):
    with pytest.raises(ClientError) as caught:
        operation()
    return caught.value


@pytest.mark.parametrize(
    ("reserve", "leave"),
    [(RESERVE, RESERVE // 2 * MEBIBYTE), (0, 0), (0, 200_000)],
    ids=["nearly-full", "full", "full-in-the-middle"],
)
def test_nothing_is_lost_on_a_full_disk_and_it_goes_on_by_itself(
    disk, start_on, new_device, inspector, reserve, leave
):
    server = start_on(min_free_megs=reserve)
    first, second = account_with_two_devices(server, new_device)
    third = new_device(server)
    third.login(), third.download()
    fill(disk, leave)

    # A normal sync, media, and an upload, all of more than what is left.
    for number in range(300):
        first.add_note(f"new {number}", "x" * 2000)
    assert "507" in str(refused(first.sync))
    second.put_media("new.bin", os.urandom(3 * MEBIBYTE))
    assert "507" in str(refused(second.sync_media))
    for number in range(300):
        third.add_note(f"third's {number}", "y" * 2000)
    assert "507" in str(refused(third.upload))
    assert is_healthy(server)
    assert "disk" in server.log_text()

    make_room(disk)
    assert inspector.inspect(server), "the collection is damaged"
    settle([first, second])
    second.sync_media(), first.sync_media()
    assert first.media() == second.media()
    assert set(first.media()) == {"before.bin", "new.bin"}
    # A client whose upload has failed asks for a choice once more.
    assert third.sync() == "FULL_SYNC"
    third.download()
    inspector.agreed(server, [first, second, third])


def test_an_upload_larger_than_the_disk_leaves_the_collection_and_no_rubbish(
    disk, start_on, new_device, template, tmp_path, inspector
):
    server = start_on(min_free_megs=1)
    first, second = account_with_two_devices(server, new_device)
    before = inspector.inspect(server)
    first.call("close")
    collection.grown(template, first.path, 150)
    assert "507" in str(refused(first.upload))
    assert inspector.inspect(server) == before
    assert sum(path.stat().st_size for path in server.base.rglob("tmp/*")) == 0
    second.add_note("goes", "on")
    assert second.sync() == "NO_CHANGES"


def test_the_log_says_when_the_disk_is_full_and_when_it_is_not_any_more(disk, start_on):
    server = start_on(min_free_megs=RESERVE)
    fill(disk, MEBIBYTE)
    wait_for_words(server, "the disk is nearly full")
    make_room(disk)
    wait_for_words(server, "the disk has enough free space again")


def test_a_server_starts_on_a_full_disk_and_serves_what_is_there(disk, start_on, new_device):
    server = start_on(min_free_megs=RESERVE)
    first, _ = account_with_two_devices(server, new_device)
    fill(disk, MEBIBYTE)
    server.restart()
    fresh = new_device(server)
    fresh.login(), fresh.download()
    assert fresh.content() == first.content()


def wait_for_words(server, words):
    deadline = time.monotonic() + 10
    while words not in server.log_text():
        assert time.monotonic() < deadline, f"{words!r} is not in the log"
        time.sleep(0.1)
