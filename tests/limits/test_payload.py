"""`MAX_SYNC_PAYLOAD_MEGS`: so much as sent, and three times that when decoded."""

import random

import pytest

from harness import MEBIBYTE, collection
from harness.raw import Account


@pytest.fixture
def account(start_server):
    return Account(start_server("ours", MAX_SYNC_PAYLOAD_MEGS="1"))


@pytest.mark.parametrize(
    "content",
    [random.Random(1).randbytes(MEBIBYTE + 1000), b"SQLite format 3\0" + bytes(3 * MEBIBYTE)],
    ids=["as sent", "decoded"],
)
def test_an_upload_over_the_limit_tells_the_person(account, template, tmp_path, content):
    assert account.upload(template).text() == "OK"
    reply = account.upload(content)
    assert reply.status == 200
    assert reply.text() != "OK" and " " in reply.text()
    kept = account.download(tmp_path / "kept.anki2")
    assert collection.rows(kept) == collection.rows(template)


def test_an_upload_within_the_limit_is_taken(account, template, tmp_path):
    assert account.upload(collection.grown(template, tmp_path / "c.anki2", 1)).text() == "OK"


def test_media_over_the_limit_is_too_large(account):
    reply = account.upload_media({"large.bin": random.Random(1).randbytes(2 * MEBIBYTE)})
    assert reply.status == 413
    assert account.media_changes() == []


def test_media_within_the_limit_is_taken(account):
    content = random.Random(1).randbytes(MEBIBYTE // 2)
    assert account.upload_media({"small.bin": content}).json()["data"] == [1, 1]
