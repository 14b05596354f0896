"""A daemon that hangs, dies or cannot start: the socket outlives it, and clients come back."""

import socket
import sqlite3
import threading
import time
from contextlib import closing

from harness.daemon import SERVICE
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


def test_a_crash_loop_leaves_the_socket_listening(daemon, new_device):
    daemon.drop_in("[Service]\nExecStart=\nExecStart=/usr/bin/anki-syncd --no-such-argument\n")
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with socket.create_connection(daemon.address, timeout=5):
            assert daemon.listening()
            time.sleep(0.2)
    starts = int(daemon.show("NRestarts"))
    print(f"{starts} restarts in 20 s")
    assert starts >= 2
    daemon.remove_drop_in()
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


def test_a_missing_configuration_leaves_the_socket_listening(daemon, new_device):
    daemon.container.path("/etc/anki-syncd/anki-syncd.toml").unlink()
    with socket.create_connection(daemon.address):
        daemon.wait_for(lambda: daemon.messages() != [])
    assert any("/etc/anki-syncd/anki-syncd.toml" in text for text in daemon.messages())
    assert daemon.listening()
    daemon.configure()
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
    assert any(text == "stopped" for text in daemon.messages())
