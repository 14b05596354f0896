"""New users, and nobody who is syncing is disturbed by it."""

import threading
from contextlib import closing

import pytest

from harness.daemon import SERVICE, USERS_CREDENTIAL
from harness.device import ClientError
from harness.raw import Connection

PLAIN_FILE = "/etc/anki-syncd/users.plain"
NEW_USER = {"dora": "d0ra's first"}
# The third line is wrong.
BROKEN = "# who may sync\nanna:pass\nnobody knows what this is\n"


def users_from_a_plain_file(daemon):
    """And from nowhere else: a name in both would be one too many."""
    daemon.configure(users_file=PLAIN_FILE)
    daemon.write_users(PLAIN_FILE, owner="root:anki-syncd")
    daemon.container.write(USERS_CREDENTIAL, "", mode=0o600)


def add_new_user(daemon, **where):
    daemon.users.update(NEW_USER)
    daemon.write_users(**where)


def test_a_restart_lets_a_new_user_in_and_completes_what_is_under_way(
    daemon, under_way, new_device, tmp_path
):
    work = under_way()
    process = daemon.pid()
    add_new_user(daemon)
    restarting = threading.Thread(target=daemon.systemctl, args=("restart", SERVICE))
    restarting.start()
    daemon.wait_for(lambda: daemon.state() == "deactivating")
    # Not yet ended: it waits for both of them.
    restarting.join(1)
    assert restarting.is_alive()
    work.complete(tmp_path)
    restarting.join()
    assert daemon.pid() not in (0, process)
    assert new_device(daemon, "dora").login()
    work.check(tmp_path)


def test_a_reload_lets_a_new_user_in_and_drops_no_connection(
    daemon, under_way, new_device, tmp_path
):
    users_from_a_plain_file(daemon)
    work = under_way()
    process = daemon.pid()
    stranger = new_device(daemon, "dora")
    with pytest.raises(ClientError):
        stranger.login(NEW_USER["dora"])
    add_new_user(daemon, path=PLAIN_FILE, owner="root:anki-syncd")
    daemon.systemctl("reload", SERVICE)
    assert stranger.login()
    work.complete(tmp_path)
    work.check(tmp_path)
    assert daemon.pid() == process


def test_a_reload_with_a_mistake_in_the_users_file_keeps_out_one_user(daemon, new_device):
    users_from_a_plain_file(daemon)
    device, other = new_device(daemon), new_device(daemon, "ben")
    device.login(), other.login()
    broken = BROKEN.replace("pass", daemon.users["anna"])
    daemon.container.write(PLAIN_FILE, broken, mode=0o640, owner="root:anki-syncd")
    daemon.systemctl("reload", SERVICE)
    assert names_the_line(daemon)
    device.upload()
    with pytest.raises(ClientError) as refused:
        other.upload()
    assert refused.value.kind != "AUTH"
    assert daemon.state() == "active"
    daemon.wait_for(lambda: "1 more cannot log in" in daemon.show("StatusText"))


def test_a_mistake_in_the_credential_is_named_with_its_line_and_the_others_sync(
    daemon, new_device
):
    daemon.container.write(USERS_CREDENTIAL, BROKEN, mode=0o600)
    daemon.systemctl("restart", SERVICE)
    assert names_the_line(daemon)
    assert new_device(daemon).login("pass")
    assert "line 3" in daemon.container.output("anki-syncd", "status")
    daemon.write_users()
    daemon.systemctl("restart", SERVICE)
    assert new_device(daemon, "ben").login()
    assert names_the_line(daemon) == 1


def names_the_line(daemon):
    warnings = [entry["MESSAGE"] for entry in daemon.entries() if entry["PRIORITY"] == "4"]
    return sum(", line 3: " in warning for warning in warnings)


def test_nothing_of_a_broken_line_gets_into_the_journal(daemon):
    daemon.container.write(USERS_CREDENTIAL, "anna:fine\ntopsecretbutnocolon\n", mode=0o600)
    daemon.container.run("systemctl", "start", SERVICE, check=False)
    daemon.wait_for(lambda: daemon.messages() != [])
    daemon.systemctl("stop", SERVICE)
    assert "topsecret" not in daemon.log_text()


def test_a_conversation_survives_a_restart_also_over_new_connections(
    daemon, under_way, tmp_path
):
    """As behind a proxy that makes one for each request."""
    work = under_way()
    restarting = threading.Thread(target=daemon.systemctl, args=("restart", SERVICE))
    restarting.start()
    daemon.wait_for(lambda: daemon.state() == "deactivating")
    with closing(Connection(daemon)) as connection:
        reply = connection.post("/sync/meta", {"v": 11, "cv": "x"}, work.uploader.key)
    assert reply.status == 200
    work.complete(tmp_path)
    restarting.join()


def test_without_users_it_starts_and_says_how_to_add_one(daemon, new_device):
    daemon.container.write(USERS_CREDENTIAL, "", mode=0o600)
    assert daemon.health() == 200
    assert "No users yet" in daemon.show("StatusText")
    assert any(USERS_CREDENTIAL in text for text in daemon.messages())
    with pytest.raises(ClientError):
        new_device(daemon).login()
    assert daemon.show("NRestarts") == "0"
