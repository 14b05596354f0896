"""Root backs up what a server of another account has prepared, and nothing of anybody else."""

import json
import os
import shutil
import subprocess

import pytest

from harness.server import Server

SUMMARY = dict(cards=1, notes=1, reviews=1, last_review_ms=None, modified_ms=0, schema_changed=0)
# Answers as a server does that somebody has taken over.
SERVER = """
import json, socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
print("ready", flush=True)
while True:
    stream, _ = listener.accept()
    asked = json.loads(stream.makefile().readline())
    if asked["ask"] == "back_up":
        stream.sendall(sys.argv[2].encode() + b"\\n")
        stream.recv(1)
    else:
        stream.sendall(b'{"done": null}\\n')
"""


@pytest.fixture
def prepared(place, account):
    (place / "prepared/media").mkdir(parents=True)
    for name in ["collection.anki2", "media.db", "media/one"]:
        (place / "prepared" / name).write_text("mine")
    for path in [place / "prepared", *(place / "prepared").rglob("*")]:
        shutil.chown(path, account.name)
    return place / "prepared"


@pytest.fixture
def back_up(place, account, prepared):
    """Runs the command, and tells what it makes of the folder that it is told of."""
    own = place / "base/.anki-syncd"
    own.mkdir(parents=True)
    shutil.chown(own, account.name)
    media = dict(files=1, bytes=len("mine"))
    answer = dict(folder=str(prepared), collection=SUMMARY, media=media)
    server = subprocess.Popen(
        ["/usr/bin/python3", "-c", SERVER, own / "control", json.dumps(dict(done=answer))],
        user=account.uid,
        group=account.gid,
        extra_groups=[],
        stdout=subprocess.PIPE,
        cwd="/",
    )
    assert server.stdout.readline() == b"ready\n"
    command = Server("ours", place / "base", place / "log")
    yield lambda: command.attempt("backup", "anna", "--to", place / "backups")
    server.kill()
    server.wait()


def backups(place):
    return {path.name for path in (place / "backups").rglob("*") if path.is_file()} - {".lock"}


def test_what_is_the_accounts_is_taken(place, back_up):
    done = back_up()
    assert done.returncode == 0, done.stderr
    assert backups(place) == {"collection.anki2", "media.db", "one"}


@pytest.mark.parametrize("name", ["collection.anki2", "media.db", "media/one"])
@pytest.mark.parametrize("trap", ["link", "pipe", "roots"])
def test_nothing_of_roots_is_taken_and_nothing_keeps_it_waiting(
    place, prepared, back_up, name, trap
):
    secret = place / "secret"
    secret.write_text("root")
    secret.chmod(0o600)
    path = prepared / name
    path.unlink()
    match trap:
        case "link":
            path.symlink_to(secret)
        case "pipe":
            os.mkfifo(path)
        case "roots":
            path.hardlink_to(secret)
    done = back_up()
    assert done.returncode == 69
    assert str(path) in done.stderr
    assert backups(place) == set()
    assert secret.stat().st_nlink == (2 if trap == "roots" else 1)


@pytest.mark.parametrize("name", ["media", "."])
def test_no_folder_of_roots_is_taken(place, prepared, back_up, name):
    secrets = place / "secrets"
    shutil.copytree(prepared, secrets)
    folder = prepared / name
    shutil.rmtree(folder)
    folder.symlink_to(secrets / name)
    done = back_up()
    assert done.returncode == 69
    assert backups(place) == set()
