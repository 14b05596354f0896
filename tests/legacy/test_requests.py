"""The envelope of sync versions 8 to 10, by hand: quirks of clients that cannot be had any more."""

import itertools
import json
import sqlite3
from contextlib import closing
from urllib.parse import urlencode

import pytest

from harness import collection
from harness.multipart import OldAccount, packed, post, send
from harness.raw import Account

CLIENT = "anki,2.1.56 (07fd88dd),linux"
META = {"v": 10, "cv": CLIENT}
PLAIN = json.dumps(META).encode()


@pytest.fixture
def account(server):
    return OldAccount(server)


def schema(path):
    with closing(sqlite3.connect(path)) as database:
        return database.execute("select ver from col").fetchone()[0]


def test_parts_come_in_any_order(server, account):
    parts = [("data", packed(META)), ("c", b"1"), account.k, ("s", b"x")]
    for order in itertools.permutations(parts):
        reply = post(server, "/sync/meta", *order)
        assert reply.json()["cont"] is True
        assert reply.headers["content-type"] == "application/octet-stream"
        assert int(reply.headers["content-length"]) == len(reply.body)
        assert reply.headers["anki-original-size"] is None


@pytest.mark.parametrize(
    ("c", "data", "status"),
    [
        (None, PLAIN, 200),
        (b"0", PLAIN, 200),
        (b"1", packed(META), 200),
        (b"1", PLAIN, 400),
        (b"1", packed(META)[:-12], 400),
        (b"0", packed(META), 400),
        (b"0", b"no json", 400),
        (b"0", b"", 400),
    ],
)
def test_data_is_gzip_if_c_says_so(server, account, c, data, status):
    parts = [("data", data), account.k] + ([("c", c)] if c else [])
    assert post(server, "/sync/meta", *parts).status == status


def test_the_key_may_be_called_sk(server, account):
    parts = [("data", PLAIN), ("sk", account.key.encode()), ("unknown", b"part")]
    assert post(server, "/sync/meta", *parts).status == 200


@pytest.mark.parametrize("parts", [[], [("k", b"nobody")], [("sk", b"")]], ids=str)
def test_without_a_valid_key_it_is_forbidden(server, parts):
    assert post(server, "/sync/meta", ("data", PLAIN), *parts).status == 403


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=B", b"garbage"),
        ("multipart/form-data; boundary=B", b""),
        ("application/json", b"{}"),
    ],
)
def test_what_is_no_form_is_refused(server, content_type, body):
    assert send(server, "/sync/meta", body, headers={"content-type": content_type}).status == 400


@pytest.mark.parametrize(
    ("sync_version", "status", "goes_on"),
    [(7, 501, None), (8, 200, False), (9, 200, True), (10, 200, True), (12, 501, None)],
)
def test_meta_of_each_sync_version(account, sync_version, status, goes_on):
    reply = account.call("/sync/meta", {**META, "v": sync_version})
    assert reply.status == status
    if status == 200:
        meta = reply.json()
        assert (meta["cont"], meta["msg"] == "") == (goes_on, goes_on)


def test_a_client_of_version_9_is_told_to_stop_if_time_zones_are_handled_anew(
    server, account, template
):
    # As clients of today make collections.
    assert Account(server).upload(template).text() == "OK"
    for version, goes_on in [(8, False), (9, False), (10, True)]:
        meta = account.call("/sync/meta", {**META, "v": version}).json()
        assert (meta["cont"], meta["msg"] == "") == (goes_on, goes_on)


def test_begin_takes_its_arguments_from_the_query(server, account):
    query = urlencode({"k": account.key, "v": CLIENT})
    reply = send(server, f"/msync/begin?{query}", method="GET", headers={})
    assert reply.json() == {"data": {"usn": 0, "sk": account.key}, "err": ""}


@pytest.mark.parametrize(
    ("query", "status"), [({"v": CLIENT}, 400), ({"k": "nobody", "v": CLIENT}, 403)], ids=str
)
def test_begin_needs_a_key(server, query, status):
    path = f"/msync/begin?{urlencode(query)}"
    assert send(server, path, method="GET", headers={}).status == status


@pytest.mark.parametrize(
    ("parts", "status"),
    [
        ([("v", CLIENT.encode())], 200),
        ([("v", CLIENT.encode()), ("data", b"{}")], 200),
        ([("data", json.dumps({"v": CLIENT}).encode())], 200),
        ([("data", b"{}")], 400),
        ([], 400),
    ],
    ids=str,
)
def test_begin_needs_a_version(server, account, parts, status):
    assert post(server, "/msync/begin", account.k, *parts).status == status


def test_start_takes_graves_with_ids_as_strings(account):
    graves = {"cards": ["1"], "notes": ["2"], "decks": []}
    reply = account.call("/sync/start", {"minUsn": 0, "offset": 0, "lnewer": True, "graves": graves})
    assert reply.json() == {"cards": [], "notes": [], "decks": []}


def test_start_needs_a_session_key(server, account):
    data = b'{"minUsn": 0, "lnewer": true}'
    assert post(server, "/sync/start", ("data", data), account.k).status == 400


def test_meta_ends_the_sync_of_a_client_that_never_aborts(account):
    start = {"minUsn": 0, "offset": None, "lnewer": False}
    graves = {"chunk": {"cards": [], "notes": [], "decks": []}}
    assert account.call("/sync/start", start).status == 200
    assert account.call("/sync/applyGraves", graves).json() is None
    assert account.call("/sync/meta", META).status == 200
    assert account.call("/sync/applyGraves", graves).status == 409
    assert account.call("/sync/start", start).status == 200
    assert isinstance(account.call("/sync/finish").json(), int)


def test_each_generation_gets_the_schema_that_it_reads(server, account, template, tmp_path):
    new = Account(server)
    file = collection.grown(template, tmp_path / "new.anki2", 1)
    assert new.upload(file).text() == "OK"
    old_file = account.download(tmp_path / "old.anki2")
    assert schema(old_file) == 11
    assert old_file.read_bytes()[18:20] == b"\1\1"
    assert account.upload(old_file).text() == "OK"
    back = new.download(tmp_path / "back.anki2")
    assert schema(back) == 18
    assert collection.integrity(back) == "ok"
    assert collection.rows(back)["notes"] == collection.rows(file)["notes"]
    assert collection.rows(back)["notetypes"] == collection.rows(file)["notetypes"]


def test_an_upload_that_cannot_be_upgraded_is_refused_with_a_sentence(server, account, tmp_path):
    file = account.download(tmp_path / "file.anki2")
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("update col set models = 'no json'")
    before = account.call("/sync/meta", META).json()
    reply = account.upload(file)
    assert reply.status == 200
    assert reply.text() != "OK" and " " in reply.text()
    after = account.call("/sync/meta", META).json()
    assert after["scm"] == before["scm"]


def test_the_account_that_the_reference_server_left_in_an_old_schema_is_served(
    start_server, template, tmp_path
):
    reference = start_server("reference")
    Account(reference).upload(collection.grown(template, tmp_path / "new.anki2", 1))
    OldAccount(reference).download(tmp_path / "old.anki2")
    reference.stop()
    assert schema(reference.folder("anna") / "collection.anki2") == 11
    ours = start_server("ours", reference.base)
    back = Account(ours).download(tmp_path / "back.anki2")
    assert schema(back) == 18
    assert collection.integrity(back) == "ok"
