"""Moving an account from the reference server to ours and back: the same folder, in place."""

import pytest

from harness.device import NOTHING_FOUND

MEDIA = {"one.txt": b"1", "Füße.mp3": b"two", "日本語.png": bytes(100_000)}


@pytest.mark.parametrize(("old", "new"), [("ours", "reference"), ("reference", "ours")])
def test_the_other_server_serves_the_account(start_server, new_device, old, new):
    before = start_server(old)
    first = new_device(before)
    first.login()
    first.add_note("front", "back", tags=["moved"], deck="Parent::Child")
    first.add_note("second", "note")
    first.review(1)
    first.upload()
    for name, content in MEDIA.items():
        first.put_media(name, content)
    first.sync_media()
    first.put_media("one.txt", b"replaced")
    first.put_media("removed.txt", b"soon gone")
    first.sync_media()
    first.remove_media("removed.txt")
    first.sync_media()
    before.stop()

    after = start_server(new, before.base)
    second = new_device(after)
    second.login()
    second.download()
    second.sync_media()
    assert second.rows() == first.rows()
    assert second.media() == {**MEDIA, "one.txt": b"replaced"} == first.media()
    assert second.check_database() == NOTHING_FOUND

    # The first device goes on where it was: it logs in again, for host keys differ.
    first.server = after
    first.login()
    assert first.status() == "NORMAL_SYNC"
    first.put_media("later.txt", b"after the move")
    first.sync_media()
    second.sync_media()
    assert second.media() == first.media()


def test_there_and_back_again(start_server, new_device):
    server = start_server("reference")
    device = new_device(server)
    device.login()
    device.add_note("travels", "around")
    device.upload()
    device.put_media("one.txt", b"1")
    device.sync_media()
    rows = device.rows()
    for kind in ["ours", "reference", "ours"]:
        server.stop()
        server = start_server(kind, server.base)
        visitor = new_device(server)
        visitor.login()
        visitor.download()
        visitor.sync_media()
        assert visitor.rows() == rows
        assert visitor.media() == {"one.txt": b"1"}
