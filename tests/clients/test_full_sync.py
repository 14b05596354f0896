"""Whole collections up and down with real clients."""

import pytest

from harness.device import NOTHING_FOUND


def fill(device):
    """Something in every table."""
    first = device.add_note("front", "back")
    device.add_note("Straße", "通り 🛣", deck="Parent::Child", tags=["verb", "häufig"])
    device.add_note("{{c1::cloze}} and {{c2::another}}", "", notetype="Cloze")
    device.add_note("one way", "other way", notetype="Basic (and reversed card)")
    gone = device.add_note("to be", "deleted")
    device.add_deck("Empty")
    device.review(2)
    device.edit_note(first, "front, edited", "back")
    device.delete_note(gone)


@pytest.fixture
def filled(server, new_device):
    """A device whose collection is on the server."""
    device = new_device(server)
    device.login()
    fill(device)
    device.upload()
    return device


@pytest.fixture
def second(server, new_device):
    device = new_device(server)
    device.login()
    return device


def test_a_new_account_asks_the_first_device_to_upload(server, new_device):
    device = new_device(server)
    device.login()
    fill(device)
    assert device.sync() == "FULL_UPLOAD"


def test_the_second_device_is_asked_to_download_and_gets_every_row(filled, second):
    assert second.sync() == "FULL_DOWNLOAD"
    second.download()
    content = second.rows()
    assert content == filled.rows()
    assert len(content["notes"]) == 4
    assert len(content["cards"]) == 6
    assert len(content["revlog"]) == 2


def test_check_database_finds_nothing_in_a_download(filled, second):
    second.download()
    assert second.check_database() == NOTHING_FOUND


def test_an_upload_leaves_nothing_to_do(filled):
    assert filled.sync() == "NO_CHANGES"


def test_a_download_leaves_nothing_to_do_for_its_device_and_a_normal_sync_for_others(
    filled, second
):
    second.download()
    assert second.status() == "NO_CHANGES"
    # The download has moved the server's USN and modification time on.
    assert filled.status() == "NORMAL_SYNC"


def test_a_device_with_another_collection_has_to_choose(filled, second):
    second.add_note("made", "apart")
    assert second.sync() == "FULL_SYNC"


def test_an_upload_replaces_the_collection_on_the_server(filled, second, new_device):
    second.add_note("the only", "one")
    second.upload()
    filled.download()
    content = filled.rows()
    assert content == second.rows()
    assert len(content["notes"]) == 1
    assert filled.check_database() == NOTHING_FOUND


def test_an_empty_collection_survives_the_round_trip(server, new_device):
    first, second = new_device(server), new_device(server)
    first.login(), second.login()
    first.upload()
    second.download()
    assert second.rows() == first.rows()
    assert second.check_database() == NOTHING_FOUND


def test_a_collection_outlives_the_server(server, filled, second):
    server.restart()
    second.download()
    assert second.rows() == filled.rows()


def test_many_downloads_in_a_row_give_the_same_rows(filled, second):
    for _ in range(5):
        second.download()
    assert second.rows() == filled.rows()
