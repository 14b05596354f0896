"""Booted containers, and the daemon in them as freshly installed."""

import os

import pytest

from harness.container import booted, prepare
from harness.daemon import SOCKET, Daemon
from harness.under_way import UnderWay

# Debian 12 has systemd 252, the oldest that is supported; Debian 13 has 257.
SUITES = ["bookworm", "trixie"]


@pytest.fixture(scope="session", params=SUITES)
def container(request, tmp_path_factory):
    prepare()
    name = f"{request.param}-{os.getpid()}"
    with booted(name, request.param, tmp_path_factory.mktemp(name)) as container:
        yield container


@pytest.fixture(scope="session")
def installed(container):
    daemon = Daemon(container)
    daemon.install()
    return daemon


@pytest.fixture
def daemon(installed):
    """Its socket listens; nothing has connected yet."""
    installed.reset()
    installed.systemctl("enable", "--now", SOCKET)
    yield installed
    # pytest shows it with a failure only.
    print(f"--- journal of {installed.container.name}\n{installed.log_text()}")


@pytest.fixture
def under_way(daemon, template, tmp_path, new_device, new_gate):
    return lambda: UnderWay(daemon, template, tmp_path, new_device, new_gate)
