"""The binaries for Arm, run by qemu over Debian's libraries: real clients sync with them."""

import shutil
import subprocess

import pytest

from harness import apt
from harness.container import mirror
from harness.server import Server

QEMU = {"arm64": "qemu-aarch64-static", "armhf": "qemu-arm-static"}
# The oldest Debian that the packages are for, as far as its C library goes.
SUITE = "bookworm"


@pytest.fixture(params=sorted(QEMU))
def server(request, packages, long, tmp_path):
    """The binary of the package, as a process of this machine."""
    if not long:
        pytest.skip("packages for Arm are built and tried with --long")
    name = request.param
    apt.provide("qemu-user-static")
    apt.provide("mmdebstrap")
    root = tmp_path / "root"
    # Unpacked only: nothing of it is executed.
    words = ["mmdebstrap", "--quiet", "--mode=root", "--variant=extract", f"--architectures={name}"]
    subprocess.run([*words, "--include=libc6", SUITE, root, mirror()], check=True)
    subprocess.run(["dpkg-deb", "-x", packages.package("deb", name), root], check=True)
    server = Server("ours", tmp_path / "base", tmp_path / "log")
    emulated = [shutil.which(QEMU[name]), "-L", root, root / "usr/bin/anki-syncd", "--allow-root"]
    server.command = list(map(str, emulated))
    yield server.start()
    server.kill()
    print(f"--- log\n{server.log_text()}")


def test_a_real_client_syncs_with_it(server, new_device):
    first, second = new_device(server), new_device(server)
    first.login(), second.login()
    first.add_note("front", "back")
    first.put_media("picture.png", b"not really one")
    first.upload()
    first.sync_media()
    second.download()
    second.sync_media()
    second.add_note("more", "of it")
    second.review(1)
    second.sync()
    first.sync()
    assert first.content() == second.content()
    assert first.media() == second.media() == {"picture.png": b"not really one"}
    assert len(first.rows()["notes"]) == 2
    assert server.stop() == 0
