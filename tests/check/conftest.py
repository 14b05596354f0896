"""Set-ups to be checked: a healthy one, copied for each test to break."""

import shutil

import pytest

from harness.device import Device
from harness.server import Server
from harness.setup import MEDIA, Setup


@pytest.fixture(scope="session")
def synced(tmp_path_factory):
    """The data folder of a server that has served a device, and is stopped; and the device."""
    folder = tmp_path_factory.mktemp("synced")
    server = Server("ours", folder / "base", folder / "log").start()
    device = Device(folder / "device", server, "anna")
    device.login()
    for number in range(5):
        device.add_note(f"front {number}", "back")
    device.upload()
    for name, content in MEDIA.items():
        device.put_media(name, content)
    device.sync_media()
    device.end()
    assert server.stop() == 0
    return folder


@pytest.fixture
def setup(synced, tmp_path):
    base = tmp_path / "base"
    # Sockets cannot be copied.
    shutil.copytree(synced / "base", base, ignore=shutil.ignore_patterns("control"))
    server = Server("ours", base, tmp_path / "server.log")
    made = Setup(server, tmp_path)
    yield made
    for held in made.held:
        held.close()
    if server.process is not None:
        server.kill()


@pytest.fixture
def old_device(synced, setup, tmp_path):
    """The device whose data the set-up has, logged in again."""
    folders = []

    def make():
        folder = tmp_path / f"old{len(folders)}"
        # The client keeps what it knows of its media beside the collection.
        device = Device(folder, setup.server, "anna")
        for source in (synced / "device").iterdir():
            if source.is_dir():
                shutil.copytree(source, folder / source.name, dirs_exist_ok=True)
            else:
                shutil.copy2(source, folder / source.name)
        device.login()
        folders.append(device)
        return device

    yield make
    for device in folders:
        device.end()
