"""`anki-syncd check` of the server that systemd runs, as root would type it."""

import json
import os
import shutil

import pytest

from harness.daemon import BASE, CONFIGURATION, SERVICE, SOCKET, USERS_CREDENTIAL
from harness.device import ClientError

CHECK = ["/usr/bin/anki-syncd", "check"]
ELSEWHERE = "/srv/elsewhere"
VARIABLES = "/etc/anki-syncd.env"
# What depends on the machine that the tests run on.
OF_THE_MACHINE = {"clock-unsynchronised", "disk-nearly-full"}


@pytest.fixture
def synced(daemon, new_device):
    """A device that has synced, with media."""
    device = new_device(daemon)
    device.login()
    device.add_note("front", "back")
    device.upload()
    device.put_media("a.png", b"first")
    device.put_media("b.png", b"second")
    device.sync_media()
    return device


def check(daemon, *arguments):
    done = daemon.container.run(*CHECK, "--json", *arguments, check=False)
    assert done.returncode in (0, 1), done.stderr
    found = {finding["id"]: finding for finding in json.loads(done.stdout)}
    return {id: finding for id, finding in found.items() if id not in OF_THE_MACHINE}


def stop(daemon):
    daemon.systemctl("stop", SERVICE)
    daemon.wait_for(lambda: daemon.state() == "inactive")


def test_all_is_well_whether_it_runs_or_not_and_it_is_not_started(daemon, synced):
    assert check(daemon) == {}
    assert daemon.state() == "active"
    stop(daemon)
    assert check(daemon) == {}
    assert daemon.state() == "inactive"


def test_a_login_at_its_address_is_fine(daemon, synced):
    assert set(check(daemon, "--url", daemon.url)) == {"login-answered"}


def test_users_that_were_changed_and_not_taken_over(daemon, synced):
    daemon.users["anna"] = "changed"
    daemon.write_users()
    assert set(check(daemon)) == {"users-not-taken-over"}
    daemon.systemctl("restart", SERVICE)
    assert check(daemon) == {}


def test_a_server_that_cannot_start(daemon, synced):
    stop(daemon)
    daemon.configure(prot=8080)
    daemon.container.run("systemctl", "start", SERVICE, check=False)
    found = check(daemon)
    assert set(found) == {"settings", "service-failed"}
    assert CONFIGURATION in found["settings"]["where"]
    assert "exit status 78" in found["service-failed"]["what"]


def test_without_the_list_of_users(daemon, synced):
    stop(daemon)
    daemon.container.path(USERS_CREDENTIAL).unlink()
    found = check(daemon)
    assert found["users-file-missing"]["where"] == USERS_CREDENTIAL


def test_freshly_installed_it_lacks_a_user_and_nothing_else(daemon):
    daemon.users = {}
    daemon.write_users()
    found = check(daemon)
    assert set(found) == {"no-users"}
    assert "anki-syncd user add" in found["no-users"]["remedy"]
    assert daemon.state() == "inactive"


@pytest.mark.parametrize("left", [None, ""], ids=["removed", "left empty"])
def test_users_that_only_systemd_reads_are_said_not_to_be_looked_at(daemon, new_device, left):
    sealed = daemon.encrypt("users", USERS_CREDENTIAL)
    daemon.drop_in(f"[Service]\nLoadCredential=\nLoadCredentialEncrypted=users:{sealed}\n")
    if left is not None:
        daemon.container.write(USERS_CREDENTIAL, left, mode=0o600)
    assert set(check(daemon)) == {"not-looked-at"}
    new_device(daemon).login()
    found = check(daemon)
    assert set(found) == {"not-looked-at"}
    assert found["not-looked-at"]["where"] == "users"


def test_users_that_are_written_in_the_unit_take_the_place_of_a_missing_file(daemon, new_device):
    daemon.container.path(USERS_CREDENTIAL).unlink()
    daemon.drop_in(f"[Service]\nSetCredential=users:anna:{daemon.users['anna']}\\n\n")
    new_device(daemon).login()
    assert set(check(daemon)) == {"not-looked-at"}


@pytest.fixture
def elsewhere(daemon):
    """The data folder by a file of variables."""
    daemon.container.run("install", "-d", "-m", "700", "-o", "anki-syncd", ELSEWHERE)
    daemon.container.write(VARIABLES, f'SYNC_BASE="{ELSEWHERE}"\n', mode=0o600)
    daemon.drop_in(f"[Service]\nEnvironmentFile=-{VARIABLES}\nReadWritePaths={ELSEWHERE}\n")
    yield ELSEWHERE
    daemon.systemctl("stop", SERVICE)
    shutil.rmtree(daemon.container.path(ELSEWHERE))
    daemon.container.path(VARIABLES).unlink()


def test_data_in_a_folder_that_a_file_of_variables_names(daemon, elsewhere, synced):
    for _ in range(2):
        assert check(daemon) == {}
        stop(daemon)
    daemon.container.path(f"{elsewhere}/anna/media/a.png").unlink()
    assert set(check(daemon)) == {"media-missing"}


def test_a_server_that_has_its_data_elsewhere(daemon, elsewhere, synced):
    daemon.container.write(VARIABLES, "", mode=0o600)
    found = check(daemon)
    assert set(found) == {"server-elsewhere"}
    assert elsewhere in found["server-elsewhere"]["what"]
    assert BASE in found["server-elsewhere"]["what"]


def test_with_everything_switched_off(daemon, synced):
    daemon.systemctl("stop", SOCKET, SERVICE)
    assert set(check(daemon)) == {"service-not-listening"}


@pytest.mark.parametrize("running", [False, True])
def test_a_migration_that_root_made_is_put_right(daemon, synced, new_device, running):
    """Files of root, and media that were copied in and lost on the way."""
    if not running:
        stop(daemon)
    folder = daemon.folder("anna")
    os.chown(folder / "collection.anki2", 0, 0)
    (folder / "media/a.png").unlink()
    (folder / "media/copied.gif").write_bytes(b"by hand")
    found = check(daemon)
    # As the server's account, which may not read it yet.
    assert found["not-looked-at"]["where"] == "anna/collection.anki2"
    assert set(found) == {"files-of-others", "media-missing", "media-extra", "not-looked-at"}
    assert check(daemon, "--repair", "--yes") == {}
    assert daemon.state() == ("active" if running else "inactive")
    owners = daemon.container.output("find", BASE, "-printf", "%u\n").split()
    assert set(owners) == {"anki-syncd"}

    assert synced.sync() == "NO_CHANGES"
    for _ in range(3):
        try:
            synced.put_media("later.txt", b"later")
            synced.sync_media()
            break
        except ClientError as error:
            assert "sync again" in str(error)
    second = new_device(daemon)
    second.login()
    second.download()
    second.sync_media()
    expected = ["a.png", "b.png", "copied.gif", "later.txt"]
    assert sorted(second.media()) == sorted(synced.media()) == expected


def test_anybody_else_is_told_what_was_not_looked_at(daemon, synced):
    done = daemon.container.run(
        *["setpriv", "--reuid=nobody", "--clear-groups", *CHECK, "--json"], check=False
    )
    found = {finding["where"] for finding in json.loads(done.stdout)}
    assert done.returncode == 0
    assert USERS_CREDENTIAL in found
    assert any(place.startswith("the data folder") or place == BASE for place in found)
