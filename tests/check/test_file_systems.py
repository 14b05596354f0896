"""A data folder on exFAT, which keeps no owners and takes `A` and `a` for the same."""

import json
import os
import subprocess

import pytest

from harness import apt
from harness.device import ClientError
from harness.server import Server
from harness.setup import Setup

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")


@pytest.fixture
def exfat(tmp_path):
    apt.provide("exfat-fuse", "exfatprogs")
    image, folder = tmp_path / "disk.img", tmp_path / "disk"
    with open(image, "wb") as file:
        file.truncate(256 << 20)
    folder.mkdir()
    subprocess.run(["mkfs.exfat", image], check=True, capture_output=True)
    attached = subprocess.run(
        ["losetup", "--find", "--show", image], check=True, capture_output=True, text=True
    )
    device = attached.stdout.strip()
    options = ["-o", "umask=0077"]
    subprocess.run(["mount.exfat-fuse", *options, device, folder], check=True, capture_output=True)
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)
    subprocess.run(["losetup", "--detach", device], check=True)


@pytest.fixture
def on_exfat(exfat, tmp_path):
    setup = Setup(Server("ours", exfat / "base", tmp_path / "server.log"), tmp_path)
    yield setup
    if setup.server.process is not None:
        setup.server.kill()


def test_it_is_known_and_no_advice_is_given_that_cannot_work(on_exfat, new_device):
    device = new_device(on_exfat.server.start())
    device.login()
    device.add_note("front", "back")
    device.put_media("cat.png", b"cat")
    device.upload(), device.sync_media()
    on_exfat.server.stop()
    outcome = on_exfat.check()
    assert outcome.ids == {"file-system-without-owners", "file-system-without-case"}
    assert {finding["severity"] for finding in outcome.findings} == {"note"}
    # As another account's.
    on_exfat.configure("run_as = 'nobody'\n")
    outcome = on_exfat.check()
    owners = outcome.of("file-system-without-owners")
    assert owners["severity"] == "problem" and "uid=nobody" in owners["remedy"]
    assert not any(finding["repairable"] for finding in outcome.findings)
    assert "files-of-others" not in outcome.ids


def test_media_whose_names_differ_in_case_are_not_silently_one_file(on_exfat, new_device):
    server = on_exfat.server.start()
    first, second = new_device(server), new_device(server)
    first.login(), second.login()
    first.put_media("cat.png", b"a cat")
    first.put_media("dog.png", b"a dog")
    first.upload(), first.sync_media()
    second.put_media("CAT.png", b"another cat")
    with pytest.raises(ClientError):
        second.sync_media()
    assert 'CAT.png" and "cat.png" differ only in upper and lower case' in on_exfat.server.log_text()
    assert (on_exfat.media / "cat.png").read_bytes() == b"a cat"
    second.remove_media("CAT.png")
    second.put_media("another cat.png", b"another cat")
    second.sync_media()
    first.sync_media()
    assert first.media() == {
        "cat.png": b"a cat",
        "dog.png": b"a dog",
        "another cat.png": b"another cat",
    }


def test_two_new_ones_are_refused_as_well(on_exfat, new_device):
    device = new_device(on_exfat.server.start())
    device.login()
    device.put_media("Tree.png", b"a tree")
    device.put_media("tree.png", b"another tree")
    device.upload()
    with pytest.raises(ClientError):
        device.sync_media()
    assert list(on_exfat.media.iterdir()) == []
    assert "differ only in upper and lower case" in on_exfat.server.log_text()


def test_users_and_media_from_elsewhere_that_share_a_folder_or_file_are_found(on_exfat, new_device):
    on_exfat.server.users = {"anna": "a", "Anna": "b", "ben": "c"}
    device = new_device(on_exfat.server.start(), "ben")
    device.login()
    device.put_media("cat.png", b"a cat")
    device.upload(), device.sync_media()
    on_exfat.server.stop()
    database = on_exfat.base / "ben" / "media.db"
    on_exfat.execute(
        database,
        "insert into media select 'CAT.png', csum, size, usn, mtime from media;"
        "update meta set total_bytes = total_bytes * 2, total_nonempty_files = 2;",
    )
    outcome = on_exfat.check()
    assert outcome.of("users-share-a-folder")["where"] == "Anna, anna"
    assert "cat.png and CAT.png" in outcome.of("media-differ-in-case")["what"]
    print(json.dumps(outcome.findings, indent=1))
