"""Backups while devices sync: each is whole, and one that a server could serve."""

import hashlib
import json
import shutil
import signal
import sqlite3
import threading
import time
from contextlib import closing

import pytest

from harness import collection
from harness.agreement import settle
from harness.device import ClientError


@pytest.fixture
def seconds(long):
    return 60 if long else 10


class Syncing(threading.Thread):
    """A device that is changed and synced without a pause, and what its collection was each time."""

    def __init__(self, device, chance):
        super().__init__(daemon=True)
        self.device, self.chance = device, chance
        self.states = {}
        self.syncs = self.uploads = 0
        self.enough = threading.Event()
        self.failure = None
        self.note()

    def note(self):
        content = self.device.content()
        self.states[collection.stamps(self.device.path)[0]] = content

    def run(self):
        try:
            while not self.enough.is_set():
                self.change()
                if self.syncs % 7 == 6:
                    self.device.upload()
                    self.uploads += 1
                else:
                    assert self.device.sync() == "NO_CHANGES", "a full sync is asked for"
                self.syncs += 1
                self.note()
                self.device.put_media(f"{self.syncs % 20}.bin", self.chance.randbytes(3000))
                self.device.sync_media()
        except (ClientError, AssertionError) as failure:
            self.failure = failure

    def change(self):
        added = self.device.change("add_many", count=60, text=f"round {self.syncs}")
        self.device.edit_note(added[0], "edited", "at once")
        self.device.change("delete_many", note_ids=added[-5:])
        self.device.change("study", deck=1, cards=2)

    def end(self):
        self.enough.set()
        self.join()
        if self.failure:
            raise self.failure


def test_every_backup_during_continuous_syncing_is_a_state_between_two_syncs(
    ours, new_device, tmp_path, chance, seconds
):
    device = new_device(ours)
    device.login()
    device.add_note("first", "note")
    device.upload()
    syncing = Syncing(device, chance)
    syncing.start()
    deadline = time.monotonic() + seconds
    made = []
    while time.monotonic() < deadline:
        made.append(ours.answer("backup", "anna", "--to", tmp_path / "backups")["folder"])
    syncing.end()

    seen = set()
    for folder in made:
        copy = tmp_path / "backups" / folder / "anna"
        assert collection.integrity(copy / "collection.anki2") == "ok"
        state = collection.stamps(copy / "collection.anki2")[0]
        assert state in syncing.states, "not a state between two syncs"
        differences = collection.differences(
            syncing.states[state], collection.content(copy / "collection.anki2")
        )
        assert not differences
        media_agree(copy)
        seen.add(state)
    print(
        f"{len(made)} backups of {len(seen)} states, {syncing.syncs} syncs,"
        f" {syncing.uploads} of them uploads"
    )
    assert len(seen) > 1
    assert syncing.uploads > 0
    settle([device])


def media_agree(folder):
    if not (folder / "media.db").exists():
        return
    with closing(sqlite3.connect(folder / "media.db")) as database:
        assert database.execute("pragma integrity_check").fetchone() == ("ok",)
        recorded = database.execute(
            "select fname, lower(hex(csum)) from media where size > 0 order by fname"
        ).fetchall()
    stored = [
        (path.name, hashlib.sha1(path.read_bytes()).hexdigest())
        for path in sorted((folder / "media").iterdir())
    ]
    assert sorted(stored) == sorted(recorded)


def test_a_backup_can_be_served(ours, start_server, new_device, tmp_path):
    first = new_device(ours)
    first.login()
    first.add_note("front", "back")
    first.review(1)
    first.upload()
    first.put_media("one.txt", b"1")
    first.sync_media()
    report = ours.answer("backup", "--to", tmp_path / "backups")
    assert [user["user"] for user in report["users"]] == ["anna", "ben"]
    server = start_server("ours", base=tmp_path / "backups" / report["folder"])
    second = new_device(server)
    second.login()
    assert second.sync() == "FULL_DOWNLOAD"
    second.download()
    second.sync_media()
    assert second.content() == first.content()
    assert second.media() == {"one.txt": b"1"}


def test_media_that_have_not_changed_are_on_the_disk_once_and_old_backups_go(
    ours, new_device, tmp_path
):
    device = new_device(ours)
    device.login()
    device.add_note("front", "back")
    device.upload()
    for name in ["same", "other"]:
        device.put_media(f"{name}.bin", name.encode() * 1000)
    device.sync_media()
    backups = tmp_path / "backups"
    before = ours.answer("backup", "--to", backups, "--copy")
    device.put_media("other.bin", b"replaced")
    device.sync_media()
    after = ours.answer("backup", "--to", backups, "--copy")
    media = [backups / report["folder"] / "anna/media" for report in (before, after)]
    assert [(folder / "other.bin").read_bytes() for folder in media] == [
        b"other" * 1000,
        b"replaced",
    ]
    same = {(folder / "same.bin").stat().st_ino for folder in media}
    assert len(same) == 1
    assert same != {(ours.folder("anna") / "media/same.bin").stat().st_ino}
    assert after["users"][0]["new"] == {"files": 1, "bytes": len(b"replaced")}
    last = ours.answer("backup", "--to", backups, "--keep", 1)
    assert set(last["removed"]) == {before["folder"], after["folder"]}
    assert sorted(path.name for path in backups.glob("2*")) == [last["folder"].rsplit("/")[-1]]
    assert (backups / last["folder"] / "anna/media/same.bin").read_bytes() == b"same" * 1000


def test_a_damaged_collection_is_told_of_and_all_else_is_backed_up(ours, new_device, tmp_path):
    for user in ["anna", "ben"]:
        device = new_device(ours, user)
        device.login()
        device.add_note("front", "back")
        device.upload()
    device = new_device(ours, "anna")
    device.login()
    device.download()
    device.put_media("one.txt", b"1")
    device.sync_media()
    ours.stop()
    (ours.folder("anna") / "collection.anki2").write_bytes(b"not a database" * 100)
    ours.start()
    done = ours.attempt("backup", "--to", tmp_path / "backups", "--json")
    assert done.returncode == 69
    assert "anna: the collection is damaged" in done.stderr
    assert "restore anna --list" in done.stderr
    [failed] = json.loads(done.stdout)["failed"]
    assert failed["user"] == "anna"
    [backup] = (tmp_path / "backups").glob("2*")
    assert {path.name for path in (backup / "anna").iterdir()} == {"media", "media.db"}
    assert (backup / "anna/media/one.txt").read_bytes() == b"1"
    assert (backup / "ben/collection.anki2").exists()


@pytest.mark.parametrize(
    ("gone", "words"),
    [("", "is missing or empty"), ("collection.anki2", "the collection is missing, but")],
    ids=["the folder", "the collection"],
)
def test_data_that_have_vanished_are_told_of_and_push_no_backup_out(
    ours, new_device, tmp_path, gone, words
):
    device = new_device(ours)
    device.login()
    device.add_note("front", "back")
    device.upload()
    made = ours.answer("backup", "--to", tmp_path / "backups", "--keep", 1)["folder"]
    ours.stop()
    vanished = ours.folder("anna") / gone
    vanished.unlink() if gone else shutil.rmtree(vanished)
    ours.start()
    for _ in range(2):
        done = ours.attempt("backup", "--to", tmp_path / "backups", "--keep", 1)
        assert done.returncode == 69
        assert "anna: " in done.stderr and words in done.stderr
        assert (tmp_path / "backups" / made / "anna/collection.anki2").exists()


def test_the_server_knows_who_was_backed_up_when(ours, new_device, tmp_path):
    device = new_device(ours)
    device.login()
    device.add_note("front", "back")
    device.upload()

    def last():
        return {user["name"]: user["last_backup"] for user in ours.answer("status")["users"]}

    (tmp_path / "file").write_text("")
    ours.operate("backup", "--to", tmp_path / "file", status=73)
    assert last() == {"anna": None, "ben": None}
    ours.operate("backup", "--to", tmp_path / "backups")
    assert abs(last()["anna"] - time.time()) < 60
    assert last()["ben"] is None
    assert "LAST BACKUP" in ours.operate("status")


def test_a_server_that_ends_takes_no_incomplete_backup_for_one(ours, new_device, tmp_path):
    """A command that is held up in the middle of the media, while the server is told to end."""
    device = new_device(ours)
    device.login()
    device.add_note("front", "back")
    device.upload()
    device.put_media("first", b"1")
    device.sync_media()
    # Nothing keeps the command longer than a file that is large and has to be read.
    (ours.folder("anna") / "media/second").write_bytes(b"2" * 300_000_000)
    command = ours.begin("backup", "anna", "--to", tmp_path / "backups", "--copy")
    partial = tmp_path / "backups/.partial/anna/media"
    deadline = time.monotonic() + 30
    while not (partial / "second").exists():
        assert time.monotonic() < deadline and command.poll() is None
    command.send_signal(signal.SIGSTOP)
    ours.stop()
    command.send_signal(signal.SIGCONT)
    _, told = command.communicate(timeout=60)
    assert command.returncode == 69
    assert "the server ended before the backup was complete" in told
    assert list((tmp_path / "backups").glob("2*")) == []


def test_nothing_is_left_of_a_backup_that_was_interrupted(ours, tmp_path):
    (tmp_path / "backups/.partial/anna").mkdir(parents=True)
    ours.operate("backup", "--to", tmp_path / "backups")
    left = {path.name for path in (tmp_path / "backups").iterdir()}
    assert len(left) == 2 and ".lock" in left
    time.sleep(0.5)
    assert list(ours.base.glob("*/.anki-syncd/backup/*")) == []


def test_a_backup_on_the_disk_of_the_data_is_warned_of(ours, tmp_path):
    done = ours.attempt("backup", "anna", "--to", tmp_path / "backups")
    assert done.returncode == 0
    assert "same disk" in done.stderr and "backup_to" in done.stderr
