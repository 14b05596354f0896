"""The media requests one by one, by hand: what a server takes, refuses and counts."""

import hashlib
import io
import json
import random
import unicodedata
import zipfile
from http.client import RemoteDisconnected

import pytest

from harness import MEBIBYTE
from harness.raw import CLIENT, Account, media_zip

LONGEST = "ü" * 125 + "5.png"
NFD = unicodedata.normalize("NFD", "für.mp3")


@pytest.fixture
def account(server):
    return Account(server)


def sha1(content):
    return hashlib.sha1(content).hexdigest()


def zipped(**entries):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def test_begin_tells_the_usn_and_a_key_that_works(account):
    assert account.upload_media({"one.txt": b"1"}).json() == {"data": [1, 1], "err": ""}
    begun = account.post("/msync/begin", {"v": CLIENT}).json()
    assert begun["err"] == "" and begun["data"]["usn"] == 1
    account.key = begun["data"]["sk"]
    assert account.media_changes() == [["one.txt", 1, sha1(b"1")]]


def test_begin_without_a_version_is_malformed(account):
    assert account.post("/msync/begin", {}).status == 400


def test_meta_tells_the_media_usn(account):
    assert account.meta()["media_usn"] == 0
    account.upload_media({"one.txt": b"1", "two.txt": b"2"})
    assert account.meta()["media_usn"] == 2


def test_only_real_changes_take_a_usn(account):
    assert account.upload_media({"a": b"1", "b": b"2"}).json()["data"] == [2, 2]
    # The same again, a removal of what is not there, and one replacement.
    again = {"a": b"1", "never there": None, "b": b"3"}
    assert account.upload_media(again).json()["data"] == [3, 3]
    assert account.upload_media({"a": None}).json()["data"] == [1, 4]
    assert account.upload_media({"a": None}).json()["data"] == [1, 4]
    assert account.media_changes() == [["b", 3, sha1(b"3")], ["a", 4, ""]]
    assert account.media_changes(since=3) == [["a", 4, ""]]
    assert account.media_changes(since=4) == []


def test_a_removal_may_be_an_empty_name_instead_of_null(account):
    account.upload_media({"a": b"1"})
    removal = zipped(_meta=json.dumps([["a", ""]]))
    assert account.post("/msync/uploadChanges", removal).json()["data"] == [1, 2]
    assert account.media_changes() == [["a", 2, ""]]


def test_changes_come_in_order_a_thousand_at_a_time(account):
    for start in range(0, 1100, 25):
        account.upload_media({f"{number}": b"%d" % number for number in range(start, start + 25)})
    first = account.media_changes()
    assert [usn for _, usn, _ in first] == list(range(1, 1001))
    rest = account.media_changes(since=1000)
    assert [usn for _, usn, _ in rest] == list(range(1001, 1101))


def test_the_sanity_check_counts_files_that_are_there(account):
    account.upload_media({"a": b"1", "b": b"2", "c": b"3"})
    account.upload_media({"b": None})
    for count, verdict in [(2, "OK"), (3, "mediaSanity"), (0, "mediaSanity")]:
        reply = account.post("/msync/mediaSanity", {"local": count})
        assert reply.json() == {"data": verdict, "err": ""}


@pytest.mark.parametrize(
    "name",
    [
        " leading and trailing ",
        "back\\slash",
        "co:lon",
        "[brackets]<>|*?",
        'double "quotes"',
        "new\nline",
        "con.txt",
        "-rf",
        ".hidden",
        "_meta",
        "...",
        LONGEST,
    ],
)
def test_odd_names_are_kept_as_they_are(account, name):
    assert account.upload_media({name: b"content"}).json()["data"] == [1, 1]
    assert account.media_changes() == [[name, 1, sha1(b"content")]]
    assert account.download_media([name]) == {name: b"content"}
    assert account.upload_media({name: None}).json()["data"] == [1, 2]
    assert account.post("/msync/downloadFiles", {"files": [name]}).status == 409


GOOD = {"good.txt": b"good"}


ONE = {"0": b"good"}
ONE_META = json.dumps([["good.txt", "0"]])
TWO_META = json.dumps([["good.txt", "0"], ["missing.txt", "1"]])


@pytest.mark.parametrize(
    "batch",
    [
        pytest.param(b"no zip at all", id="no zip"),
        pytest.param(b"", id="nothing"),
        pytest.param(zipped(**ONE), id="no _meta"),
        pytest.param(zipped(**ONE, _meta="no json"), id="_meta is no JSON"),
        pytest.param(zipped(**ONE, _meta=" " * 60_000 + ONE_META), id="_meta too long"),
        pytest.param(zipped(**ONE, _meta=TWO_META), id="missing entry"),
        pytest.param(zipped(**ONE, _meta=ONE_META).replace(b"good", b"evil", 1), id="bad CRC"),
        pytest.param(media_zip({**GOOD, "empty.txt": b""}), id="empty file"),
        pytest.param(media_zip({**GOOD, NFD: b"1"}), id="name not in NFC"),
        pytest.param(media_zip({**GOOD, "a/b.txt": b"1"}), id="slash"),
        pytest.param(media_zip({**GOOD, "../../evil.txt": b"1"}), id="parent folder"),
        pytest.param(media_zip({**GOOD, "/etc/evil.txt": b"1"}), id="absolute path"),
        pytest.param(media_zip({**GOOD, LONGEST + "x": b"1"}), id="256 bytes"),
        pytest.param(media_zip({str(number): b"1" for number in range(26)}), id="26 entries"),
    ],
)
def test_a_batch_with_a_mistake_is_refused_as_a_whole(server, account, batch):
    assert account.post("/msync/uploadChanges", batch).status == 400
    assert account.media_changes() == []
    folder = server.folder("anna") / "media"
    assert not folder.exists() or list(folder.iterdir()) == []
    # And the next one is none the worse for it.
    assert account.upload_media(GOOD).json()["data"] == [1, 1]


@pytest.mark.parametrize("name", ["", ".", "..", "nul\0byte"])
def test_difference_from_the_reference_impossible_names_are_malformed(server, account, name):
    reply = account.upload_media({**GOOD, name: b"1"})
    assert reply.status == (500 if server.kind == "reference" else 400)


def test_difference_from_the_reference_a_file_emptied_on_disk_is_one_users_trouble(server, account):
    other = Account(server, "ben")
    account.upload_media(GOOD)
    (server.folder("anna") / "media" / "good.txt").write_bytes(b"")
    asking = {"files": ["good.txt"]}
    if server.kind == "reference":
        # It answers nobody any more, except that it is healthy.
        with pytest.raises(RemoteDisconnected):
            account.post("/msync/downloadFiles", asking)
        with pytest.raises(RemoteDisconnected):
            other.media_changes()
        assert server.healthy()
    else:
        assert account.post("/msync/downloadFiles", asking).status < 500
        assert account.meta()["empty"]
        assert other.media_changes() == []


def test_downloads_come_in_portions_of_at_least_one_file(account):
    content = random.Random(1).randbytes(MEBIBYTE)
    files = {f"{number}.bin": bytes([number]) + content for number in range(4)}
    files["large.bin"] = content * 3
    for name in files:
        account.upload_media({name: files[name]})
    for wanted in [["large.bin", "0.bin"], list(files)]:
        received = {}
        while missing := [name for name in wanted if name not in received]:
            portion = account.download_media(missing)
            assert portion
            received.update(portion)
        assert received == {name: files[name] for name in wanted}


def test_twenty_five_names_at_a_time(account):
    files = {f"{number}.txt": b"%d" % number for number in range(25)}
    account.upload_media(files)
    assert account.download_media(list(files)) == files
    too_many = [*files, "0.txt"]
    assert account.post("/msync/downloadFiles", {"files": too_many}).status == 400


@pytest.mark.parametrize("name", ["never.txt", NFD, "../x"])
def test_asking_for_what_is_not_there_is_a_conflict(account, name):
    account.upload_media({"für.mp3": b"1"})
    assert account.post("/msync/downloadFiles", {"files": [name]}).status == 409


def test_media_go_on_while_a_collection_is_replaced(account, template):
    account.upload_media({"a": b"1"})
    assert account.upload(template).text() == "OK"
    assert account.upload_media({"b": b"2"}).json()["data"] == [1, 2]
    assert [name for name, *_ in account.media_changes()] == ["a", "b"]
