"""Everything that people do, with clients of each generation."""

import pytest

from harness.device import ClientError
from harness.sample import content, fill, finds_nothing, let_a_second_pass


@pytest.fixture
def pair(server, device_of, version):
    """Two devices of one person, with the same version of Anki."""
    return device_of(server, version), device_of(server, version)


def test_a_wrong_password_is_refused(server, device_of, version):
    with pytest.raises(ClientError):
        device_of(server, version, log_in=False).login("wrong")


def test_a_collection_goes_up_and_down_whole(pair):
    first, second = pair
    fill(first)
    first.upload()
    second.download()
    assert content(second) == content(first)
    assert second.sync() == "NO_CHANGES"
    assert finds_nothing(second)


def test_changes_travel_both_ways(pair):
    first, second = pair
    note = fill(first)
    first.upload()
    second.download()
    for turn in range(2):
        first.edit_note(note, f"edited {turn}", "back")
        gone = first.add_note(f"soon gone {turn}", "x", deck=f"From A::{turn}")
        first.add_note(f"from A {turn}", "y", tags=[f"a{turn}"])
        first.review(1)
        first.sync()
        second.sync()
        assert content(second) == content(first)
        let_a_second_pass()
        second.delete_note(gone)
        second.add_note(f"from B {turn}", "z", deck=f"From B {turn}")
        second.review(1)
        second.sync()
        first.sync()
        assert content(second) == content(first)
        let_a_second_pass()
    # Several hundred, for more than one portion.
    for number in range(150):
        first.add_note(f"many {number}", "n", notetype="Basic (and reversed card)")
    first.sync()
    second.sync()
    assert content(second) == content(first)
    assert finds_nothing(first) and finds_nothing(second)


def test_media_travel_both_ways(pair):
    first, second = pair
    files = {f"{number}.txt": b"%d" % number for number in range(30)} | {"Füße 日本語.mp3": b"x"}
    for name, words in files.items():
        first.put_media(name, words)
    first.sync_media()
    second.sync_media()
    assert second.media() == files
    second.put_media("0.txt", b"replaced")
    second.remove_media("1.txt")
    second.sync_media()
    first.sync_media()
    del files["1.txt"]
    assert first.media() == {**files, "0.txt": b"replaced"} == second.media()


def test_the_newest_client_and_this_one_get_on(server, device_of, version):
    """Up with one, down with the other, both ways, and normal syncs in between."""
    old, new = device_of(server, version), device_of(server)
    note = fill(old)
    old.upload()
    new.download()
    assert content(new) == content(old)
    new.edit_note(note, "edited", "by the newest")
    new.add_deck("New::Deck")
    new.sync()
    old.sync()
    let_a_second_pass()
    old.review(1)
    old.add_note("from the old", "one")
    old.sync()
    new.sync()
    assert content(new) == content(old)
    new.upload()
    old.download()
    assert content(new) == content(old)
    assert finds_nothing(old) and finds_nothing(new)
