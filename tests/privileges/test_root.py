"""Started as root outside systemd: root's rights are gone before anybody is served."""

import os
import signal
import socket
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path

import pytest

from harness.raw import Account

CONFIGURATION_ERROR = 78


def run(server):
    """Runs it in the foreground, where it is expected to end."""
    return subprocess.run(
        server.command, env=server.environment(), capture_output=True, text=True, timeout=20
    )


def threads(server):
    """The state of each, as the kernel tells it."""
    for task in Path(f"/proc/{server.process.pid}/task").iterdir():
        lines = (task / "status").read_text().splitlines()
        yield {name: value.split() for name, value in (line.split(":", 1) for line in lines)}


def owners(folder):
    paths = [folder, *folder.rglob("*")]
    return {(path.lstat().st_uid, path.lstat().st_gid) for path in paths}


def wait_for(server, text):
    deadline = time.monotonic() + 10
    while text not in server.log_text():
        assert time.monotonic() < deadline, server.log_text()
        time.sleep(0.05)


def test_nothing_of_root_is_left(as_root, account):
    server = as_root().start()
    states = list(threads(server))
    assert len(states) > 1
    for state in states:
        # Real, effective, saved, and the file system's.
        assert state["Uid"] == [str(account.uid)] * 4
        assert state["Gid"] == [str(account.gid)] * 4
        assert sorted(map(int, state["Groups"])) == account.groups
        # The bounding set is no right: it limits what executing a program could bring, and
        # that can bring none.
        for rights in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
            assert int(state[rights][0], 16) == 0, rights
        assert state["NoNewPrivs"] == ["1"]


def test_a_real_client_syncs_over_a_port_below_1024(as_root, account, new_device):
    server = as_root().start()
    assert server.port < 1024
    assert server.users_file.stat().st_mode & 0o777 == 0o600
    first, second = new_device(server), new_device(server)
    first.login()
    first.add_note("front", "back")
    first.put_media("picture.png", b"not really one")
    first.upload()
    first.sync_media()
    second.login()
    second.download()
    second.sync_media()
    second.add_note("more", "")
    assert second.sync() == "NO_CHANGES"
    assert second.media() == first.media() != {}
    assert server.stop() == 0
    assert owners(server.base) == {(account.uid, account.gid)}


def test_what_root_left_in_the_folder_is_handed_over(as_root, account, new_device):
    former = as_root("--allow-root", run_as=None).start()
    device = new_device(former)
    device.login()
    device.add_note("root's", "")
    device.put_media("picture.png", b"not really one")
    device.upload()
    device.sync_media()
    assert former.stop() == 0
    assert owners(former.base) == {(0, 0)}

    device.server = server = as_root().start()
    device.add_note("the account's", "")
    assert device.sync() == "NO_CHANGES"
    device.put_media("other.png", b"nor this")
    device.sync_media()
    assert server.stop() == 0
    assert owners(server.base) == {(account.uid, account.gid)}


def test_folders_that_are_missing_above_it_let_the_account_pass(as_root, place):
    server = as_root(base=place / "a" / "b" / "base").start()
    assert Account(server).meta()["empty"]


def test_nothing_outside_the_folder_is_handed_over(as_root, account, place):
    """Whoever had the account before may have left traps for root."""
    outside = place / "outside"
    outside.mkdir()
    victim = outside / "file"
    victim.write_text("root's")
    base = place / "base"
    folder = base / "anna" / "media"
    folder.mkdir(parents=True)
    collection_in(base / "anna")
    os.symlink(outside, base / "anna" / ".anki-syncd")
    os.symlink(outside, folder / "folder")
    os.symlink(victim, folder / "symlink")
    os.link(victim, folder / "hardlink")
    (folder / "plain").write_text("")
    third = folder / "third"
    third.write_text("")
    os.chown(third, 1, 1)

    server = as_root(base=base).start()
    assert (folder / "plain").stat().st_uid == account.uid
    assert owners(outside) == {(0, 0)}
    assert third.stat().st_uid == 1
    assert "hardlink still belongs to root" in server.log_text()


def test_a_folder_of_other_things_is_not_handed_over(as_root, place):
    base = place / "shared"
    collection_in(base / "anna")
    (base / "www").mkdir()
    ended = run(as_root(base=base))
    assert ended.returncode == CONFIGURATION_ERROR
    assert f"{base}/www" in ended.stderr
    assert owners(base) == {(0, 0)}


@pytest.mark.parametrize("prepare", ["media", "media_database", "text", "link", "folder"])
def test_what_only_looks_like_a_users_folder_is_not_handed_over(as_root, place, prepare):
    """Other programs have folders called media as well."""
    base = place / "shared"
    collection_in(base / "anna")
    other = base / "films"
    (other / "media").mkdir(parents=True)
    (other / "media" / "film.mp4").write_text("")
    if prepare == "media_database":
        with closing(sqlite3.connect(other / "media.db")) as database:
            database.execute("create table media (path)")
    if prepare == "text":
        (other / "collection.anki2").write_text("my cards")
    if prepare == "link":
        (other / "collection.anki2").symlink_to(base / "anna" / "collection.anki2")
    if prepare == "folder":
        (other / "collection.anki2").mkdir()
    ended = run(as_root(base=base))
    assert ended.returncode == CONFIGURATION_ERROR
    assert f"contains {base}/films" in ended.stderr
    assert owners(base) == {(0, 0)}


@pytest.mark.parametrize("what", ["nothing", "own", "collection", "media"])
def test_a_folder_of_users_folders_is_handed_over(as_root, account, place, what):
    base = place / "base"
    anna = base / "anna"
    base.mkdir()
    if what == "own":
        (anna / ".anki-syncd").mkdir(parents=True)
    if what == "collection":
        collection_in(anna)
    if what == "media":
        (anna / "media").mkdir(parents=True)
        with closing(sqlite3.connect(anna / "media.db")) as database:
            database.execute("create table media (fname)")
            database.execute("create table meta (usn)")
    as_root(base=base).start()
    assert owners(base) == {(account.uid, account.gid)}


def collection_in(folder):
    """Of which only the kind matters."""
    folder.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(folder / "collection.anki2")) as database:
        database.execute("create table col (id integer primary key)")


@pytest.mark.parametrize("by_root", [False, True], ids=["dropped", "allow-root"])
def test_it_cannot_write_outside_its_folder_even_where_everybody_may(
    as_root, account, place, by_root
):
    """The media folder is steered elsewhere, by a symbolic link that is followed."""
    places = {"anna": place / "outside", "ben": place / "base" / "inside"}
    for user, target in places.items():
        target.mkdir(parents=True)
        target.chmod(0o777)
        collection_in(place / "base" / user)
        os.symlink(target, place / "base" / user / "media")
    collection_in(place / "base" / "inside")
    (place / "base" / "inside" / "media").mkdir()
    server = as_root("--allow-root", run_as=None) if by_root else as_root()
    server.start()
    if "has no Landlock" in server.log_text():
        pytest.skip("this kernel has no Landlock")
    assert "Landlock restricts writing" in server.log_text()

    statuses = {}
    for user in places:
        statuses[user] = Account(server, user).upload_media({"picture.png": b"x"}).status
    assert statuses == {"anna": 500, "ben": 200}
    assert list(places["anna"].iterdir()) == []
    assert (places["ben"] / "picture.png").read_bytes() == b"x"
    # By rights on files it could have.
    subprocess.run(["touch", places["anna"] / "other"], user=account.uid, check=True)


@pytest.mark.parametrize(
    ("run_as", "sentence"),
    [
        ("no-such-account", 'there is no account "no-such-account"'),
        ("root", "still has root's rights"),
    ],
)
def test_it_refuses_to_serve_as_root(as_root, run_as, sentence):
    server = as_root(run_as=run_as)
    ended = run(server)
    assert ended.returncode == CONFIGURATION_ERROR
    assert sentence in ended.stderr


def test_it_serves_as_root_when_told_to(as_root):
    server = as_root("--allow-root", run_as=None).start()
    assert Account(server).meta()["empty"]
    assert all(state["Uid"] == ["0"] * 4 for state in threads(server))


def test_a_reload_that_may_not_read_the_users_keeps_them_and_says_so(as_root):
    server = as_root().start()
    device = Account(server)
    server.users_file.write_text("somebody:else\n")
    server.process.send_signal(signal.SIGHUP)
    wait_for(server, "not reloaded, so the former settings and users stay in use")
    told = next(line for line in server.log_text().splitlines() if "not reloaded" in line)
    assert str(server.users_file) in told and "Permission denied" in told
    assert device.meta()["empty"]
    assert Account(server, "ben").meta()["empty"]


def test_systemd_is_asked_for_patience_while_the_folder_is_handed_over(as_root, place):
    media = place / "base" / "anna" / "media"
    media.mkdir(parents=True)
    collection_in(media.parent)
    for number in range(1000):
        (media / str(number)).touch()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.settimeout(10)
        path = place / "notify"
        listening.bind(str(path))
        path.chmod(0o666)
        server = as_root()
        server.settings["NOTIFY_SOCKET"] = str(path)
        server.start()
        assert listening.recv(4096).startswith(b"EXTEND_TIMEOUT_USEC=")
        assert listening.recv(4096).startswith(b"READY=1")
