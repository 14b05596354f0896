"""What one user may fill."""

import os

import pytest

from harness import MEBIBYTE, collection
from harness.device import ClientError


@pytest.fixture
def server(start_server, tmp_path):
    configuration = tmp_path / "anki-syncd.toml"
    configuration.write_text("quota_megs = 3\n")
    return start_server("ours", arguments=["--config", configuration])


def test_media_over_the_quota_are_refused_until_some_are_removed(server, new_device):
    device, other = new_device(server), new_device(server)
    device.login(), other.login()
    device.add_note("a", "note"), device.upload()
    device.put_media("first.bin", os.urandom(2 * MEBIBYTE))
    device.sync_media()
    device.put_media("second.bin", os.urandom(MEBIBYTE))
    with pytest.raises(ClientError, match="507"):
        device.sync_media()
    assert "quota_megs" in server.log_text()
    # Cards go on, and removing goes on.
    device.add_note("another", "note")
    assert device.sync() == "NO_CHANGES"
    device.remove_media("first.bin")
    device.sync_media()
    other.sync_media()
    assert set(other.media()) == {"second.bin"}


def test_an_upload_over_the_quota_is_refused_with_a_sentence_for_the_person(
    server, new_device, template
):
    device, other = new_device(server), new_device(server)
    device.login(), other.login()
    device.add_note("a", "note"), device.upload()
    device.call("close")
    collection.grown(template, device.path, 4)
    with pytest.raises(ClientError, match="quota of 3 MiB"):
        device.upload()
    other.download()
    assert len(other.rows()["notes"]) == 1


def test_a_quota_is_each_users_own(server, new_device):
    for user in server.users:
        device = new_device(server, user)
        device.login()
        device.put_media("file.bin", os.urandom(2 * MEBIBYTE))
        device.sync_media()
