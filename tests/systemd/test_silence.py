"""Commands and the nightly backup when the server does not answer, and why it does not."""

import shutil
import time

import pytest

from harness.daemon import BACKUP, CONFIGURATION, CONTROL, SERVICE, SOCKET, USERS_CREDENTIAL
from harness.server import free_port

PROGRAM = "/usr/bin/anki-syncd"
WITHIN = 5
UNAVAILABLE = 69
# Of syslog.
ERR = 3
OCCUPANT = "occupant.service"
COMMANDS = [
    ["status"],
    ["user", "list"],
    ["user", "add", "dora"],
    ["user", "rename", "anna", "ann"],
    ["user", "remove", "anna", "--delete-data", "--yes"],
    ["device", "list"],
    ["restore", "anna", "--list"],
    ["backup", "--to", "/var/backups/by-hand"],
    ["check"],
]


@pytest.fixture
def daemon(daemon):
    daemon.container.run("systemctl", "reset-failed", BACKUP, check=False)
    yield daemon
    shutil.rmtree(daemon.container.path("/var/backups/by-hand"), ignore_errors=True)


@pytest.fixture
def timed(daemon):
    def run(*words):
        began = time.monotonic()
        done = daemon.container.run(PROGRAM, *words, check=False, input="new\n")
        took = time.monotonic() - began
        said = f"$ anki-syncd {' '.join(words)}   # {took:.1f} s, {done.returncode}\n{done.stdout}{done.stderr}"
        print(said)
        assert took < WITHIN, said
        return done.returncode, done.stdout + done.stderr

    return run


def assert_the_nightly_backup_fails(daemon, reason):
    began = time.monotonic()
    done = daemon.container.run("systemctl", "start", BACKUP, check=False)
    assert done.returncode != 0
    assert time.monotonic() - began < WITHIN + 2
    assert BACKUP in daemon.container.output("systemctl", "--failed", "--plain")
    entries = daemon.journal("-u", BACKUP)
    said = [entry["MESSAGE"] for entry in entries if int(entry["PRIORITY"]) <= ERR]
    assert any(reason in line for line in said), entries
    assert reason in daemon.show("StatusText", BACKUP)


def test_a_server_that_is_stopped(daemon, timed):
    assert daemon.health() == 200
    remedy = f"kill -CONT {daemon.pid()}"
    users = daemon.container.path(USERS_CREDENTIAL).read_text()
    for words in COMMANDS:
        # Not so long that the watchdog ends it.
        daemon.signal("STOP")
        status, said = timed(*words)
        daemon.signal("CONT")
        assert status == (1 if words == ["check"] else UNAVAILABLE)
        assert remedy in said
    assert daemon.container.path(USERS_CREDENTIAL).read_text() == users
    daemon.signal("STOP")
    assert_the_nightly_backup_fails(daemon, remedy)
    daemon.signal("CONT")
    status, said = timed("status")
    assert status == 0 and "the last nightly backup failed" in said and remedy in said
    assert remedy in timed("check")[1]
    daemon.systemctl("start", BACKUP)
    assert daemon.state(BACKUP) == "inactive"
    assert "backup failed" not in timed("status")[1]


def a_wrong_key(daemon):
    daemon.configure(prot=8080)
    return "prot", lambda: daemon.configure()


def no_list_of_users(daemon):
    daemon.container.path(USERS_CREDENTIAL).unlink()
    return USERS_CREDENTIAL, daemon.write_users


def a_data_folder_that_is_a_file(daemon):
    """What the settings do not show: only the server finds it when it starts."""
    daemon.container.write("/srv/file", "")
    daemon.drop_in("[Service]\nEnvironment=SYNC_BASE=/srv/file\n")
    return "/srv/file", daemon.remove_drop_in


@pytest.mark.parametrize("cause", [a_wrong_key, no_list_of_users, a_data_folder_that_is_a_file])
def test_a_server_that_cannot_start(daemon, timed, cause):
    reason, put_right = cause(daemon)
    for words in (["status"], ["device", "list"], ["restore", "anna", "--list"], ["backup"], ["check"]):
        status, said = timed(*words)
        assert status == (1 if words == ["check"] else UNAVAILABLE)
        assert reason in said
        assert words == ["check"] or "cannot start" in said
    if cause == no_list_of_users:
        assert f"install -m 600 /dev/null {USERS_CREDENTIAL}" in timed("user", "add", "dora")[1]
    assert_the_nightly_backup_fails(daemon, reason)
    put_right()
    daemon.systemctl("restart", SERVICE)
    assert timed("status")[0] == 0


def test_a_port_that_is_taken(daemon, timed):
    port = free_port()
    daemon.systemctl("stop", SOCKET, CONTROL, SERVICE)
    daemon.container.run(
        *["systemd-run", f"--unit={OCCUPANT}", "--collect", "--"],
        *["python3", "-m", "http.server", str(port)],
    )
    try:
        daemon.wait_for(lambda: f":{port}" in daemon.container.output("ss", "-ltn"))
        daemon.listen_on(port)
        daemon.container.run("systemctl", "start", SOCKET, check=False)
        holder = f"python3 (process {daemon.show('MainPID', OCCUPANT)})"
        for words in (["status"], ["device", "list"], ["check"]):
            _, said = timed(*words)
            assert f"port {port} is in use by {holder}" in said
        # Whose port it is cannot be seen from the unit's sandbox.
        assert_the_nightly_backup_fails(daemon, f"could not listen on port {port}")
        # A user is in the list all the same.
        status, said = timed("user", "add", "dora")
        assert status == 0 and "starts next" in said
        assert "dora:" in daemon.container.path(USERS_CREDENTIAL).read_text()
    finally:
        daemon.systemctl("stop", OCCUPANT)
    daemon.systemctl("restart", SOCKET)
    assert timed("status")[0] == 0


def test_nothing_runs_and_nothing_starts_it(daemon, timed):
    daemon.systemctl("stop", SOCKET, CONTROL, SERVICE)
    for words in (["status"], ["device", "list"], ["restore", "anna", "--list"]):
        status, said = timed(*words)
        assert status == UNAVAILABLE
        assert "systemctl start anki-syncd.socket" in said


def test_the_servers_own_reason_is_where_systemd_shows_it(daemon):
    daemon.configure(prot=8080, quota_megs="many")
    daemon.container.run("systemctl", "start", SERVICE, check=False)
    said = daemon.show("StatusText")
    assert said.startswith("Cannot start: ") and CONFIGURATION in said
    shown = daemon.container.run("systemctl", "status", SERVICE, check=False).stdout
    assert "Cannot start: " in shown
