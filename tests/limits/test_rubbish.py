"""What fails leaves nothing on the disk, and takes no more of it on the way than it may."""

import io
import json
import shutil
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness import MEBIBYTE, collection
from harness.raw import Account

RESERVE = 16
# What SQLite and the file system themselves write in passing.
SLACK = 2 * MEBIBYTE


def bomb(mebibytes):
    """A batch of 25 names for one file of zeros, which is small as long as it is a zip."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("0", bytes(mebibytes * MEBIBYTE))
        archive.writestr("_meta", json.dumps([[f"{name}.bin", "0"] for name in range(25)]))
    return buffer.getvalue()


def staged(server, user="anna"):
    folder = server.folder(user) / ".anki-syncd/media"
    return list(folder.iterdir()) if folder.exists() else []


def test_a_zip_that_unpacks_to_more_than_the_disk_is_refused_before(
    disk, start_on, least_free
):
    server = start_on(min_free_megs=RESERVE)
    anna, ben = Account(server), Account(server, "ben")
    ben.upload_media({"before.bin": b"x"})
    content = bomb(40)
    assert len(content) < MEBIBYTE // 4
    with least_free() as least:
        assert anna.post("/msync/uploadChanges", content).status == 507
    assert least[0] > RESERVE * MEBIBYTE
    assert not staged(server)
    assert ben.upload_media({"after.bin": b"y"}).status == 200


def test_a_batch_over_the_quota_leaves_nothing(start_server, tmp_path):
    configuration = tmp_path / "anki-syncd.toml"
    configuration.write_text("quota_megs = 3\n")
    server = start_server("ours", arguments=["--config", configuration])
    anna = Account(server)
    assert anna.post("/msync/uploadChanges", bomb(1)).status == 507
    assert not staged(server)


def test_a_batch_that_is_damaged_in_the_middle_leaves_nothing(ours):
    anna = Account(ours)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("0", b"good" * 1000)
        archive.writestr("1", b"bad!" * 1000)
        archive.writestr("_meta", json.dumps([["a", "0"], ["b", "1"]]))
    damaged = buffer.getvalue().replace(b"bad!", b"bad?", 1)
    assert anna.post("/msync/uploadChanges", damaged).status == 400
    assert not staged(ours)


@pytest.mark.parametrize("kind", ["collections", "media"])
def test_many_uploads_at_once_leave_what_has_to_stay_free(
    kind, disk, start_on, least_free, template, tmp_path, chance
):
    server = start_on(min_free_megs=RESERVE)
    grown = collection.grown(template, tmp_path / "grown.anki2", 30)
    media = {f"{number}.bin": chance.randbytes(8 * MEBIBYTE) for number in range(4)}
    accounts = [Account(server, user) for user in server.users for _ in range(3)]

    def upload(account):
        if kind == "media":
            return account.upload_media(media).status
        return account.upload(grown).status

    with least_free() as least, ThreadPoolExecutor(len(accounts)) as pool:
        statuses = list(pool.map(upload, accounts))
    print(statuses, least[0] / MEBIBYTE)
    assert set(statuses) <= {200, 507} and 507 in statuses
    assert least[0] >= RESERVE * MEBIBYTE - SLACK
    for user in server.users:
        assert not staged(server, user)
        # A snapshot may just be compressed.
        temporary = server.folder(user) / ".anki-syncd/tmp"
        wait_until(lambda folder=temporary: not list(folder.iterdir()))


def wait_until(condition):
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_what_a_crash_left_goes_at_start_and_does_not_wait_for_its_user(ours):
    Account(ours).upload_media({"a.bin": b"a"})
    ours.kill()
    own = ours.folder("anna") / ".anki-syncd"
    left = [own / "media/0", own / "tmp/half", own / "backup/copy"]
    for path in left:
        path.write_bytes(b"x")
    ours.start()
    wait_until(lambda: not any(path.exists() for path in left))


def test_a_batch_that_was_committed_is_completed_at_start(ours):
    anna = Account(ours)
    anna.upload_media({"a.bin": b"content"})
    [[_, usn, _]] = anna.media_changes()
    assert ours.stop() == 0
    # As a power cut leaves it between the commit and the move.
    staging, file = ours.folder("anna") / ".anki-syncd/media", ours.folder("anna") / "media/a.bin"
    shutil.move(file, staging / "0")
    journal = {"last_usn": usn, "changes": {"a.bin": {"Put": 0}}}
    (staging / "journal.json").write_text(json.dumps(journal))
    ours.start()
    wait_until(lambda: not staged(ours))
    assert file.read_bytes() == b"content"
