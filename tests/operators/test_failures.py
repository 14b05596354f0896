"""Commands and servers that fail or are killed half way: list, data and server come together."""

import json
import shutil
import signal
import subprocess
import time
from contextlib import suppress

import pytest

from harness import apt
from harness.device import Device
from harness.listed import ListedServer
from harness.raw import Account
from harness.steps import with_notes
from harness.trace import traced, wait_until

WITHIN = 10
RENAMES = "rename,renameat,renameat2"
OPERATIONS = {
    "add": (["user", "add", "dora"], {"anna", "ben", "dora"}),
    "passwd": (["user", "passwd", "anna"], {"anna", "ben"}),
    "remove": (["user", "remove", "anna"], {"ben"}),
    "rename": (["user", "rename", "anna", "ann"], {"ann", "ben"}),
}
# Which call, which of them, and what becomes of it. The first fsync is of the new list, the
# second of its folder. Of what is said to the server, the last is to read the list.
FAULTS = [
    ("fsync", 1, "error=EIO"),
    ("fsync", 2, "error=EIO"),
    ("fsync", 1, "signal=KILL"),
    ("fsync", 2, "signal=KILL"),
    (RENAMES, 1, "error=EIO"),
    (RENAMES, 1, "signal=KILL"),
    ("sendto", 2, "signal=KILL"),
    ("sendto", 2, "error=EPIPE"),
    ("sendto", 3, "signal=KILL"),
    ("sendto", 3, "error=EPIPE"),
]
CASES = [(operation, fault) for operation in OPERATIONS for fault in FAULTS]
# Which is announced before.
CASES += [("rename", ("sendto", 4, fault)) for fault in ("signal=KILL", "error=EPIPE")]


@pytest.fixture(scope="session", autouse=True)
def strace():
    apt.provide("strace")


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """Anna's folder, with notes."""
    folder = tmp_path_factory.mktemp("data")
    server = ListedServer(folder).start()
    device = Device(folder / "device", server, "anna")
    try:
        with_notes(device)
    finally:
        device.end()
        server.stop()
    return server.folder("anna")


@pytest.fixture
def serving(listed, data):
    shutil.copytree(data, listed.folder("anna"))
    return listed.start()


def users(server):
    lines = server.list.read_text().splitlines()
    return {line.partition(":")[0]: line.partition(":")[2] for line in lines}


def known(server):
    with suppress(AssertionError):
        return {user["name"]: user["password"] for user in server.answer("user", "list")}


def agrees(server):
    """The server has the users of the list, with the same kind of password."""
    kind = {
        name: "argon2id" if word.startswith("$argon2id") else "plain"
        for name, word in users(server).items()
    }
    return known(server) == kind


def assert_whole(server, passwords=("anna's pass:wörd", "new")):
    """Whoever has anna's data finds them, and nobody's data are under another name."""
    wait_until(lambda: agrees(server), WITHIN)
    owner = next((name for name in ("anna", "ann") if name in users(server)), None)
    folders = [name for name in ("anna", "ann") if (server.folder(name) / "collection.anki2").exists()]
    assert folders == [owner or "anna"]
    if owner:
        empty = []
        for password in passwords:
            server.users[owner] = password
            # Refused in plain text.
            with suppress(ValueError):
                empty.append(Account(server, owner).meta()["empty"])
        assert empty == [False]


def injected(server, words, call, number, fault):
    """A command that runs into a fault."""
    inject = f"inject={call}:{fault}:when={number}"
    log = server.log.with_suffix(".calls")
    command = ["strace", "--follow-forks", f"--output={log}", "-e", f"trace={call}", "-e", inject]
    done = subprocess.run(
        [*command, server.command[0], *server.arguments, *words],
        env=server.environment(),
        input="new",
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done, "INJECTED" in log.read_text() or "killed by SIGKILL" in log.read_text()


@pytest.mark.parametrize(("operation", "fault"), CASES, ids=lambda part: "-".join(map(str, part)) if isinstance(part, tuple) else part)
def test_a_command_that_fails_or_is_killed(serving, operation, fault):
    words, after = OPERATIONS[operation]
    before = serving.list.read_text()
    done, struck = injected(serving, words, *fault)
    assert struck, "there is no such call"
    text = serving.list.read_text()
    assert text == before or set(users(serving)) == after
    if done.returncode == 0:
        assert text != before
    elif done.returncode > 0 and text != before:
        assert "has been changed" in done.stderr
    assert_whole(serving)
    # Nothing is different when it starts anew.
    serving.restart()
    assert_whole(serving)
    # And the same command does the rest, or has nothing left to do.
    again = serving.attempt(*words, given="new")
    assert again.returncode == (0 if text == before or operation == "passwd" else 64)
    assert set(users(serving)) == after
    assert_whole(serving)


@pytest.mark.parametrize("number", range(1, 9))
@pytest.mark.parametrize("call", ["fsync", RENAMES])
@pytest.mark.parametrize("fault", ["error=EIO", "signal=KILL"])
def test_a_server_that_fails_or_is_killed_while_a_user_is_renamed(serving, tmp_path, call, number, fault):
    calls = tmp_path / "calls"
    inject = ["-e", f"trace={call}", "-e", f"inject={call}:{fault}:when={number}"]
    with traced(serving, calls, *inject):
        done = serving.attempt("user", "rename", "anna", "ann")
    struck = any(word in calls.read_text() for word in ("INJECTED", "SIGKILL"))
    if not struck:
        # There are not so many.
        assert number > 1 and done.returncode == 0
    if fault == "signal=KILL" and struck:
        serving.end(signal.SIGKILL)
        serving.start()
    assert_whole(serving)
    serving.kill()
    serving.start()
    assert_whole(serving)
    if "ann" not in users(serving):
        serving.operate("user", "rename", "anna", "ann")
    assert_whole(serving)
    assert "ann" in users(serving)


def test_a_list_that_a_power_cut_brings_back_gets_the_data_back(serving):
    before = serving.list.read_text()
    serving.operate("user", "rename", "anna", "ann")
    serving.kill()
    serving.list.write_text(before)
    serving.start()
    assert_whole(serving)


def test_names_that_are_used_for_other_people_do_not_get_the_data(serving):
    serving.operate("user", "rename", "anna", "ann")
    serving.operate("user", "add", "anna", given="another anna")
    serving.operate("user", "remove", "ann")
    serving.restart()
    assert (serving.folder("ann") / "collection.anki2").exists()
    serving.users["anna"] = "another anna"
    assert Account(serving, "anna").meta()["empty"]


def test_a_list_that_is_edited_by_hand_is_read_within_seconds(serving):
    with serving.list.open("a") as text:
        text.write("dora:d\n")
    wait_until(lambda: agrees(serving), WITHIN)
    # A mistake changes nothing, and is logged once.
    serving.write_list("no colon\n")
    wait_until(lambda: "has no colon" in serving.log_text(), WITHIN)
    time.sleep(3)
    assert serving.log_text().count("has no colon") == 1
    serving.users["dora"] = "d"
    assert Account(serving, "dora").meta()["empty"]


@pytest.fixture
def sealed(listed, tmp_path, data):
    """A server that has but a copy of the list, as systemd passes it on."""
    shutil.copytree(data, listed.folder("anna"))
    listed.configuration.write_text("")
    copies = tmp_path / "credentials"
    copies.mkdir()
    shutil.copy(listed.list, copies)
    listed.settings["CREDENTIALS_DIRECTORY"] = str(copies)
    listed.start()
    listed.settings["CREDENTIALS_DIRECTORY"] = str(tmp_path)
    return listed


def test_a_server_with_a_copy_hears_of_a_killed_commands_work_with_the_next(sealed):
    done, struck = injected(sealed, ["user", "remove", "ben"], "fsync", 2, "signal=KILL")
    assert struck and "ben" not in users(sealed)
    assert set(known(sealed)) == {"anna", "ben"}
    # Whoever does it again is not left with a server that lets ben in.
    assert "no user ben" in sealed.operate("user", "remove", "ben", status=64)
    assert agrees(sealed)


@pytest.mark.parametrize("next_step", ["command", "restart"])
def test_a_server_with_a_copy_keeps_the_data_with_its_list(sealed, next_step, tmp_path):
    _, struck = injected(sealed, ["user", "rename", "anna", "ann"], "fsync", 2, "signal=KILL")
    assert struck and "ann" in users(sealed)
    # It does not know, and everything is as it was.
    assert not Account(sealed, "anna").meta()["empty"]
    if next_step == "command":
        sealed.operate("user", "add", "dora", given="d")
    else:
        sealed.stop()
        shutil.copy(sealed.list, tmp_path / "credentials")
        sealed.settings["CREDENTIALS_DIRECTORY"] = str(tmp_path / "credentials")
        sealed.start()
    assert_whole(sealed)
    assert sealed.folder("ann").exists()


def test_a_list_that_systemd_will_soon_not_load_is_warned_of(sealed):
    told = sealed.operate("user", "add", "dora", given="d")
    assert "users_file" not in told
    with sealed.list.open("a") as text:
        text.writelines(f"user{number}:{'x' * 100}\n" for number in range(8_200))
    told = sealed.operate("user", "add", "emil", given="e")
    assert "users_file" in told and "status 243" in told
    findings = json.loads(sealed.attempt("check", "--json").stdout)
    assert "users-file-long" in [finding["id"] for finding in findings]


def test_a_user_is_added_to_a_very_long_list(listed):
    listed.write_list("".join(f"user{number}:x{number}\n" for number in range(60_000)))
    listed.operate("user", "add", "dora", given="d")
    assert len(users(listed)) == 60_001
