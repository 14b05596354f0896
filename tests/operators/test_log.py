"""The log, as a person reads it who wants to know what happened."""

import re
import shutil
import socket
import sqlite3
import ssl
import time
from contextlib import closing, suppress

import pytest

from harness.device import ClientError
from harness.raw import CLIENT, META, Account, Connection, frame
from harness.steps import logged_in, with_notes

# A device that is silent for so long is done.
QUIET = 5
SIZE = r"\([0-9.]+ (B|[KM]iB)\)"
SECONDS = r"[0-9]+\.[0-9] s"


def lines(server, about="anna", level="INFO"):
    """What the log has about somebody, without what comes before the message and after it."""
    found = [line for line in server.log_text().splitlines() if f"{level} " in line]
    messages = [line.split(f"{level} ", 1)[1] for line in found]
    return [message for message in messages if about in message]


def deeds(server, user="anna"):
    """What the user's devices did, after login: `sent 1, received 0; 0.3 s`."""
    shown = [line for line in lines(server, f"{user} (") if "logged in" not in line]
    return [re.sub(r"^.*?\): (.*? s)\b.*$", r"\1", line) for line in shown]


def after_quiet(server):
    time.sleep(QUIET + 2)
    return deeds(server)


def matches(found, *patterns):
    assert len(found) == len(patterns), found
    for text, pattern in zip(found, patterns, strict=True):
        assert re.fullmatch(pattern, text), (text, pattern)


def test_a_sync_of_cards_and_media_is_one_line(running, new_device):
    first, second = logged_in(new_device(running)), logged_in(new_device(running))
    first.add_note("front", "back")
    for number in range(60):
        first.put_media(f"{number}.bin", b"%d" % number * 1000)
    first.upload()
    first.sync_media()
    second.download()
    second.sync_media()
    matches(
        after_quiet(running),
        rf"uploaded the collection {SIZE}; media: sent 60 {SIZE}; {SECONDS}",
        rf"downloaded the collection {SIZE}; media: received 60 {SIZE}; {SECONDS}",
    )
    first.add_note("one", "more")
    first.put_media("61.bin", b"new")
    first.remove_media("1.bin")
    assert first.sync() == "NO_CHANGES"
    first.sync_media()
    matches(
        after_quiet(running)[2:],
        rf"sent [1-9], received 0; media: sent 1 {SIZE}, removed 1; {SECONDS}",
    )
    # Two devices, by the beginnings of their ids.
    ids = {re.search(r"linux, ([0-9a-f]{8}), from 127", line)[1] for line in lines(running, "(2")}
    assert ids == {device["id"][:8] for device in running.devices()}


def test_syncs_without_changes_count_as_syncs(running, new_device):
    device = with_notes(new_device(running))
    after_quiet(running)
    before = running.devices()[0]["last_sync"]
    assert device.sync() == "NO_CHANGES"
    matches(after_quiet(running)[1:], rf"nothing new; {SECONDS}")
    assert running.devices()[0]["last_sync"] > before
    assert running.devices()[0]["last_action"] == "nothing new"
    # It is known after a restart, too, and to a server that ends at once.
    running.restart()
    assert device.sync() == "NO_CHANGES"
    running.stop()
    matches(deeds(running)[2:], rf"nothing new; {SECONDS}")


def test_a_device_that_asks_only_has_not_synced_what_is_new(running, new_device):
    first, second = with_notes(new_device(running)), logged_in(new_device(running))
    second.download()
    first.add_note("one", "more")
    first.sync()
    assert len(after_quiet(running)) == 3
    synced = {device["last_sync"] for device in running.devices()}
    assert second.status() == "NORMAL_SYNC"
    assert len(after_quiet(running)) == 3
    assert {device["last_sync"] for device in running.devices()} == synced
    # Nor has one that would have to choose first.
    third = logged_in(new_device(running))
    assert third.sync() in ("FULL_SYNC", "FULL_DOWNLOAD")
    assert len(after_quiet(running)) == 3


def test_a_download_that_breaks_off_is_none(running, template, tmp_path):
    large = tmp_path / "large.anki2"
    shutil.copy(template, large)
    with closing(sqlite3.connect(large)) as database, database:
        # More than fits into buffers, however it is compressed.
        database.execute("create table addon as select randomblob(20000000) as content")
    account = Account(running)
    assert account.upload(large).text() == "OK"
    with closing(Connection(running)) as connection:
        connection.send_head("/sync/download", account.key)
        connection.send_last(frame(None))
        connection.socket.recv(100)
    found = after_quiet(running)
    assert "the download of the collection was interrupted after" in found[1], found
    assert not [line for line in found if "downloaded" in line]
    (device,) = running.devices()
    assert device["last_action"].startswith("uploaded the collection (")


def test_changes_of_the_users_are_named(running):
    running.operate("user", "add", "dora", given="d0ra\n")
    running.operate("user", "passwd", "dora", given="d0ra's\n")
    running.operate("user", "rename", "dora", "Dora Two")
    running.operate("user", "remove", "Dora Two")
    running.operate("user", "passwd", "ben", given="b\n")
    named = [line.split(" user=")[0] for line in lines(running, "user ")]
    assert named == [
        "user dora added",
        "user dora has a new password: all of the user's devices have to log in again",
        "user dora renamed to Dora Two",
        "user Dora Two removed",
        "user ben has a new password: all of the user's devices have to log in again",
    ]
    # By hand, too.
    running.write_list("anna:another\ncarl:c\n")
    deadline = time.monotonic() + 10
    while "user carl added" not in running.log_text() and time.monotonic() < deadline:
        time.sleep(0.1)
    named = [line.split(" user=")[0] for line in lines(running, "user ")][5:]
    assert named == [
        "user carl added",
        "user anna has a new password: all of the user's devices have to log in again",
        "user ben removed",
    ]


def test_a_revoked_device_is_named_once_a_minute(running):
    accounts = Account(running), Account(running)
    ids = [device["id"] for device in running.devices()]
    running.operate("device", "revoke", *ids)
    for _ in range(20):
        for account in accounts:
            assert account.post("/sync/meta", META).status == 403
    warned = [line for line in lines(running, level="WARN") if "revoked" in line]
    assert len(warned) == 2
    found = {re.search(r"linux, ([0-9a-f]{8}), from", line)[1] for line in warned}
    assert found == {id[:8] for id in ids}


def test_a_wrong_address_leaves_one_warning_with_the_remedy(running):
    for _ in range(10):
        for path in ("/synchostKey", "/anki/msyncbegin", "/anki/meta"):
            account_less(running, path)
        # What others look for is none of Anki's.
        account_less(running, "/wp-login.php", **{"anki-sync": None})
        tls(running)
    warned = lines(running, "a client at", "WARN")
    assert len(warned) == 3, warned
    assert 'requested "/synchostKey"' in warned[0] and "lacks the slash at the end" in warned[0]
    assert 'requested "/anki/meta"' in warned[1] and "correct the address" in warned[1]
    assert "write http://" in warned[2]
    assert all("a client at 127.0.0.1 " in line for line in warned)


def account_less(server, path, **headers):
    with closing(Connection(server)) as connection:
        connection.send_head(path, **headers)
        connection.send_last(frame({"u": "anna", "p": "secret"}))
        assert connection.reply().status == 404


def tls(server):
    context = ssl.create_default_context()
    with socket.create_connection(server.address, timeout=10) as plain, suppress(OSError):
        context.wrap_socket(plain, server_hostname="localhost")


def test_a_login_that_fails_is_logged_with_the_likely_reason(running, new_device):
    for user, password, reason in [
        ("yuo", "secret", "there is no such user)"),
        ("anna", running.users["anna"] + " ", "typed with a space"),
        ("anna", "wr0ng", "the password is wrong"),
    ]:
        answer = refused_login(running, user, password)
        logged = lines(running, "login failed", "WARN")[-1]
        assert logged.startswith(f'login failed ip=127.0.0.1 user="{user}": unknown user or wrong')
        assert reason in logged
        # Whoever guesses learns nothing from it.
        assert answer == (403, "unknown user or wrong password\n")
    for password in (running.users["anna"], "wr0ng"):
        assert password not in running.log_text()


def refused_login(server, user, password):
    with closing(Connection(server)) as connection:
        reply = connection.post("/sync/hostKey", {"u": user, "p": password})
        return reply.status, reply.text()


def test_a_bare_address_is_enough_for_the_media_of_old_clients(running):
    account = Account(running)
    for path in ("/begin", "/sync/begin", "/sync/msync/begin"):
        assert account.post(path, {"v": CLIENT}).json()["data"]["usn"] == 0
