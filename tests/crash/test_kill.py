"""The server is killed at any moment: what it serves after a restart is whole."""

import hashlib
import sqlite3
import threading
import time
from contextlib import closing, suppress
from http.client import HTTPException

import pytest

from harness import collection
from harness.raw import Account


@pytest.fixture
def rounds(long):
    return 100 if long else 10


def kill_during(server, work, delay):
    """Kills the server a while after the work has begun; the work ends as it may."""

    def until_cut_off():
        with suppress(OSError, HTTPException):
            work()

    thread = threading.Thread(target=until_cut_off)
    thread.start()
    time.sleep(delay)
    server.kill()
    thread.join()


def test_after_a_kill_during_an_upload_the_old_or_the_new_collection_is_there(
    ours, template, tmp_path, chance, rounds
):
    files = [
        collection.grown(template, tmp_path / f"{seed}.anki2", mebibytes=8, seed=seed)
        for seed in (1, 2)
    ]
    contents = [collection.rows(file) for file in files]
    account = Account(ours)
    started = time.monotonic()
    assert account.upload(files[0]).text() == "OK"
    duration = time.monotonic() - started

    stored, taken = 0, 0
    for number in range(rounds):
        offered = 1 - stored
        delay = chance.uniform(0, 2.5 * duration)
        kill_during(ours, lambda: account.upload(files[offered]), delay)  # noqa: B023
        ours.start()
        served = account.download(tmp_path / "served.anki2")
        assert collection.integrity(served) == "ok"
        stored = contents.index(collection.rows(served))
        taken += stored == offered
        # Nothing is lost by it: what was there before is kept.
        kept = collection.snapshots(ours.folder("anna"), tmp_path / "kept")
        assert all(collection.integrity(snapshot) == "ok" for snapshot in kept)
        if stored == offered:
            assert collection.rows(kept[-1]) == contents[1 - offered]
        print(f"round {number}: killed after {delay:.3f} s, taken: {stored == offered}")
    print(f"{taken} of {rounds} uploads were taken")
    assert ours.stop() == 0
    # What the cut off ones had begun to write is gone.
    assert size_of(ours.base) < 4 * files[0].stat().st_size
    snapshots = list((ours.folder("anna") / ".anki-syncd/snapshots").iterdir())
    assert len(snapshots) <= 1 + 5


def size_of(folder):
    """Of all that is not kept on purpose."""
    return sum(
        path.stat().st_size
        for path in folder.rglob("*")
        if path.is_file() and path.parent.name != "snapshots"
    )


def test_after_a_kill_during_media_uploads_folder_and_database_agree(ours, chance, rounds):
    account = Account(ours)
    for number in range(rounds):
        delay = chance.uniform(0, 0.4)
        kill_during(ours, lambda: send_changes_for_ever(account, chance), delay)
        ours.start()
        changes = account.media_changes()
        # Its databases are closed then, and nothing of theirs is in another file.
        assert ours.stop() == 0
        rows = media_rows(ours.folder("anna") / "media.db")
        print(f"round {number}: killed after {delay:.3f} s, {len(rows)} entries")
        assert {(name, usn, sha1) for name, usn, sha1 in changes} == {
            (name, usn, sha1 if size else "") for name, sha1, size, usn in rows
        }
        assert files_in(ours.folder("anna") / "media") == {
            (name, sha1, size) for name, sha1, size, _ in rows if size
        }
        ours.start()


def send_changes_for_ever(account, chance):
    """Batches that add, replace and remove, over a few names so that all of it happens."""
    while True:
        names = chance.sample(range(120), 25)
        account.upload_media({f"Datei {name} ü.bin": some_content(chance) for name in names})


def some_content(chance):
    removed = chance.random() < 0.2
    return None if removed else chance.randbytes(chance.randrange(1, 200_000))


def media_rows(path):
    with closing(sqlite3.connect(path)) as database:
        rows = database.execute("select fname, lower(hex(csum)), size, usn from media").fetchall()
        totals = database.execute(
            "select last_usn, total_bytes, total_nonempty_files from meta"
        ).fetchone()
    sizes = [size for _, _, size, _ in rows if size]
    newest = max((usn for *_, usn in rows), default=0)
    assert totals == (newest, sum(sizes), len(sizes))
    return rows


def files_in(folder):
    contents = {path.name: path.read_bytes() for path in folder.iterdir()}
    return {
        (name, hashlib.sha1(content).hexdigest(), len(content))
        for name, content in contents.items()
    }
