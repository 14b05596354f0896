"""The envelope and `meta`, by hand: what clients decide by."""

import json
import time
from contextlib import closing

import pytest

from harness import collection
from harness.raw import CLIENT, META, Account, Connection, frame


@pytest.fixture
def account(server):
    return Account(server)


def send(server, header, body, path="/sync/meta"):
    with closing(Connection(server)) as connection:
        connection.send_head(path, **{"anki-sync": header})
        connection.send_last(body)
        return connection.reply()


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "no json",
        "[]",
        '{"v": 11}',
        '{"v": "11", "k": "", "c": "", "s": ""}',
        '{"v": 7, "k": "", "c": "", "s": ""}',
        '{"v": 12, "k": "", "c": "", "s": ""}',
    ],
)
def test_a_malformed_envelope_is_refused(server, header):
    assert send(server, header, frame(META)).status == 400


def test_what_else_is_in_the_envelope_does_not_matter(server, account):
    header = {"v": 11, "k": account.key, "c": CLIENT, "s": "abc", "later": [1]}
    assert "scm" in send(server, json.dumps(header), frame(META)).json()


@pytest.mark.parametrize(
    "body",
    [b"", b"no zstd", frame(META)[:-5], frame(b""), frame(b"no json"), frame({"v": 11})],
    ids=["empty", "no zstd", "cut off", "nothing", "no json", "no client version"],
)
def test_a_malformed_body_is_refused(server, account, body):
    header = {"v": 11, "k": account.key, "c": CLIENT, "s": "abc"}
    assert send(server, json.dumps(header), body).status == 400
    assert "scm" in account.meta()


@pytest.mark.parametrize("message", [{}, {"u": "anna"}, {"u": 1, "p": 2}, b"", b"null"], ids=str)
def test_a_malformed_login_is_refused(server, message):
    with closing(Connection(server)) as connection:
        assert connection.post("/sync/hostKey", message).status == 400


@pytest.mark.parametrize(
    ("version", "status"), [(7, 501), (8, 200), (9, 200), (10, 200), (11, 200), (12, 501)]
)
def test_meta_serves_the_sync_versions_eight_to_eleven(account, version, status):
    assert account.post("/sync/meta", {**META, "v": version}).status == status


def test_a_client_without_the_second_scheduler_is_told_to_stop(account):
    told = account.post("/sync/meta", {**META, "v": 8}).json()
    assert told["cont"] is False
    assert told["msg"]


def test_meta_of_a_new_user(account):
    meta = account.meta()
    assert abs(meta.pop("ts") - time.time()) < 5
    assert abs(meta.pop("scm") / 1000 - time.time()) < 30
    assert meta == {
        "mod": 0,
        "usn": 0,
        "msg": "",
        "cont": True,
        "hostNum": 0,
        "empty": True,
        "media_usn": 0,
    }


def test_meta_of_an_upload_is_what_the_file_says(account, template, tmp_path):
    file = collection.grown(template, tmp_path / "filled.anki2", 1)
    assert account.upload(file).text() == "OK"
    meta = account.meta()
    assert stamps(meta) == collection.stamps(file)
    assert meta["empty"] is False


def test_a_download_moves_usn_and_modification_on_but_not_the_schema(account, template, tmp_path):
    assert account.upload(template).text() == "OK"
    before = account.meta()
    file = account.download(tmp_path / "downloaded.anki2")
    after = account.meta()
    assert stamps(after) == collection.stamps(file)
    assert after["usn"] == before["usn"] + 1
    assert after["scm"] == before["scm"]
    assert abs(after["mod"] / 1000 - time.time()) < 5


def stamps(meta):
    return meta["mod"], meta["scm"], meta["usn"]


def test_users_are_apart(server, template, tmp_path):
    anna, ben = Account(server, "anna"), Account(server, "ben")
    anna.upload(collection.grown(template, tmp_path / "hers.anki2", 1))
    anna.upload_media({"hers.txt": b"1"})
    assert ben.meta()["empty"] and ben.meta()["media_usn"] == 0
    assert ben.post("/msync/downloadFiles", {"files": ["hers.txt"]}).status == 409
