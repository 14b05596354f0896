"""A running server whose users are listed in a file."""

import pytest

from harness.listed import ListedServer


@pytest.fixture
def listed(tmp_path):
    server = ListedServer(tmp_path)
    yield server
    server.kill()
    # pytest shows it with a failure only.
    print(f"--- log of the server\n{server.log_text() if server.log.exists() else ''}")


@pytest.fixture
def running(listed):
    return listed.start()
