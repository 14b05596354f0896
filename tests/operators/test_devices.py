"""`anki-syncd device`: one of a person's devices is logged out, whatever happens to the server."""

import json
import re
import shutil
import sqlite3
import time
from contextlib import closing, contextmanager

import pytest

from harness import apt
from harness.device import ClientError
from harness.raw import META, Account, Connection, frame
from harness.steps import Background, is_asked_to_log_in, logged_in, with_notes
from harness.trace import traced


@pytest.fixture
def pair(running, new_device):
    """Two devices of one user, in step, and the server's ids of them, first of the first."""
    first = with_notes(new_device(running))
    mine = running.devices()[0]["id"]
    second = logged_in(new_device(running))
    second.download()
    first.id, second.id = mine, next(id for id in ids(running) if id != mine)
    return first, second


def ids(server, *words):
    return [device["id"] for device in server.devices(*words)]


def devices_folder(server, user="anna"):
    return server.folder(user) / ".anki-syncd" / "devices"


def stored(server):
    """Once what is known is in the files."""
    time.sleep(6)
    return sorted(path.name for path in devices_folder(server).iterdir())


def test_each_device_is_listed_with_what_it_did_last(running, pair, new_device):
    first, second = pair
    logged_in(new_device(running, "ben"))
    first.add_note("one", "more")
    first.sync()
    devices = {device["id"]: device for device in running.devices()}
    assert len(devices) == 3
    shown = devices[first.id]
    version, _, platform = shown["client"].split(",")
    assert version.startswith("2") and platform
    assert shown["address"] == "127.0.0.1"
    assert re.fullmatch("sent [1-9], received 0", shown["last_action"])
    assert devices[second.id]["last_action"].startswith("downloaded the collection (")
    assert shown["first_seen"] <= shown["last_sync"] <= shown["last_seen"] <= time.time()
    assert ids(running, "ben") == list(devices.keys() - {first.id, second.id})
    table = running.operate("device", "list", "anna").splitlines()
    assert len(table) == 3
    (row,) = (row for row in table if row.startswith(first.id[:8]))
    assert row.split()[1:4] == ["anna", version, platform]
    assert row.endswith(f"just now: {shown['last_action']}")


def test_a_device_has_the_name_that_it_is_given(running, pair, new_device):
    first, second = pair
    told = running.operate("device", "name", first.id[:6], "Anna's phone 📱")
    assert told.startswith(f"{first.id[:8]} of anna (")
    assert told.endswith("is now called Anna's phone 📱\n")
    # Times are whole seconds, and the last one is to be the first device's.
    time.sleep(1)
    first.add_note("one", "more")
    first.sync()
    named = re.compile("anna \\(Anna's phone 📱, 2[^)]*\\): sent")
    # Media may still follow, and would be in the same line.
    deadline = time.monotonic() + 15
    while not named.search(running.log_text()) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert named.search(running.log_text()), running.log_text()
    running.operate("device", "name", second.id, "  laptop ")
    running.restart()
    names = {device["id"]: device["name"] for device in running.devices()}
    assert names == {first.id: "Anna's phone 📱", second.id: "laptop"}
    (row,) = (r for r in running.operate("device", "list").splitlines() if r.startswith(first.id[:8]))
    assert "anna   Anna's phone 📱   2" in row
    for command in ["status", "user list"]:
        assert "just now (Anna's phone 📱)" in running.operate(*command.split())
    (anna, _) = running.answer("status")["users"]
    assert anna["last_device"] == "Anna's phone 📱"
    # Whoever has a name may be called by it.
    assert "is now called phone" in running.operate("device", "name", "Anna's phone 📱", "phone")
    running.operate("device", "name", second.id, "")
    assert {device["name"] for device in running.devices()} == {"phone", None}
    running.operate("device", "revoke", "phone")
    assert is_asked_to_log_in(first)
    assert second.sync() == "NO_CHANGES"


@pytest.mark.parametrize("name", ["two\nlines", "\x1b[2J", "x" * 61, " "])
def test_a_name_that_would_garble_lists_is_refused(running, pair, name):
    first, _ = pair
    assert "a device's name" in running.operate("device", "name", first.id, name, status=64)
    assert {device["name"] for device in running.devices()} == {None}


def test_two_devices_of_one_name_are_told_apart_by_their_ids(running, pair):
    for device in pair:
        running.operate("device", "name", device.id, "phone")
    assert "more than one device" in running.operate("device", "revoke", "phone", status=69)
    assert len(ids(running)) == 2


def test_a_name_in_a_file_is_no_matter_to_others_and_bad_ones_cost_nothing_else(running, pair):
    first, second = pair
    running.operate("device", "name", first.id, "phone")
    running.stop()
    files = {device: devices_folder(running) / device.id for device in pair}
    content = json.loads(files[first].read_text())
    assert content["name"] == "phone" and content["client"]
    # What older versions have written.
    assert "name" not in json.loads(files[second].read_text())
    files[first].write_text(json.dumps(dict(content, name="x" * 10_000)))
    running.start()
    assert first.sync() == second.sync() == "NO_CHANGES"
    assert len(ids(running)) == 2
    assert "cannot be read" not in running.log_text()


def test_a_revoked_device_has_to_log_in_and_the_other_goes_on(running, pair):
    first, second = pair
    told = running.operate("device", "revoke", first.id[:6])
    assert told.startswith(f"{first.id[:8]} of anna (")
    assert is_asked_to_log_in(first)
    assert second.sync() == "NO_CHANGES"
    assert ids(running) == [second.id]
    states = {device["id"]: device["state"] for device in running.devices("--all")}
    assert states == {first.id: "revoked", second.id: "logged_in"}
    logged_in(first)
    assert first.sync() == "NO_CHANGES"
    assert len(ids(running)) == 2


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_revocation_outlives_the_server(running, pair, end):
    first, second = pair
    running.operate("device", "revoke", first.id)
    getattr(running, end)()
    running.start()
    assert is_asked_to_log_in(first)
    assert second.sync() == "NO_CHANGES"


def test_what_is_known_outlives_a_restart(running, pair):
    before = running.devices()
    running.restart()
    assert running.devices() == before


def test_a_sync_that_a_revoked_device_has_under_way_comes_to_nothing(running, pair, new_gate):
    first, second = pair
    first.add_note("from a", "stolen phone")
    gate = first.server = new_gate(running, "/sync/finish")
    syncing = Background(first.sync)
    gate.wait()
    running.operate("device", "revoke", first.id)
    # The other one need not wait for it.
    began = time.monotonic()
    second.add_note("meanwhile", "here")
    assert second.sync() == "NO_CHANGES"
    assert time.monotonic() - began < 4
    gate.release()
    with pytest.raises(Exception, match="password was incorrect"):
        syncing.wait()
    assert len(second.rows()["notes"]) == 4


def test_a_revocation_waits_for_no_step_that_takes_long(running, pair):
    first, second = pair
    second.add_note("long", "step")
    # The step waits for the lock, as long as SQLite does.
    with closing(sqlite3.connect(running.folder("anna") / "collection.anki2")) as other:
        other.execute("begin immediate")
        syncing = Background(lambda: pytest.raises(ClientError, second.sync))
        time.sleep(1.5)
        running.operate("device", "revoke", first.id)
        assert syncing.is_alive()
        syncing.wait()
    assert is_asked_to_log_in(first)
    assert second.sync() == "NO_CHANGES"


def test_an_upload_that_a_revoked_device_has_under_way_comes_to_nothing(running, pair, new_gate):
    first, second = pair
    first.change("add_many", count=8_000, text="some text to be uploaded")
    gate = first.server = new_gate(running, "/sync/upload", after=32 * 1024)
    upload = Background(first.upload)
    gate.wait()
    running.operate("device", "revoke", first.id)
    gate.release()
    with pytest.raises(Exception, match="password was incorrect"):
        upload.wait()
    assert second.sync() == "NO_CHANGES"


@pytest.mark.parametrize("path", ["/sync/download", "/sync/meta", "/msync/mediaSanity"])
def test_a_request_that_a_revoked_device_holds_open_is_refused(running, pair, path):
    _, second = pair
    thief = Account(running)
    (id,) = set(ids(running)) - {device.id for device in pair}
    with closing(Connection(running)) as connection:
        connection.send_head(path, thief.key)
        body = frame(META)
        connection.send_chunk(body[:4])
        running.operate("device", "revoke", id)
        connection.send_chunk(body[4:])
        connection.send_end()
        assert connection.reply().status == 403
    assert second.sync() == "NO_CHANGES"


def test_all_devices_of_one_user_at_once(running, pair, new_device):
    ben = with_notes(new_device(running, "ben"))
    running.operate("device", "revoke", "--all", "anna")
    assert all(is_asked_to_log_in(device) for device in pair)
    assert ben.sync() == "NO_CHANGES"


def test_what_names_no_device_revokes_none(running, pair):
    first, _ = pair
    for name in ["abc", "no such device", first.id[:3], "", "0" * 24]:
        running.operate("device", "revoke", first.id, "--", name, status=69)
    running.operate("device", "revoke", status=64)
    assert len(ids(running)) == 2


def test_a_new_password_leaves_no_device_on_the_list(running, pair):
    running.operate("user", "passwd", "anna", given="new")
    assert ids(running) == []
    assert {device["state"] for device in running.devices("--all")} == {"logged_out"}


def test_a_damaged_file_costs_one_record_and_lets_nobody_in(running, pair):
    first, second = pair
    running.operate("device", "revoke", first.id)
    running.stop()
    names = [f"{first.id}.revoked", second.id]
    assert sorted(names) == sorted(path.name for path in devices_folder(running).iterdir())
    for name in names:
        (devices_folder(running) / name).write_bytes(b"damaged" * 1000)
    running.start()
    assert is_asked_to_log_in(first)
    assert second.sync() == "NO_CHANGES"
    assert ids(running) == [second.id]
    log = running.log_text()
    assert "the device stays revoked" in log and "is written again" in log
    # Both have been seen in the same second, and so in any order.
    assert sorted(ids(running, "--all")) == sorted([second.id, first.id])


def test_a_list_that_is_lost_is_told_and_made_anew(running, pair):
    running.stop()
    shutil.rmtree(devices_folder(running))
    running.start()
    assert all(device.sync() == "NO_CHANGES" for device in pair)
    assert running.log_text().count("Devices that were revoked can sync again") == 1
    assert set(ids(running)) == {device.id for device in pair}


def test_nobody_gets_in_while_it_is_not_known_who_was_revoked(running, pair):
    running.stop()
    kept = devices_folder(running).rename(running.base / "kept")
    devices_folder(running).write_text("in the way")
    running.start()
    for device in pair:
        with pytest.raises(ClientError):
            device.sync()
    assert "which says whether this one was revoked" in running.log_text()
    devices_folder(running).unlink()
    kept.rename(devices_folder(running))
    assert all(device.sync() == "NO_CHANGES" for device in pair)


@contextmanager
def unwritable(path):
    """For root too."""
    kept = path.rename(path.with_name("kept"))
    path.write_text("in the way")
    yield
    path.unlink()
    kept.rename(path)


def test_what_cannot_be_written_hinders_nobody_and_is_caught_up_with(running, pair):
    first, second = pair
    stored(running)
    with unwritable(devices_folder(running)):
        first.add_note("in spite of", "that")
        assert first.sync() == second.sync() == "NO_CHANGES"
        told = running.operate("device", "revoke", first.id, status=69)
        assert "After a restart of the server it can sync again" in told
        assert is_asked_to_log_in(first)
        time.sleep(6)
    assert running.log_text().count("the list of devices cannot be saved") == 1
    time.sleep(6)
    running.kill()
    running.start()
    assert is_asked_to_log_in(first)
    assert second.sync() == "NO_CHANGES"


def test_a_revocation_is_on_disk_name_and_all_before_it_is_confirmed(running, pair, tmp_path):
    """What is not asked of the disk by then, a power cut takes back."""
    first, _ = pair
    apt.provide("strace")
    log = tmp_path / "calls"
    with traced(running, log, "--decode-fds=path", "-e", "trace=rename,renameat,renameat2,fsync,fdatasync,sendto,write"):
        running.operate("device", "revoke", first.id)
    calls = log.read_text().splitlines()
    folder = str(devices_folder(running))

    def at(*words):
        return next(n for n, line in enumerate(calls) if all(word in line for word in words))

    content = at("fsync", f"{first.id}.new")
    name = at("rename", f"{first.id}.revoked")
    last = at("fsync(", f"<{running.base}>")
    answer = at('{\\"done\\":')
    assert content < name < at("fsync", f"<{folder}>") < last < answer


def test_the_devices_move_with_their_user(running, pair):
    first, second = pair
    running.operate("device", "revoke", first.id)
    running.operate("user", "rename", "anna", "ann")
    running.restart()
    states = {device["id"]: device["state"] for device in running.devices("ann", "--all")}
    assert states == {first.id: "revoked", second.id: "logged_out"}
    running.operate("user", "rename", "ann", "anna")
    assert is_asked_to_log_in(first)
    assert second.sync() == "NO_CHANGES"


def test_what_an_earlier_version_knew_is_taken_over(running, pair):
    first, second = pair
    stored(running)
    running.stop()
    earlier = running.base / ".anki-syncd" / "devices.db"
    become_earlier(running, earlier, revoked=first.id)
    running.start()
    assert is_asked_to_log_in(first)
    assert second.sync() == "NO_CHANGES"
    assert not earlier.exists()
    # Where an earlier version says that it does not know of revocations.
    assert earlier.with_name("devices.db.taken-over").exists()
    running.restart()
    assert is_asked_to_log_in(first)
    assert len(ids(running, "--all")) == 2


def test_without_what_an_earlier_version_knew_nobody_is_let_in(running, pair):
    first, _ = pair
    stored(running)
    running.stop()
    earlier = running.base / ".anki-syncd" / "devices.db"
    become_earlier(running, earlier, revoked=first.id)
    devices_folder(running).write_text("in the way")
    with pytest.raises(RuntimeError, match="cannot be written to the users' folders"):
        running.start()
    assert earlier.exists()
    devices_folder(running).unlink()
    running.start()
    assert is_asked_to_log_in(first)


def become_earlier(server, path, revoked):
    """The files as they were before each user's devices had a folder."""
    with closing(sqlite3.connect(path)) as database, database:
        database.executescript(
            """
            create table device (
                id text primary key, user text not null, first_seen integer not null,
                last_seen integer not null, client text not null, address text not null,
                last_sync integer, last_action text, revoked integer, password integer not null
            ) without rowid;
            pragma user_version = 1;
            """
        )
        for file in devices_folder(server).iterdir():
            known = json.loads(file.read_text())
            names = ("first_seen", "last_seen", "client", "address", "last_sync", "last_action")
            row = [file.name, "anna", *(known[name] for name in names)]
            when = known["last_seen"] if file.name == revoked else None
            database.execute(
                f"insert into device values ({', '.join('?' * 10)})", [*row, when, known["password"]]
            )
    shutil.rmtree(devices_folder(server))
