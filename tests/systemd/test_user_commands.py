"""The operator's commands for users and devices against the daemon as installed: the list is
root's, and the daemon has but a copy of it."""

import json
import re
import time

import pytest

from harness.daemon import BASE, CONTROL, SERVICE, USERS_CREDENTIAL
from harness.device import ClientError

PROGRAM = "/usr/bin/anki-syncd"
AT_ONCE = 1
NOT_RUNNING = 69


@pytest.fixture
def operate(daemon):
    def run(*words, given=None):
        return daemon.container.run(PROGRAM, *words, input=given or "").stdout

    return run


def test_a_new_user_logs_in_within_a_second_while_others_go_on(
    daemon, operate, under_way, new_device, tmp_path
):
    work = under_way()
    process = daemon.pid()
    dora = new_device(daemon, "dora")
    told = operate("user", "add", "dora", given="d0ra's first\n")
    began = time.monotonic()
    dora.login("d0ra's first")
    assert time.monotonic() - began < AT_ONCE
    assert "running server has been updated" in told
    work.complete(tmp_path)
    work.check(tmp_path)
    assert daemon.pid() == process


@pytest.mark.parametrize("is_running", [True, False])
def test_a_new_user_is_shown_the_port_that_systemd_listens_on(daemon, operate, is_running):
    if not is_running:
        daemon.systemctl("stop", SERVICE, CONTROL)
    told = operate("user", "add", "dora", given="d\n")
    assert ("running server has been updated" in told) == is_running
    ports = set(re.findall(r"^    http://\S+:(\d+)/$", told, re.MULTILINE))
    assert ports == {str(daemon.port)}, told


@pytest.mark.parametrize(
    ("words", "said"),
    [
        # There are no users, and so no settings that a server could have.
        (["env", "SYNC_BASE=/srv/another", PROGRAM], "no server answers"),
        ([PROGRAM, "--config", "/srv/another.toml"], "not running"),
    ],
    ids=["environment", "file"],
)
def test_commands_for_another_server_do_not_reach_this_one(daemon, words, said):
    daemon.container.write("/srv/another.toml", 'base = "/srv/another"\nusers = ["anna:a"]\n')
    assert daemon.health() == 200
    for command in [["status"], ["device", "list"], ["restore", "anna", "--list"]]:
        done = daemon.container.run(*words, *command, check=False)
        assert (done.returncode, done.stdout) == (NOT_RUNNING, "")
        assert said in done.stderr


@pytest.mark.parametrize("later", ["reload", "restart"])
def test_what_was_changed_is_not_undone(daemon, operate, new_device, later):
    operate("user", "add", "dora", given="d0ra's first")
    operate("user", "passwd", "anna", given="new")
    operate("user", "rename", "ben", "benny")
    operate("user", "remove", "cleo")
    before = len(daemon.messages())
    daemon.systemctl(later, SERVICE)
    daemon.wait_for(lambda: len(daemon.messages()) > before)
    for user, password in [("dora", "d0ra's first"), ("anna", "new"), ("benny", "b3n's secret")]:
        new_device(daemon, user).login(password)
    for user in ["ben", "cleo"]:
        with pytest.raises(ClientError):
            new_device(daemon, user).login(daemon.users[user])


def test_the_list_keeps_its_mode_owner_and_comments(daemon, operate):
    operate("user", "add", "dora", given="d0ra's first")
    text = daemon.container.path(USERS_CREDENTIAL).read_text()
    assert text.startswith("# who may sync\n\nanna:") and "dora:$argon2id$" in text
    listed = daemon.container.output("stat", "-c", "%a %U", USERS_CREDENTIAL)
    assert listed.split() == ["600", "root"]


def test_the_first_user_of_a_fresh_installation(daemon, operate, new_device):
    daemon.container.write(USERS_CREDENTIAL, "", mode=0o600)
    assert "no users yet" in operate("user", "list")
    operate("user", "add", "dora", given="d0ra's first")
    new_device(daemon, "dora").login("d0ra's first")
    daemon.wait_for(lambda: "1 user" in daemon.show("StatusText"))


def test_data_follow_a_rename_and_go_when_told_to(daemon, operate, new_device):
    device = new_device(daemon)
    device.login()
    device.add_note("kept", "here")
    device.upload()
    assert f"{BASE}/ann" in operate("user", "rename", "anna", "ann")
    device.user, daemon.users["ann"] = "ann", daemon.users["anna"]
    device.login()
    assert device.sync() == "NO_CHANGES"
    assert (daemon.folder("ann") / "collection.anki2").exists()
    operate("user", "remove", "ann", "--delete-data", "--yes")
    assert not daemon.folder("ann").exists() and not daemon.folder("anna").exists()


def test_one_of_two_devices_is_logged_out_and_stays_so(daemon, operate, new_device):
    lost, kept = new_device(daemon), new_device(daemon)
    lost.login()
    (device,) = json.loads(operate("device", "list", "--json"))
    kept.login()
    operate("device", "revoke", device["id"][:8])
    for _ in range(2):
        with pytest.raises(ClientError, match="password was incorrect"):
            lost.sync()
        assert kept.sync() == "NO_CHANGES"
        daemon.systemctl("restart", SERVICE)


def test_nothing_secret_gets_into_the_journal(daemon, operate, new_device):
    operate("user", "add", "dora", given="d0ra's first")
    operate("user", "passwd", "dora", given="d0ra's second")
    new_device(daemon, "dora").login("d0ra's second")
    operate("user", "remove", "dora")
    assert "d0ra" not in daemon.log_text()
    assert "$argon2id" not in daemon.log_text()


def test_a_list_that_is_not_the_servers_is_not_put_in_place_of_it(daemon, operate):
    daemon.drop_in("[Service]\nLoadCredential=\nSetCredential=users:emil:pass\n")
    daemon.systemctl("restart", SERVICE)
    done = daemon.container.run(PROGRAM, "user", "add", "dora", input="d", check=False)
    assert done.returncode == 64
    assert "LoadCredentialEncrypted" in done.stderr
    assert [user["name"] for user in json.loads(operate("user", "list", "--json"))] == ["emil"]
