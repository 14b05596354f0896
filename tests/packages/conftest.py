"""Packages built from this checkout, and containers to install them in."""

import os
from pathlib import Path

import pytest

from harness.container import booted, prepare
from harness.packages import Built, Packaged, build

ALL = ["amd64", "arm64", "armhf"]


@pytest.fixture(scope="session")
def architectures(long):
    return ALL if long else ["amd64"]


@pytest.fixture(scope="session")
def packages(architectures, tmp_path_factory):
    """Two builds; the second is what people upgrade to. PACKAGES names a folder that has them."""
    if "PACKAGES" in os.environ:
        return Built(Path(os.environ["PACKAGES"]))
    folder = tmp_path_factory.mktemp("packages")
    build(folder, "--arch", *architectures)
    return build(folder, "--arch", "amd64", "--revision", "2")


@pytest.fixture(scope="session")
def boot(tmp_path_factory):
    """Boots each suite once, when it is first asked for."""
    running = {}

    def start(suite):
        if suite not in running:
            prepare()
            name = f"packages-{suite}-{os.getpid()}"
            context = booted(name, suite, tmp_path_factory.mktemp(name))
            running[suite] = context, context.__enter__()
        return running[suite][1]

    yield start
    for context, _ in running.values():
        context.__exit__(None, None, None)


@pytest.fixture(params=["bookworm", "trixie"])
def daemon(request, boot):
    """Nothing is installed yet."""
    daemon = Packaged(boot(request.param))
    daemon.clean()
    yield daemon
    # pytest shows it with a failure only.
    print(f"--- journal of {daemon.container.name}\n{daemon.log_text()}")
