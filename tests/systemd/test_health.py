"""`--healthcheck` of the server that systemd runs, as a program that watches it would ask."""

import time

import pytest

from harness.daemon import DROP_INS, SERVICE, SOCKET, UNITS
from harness.server import free_port

COMMAND = ["/usr/bin/anki-syncd", "--healthcheck"]
AS_NOBODY = ["setpriv", "--reuid=nobody", "--clear-groups"]


def ask(daemon, *before):
    began = time.monotonic()
    done = daemon.container.run(*before, *COMMAND, check=False)
    assert time.monotonic() - began < 5
    return done


def is_sick(daemon, *reasons):
    asked = ask(daemon)
    assert asked.returncode == 69, asked.stderr
    for reason in reasons:
        assert reason in asked.stderr


@pytest.mark.parametrize("before", [[], AS_NOBODY], ids=["root", "nobody"])
def test_a_server_is_well_while_it_sleeps_and_is_not_woken_up(daemon, before):
    for _ in range(3):
        assert ask(daemon, *before).returncode == 0
    assert daemon.state() == "inactive"
    assert daemon.health() == 200
    assert ask(daemon, *before).returncode == 0
    assert daemon.state() == "active"


def test_being_asked_does_not_keep_it_from_falling_asleep(daemon):
    daemon.configure(idle_exit_secs=2)
    assert daemon.health() == 200
    daemon.wait_for(lambda: ask(daemon).returncode == 0 and daemon.state() == "inactive")


def test_one_that_hangs_is_not(daemon):
    assert daemon.health() == 200
    daemon.signal("SIGSTOP")
    try:
        is_sick(daemon, "no answer at")
    finally:
        daemon.signal("SIGCONT")


def test_one_that_cannot_start_is_not(daemon):
    daemon.configure(prot=8080)
    daemon.container.run("systemctl", "start", SERVICE, check=False)
    is_sick(daemon, "exit status 78", "journalctl")
    daemon.systemctl("stop", SERVICE)


def test_one_that_nobody_can_reach_is_not(daemon):
    daemon.listen_on(free_port())
    is_sick(daemon, "nothing listens on", f"systemctl restart {SOCKET}")
    daemon.systemctl("stop", SOCKET)
    is_sick(daemon, f"systemctl enable --now {SOCKET}")


def test_over_a_unix_socket_only(daemon):
    path = "/run/anki-syncd.sock"
    daemon.listen_on(path)
    daemon.systemctl("restart", SOCKET)
    assert ask(daemon).returncode == 0
    assert daemon.state() == "inactive"
    daemon.systemctl("start", SERVICE)
    assert ask(daemon).returncode == 0


def test_without_the_socket_unit_it_is_asked_where_it_is_configured(daemon):
    daemon.systemctl("mask", "--now", SOCKET)
    try:
        daemon.configure(port=daemon.port)
        daemon.container.install(
            UNITS / "standalone.conf", f"{DROP_INS}/{SERVICE}.d/standalone.conf"
        )
        daemon.drop_in(f"[Service]\nSocketBindAllow=tcp:{daemon.port}\n")
        is_sick(daemon)
        daemon.systemctl("start", SERVICE)
        assert ask(daemon).returncode == 0
    finally:
        daemon.systemctl("stop", SERVICE)
        daemon.systemctl("unmask", SOCKET)
