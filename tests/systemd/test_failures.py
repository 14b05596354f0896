"""A daemon that hangs, dies or cannot start: the socket outlives it, and clients come back."""

import shutil
import socket
import sqlite3
import threading
import time
from contextlib import closing

import pytest

from harness.daemon import BASE, CONFIGURATION, DROP_INS, SERVICE, SOCKET, USERS_CREDENTIAL
from harness.device import ClientError
from harness.raw import Account, Connection, frame

# In the unit they are longer, for machines that are slow.
SOON = "[Service]\nWatchdogSec=2s\nRestartSec=1s\nTimeoutAbortSec=2s\n"


def test_one_that_hangs_is_killed_and_started_again(daemon, new_device):
    daemon.drop_in(SOON)
    device = new_device(daemon)
    device.login()
    device.upload()
    process = daemon.pid()
    daemon.signal("STOP")
    device.add_note("meanwhile", "")
    # Waits for the new one in the socket, or fails with the old one.
    daemon.wait_for(lambda: daemon.pid() not in (0, process), timeout=20)
    assert daemon.show("NRestarts") == "1"
    assert daemon.listening()
    device.sync()
    assert any("atchdog timeout" in entry["MESSAGE"] for entry in daemon.journal("-u", SERVICE))


def test_one_that_works_is_not_taken_for_one_that_hangs(daemon, new_device):
    daemon.drop_in(SOON)
    device = new_device(daemon)
    device.login()
    process = daemon.pid()
    for number in range(10):
        device.add_note(str(number), "")
        device.upload()
        time.sleep(0.5)
    assert daemon.pid() == process


OWN_FOLDER = f"{BASE}/.anki-syncd"
FAILURES = {
    "configuration": lambda daemon: daemon.container.write(CONFIGURATION, "prot = 1\nport = 99999\n"),
    "no configuration": lambda daemon: daemon.container.path(CONFIGURATION).unlink(),
    "users": lambda daemon: daemon.container.write(USERS_CREDENTIAL, "anna hunter2\n", mode=0o600),
    "no users": lambda daemon: daemon.container.path(USERS_CREDENTIAL).unlink(),
    "base": lambda daemon: daemon.container.write(OWN_FOLDER, "in its place"),
    "command line": lambda daemon: daemon.drop_in(
        "[Service]\nExecStart=\nExecStart=/usr/bin/anki-syncd --no-such-argument\n"
    ),
}
# What the journal says of it, by priority.
CAUSES = {
    "configuration": ["anki-syncd.toml, line 1", "anki-syncd.toml, line 2"],
    "no configuration": ["/etc/anki-syncd/anki-syncd.toml"],
    "users": ["/etc/anki-syncd/users, line 1"],
    "no users": ["/etc/anki-syncd/users: does not exist"],
    "base": ["/var/lib/anki-syncd"],
    "command line": ["--no-such-argument"],
}


def correct(daemon):
    daemon.configure()
    daemon.write_users()
    daemon.container.run("rm", "-rf", OWN_FOLDER)
    shutil.rmtree(daemon.container.path(f"{DROP_INS}/{SERVICE}.d"), ignore_errors=True)
    daemon.systemctl("daemon-reload")


@pytest.mark.parametrize("failure", FAILURES)
def test_what_prevents_the_start_leaves_the_unit_failed_until_it_is_corrected(
    daemon, new_device, failure
):
    FAILURES[failure](daemon)
    with pytest.raises(ClientError) as refused:
        new_device(daemon).login()
    assert refused.value.kind != "AUTH"
    daemon.wait_for(lambda: daemon.state() == "failed")
    time.sleep(3)
    # No loop, and nothing hidden.
    assert len(daemon.journal("-u", SERVICE, "--grep", "Failed with result")) == 1
    assert daemon.show("NRestarts") == "0"
    assert SERVICE in daemon.container.output("systemctl", "--failed")
    assert daemon.listening()
    assert {entry["PRIORITY"] for entry in daemon.entries()} == {"3"}
    errors = daemon.messages()
    for cause in CAUSES[failure]:
        assert any(cause in error for error in errors), errors
    assert "hunter2" not in daemon.log_text()
    # A command leads to the cause as well.
    asked = daemon.container.run("anki-syncd", "status", check=False)
    assert asked.returncode == 69
    for cause in CAUSES[failure]:
        assert cause in asked.stderr, asked.stderr
    correct(daemon)
    # The next client finds it well.
    assert new_device(daemon).login()


@pytest.mark.parametrize("failure", ["configuration", "sandbox"])
def test_a_restart_after_the_correction_brings_the_socket_back(daemon, new_device, failure):
    if failure == "sandbox":
        # In which nothing of the daemon runs that could answer who waits.
        daemon.drop_in("[Service]\nRootDirectory=/nowhere\n")
        with closing(socket.create_connection(daemon.address, timeout=5)):
            daemon.wait_for(lambda: daemon.state(SOCKET) == "failed", timeout=60)
        starts = len(daemon.journal("-u", SERVICE, "--grep", "Failed with result"))
        print(f"{starts} starts")
        assert starts <= 60
        assert daemon.state() == "failed"
        time.sleep(31)
    else:
        FAILURES[failure](daemon)
        daemon.container.run("systemctl", "restart", SERVICE, check=False)
        daemon.systemctl("stop", SOCKET)
    correct(daemon)
    daemon.systemctl("restart", SERVICE)
    assert daemon.listening()
    assert new_device(daemon).login()


def test_kills_leave_the_socket_listening(daemon, new_device):
    daemon.drop_in("[Service]\nRestartSec=100ms\n")
    for _ in range(10):
        assert daemon.health() == 200
        process = daemon.pid()
        daemon.signal("KILL")
        daemon.wait_for(lambda: daemon.pid() not in (0, process))  # noqa: B023
    assert daemon.listening()
    assert new_device(daemon).login()


def test_work_on_data_is_waited_for_also_when_it_takes_longer_than_a_stop_may(daemon, new_device):
    """Another program's lock makes it long, and the client has gone meanwhile."""
    daemon.drop_in("[Service]\nTimeoutStopSec=1s\n")
    device = new_device(daemon)
    device.login()
    device.upload()
    account = Account(daemon)
    path = daemon.folder("anna") / "collection.anki2"
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("begin exclusive")
        with closing(Connection(daemon)) as connection:
            connection.send_head("/sync/download", account.key)
            connection.send_last(frame(None))
            time.sleep(0.5)
        stopping = threading.Thread(target=daemon.systemctl, args=("stop", SERVICE))
        stopping.start()
        stopping.join(3)
        assert stopping.is_alive()
        assert daemon.state() == "deactivating"
        other.execute("rollback")
    stopping.join()
    assert daemon.show("Result") == "success"
    # Not by the unit: of a process that has just ended, journald may not see which one it was.
    entries = daemon.journal("-t", "anki-syncd")
    assert any(entry["MESSAGE"] == "stopped" for entry in entries)
