"""Fixtures for every folder of tests."""

import os
import random

import pytest

pytest.register_assert_rewrite("harness.agreement")

from harness.agreement import Inspector  # noqa: E402
from harness.device import Device, empty_collection  # noqa: E402
from harness.gate import Gate  # noqa: E402
from harness.server import Server  # noqa: E402


def pytest_addoption(parser):
    parser.addoption("--long", action="store_true", help="the same tests with larger counts")


@pytest.fixture(scope="session")
def long(request):
    return request.config.getoption("--long")


@pytest.fixture
def chance():
    """Randomness that can be had again: what failed prints its seed."""
    seed = int(os.environ.get("SEED", random.randrange(1_000_000)))
    print(f"SEED={seed}")
    return random.Random(seed)


@pytest.fixture
def start_server(tmp_path):
    """Starts servers by kind, each over a fresh folder unless it is given one."""
    servers = []

    def start(kind, base=None, **settings):
        number = len(servers)
        log = tmp_path / f"{number}.{kind}.log"
        server = Server(kind, base or tmp_path / f"base{number}", log, **settings)
        servers.append(server)
        return server.start()

    yield start
    for server in servers:
        server.kill()
        # pytest shows it with a failure only.
        print(f"--- log of {server.kind}\n{server.log_text()}")


@pytest.fixture
def server(start_server):
    """The server under test: the one that the environment variable SERVER names."""
    return start_server(os.environ["SERVER"])


@pytest.fixture
def ours(start_server):
    return start_server("ours")


@pytest.fixture(scope="session")
def template(tmp_path_factory):
    """An empty collection, to grow others from."""
    return empty_collection(tmp_path_factory.mktemp("template") / "device")


@pytest.fixture
def new_device(tmp_path):
    """Makes devices; `server` is the one they sync with."""
    devices = []

    def make(server, user="anna"):
        devices.append(Device(tmp_path / f"device{len(devices)}", server, user))
        return devices[-1]

    yield make
    for device in devices:
        device.end()


@pytest.fixture(scope="session")
def inspector(tmp_path_factory):
    inspector = Inspector(tmp_path_factory.mktemp("inspector") / "device")
    yield inspector
    inspector.end()


@pytest.fixture
def new_gate():
    """Makes proxies that hold back the first request with the given path."""
    gates = []

    def make(server, path, **options):
        gates.append(Gate(server, path, **options))
        return gates[-1]

    yield make
    for gate in gates:
        gate.close()
