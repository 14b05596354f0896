"""The socket over which the operator's commands reach the daemon."""

import json

import pytest

from harness.daemon import CONTROL, SERVICE, SOCKET
from harness.device import ClientError

STATUS = ["/usr/bin/anki-syncd", "status", "--json"]


def test_a_command_starts_the_daemon_if_it_is_not_running(daemon):
    assert daemon.state() == "inactive"
    status = json.loads(daemon.container.output(*STATUS))
    assert status["pid"] == daemon.pid()
    assert status["base"] == "/var/lib/anki-syncd"
    assert status["listening"] == [f"[::]:{daemon.port}"]
    assert [user["name"] for user in status["users"]] == sorted(daemon.users)
    assert status["warnings"] == []


def test_it_is_for_root_only(daemon):
    done = daemon.container.run("stat", "-c", "%a %U", "/run/anki-syncd/control")
    assert done.stdout.split() == ["600", "root"]
    refused = daemon.container.run(
        *["setpriv", "--reuid=nobody", "--clear-groups", *STATUS], check=False
    )
    assert refused.returncode == 69
    assert "sudo" in refused.stderr


def test_it_comes_and_goes_with_the_socket_unit(daemon):
    assert daemon.state(CONTROL) == "active"
    daemon.systemctl("stop", SOCKET, SERVICE)
    assert daemon.state(CONTROL) == "inactive"
    gone = daemon.container.run(*STATUS, check=False)
    assert gone.returncode == 69
    assert "systemctl start anki-syncd.socket" in gone.stderr


def test_a_request_of_another_version_is_refused_and_not_repeated(daemon):
    script = (
        "import socket; s = socket.socket(socket.AF_UNIX); s.connect('/run/anki-syncd/control');"
        """s.sendall(b'{"ask":"hidden-thing"}\\n'); print(s.makefile().read())"""
    )
    answer = daemon.container.output("python3", "-c", script)
    assert "another version" in json.loads(answer)["refused"]
    assert "hidden-thing" not in daemon.log_text()


def test_users_that_are_told_over_it_can_log_in_until_the_file_is_read(daemon, new_device):
    daemon.users = {"dora": "d0ra's first"}
    ask = {"ask": "reload", "users": "dora:d0ra's first\n"}
    script = (
        "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect('/run/anki-syncd/control');"
        "s.sendall(sys.argv[1].encode() + b'\\n'); print(s.makefile().read())"
    )
    answer = daemon.container.output("python3", "-c", script, json.dumps(ask))
    assert json.loads(answer) == {"done": {"users": 1, "warnings": []}}
    new_device(daemon, "dora").login()
    with pytest.raises(ClientError):
        new_device(daemon, "anna").login(password="anna's pass:wörd")
    daemon.systemctl("reload", SERVICE)
    new_device(daemon, "anna").login(password="anna's pass:wörd")
