"""A small disk of its own for a server."""

import os
import subprocess
import threading
from contextlib import contextmanager

import pytest

from harness import MEBIBYTE

DISK = 96 * MEBIBYTE


@pytest.fixture
def disk(tmp_path):
    """A file system of its own; mounting it takes root."""
    image, folder = tmp_path / "disk.img", tmp_path / "disk"
    with open(image, "wb") as file:
        file.truncate(DISK)
    folder.mkdir()
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, folder], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture
def start_on(disk, start_server, tmp_path):
    def start(**settings):
        configuration = tmp_path / "anki-syncd.toml"
        lines = [f"{name} = {value}\n" for name, value in settings.items()]
        configuration.write_text("".join(lines))
        return start_server("ours", base=disk / "base", arguments=["--config", configuration])

    return start


@pytest.fixture
def least_free(disk):
    """Watches what stays free on the disk; what it gives ends as the least there was."""

    @contextmanager
    def watch():
        least, done = [free_of(disk)], threading.Event()

        def look():
            while not done.wait(0.002):
                least[0] = min(least[0], free_of(disk))

        thread = threading.Thread(target=look)
        thread.start()
        try:
            yield least
        finally:
            done.set()
            thread.join()

    return watch


def free_of(folder):
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize
