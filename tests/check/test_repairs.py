"""What `--repair` puts right, and that real clients go on syncing afterwards."""

import os
import shutil
import subprocess

import pytest
from harness.breakages import (
    ANOTHER_ACCOUNT,
    base_for_everybody,
    beside_the_users,
    collection_read_only,
    deletion_unsent,
    files_of_root,
    half_an_upload,
    index_that_computes,
    journal_left,
    media_database_miscounts,
    media_database_missing,
    note_unsent,
    secret_for_everybody,
    tables_without_keys,
    tags_of_another_client,
    trigger_and_view,
)
from harness.collection import connect
from harness.device import ClientError
from harness.setup import MEDIA

USAGE = 64
ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="giving files away needs root")


def names(folder):
    return {path.name for path in folder.iterdir()}


def assert_clean(setup):
    outcome = setup.check()
    assert (outcome.findings, outcome.status) == ([], 0)


def assert_syncs_normally(device):
    assert device.status() in ("NO_CHANGES", "NORMAL_SYNC")
    assert device.sync() == "NO_CHANGES"


STOPPED = [
    base_for_everybody,
    secret_for_everybody,
    media_database_miscounts,
    media_database_missing,
    note_unsent,
    tables_without_keys,
    tags_of_another_client,
    index_that_computes,
    trigger_and_view,
    journal_left,
    collection_read_only,
    half_an_upload,
]
# A running server may be in the middle of an upload.
RUNNING = STOPPED[:-1]
# The same with fewer waits for the server to close what is idle.
# Some keep others from being seen.
ALONE = [media_database_missing, index_that_computes, trigger_and_view]
TOGETHER = [*([each] for each in ALONE), [each for each in RUNNING if each not in ALONE]]


def pytest_generate_tests(metafunc):
    long = metafunc.config.getoption("--long")
    if "breakages" in metafunc.fixturenames:
        running = [[each] for each in RUNNING] if long else TOGETHER
        cases = [([each], False) for each in STOPPED] + [(each, True) for each in running]
        ids = [
            f"{'running' if running else 'stopped'}-{breakages[0].__name__}"
            for breakages, running in cases
        ]
        metafunc.parametrize(("breakages", "running"), cases, ids=ids)
    elif "running" in metafunc.fixturenames:
        metafunc.parametrize("running", [False, True] if long else [True])


def test_after_a_repair_nothing_is_left_to_tell_and_a_device_syncs(
    setup, old_device, breakages, running
):
    for break_it in breakages:
        break_it(setup)
    if running:
        setup.server.start()
    outcome = setup.repair()
    assert (outcome.findings, outcome.status) == ([], 0), outcome.errors
    assert "not done" not in outcome.errors
    assert_clean(setup)
    if not running:
        setup.server.start()
    device = old_device()
    assert_syncs_normally(device)
    device.add_note("after", "the repair")
    assert_syncs_normally(device)
    device.sync_media()
    assert device.media() == MEDIA
    setup.server.stop()
    assert_clean(setup)


def test_media_agree_again_and_every_file_is_somewhere(setup, old_device, new_device, running):
    (setup.media / "a.png").unlink()
    (setup.media / "b.mp3").write_bytes(b"seco")
    (setup.media / "found.gif").write_bytes(b"by hand")
    if running:
        setup.server.start()
    before = setup.check()
    assert before.ids == {"media-missing", "media-changed", "media-extra"}
    outcome = setup.repair()
    assert (outcome.findings, outcome.status) == ([], 0), outcome.errors
    assert names(setup.media) == {"c.jpg", "found.gif"}
    assert (setup.user / ".anki-syncd/set-aside/b.mp3").read_bytes() == b"seco"

    if not running:
        setup.server.start()
    # The device that has the files as they were gives them back, and gets the new one.
    first = old_device()
    for _ in range(3):
        try:
            first.put_media("later.txt", b"later")
            first.sync_media()
            break
        except ClientError as error:
            assert "sync again" in str(error)
    expected = {**MEDIA, "found.gif": b"by hand", "later.txt": b"later"}
    assert first.media() == expected
    second = new_device(setup.server)
    second.login()
    second.download()
    second.sync_media()
    assert second.media() == expected
    assert_clean(setup)


def test_what_no_device_was_told_reaches_the_others(setup, old_device):
    setup.server.start()
    first, second, failing = old_device(), old_device(), old_device()
    setup.server.stop()
    setup.execute(
        setup.collection,
        "update notes set flds = 'written by hand' || char(31) || 'x', usn = -1, mod = mod + 1"
        " where id = (select min(id) from notes)",
    )
    setup.server.start()
    # Before that, syncs fail, and the client then wants a full one.
    failing.add_note("something", "to sync")
    with pytest.raises(ClientError, match="Check Database"):
        failing.sync()
    outcome = setup.repair()
    assert outcome.findings == [], outcome.errors
    for device in (first, second):
        assert_syncs_normally(device)
        fields = [row[0] for row in device.select("select flds from notes")]
        assert any(field.startswith("written by hand") for field in fields)


def test_snapshots_stay_whatever_number_the_server_keeps(setup):
    folder = setup.user / ".anki-syncd/snapshots"
    folder.mkdir(exist_ok=True)
    for day in range(1, 10):
        name = f"2026-01-{day:02}T00-00-00.000Z-before-upload.anki2.zst"
        (folder / name).write_bytes(b"compressed")
    (setup.media / "a.png").unlink()
    setup.repair()
    assert len(names(folder)) == 9


def test_deletions_are_left_for_a_person_to_decide(setup):
    deletion_unsent(setup)
    outcome = setup.repair()
    assert outcome.ids == {"collection-unsent-deletions"}
    assert not outcome.findings[0]["repairable"]
    with connect(setup.collection) as database:
        assert database.execute("select usn from graves").fetchall() == [(-1,)]


@ROOT
def test_stray_files_and_all_that_a_repair_makes_are_the_servers(setup):
    files_of_root(setup)
    (setup.media / "a.png").unlink()
    (setup.media / "b.mp3").write_bytes(b"changed")
    (setup.media / "found.gif").write_bytes(b"by hand")
    note_unsent(setup)
    shutil.rmtree(setup.base / ".anki-syncd/tmp")
    outcome = setup.repair()
    assert "not done" not in outcome.errors
    assert_clean(setup)
    owners = {path.lstat().st_uid for path in [setup.base, *setup.base.rglob("*")]}
    assert owners == {ANOTHER_ACCOUNT}
    assert names(setup.media) == {"c.jpg", "found.gif"}


@ROOT
def test_a_file_with_another_name_elsewhere_is_not_given_away(setup):
    files_of_root(setup)
    elsewhere = setup.folder / "shadow"
    elsewhere.write_text("root's own")
    os.chown(elsewhere, 0, 0)
    setup.media.joinpath("trap").hardlink_to(elsewhere)
    outcome = setup.repair()
    assert "has hard links" in outcome.errors
    assert elsewhere.stat().st_uid == 0
    assert setup.collection.stat().st_uid == ANOTHER_ACCOUNT
    assert "files-of-others" in outcome.ids


@ROOT
def test_what_is_beside_the_users_folders_is_not_given_away(setup):
    files_of_root(setup)
    beside_the_users(setup)
    (setup.base / "postgres").mkdir()
    (setup.base / "postgres/data").write_text("x")
    for path in (setup.base, setup.base / "postgres"):
        os.chown(path, 0, 0)
        path.chmod(0o755)
    others = ["", "postgres", "postgres/data", "lost+found/1", "anna/lost+found/1"]

    def rights():
        found = [(setup.base / path).stat() for path in others]
        return [(status.st_uid, status.st_mode) for status in found]

    before = rights()
    setup.configure("run_as = 'nobody'\n")
    outcome = setup.repair()
    assert rights() == before
    assert setup.collection.owner() == "nobody"
    assert outcome.of("base-shared")["severity"] == "problem"


@ROOT
@pytest.mark.parametrize("owner", [0, ANOTHER_ACCOUNT])
def test_the_mode_of_a_file_that_is_elsewhere_too_is_not_set(setup, owner):
    files_of_root(setup)
    elsewhere = setup.folder / "elsewhere"
    elsewhere.write_text("x")
    elsewhere.chmod(0o444)
    os.chown(elsewhere, owner, owner)
    setup.media.joinpath("trap").hardlink_to(elsewhere)
    outcome = setup.repair()
    assert "has hard links" in outcome.errors
    assert elsewhere.stat().st_mode & 0o777 == 0o444


def test_a_link_is_not_followed(setup):
    elsewhere = setup.folder / "elsewhere"
    elsewhere.write_text("x")
    elsewhere.chmod(0o444)
    setup.media.joinpath("trap").symlink_to(elsewhere)
    outcome = setup.repair()
    assert "link-out-of-base" in outcome.ids
    assert elsewhere.stat().st_mode & 0o777 == 0o444


def test_nothing_is_done_without_a_yes(setup):
    (setup.media / "a.png").unlink()
    before = setup.tree()
    done = setup.run("--repair")
    assert done.returncode == USAGE
    assert "--yes" in done.stderr
    assert setup.tree() == before


@pytest.mark.parametrize(("answer", "repaired"), [("n\n", False), ("\n", False), ("y\n", True)])
def test_at_a_terminal_it_asks(setup, answer, repaired):
    (setup.media / "a.png").unlink()
    ours, its = os.openpty()
    os.write(ours, answer.encode())
    done = setup.run("--repair", stdin=its)
    os.close(ours)
    os.close(its)
    assert "match the media folder for one file" in done.stderr
    assert (setup.check().status == 0) == repaired


def test_a_collection_that_another_program_holds_is_left_alone(setup):
    note_unsent(setup)
    script = (
        "import sqlite3, sys; d = sqlite3.connect(sys.argv[1]);"
        "d.execute('begin exclusive'); print(1, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        ["python3", "-c", script, setup.collection],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        holder.stdout.readline()
        outcome = setup.repair()
        holder.stdin.close()
    assert outcome.status == 1
    assert "not done: anna" in outcome.errors
    assert outcome.ids >= {"collection-unsent", "collection-locked"}
