"""`anki-syncd user` while real clients sync."""

import json
import signal
import socket
import subprocess
import time
from contextlib import closing

import pytest

from harness.device import ClientError
from harness.raw import Account
from harness.steps import Background, is_asked_to_log_in, logged_in, with_notes

BEGINNING = 32 * 1024
# A person who adds a user tries at once whether it works.
AT_ONCE = 1


def run(server, *words):
    return subprocess.run(
        [server.command[0], *words],
        env=server.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=20,
    )


def test_a_new_user_logs_in_at_once_and_another_ones_upload_goes_on(running, new_device, new_gate):
    device, witness, dora = (new_device(running, user) for user in ["ben", "ben", "dora"])
    logged_in(device), logged_in(witness)
    device.change("add_many", count=8_000, text="some text to be uploaded")
    gate = device.server = new_gate(running, "/sync/upload", after=BEGINNING)
    upload = Background(device.upload)
    gate.wait()
    process = running.process.pid

    told = running.operate("user", "add", "dora", given="d0ra's first\n")
    began = time.monotonic()
    dora.login("d0ra's first")
    assert time.monotonic() - began < AT_ONCE
    assert "dora can log in" in told and "running server has been updated" in told
    assert dora.status() == "NO_CHANGES"

    gate.release()
    upload.wait()
    witness.download()
    assert witness.rows()["notes"] == device.rows()["notes"]
    assert len(witness.rows()["notes"]) == 8_000
    assert running.process.pid == process


def test_the_file_gets_a_hash_and_keeps_what_else_is_in_it(running, new_device):
    before = "# the family\n\nanna:anna's pass:wörd\n\n# guests\nben:b3n's secret"
    running.write_list(before)
    running.operate("user", "add", "Jürgen Groß", given="ö:ö \n")
    text = running.list.read_text()
    assert text.startswith(f"{before}\nJürgen Groß:$argon2id$v=19$m=19456,t=2,p=1$")
    assert text.endswith("\n")
    assert running.list.stat().st_mode & 0o777 == 0o640
    new_device(running, "Jürgen Groß").login("ö:ö ")
    assert sorted(path.name for path in running.list.parent.iterdir() if "user" in path.name) == [
        "users"
    ]


def test_a_new_password_logs_out_that_users_devices_and_nobody_else(running, new_device):
    anna, ben = with_notes(new_device(running)), with_notes(new_device(running, "ben"))
    told = running.operate("user", "passwd", "anna", given="new\n")
    assert "log in with it on every device" in told
    assert is_asked_to_log_in(anna)
    with pytest.raises(ClientError):
        anna.login()
    logged_in(anna, "new")
    assert anna.sync() == "NO_CHANGES"
    assert ben.sync() == "NO_CHANGES"


def test_a_renamed_user_finds_everything_under_the_new_name(running, new_device):
    device, second = with_notes(new_device(running)), logged_in(new_device(running))
    device.put_media("picture.jpg", b"picture")
    device.sync_media()
    second.download()
    told = running.operate("user", "rename", "anna", "ann")
    assert "with the new name" in told
    assert not running.folder("anna").exists() and running.folder("ann").exists()
    assert is_asked_to_log_in(device)
    with pytest.raises(ClientError):
        device.login()
    for each in (device, second):
        each.user = "ann"
        running.users["ann"] = running.users["anna"]
        logged_in(each)
        # Nothing is uploaded or downloaded anew.
        assert each.status() in ("NO_CHANGES", "NORMAL_SYNC")
    device.add_note("after", "that")
    assert device.sync() == "NO_CHANGES"
    assert second.sync() == "NO_CHANGES"
    second.sync_media()
    assert second.media() == {"picture.jpg": b"picture"}
    assert second.rows()["notes"] == device.rows()["notes"]


def test_a_rename_that_is_broken_off_leaves_all_as_it_was(running, new_device):
    device = with_notes(new_device(running))
    with closing(socket.socket(socket.AF_UNIX)) as command:
        command.connect(str(running.base / ".anki-syncd/control"))
        command.sendall(b'{"ask": "rename", "from": "anna", "to": "ann"}\n')
        assert command.recv(100).startswith(b'{"done"')
    # Whatever makes the server read its settings again.
    running.process.send_signal(signal.SIGHUP)
    device.add_note("after", "that")
    assert device.sync() == "NO_CHANGES"
    running.restart()
    device.add_note("and", "that")
    assert device.sync() == "NO_CHANGES"
    assert not running.folder("ann").exists()


def test_a_rename_rolls_back_what_is_under_way_and_it_succeeds_under_the_new_name(
    running, new_device, new_gate
):
    device = with_notes(new_device(running))
    device.add_note("in the", "middle")
    gate = device.server = new_gate(running, "/sync/finish")
    syncing = Background(device.sync)
    gate.wait()
    running.operate("user", "rename", "anna", "ann")
    gate.release()
    with pytest.raises(ClientError):
        syncing.wait()
    assert not running.folder("anna").exists()
    running.users["ann"] = running.users["anna"]
    device.server, device.user = running, "ann"
    logged_in(device)
    assert device.sync() == "NO_CHANGES"
    witness = logged_in(new_device(running, "ann"))
    witness.download()
    assert witness.rows()["notes"] == device.rows()["notes"]


def test_an_upload_that_was_let_in_under_the_old_name_comes_to_nothing(
    running, new_device, new_gate
):
    device = with_notes(new_device(running))
    kept = device.rows()["notes"]
    device.change("add_many", count=8_000, text="some text to be uploaded")
    gate = device.server = new_gate(running, "/sync/upload", after=BEGINNING)
    upload = Background(device.upload)
    gate.wait()
    running.operate("user", "rename", "anna", "ann")
    gate.release()
    with pytest.raises(ClientError):
        upload.wait()
    assert not running.folder("anna").exists()
    running.users["ann"] = running.users["anna"]
    witness = logged_in(new_device(running, "ann"))
    witness.download()
    assert witness.rows()["notes"] == kept


@pytest.mark.parametrize("taken", ["ben", "folder"])
def test_a_rename_to_a_name_that_is_taken_changes_nothing(running, new_device, taken):
    device = with_notes(new_device(running))
    running.folder("folder").mkdir()
    before = running.list.read_text()
    told = running.operate("user", "rename", "anna", taken, status=64 if taken == "ben" else 69)
    assert taken in told
    assert running.list.read_text() == before
    assert device.sync() == "NO_CHANGES"


def test_a_removed_user_is_out_and_the_data_stay_for_when_the_name_comes_back(running, new_device):
    device = with_notes(new_device(running))
    told = running.operate("user", "remove", "anna")
    assert str(running.folder("anna")) in told
    assert is_asked_to_log_in(device)
    with pytest.raises(ClientError):
        device.login()
    assert (running.folder("anna") / "collection.anki2").exists()
    assert "data already" in running.operate("user", "add", "anna", given="again")
    logged_in(device, "again")
    assert device.sync() == "NO_CHANGES"


def test_data_are_deleted_only_when_asked_for_twice(running, new_device):
    with_notes(new_device(running))
    assert "--yes" in running.operate("user", "remove", "anna", "--delete-data", status=64)
    assert "anna" in running.list.read_text()
    running.operate("user", "remove", "anna", "--delete-data", "--yes")
    assert not running.folder("anna").exists()
    running.operate("user", "add", "anna", given="again")
    running.users["anna"] = "again"
    assert Account(running, "anna").meta()["empty"]


def test_data_that_were_left_can_be_deleted_later(running, new_device):
    with_notes(new_device(running))
    running.stop()
    # Nothing is half done for want of the server.
    running.operate("user", "remove", "anna", "--delete-data", "--yes", status=69)
    assert "anna" in running.list.read_text()
    running.operate("user", "remove", "anna")
    running.start()
    running.operate("user", "remove", "anna", "--delete-data", "--yes")
    assert not running.folder("anna").exists()
    running.operate("user", "remove", "anna", "--delete-data", "--yes", status=64)


def test_data_elsewhere_are_not_said_to_be_removed(running, new_device, tmp_path):
    with_notes(new_device(running))
    running.stop()
    elsewhere = tmp_path / "elsewhere"
    running.folder("anna").rename(elsewhere)
    running.folder("anna").symlink_to(elsewhere)
    running.start()
    told = running.operate("user", "remove", "anna", "--delete-data", "--yes", status=64)
    assert "is a link" in told
    assert (elsewhere / "collection.anki2").exists()


def test_without_a_running_server_the_file_is_enough(listed, new_device):
    assert "not running" in listed.operate("user", "add", "dora", given="d")
    assert json.loads(listed.operate("user", "list", "--json"))[2] == {
        "name": "dora",
        "password": "argon2id",
        "devices": None,
        "last_sync": None,
        "last_device": None,
    }
    # What moves or removes data is the server's to do.
    before = listed.list.read_text()
    assert "not running" in listed.operate("user", "rename", "dora", "dot", status=69)
    assert listed.list.read_text() == before
    listed.start()
    new_device(listed, "dora").login("d")


def test_the_list_shows_who_syncs_and_whose_password_can_be_read(running, new_device):
    running.operate("user", "passwd", "ben", given="hashed")
    with_notes(new_device(running)), logged_in(new_device(running))
    anna, ben = json.loads(running.operate("user", "list", "--json"))
    assert (anna["name"], anna["password"], anna["devices"]) == ("anna", "plain", 2)
    assert abs(anna["last_sync"] - time.time()) < 60
    assert (ben["password"], ben["devices"], ben["last_sync"]) == ("argon2id", 0, None)
    table = running.operate("user", "list")
    assert [line.split() for line in table.splitlines()[:3]] == [
        ["USER", "PASSWORD", "DEVICES", "LAST", "SYNC"],
        ["anna", "plain", "2", "just", "now"],
        ["ben", "argon2id", "0", "never"],
    ]
    assert "user passwd" in table
    assert "secret" not in table


# Of the second line the name can be read, of the third not even that, the fourth is in another
# encoding.
BROKEN = "anna:anna's pass:wörd\nben:$argon2id$hunter2\ncleo hunter2\n".encode() + b"d\xfcrer:x\n"


def write_broken(server):
    server.list.write_bytes(BROKEN)
    server.operate("status")
    server.process.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + 5
    while "line 2" not in server.operate("status"):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_mistake_in_the_list_keeps_out_one_user_until_it_is_corrected(
    running, new_device, tmp_path
):
    anna, ben = with_notes(new_device(running)), with_notes(new_device(running, "ben"))
    write_broken(running)
    anna.add_note("goes", "on")
    assert anna.sync() == "NO_CHANGES"
    with pytest.raises(ClientError) as refused:
        ben.sync()
    # The device does not forget its login.
    assert refused.value.kind != "AUTH"
    with pytest.raises(ClientError) as refused:
        new_device(running, "ben").login()
    assert refused.value.kind == "AUTH"
    listed = {user["name"]: user for user in running.answer("user", "list")}
    assert listed["ben"]["password"] == "unusable"
    running.operate("backup", "--to", tmp_path / "backups")
    assert len(list((tmp_path / "backups").glob("*/ben/collection.anki2"))) == 1
    before = (running.folder("ben") / "collection.anki2").read_bytes()
    running.restart()
    assert (running.folder("ben") / "collection.anki2").read_bytes() == before
    for place in ("line 2", "line 3", "line 4"):
        assert place in running.operate("status")
        assert place in running.operate("user", "list")
        assert place in running.log_text()
    findings = json.loads(running.attempt("check", "--json").stdout)
    entries = [finding for finding in findings if finding["id"] == "users-entry"]
    assert [finding["where"].rpartition(", ")[2] for finding in entries] == ["line 2", "line 3", "line 4"]
    assert "hunter2" not in running.log_text()
    running.write_list("".join(f"{user}:{word}\n" for user, word in running.users.items()))
    time.sleep(4)
    ben.add_note("goes", "on")
    assert ben.sync() == "NO_CHANGES"
    assert anna.sync() == "NO_CHANGES"


def test_commands_work_on_a_list_with_mistakes_and_keep_them(running, new_device):
    write_broken(running)
    running.operate("user", "add", "dora", given="d")
    running.operate("user", "rename", "dora", "dot")
    running.operate("user", "remove", "dot")
    assert running.list.read_bytes() == BROKEN
    told = running.operate("user", "add", "ben", given="b", status=64)
    assert "line 2" in told and "user passwd ben" in told
    assert "user passwd ben" in running.operate("user", "rename", "ben", "benny", status=64)
    running.operate("user", "passwd", "ben", given="b")
    new_device(running, "ben").login("b")
    lines = running.list.read_bytes().splitlines(keepends=True)
    assert lines[1].startswith(b"ben:$argon2id$v=19$")
    assert [lines[0], *lines[2:]] == [line for line in BROKEN.splitlines(keepends=True) if b"ben" not in line]


def test_a_list_in_which_no_line_can_be_used_prevents_the_start_and_is_corrected(listed, new_device):
    listed.list.write_bytes(b"anna:$argon2id$hunter2\n")
    with pytest.raises(RuntimeError, match="line 1"):
        listed.start()
    assert "not running" in listed.operate("user", "passwd", "anna", given="a")
    listed.start()
    new_device(listed).login("a")


def test_a_list_in_which_no_line_can_be_used_any_more_is_not_taken_over(running, new_device):
    anna = with_notes(new_device(running))
    running.list.write_bytes(b"anna:$argon2id$hunter2\n")
    time.sleep(4)
    assert anna.sync() == "NO_CHANGES"
    assert "line 1" in running.log_text()


def test_a_user_who_is_listed_twice_is_changed_by_hand(running, new_device):
    running.write_list("anna:anna's pass:wörd\nben:b\nanna:hunter2\n")
    for words in (["passwd", "anna"], ["remove", "anna"]):
        assert "more than once" in running.operate("user", *words, given="a", status=64)
    logged_in(new_device(running))
    assert "line 3" in running.operate("status")


@pytest.mark.parametrize("name", ["", "../evil", "a/b", ".hidden", " blank", "a:b", "#a", "x\ny"])
def test_a_name_that_cannot_be_one_is_refused(running, name):
    before = running.list.read_text()
    running.operate("user", "add", "--", name, given="password", status=64)
    assert running.list.read_text() == before


@pytest.mark.parametrize("password", ["", "\n", "two\nlines\n", "x" * 2049])
def test_a_password_that_cannot_be_one_is_refused(running, password):
    before = running.list.read_text()
    told = running.operate("user", "add", "dora", given=password, status=64)
    assert "two" not in told
    assert running.list.read_text() == before


def test_users_of_the_environment_are_changed_there(ours):
    done = run(ours, "user", "add", "dora")
    assert done.returncode == 64
    assert "SYNC_USER1" in done.stderr


def test_users_of_the_configuration_file_are_changed_there(running):
    text = running.configuration.read_text()
    running.configuration.write_text(f'{text}users = ["cleo:c"]\n')
    told = running.operate("user", "passwd", "cleo", given="d", status=64)
    assert f"{running.configuration}, line 2" in told


def test_a_printed_hash_is_one_that_the_server_takes(start_server, listed, new_device):
    printed = listed.operate("hash-password", given="s3cret\n").removesuffix("\n")
    users = {"SYNC_USER1": f"anna:{printed}", "SYNC_USER2": f"ben:{printed}"}
    server = start_server("ours", PASSWORDS_HASHED="1", **users)
    new_device(server).login("s3cret")


def test_nothing_secret_gets_into_the_log(running, new_device):
    running.operate("user", "add", "dora", given="d0ra's first")
    running.operate("user", "passwd", "dora", given="d0ra's second")
    logged_in(new_device(running, "dora"), "d0ra's second")
    running.operate("user", "remove", "dora")
    assert "d0ra" not in running.log_text()
    assert "argon2id" not in running.log_text()


def test_a_list_that_is_written_anew_by_hand_logs_nobody_out_meanwhile(running):
    text = running.list.read_text()
    names = [user["name"] for user in running.answer("user", "list")]
    # As some editors do, in steps of their own length.
    running.list.write_text("")
    time.sleep(4)
    assert [user["name"] for user in running.answer("user", "list")] == names
    running.list.write_text(text + "dora:d\n")
    time.sleep(4)
    assert "dora" in [user["name"] for user in running.answer("user", "list")]
