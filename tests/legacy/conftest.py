"""Devices that run any version of Anki."""

import functools

import pytest

from harness.device import Device
from harness.versions import NEWEST, SHORT, VERSIONS


def pytest_generate_tests(metafunc):
    """A test that names `version` runs once with each; which ones depends on `--long`."""
    if "version" in metafunc.fixturenames:
        versions = VERSIONS if metafunc.config.getoption("--long") else SHORT
        metafunc.parametrize("version", versions, ids=lambda version: version.name, scope="session")


@pytest.fixture(scope="session")
def worker_of():
    """The command that runs a version's client. What cannot be run here is said, and why."""

    @functools.cache
    def worker(version):
        if version.interpreter() is None:
            pytest.skip(f"Anki {version.name} needs Python {version.python}, which is not here")
        return version.worker()

    return worker


@pytest.fixture
def device_of(tmp_path, worker_of):
    """Makes devices of a version, logged in."""
    devices = []

    def make(server, version=NEWEST, user="anna", log_in=True):
        folder = tmp_path / f"device{len(devices)}"
        devices.append(Device(folder, server, user, worker_of(version)))
        if log_in:
            devices[-1].login()
        return devices[-1]

    yield make
    for device in devices:
        device.end()
