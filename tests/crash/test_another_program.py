"""Another program looks into a collection while the server has it open."""

import subprocess
import sys

LOOK = """
import sqlite3, sys
database = sqlite3.connect(sys.argv[1])
print(database.execute("select count(*) from notes").fetchone()[0])
database.close()
"""


def look_into(collection):
    """In a process of its own, since SQLite's locks are a process's."""
    done = subprocess.run([sys.executable, "-c", LOOK, collection], check=True, capture_output=True)
    return int(done.stdout)


def test_a_sync_after_a_download_and_a_look_from_outside_survives_a_kill(ours, new_device):
    first, second = new_device(ours), new_device(ours)
    for device in (first, second):
        device.login()
    first.add_note("first", "note")
    first.upload()
    for number in (2, 3):
        second.download()
        assert look_into(ours.folder("anna") / "collection.anki2") == number - 1
        first.add_note("note", f"{number}")
        assert first.sync() == "NO_CHANGES"
        ours.kill()
        ours.start()
        second.download()
        assert len(second.rows()["notes"]) == number
