"""A user's folder that is not where it was: no device is told that the account is empty."""

import shutil
import time

import pytest

from harness.device import ClientError
from harness.raw import META, Account

# After so many seconds without a request, the server closes databases.
IDLE = 8


def away(server):
    return server.base / "moved by hand"


def vanish(server, in_its_place):
    server.folder("anna").rename(away(server))
    if in_its_place:
        # As a disk leaves it that is not mounted.
        server.folder("anna").mkdir()


@pytest.mark.parametrize("is_running", [True, False], ids=["while it runs", "before a start"])
@pytest.mark.parametrize("in_its_place", [True, False], ids=["empty folder", "no folder"])
def test_a_folder_that_vanished_is_no_empty_account(
    ours, new_device, template, is_running, in_its_place
):
    device, other = new_device(ours), new_device(ours)
    device.login(), other.login()
    device.add_note("front", "back"), device.upload()
    device.put_media("a.txt", b"a"), device.sync_media()
    # Closes what is open; a folder that is in use cannot be unmounted.
    ours.restart()
    if is_running:
        device.sync()
        time.sleep(IDLE)
    else:
        ours.stop()
    vanish(ours, in_its_place)
    if not is_running:
        ours.start()
    for operation in (device.sync, device.sync_media, other.download):
        with pytest.raises(ClientError):
            operation()
    account = Account(ours)
    assert account.post("/sync/meta", META).status == 503
    assert account.upload(template).status >= 500
    assert "mount its disk, or restore the folder" in ours.log_text()
    if in_its_place:
        assert not list(ours.folder("anna").glob("**/collection.anki2"))
        assert not list(ours.folder("anna").glob("**/media.db"))
    # Others go on.
    assert Account(ours, "ben").post("/sync/meta", META).status == 200

    ours.stop()
    if in_its_place:
        # What was noted of devices meanwhile, and nothing else.
        shutil.rmtree(ours.folder("anna"))
    away(ours).rename(ours.folder("anna"))
    ours.start()
    device.add_note("goes", "on")
    device.sync(), device.sync_media()
    other.download()
    assert len(other.rows()["notes"]) == 2


def test_data_from_before_are_remembered_at_start(ours, new_device):
    device = new_device(ours)
    device.login(), device.add_note("front", "back"), device.upload()
    ours.stop()
    mark = ours.base / ".anki-syncd/served/anna"
    mark.unlink()
    ours.restart()
    assert mark.exists()
    assert not mark.with_name("ben").exists()


def test_who_gives_the_data_up_begins_anew(ours, new_device):
    device = new_device(ours)
    device.login(), device.add_note("front", "back"), device.upload()
    ours.stop()
    vanish(ours, in_its_place=False)
    (ours.base / ".anki-syncd/served/anna").unlink()
    ours.start()
    assert Account(ours).meta()["empty"]


def test_a_collection_that_somebody_has_removed_begins_anew(ours, new_device):
    """As with the bundled server: the folder is there, and so are the snapshots."""
    device = new_device(ours)
    device.login(), device.add_note("front", "back"), device.upload()
    ours.stop()
    (ours.folder("anna") / "collection.anki2").unlink()
    ours.start()
    assert Account(ours).meta()["empty"]
