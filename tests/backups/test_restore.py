"""A wrong answer at a device, undone by the operator."""

from contextlib import closing
from datetime import UTC, datetime

import pytest
import zstandard

from harness import collection
from harness.device import ClientError
from harness.raw import Account, Connection

YEARS = [f"word {number}" for number in range(50)]


@pytest.fixture
def studied(ours, new_device):
    """A device with much, whose collection is on the server; it is then changed by syncs."""
    device = new_device(ours)
    device.login()
    for word in YEARS:
        device.add_note(word, "meaning")
    device.upload()
    device.review(5)
    assert device.sync() == "NO_CHANGES"
    return device


@pytest.fixture
def wrong(ours, studied, new_device):
    """Another device, of whose collection nobody thought much, and which has uploaded it."""
    device = new_device(ours)
    device.login()
    device.add_note("the only", "one")
    assert device.sync() == "FULL_SYNC"
    device.upload()
    return device


def notes(device):
    return [front for (front,) in device.select("select sfld from notes order by id")]


def test_a_wrong_upload_is_undone_and_every_device_ends_up_with_the_old_collection(
    ours, studied, wrong, new_device, inspector
):
    before = studied.rows()
    assert "Download" in ours.operate("restore", "anna", "--yes")
    # The device whose upload it was cannot undo that by the same wrong answer.
    assert wrong.sync() == "FULL_SYNC"
    with pytest.raises(ClientError, match="restored on .* choose Download"):
        wrong.upload()
    wrong.download()
    assert notes(wrong) == YEARS
    # Nor does a device that has what was restored merge with it: it has to download, too.
    assert studied.sync() == "FULL_SYNC"
    with pytest.raises(ClientError, match="restored on"):
        studied.upload()
    studied.download()
    third = new_device(ours)
    third.login()
    assert third.sync() == "FULL_DOWNLOAD"
    third.download()
    for device in [studied, wrong, third]:
        after = device.rows()
        assert {table for table in after if after[table] != before[table]} <= {"col", "config"}
    # And then everything is as ever.
    third.add_note("after", "all")
    for device in [third, studied, wrong]:
        assert device.sync() == "NO_CHANGES"
        assert notes(device) == [*YEARS, "after"]
    inspector.agreed(ours, [studied, wrong, third])


def test_a_restore_can_be_undone(ours, studied, wrong):
    ours.operate("restore", "anna", "--yes")
    undone = ours.answer("restore", "anna", "--list")[-1]["name"]
    # Not by a program that was only started twice.
    assert undone in ours.operate("restore", "anna", "--yes", status=64)
    ours.operate("restore", "anna", "--yes", "--at", undone)
    wrong.download()
    assert notes(wrong) == ["the only"]
    kinds = [snapshot["why"] for snapshot in ours.answer("restore", "anna", "--list")]
    assert kinds == ["before-upload", "before-restore", "before-restore"]


def test_a_device_that_has_downloaded_may_upload_again_and_others_when_they_are_allowed_to(
    ours, studied, wrong
):
    ours.operate("restore", "anna", "--yes")
    studied.download()
    studied.add_note("wanted", "by all means")
    studied.upload()
    with pytest.raises(ClientError, match="restored on"):
        wrong.upload()
    assert ours.answer("restore", "anna", "--allow-upload") is True
    wrong.upload()
    studied.download()
    assert notes(studied) == ["the only"]


def test_a_device_that_has_logged_in_again_and_syncs_may_upload_again(ours, studied, wrong):
    ours.operate("restore", "anna", "--yes")
    studied.download()
    studied.login()
    with pytest.raises(ClientError, match="restored on"):
        studied.upload()
    # What was to be uploaded is of another schema by now.
    studied.download()
    studied.login()
    studied.add_note("one", "more")
    assert studied.sync() == "NO_CHANGES"
    studied.upload()
    wrong.download()
    assert notes(wrong) == [*YEARS, "one"]


def test_a_download_that_breaks_off_does_not_make_an_upload_right(ours, template, tmp_path):
    large = collection.grown(template, tmp_path / "large.anki2", mebibytes=40)
    ours.operate("restore", "ben", "--yes", "--from", large)
    phone = Account(ours, "ben")
    with closing(Connection(ours)) as connection:
        connection.send_head("/sync/download", phone.key)
        connection.send_last(zstandard.compress(b"{}"))
        assert connection.socket.recv(1 << 16).startswith(b"HTTP/1.1 200")
    assert "restored on" in phone.upload(large).text()
    phone.download(tmp_path / "whole.anki2")
    assert phone.upload(large).text() == "OK"


def test_the_refusal_outlives_the_server(ours, studied, wrong):
    ours.operate("restore", "anna", "--yes")
    ours.restart()
    with pytest.raises(ClientError, match="restored on"):
        wrong.upload()
    wrong.download()
    ours.restart()
    wrong.upload()


def test_nothing_is_restored_unasked(ours, studied, wrong):
    meta = Account(ours).meta()
    refused = ours.attempt("restore", "anna")
    assert refused.returncode == 64
    assert "--yes" in refused.stderr
    # What it would have been is shown.
    assert "50" in refused.stdout
    assert "--yes" in ours.operate("restore", "anna", "--json", status=64)
    assert Account(ours).meta()["scm"] == meta["scm"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nobody", "--yes"], "no user"),
        (["ben", "--yes"], "no snapshot"),
        (["anna", "--at", "yesterday"], "--list"),
        (["anna", "--at", "2100-01-01"], "no snapshot was made since"),
        (["anna", "--yes", "--from", "/etc/hostname"], "not an Anki collection"),
        (["anna", "--yes", "--from", "/nowhere"], "/nowhere"),
    ],
)
def test_what_cannot_be_restored_is_told(ours, studied, wrong, words, told):
    meta = Account(ours).meta()
    refused = ours.attempt("restore", *words)
    assert refused.returncode != 0
    assert told in refused.stderr
    assert Account(ours).meta()["scm"] == meta["scm"]


def test_a_time_stands_for_what_was_there_then(ours, studied, wrong):
    studied.download()
    studied.add_note("later", "on")
    studied.upload()
    [first, second] = ours.answer("restore", "anna", "--list")
    # The first one has not been changed in the second before it was replaced.
    then = datetime.fromtimestamp(first["at_ms"] / 1000, UTC).isoformat()
    times = {
        then: first,
        first["name"]: first,
        second["name"]: second,
    }
    for at, snapshot in times.items():
        refused = ours.attempt("restore", "anna", "--at", at)
        assert snapshot["name"] in refused.stdout


@pytest.mark.parametrize("at", ["2020-01-01", "2020-01-01 12:00"])
def test_a_time_that_no_snapshot_shows_is_refused_with_what_there_is(ours, studied, wrong, at):
    [snapshot] = ours.answer("restore", "anna", "--list")
    meta = Account(ours).meta()
    told = ours.operate("restore", "anna", "--at", at, "--yes", status=64)
    assert "2020-01-01" in told and snapshot["name"] in told and "before an upload" in told
    assert Account(ours).meta()["scm"] == meta["scm"]


def test_a_snapshot_a_backup_or_a_file_of_a_devices_can_be_restored_from(
    ours, studied, wrong, tmp_path
):
    ours.operate("backup", "--to", tmp_path / "backups")
    [backup] = (tmp_path / "backups").glob("2*")
    studied.rows()
    # There is no need of room to unpack it.
    ours.settings["TMPDIR"] = "/nowhere"
    [snapshot] = (ours.folder("anna") / ".anki-syncd/snapshots").iterdir()
    for source, expected in [
        (studied.path, YEARS),
        (backup, ["the only"]),
        (snapshot, YEARS),
        (backup / "anna/collection.anki2", ["the only"]),
    ]:
        ours.operate("restore", "anna", "--yes", "--from", source)
        wrong.download()
        assert notes(wrong) == expected
        assert wrong.sync() == "NO_CHANGES"


def test_a_large_file_is_restored_without_being_in_memory(ours, template, tmp_path):
    large = collection.grown(template, tmp_path / "large.anki2", mebibytes=100)
    restored = ours.answer("restore", "ben", "--yes", "--from", large)["restored"]
    assert restored["notes"] > 50_000
    served = Account(ours, "ben").download(tmp_path / "served.anki2")
    stamped = collection.differences(collection.content(large), collection.content(served))
    assert stamped.keys() == {"col"}
    assert ours.peak_memory() < 64 * 1024 * 1024
