"""Started by connections, ended by idleness: nobody notices."""

import http.client
import socket
import statistics
import struct
import threading
import time
from contextlib import closing
from datetime import datetime, timedelta, timezone

import pytest

from harness.daemon import DROP_INS, SERVICE, SOCKET, UNITS
from harness.raw import Connection
from harness.server import Server

MANY_SYNCS = 30
STARTS = 7
AHEAD = timedelta(hours=7, minutes=13)


def test_the_first_login_starts_it_and_everything_passes(daemon, new_device):
    assert daemon.state() == "inactive"
    first, second = new_device(daemon), new_device(daemon)
    first.login()
    assert daemon.state() == "active"
    first.add_note("front", "back")
    first.put_media("picture.png", b"not really one")
    first.upload()
    first.sync_media()
    second.login()
    second.download()
    second.sync_media()
    second.add_note("more", "of it")
    assert second.sync() == "NO_CHANGES"
    assert first.sync() == "NO_CHANGES"
    assert first.rows()["notes"] == second.rows()["notes"]
    assert second.media() == first.media() != {}


def test_after_the_idle_time_it_is_gone_and_the_next_sync_starts_it_again(daemon, new_device):
    # An open connection counts as use, and clients keep theirs.
    daemon.configure(idle_exit_secs=2, header_timeout_secs=2)
    device = new_device(daemon)
    device.login()
    device.upload()
    process = daemon.pid()
    for note in ("one", "two"):
        daemon.wait_for(lambda: daemon.state() == "inactive")
        assert daemon.show("Result") == "success"
        assert daemon.listening()
        device.add_note(note, "")
        device.sync()
        assert daemon.pid() not in (0, process)
        process = daemon.pid()


def test_it_stays_while_a_conversation_is_silent(daemon, new_device, new_gate):
    daemon.configure(idle_exit_secs=1)
    device = new_device(daemon)
    device.login()
    device.upload()
    device.add_note("held", "back")
    device.server = gate = new_gate(daemon, "/sync/applyChunk")
    syncing = threading.Thread(target=device.sync)
    syncing.start()
    gate.wait()
    process = daemon.pid()
    time.sleep(4)
    gate.release()
    syncing.join()
    assert daemon.pid() == process


def test_zero_disables_the_idle_exit(daemon, new_device):
    daemon.configure(idle_exit_secs=0)
    new_device(daemon).login()
    time.sleep(4)
    assert daemon.state() == "active"


def test_many_syncs_across_many_sigterms_lose_none(daemon, new_device, chance):
    device, witness = new_device(daemon), new_device(daemon)
    device.login(), witness.login()
    device.upload()
    processes = set()
    for number in range(MANY_SYNCS):
        device.add_note(f"note {number}", "")
        device.put_media(f"{number}.txt", str(number).encode())
        terminating = threading.Timer(chance.uniform(0, 0.15), terminate, [daemon, processes])
        terminating.start()
        device.sync()
        device.sync_media()
        terminating.join()
        # One that is told to stop goes on while the device keeps it busy.
        if number % 3 == 2:
            daemon.wait_for(lambda: daemon.state() != "deactivating")
    print(f"{MANY_SYNCS} syncs across the SIGTERMs of {len(processes)} processes")
    assert len(processes) >= MANY_SYNCS // 6
    witness.download()
    witness.sync_media()
    assert len(witness.rows()["notes"]) == MANY_SYNCS
    assert len(witness.media()) == MANY_SYNCS
    assert daemon.listening()
    assert daemon.show("NRestarts") == "0", "each of them ended with status 0"


def terminate(daemon, processes):
    """One that is still starting dies of it, as any would; systemd starts another later."""
    deadline = time.monotonic() + 1
    while daemon.state() != "active":
        if time.monotonic() > deadline:
            return
    processes.add(daemon.pid())
    daemon.container.run(
        *["systemctl", "kill", "--kill-whom=main", "--signal=TERM", SERVICE], check=False
    )


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_one_socket_serves_both_protocols(daemon, host):
    assert daemon.health(host) == 200


def test_several_sockets_at_a_time_also_unix_ones(daemon):
    path = "/run/anki-syncd.sock"
    daemon.listen_on(daemon.port, path)
    daemon.systemctl("restart", SOCKET)
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(30)
        client.connect(f"/proc/{daemon.container.leader}/root{path}")
        client.sendall(b"GET /health HTTP/1.0\r\n\r\n")
        response = http.client.HTTPResponse(client)
        response.begin()
        assert response.status == 200
    assert daemon.health() == 200
    listening = [text for text in daemon.messages() if text.startswith("listening on")]
    assert any(path in text for text in listening)
    assert any(str(daemon.port) in text for text in listening)


def test_it_says_that_it_is_idle_and_who_synced_last(daemon, new_device):
    device = new_device(daemon)
    device.login()
    device.upload()
    daemon.wait_for(lambda: "Idle; 3 users; last sync: anna" in daemon.show("StatusText"))


def test_the_time_of_the_last_sync_is_the_local_one(daemon, new_device):
    """Ahead of UTC by hours and minutes, the latter unlike those of any real zone."""
    zone = daemon.container.path("/etc/localtime")
    zone.unlink(missing_ok=True)
    zone.write_bytes(zone_file(AHEAD))
    try:
        device = new_device(daemon)
        device.login()
        device.upload()
        daemon.wait_for(lambda: "last sync: anna" in daemon.show("StatusText"))
    finally:
        zone.unlink()
    shown = datetime.strptime(daemon.show("StatusText")[-5:], "%H:%M")
    local = datetime.now(timezone(AHEAD))
    late = (local.hour * 60 + local.minute - shown.hour * 60 - shown.minute) % (24 * 60)
    assert late <= 1


def zone_file(ahead):
    """One with a single offset, in the first version of the format."""
    counts = struct.pack(">6l", 0, 0, 0, 0, 1, 5)
    offset = struct.pack(">lbb", int(ahead.total_seconds()), 0, 0)
    return b"TZif" + bytes(16) + counts + offset + b"TEST\0"


def test_without_its_socket_it_fails_and_names_the_socket(daemon):
    """It has no network of its own: better an error with a remedy than a server for nobody."""
    daemon.systemctl("mask", "--now", SOCKET)
    try:
        started = daemon.container.run("systemctl", "start", SERVICE, check=False)
        assert started.returncode != 0
        assert any(SOCKET in text for text in daemon.messages())
    finally:
        daemon.systemctl("unmask", SOCKET)
        daemon.systemctl("stop", SERVICE)


def test_standalone_it_listens_by_itself(daemon, new_device):
    daemon.systemctl("mask", "--now", SOCKET)
    try:
        daemon.configure(port=daemon.port, idle_exit_secs=1)
        daemon.container.install(
            UNITS / "standalone.conf", f"{DROP_INS}/{SERVICE}.d/standalone.conf"
        )
        daemon.drop_in(f"[Service]\nSocketBindAllow=tcp:{daemon.port}\n")
        daemon.systemctl("start", SERVICE)
        device = new_device(daemon)
        device.login()
        device.upload()
        time.sleep(3)
        assert daemon.state() == "active"
    finally:
        daemon.systemctl("stop", SERVICE)
        daemon.systemctl("unmask", SOCKET)


def test_activation_is_faster_than_the_start_of_the_reference_server(daemon, tmp_path):
    users = {f"user{number}": f"password {number}" for number in range(10)}
    daemon.users = users
    daemon.write_users()
    ours = [activation(daemon) for _ in range(STARTS)]
    theirs = [reference_start(tmp_path, users) for _ in range(STARTS)]
    ratio = statistics.median(ours) / statistics.median(theirs)
    print(
        f"activation {statistics.median(ours) * 1000:.0f} ms, reference server "
        f"{statistics.median(theirs) * 1000:.0f} ms: ratio {ratio:.2f}"
    )
    assert ratio < 1


def activation(daemon):
    """From connecting to the first byte of the answer."""
    daemon.systemctl("stop", SERVICE)
    assert daemon.listening()
    started = time.monotonic()
    with closing(Connection(daemon)) as connection:
        connection.socket.sendall(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n")
        assert connection.socket.recv(1)
    return time.monotonic() - started


def reference_start(tmp_path, users):
    server = Server("reference", tmp_path / "base", tmp_path / "log", users=users)
    started = time.monotonic()
    server.start()
    elapsed = time.monotonic() - started
    server.kill()
    return elapsed
