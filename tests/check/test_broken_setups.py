"""Prepared set-ups, each broken in one way, which the check names."""

import os
import shutil
import subprocess

import pytest

from harness import breakages as broken
from harness.breakages import ANOTHER_ACCOUNT

ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="giving files away needs root")


def test_a_healthy_set_up_has_nothing_to_tell_and_is_not_touched(setup):
    before = setup.tree()
    outcome = setup.check()
    assert (outcome.findings, outcome.status) == ([], 0)
    assert setup.tree() == before


@ROOT
def test_what_is_beside_the_users_folders_is_none_of_its_business(setup):
    broken.beside_the_users(setup)
    outcome = setup.check()
    assert (outcome.findings, outcome.status) == ([], 0)


def test_a_healthy_set_up_has_nothing_to_tell_while_it_serves(setup, new_device):
    setup.server.start()
    device = new_device(setup.server)
    device.login()
    device.download()
    device.add_note("new", "note")
    device.sync()
    outcome = setup.check()
    assert (outcome.findings, outcome.status) == ([], 0)


# What is broken, the finding that names it, a phrase of it, and what else there is to tell.
BROKEN = [
    (broken.gap, "settings-doubtful", "Number the users without a gap", ()),
    (broken.unknown_key, "settings", "prot", ()),
    (broken.passwords_hashed_without_a_value, "settings-doubtful", "turns the setting off", ()),
    (broken.hash_taken_for_a_password, "settings-doubtful", "looks like a hash", ()),
    (broken.header_without_proxy, "ip-header-not-believed", "trusted_proxies is empty", ()),
    (broken.header_from_anybody, "ip-header-believed-from-anybody", "every address", ()),
    (broken.limit_below_a_collection, "collection-over-limit", "an upload may be only 3 MiB", ()),
    (broken.limit_near_a_collection, "collection-near-limit", "at most 6 MiB", ()),
    (broken.users_missing, "users-file-missing", "does not exist", ("settings",)),
    (broken.users_for_everybody, "users-file-open", "mode 644", ()),
    (broken.users_with_byte_order_mark, "users-file-bom", "byte order mark", ()),
    (broken.users_from_windows, "users-file-crlf", "Windows line endings", ()),
    (broken.users_with_trailing_space, "users-file-trailing-space", "part of the password", ()),
    (broken.users_with_bcrypt, "users-file-other-hash", "of a kind that is not supported", ()),
    (broken.users_with_a_quoted_hash, "users-file-other-hash", "in quotation marks", ()),
    (broken.user_with_a_blank, "users-entry", "ends with a space", ()),
    (broken.folder_vanished, "data-missing", "anna cannot sync", ()),
    (broken.user_misspelt, "folder-without-user", "not among the users", ()),
    (broken.other_users_than_the_server_has, "users-not-taken-over", "users or passwords of the running server differ", ()),
    pytest.param(broken.file_of_another_account, "files-of-others", "do not belong to the server's account, root", (), marks=ROOT),
    pytest.param(broken.files_of_root, "files-of-others", "1 below the data folder", ("not-looked-at",), marks=ROOT),
    (broken.collection_read_only, "files-not-writable", "cannot read or cannot change", ()),
    (broken.base_for_everybody, "base-open", "mode 755", ()),
    pytest.param(broken.base_shared_and_open, "base-shared", "postgres", (), marks=ROOT),
    (broken.secret_for_everybody, "secret-open", "sync as any user", ()),
    (broken.secret_cut_short, "secret-damaged", "5 bytes instead of 32", ()),
    (broken.collection_elsewhere, "link-out-of-base", "leads out of the data folder", ()),
    (broken.collection_linked_within, "link", "replaces the link", ()),
    (broken.half_an_upload, "temporary-left", "did not end properly", ()),
    (broken.journal_left, "journal-left", "collection.anki2-wal", ()),
    (broken.held_open, "collection-locked", f"process {os.getpid()}", ()),
    (broken.base_is_a_file, "base-not-a-folder", "is not a folder", ()),
    (broken.disk_too_small, "disk-nearly-full", "may need", ("collection-foreign", "collection-over-limit")),
    (broken.less_free_than_has_to_be, "disk-full", "min_free_megs", ()),
    (broken.more_than_the_quota, "quota-exceeded", "quota_megs allows 1", ("media-extra",)),
    (broken.clock_not_synchronised, "clock-unsynchronised", "not synchronised", ()),
    (broken.collection_overwritten, "collection-damaged", "is damaged", ()),
    (broken.collection_without_content, "collection-empty-file", "empty file", ()),
    (broken.collection_of_garbage, "collection-foreign", "not an Anki collection", ()),
    (broken.collection_of_something_else, "collection-foreign", "not an Anki collection", ()),
    (broken.collection_of_tomorrow, "collection-schema-unknown", "schema version 99", ()),
    (broken.collection_without_a_table, "collection-incomplete", "lacks revlog", ()),
    (broken.note_unsent, "collection-unsent", "1 in notes", ()),
    (broken.deletion_unsent, "collection-unsent-deletions", "1 deletions", ()),
    (broken.table_of_an_add_on, "collection-foreign-objects", "table heatmap", ()),
    (broken.tables_without_keys, "collection-tables-rewritten", "notes, cards, revlog", ()),
    (broken.tags_of_another_client, "collection-tables-rewritten", "tags", ()),
    (broken.note_twice, "collection-ids-repeated", "more than once in the table notes", ("collection-tables-rewritten",)),
    (broken.index_that_computes, "collection-computes", "index evil", ()),
    (broken.trigger_and_view, "collection-computes", "trigger t", ()),
    (broken.column_that_computes, "collection-unlike-anki", "generated column in the table notes", ()),
    (broken.statistics_that_compute, "collection-unlike-anki", "sqlite_stat1", ()),
    (broken.counter_that_is_no_number, "collection-wrong-value", "col.usn", ()),
    (broken.modified_in_the_future, "collection-from-the-future", "in the future", ()),
    (broken.media_missing, "media-missing", "1 (a.png)", ()),
    (broken.media_extra, "media-extra", "1 (copied.png)", ()),
    (broken.media_changed, "media-changed", "1 (b.mp3)", ()),
    (broken.media_with_the_same_size_changed, "media-changed", "1 (b.mp3)", ()),
    (broken.media_name_not_in_normal_form, "media-name", "NFC", ()),
    (broken.media_too_large, "media-large", "film.mp4", ()),
    (broken.media_empty, "media-empty", "empty.png", ()),
    (broken.media_of_the_system, "media-hidden", ".DS_Store", ()),
    (broken.media_in_a_folder, "media-not-a-file", "more", ()),
    (broken.media_database_overwritten, "media-database-damaged", "is damaged", ()),
    pytest.param(broken.media_database_that_never_answers, "not-looked-at", "plain file", (), marks=ROOT),
    (broken.media_folder_that_cannot_be_listed, "not-looked-at", "Not a directory", ()),
    pytest.param(broken.media_database_without_end, "not-looked-at", "plain file", ("link-out-of-base",), marks=ROOT),
    (broken.media_database_missing, "media-database-missing", "the 3 files", ()),
    (broken.media_database_miscounts, "media-database-sums", "do not match", ()),
]


def name_of(value):
    return value.__name__ if callable(value) else None


@pytest.mark.parametrize(("break_it", "id", "phrase", "besides"), BROKEN, ids=name_of)
def test_a_broken_set_up_is_told_by_its_cause(request, setup, break_it, id, phrase, besides):
    needed = break_it.__code__.co_varnames[1 : break_it.__code__.co_argcount]
    break_it(setup, *(request.getfixturevalue(name) for name in needed))
    before = setup.tree() if setup.base.is_dir() else None
    outcome = setup.check()
    assert outcome.ids == {id, *besides}
    finding = outcome.of(id)
    assert phrase in finding["where"] + " " + finding["what"]
    assert len(finding["remedy"]) > 7
    problems = [finding for finding in outcome.findings if finding["severity"] == "problem"]
    assert outcome.status == (1 if problems else 0)
    if before is not None and setup.server.process is None:
        assert setup.tree() == before


@ROOT
def test_an_index_that_never_answers_is_not_waited_for(setup):
    broken.index_that_never_answers(setup)
    assert setup.check().findings == []


@ROOT
def test_users_data_are_not_opened_with_roots_rights(setup):
    broken.all_of_another_account(setup)
    secret = setup.folder / "secret"
    setup.execute(secret, "create table secrets (word)")
    secret.chmod(0o600)
    setup.collection.unlink()
    setup.collection.symlink_to(secret)
    outcome = setup.check()
    assert outcome.ids == {"link-out-of-base", "not-looked-at"}
    assert "ermission denied" in outcome.of("not-looked-at")["what"]
    assert "as root" not in outcome.of("not-looked-at")["remedy"]


def checked_by_somebody_else(setup):
    if os.geteuid() != 0:
        pytest.skip("becoming somebody else needs root")
    setup.let_others_pass()
    program = setup.server.command[0]
    copied = setup.folder / "anki-syncd"
    shutil.copy(program, copied)
    setup.server.command[0] = str(copied)
    return setup.check(user=ANOTHER_ACCOUNT, group=ANOTHER_ACCOUNT, extra_groups=[])


def test_a_full_disk_is_seen_by_somebody_who_may_not_look_into_the_folder(setup):
    broken.less_free_than_has_to_be(setup)
    assert checked_by_somebody_else(setup).ids == {"not-looked-at", "disk-full"}


def test_what_only_root_may_read_is_said_not_to_be_looked_at(setup):
    outcome = checked_by_somebody_else(setup)
    assert outcome.ids == {"not-looked-at"}
    assert "as root" in outcome.of("not-looked-at")["remedy"]
    assert outcome.status == 0


def test_people_get_sentences(setup):
    broken.media_missing(setup)
    done = setup.run()
    assert done.returncode == 1
    first, second, last = done.stdout.splitlines()
    assert first.startswith("problem: anna/media: files are listed in media.db")
    assert first.endswith("[media-missing]")
    assert "check --repair" in second
    assert last == "1 problem, 0 warnings, 0 notes"
    assert "one problem found" in done.stderr


def test_what_users_name_does_not_move_the_cursor(setup):
    (setup.media / "\x1b]0;title\x07.png").write_bytes(b"x")
    setup.execute(setup.collection, 'create table "\x1b[2Jheatmap" (day)')
    printed = setup.run().stdout
    assert "?]0;title?.png" in printed
    assert "?[2Jheatmap" in printed
    assert "\x1b" not in printed


@ROOT
def test_a_server_in_a_container_is_the_one_that_runs(setup, new_device):
    """By its socket in the folder; the folder and the process have other names in there."""
    alias = setup.folder / "inside"
    alias.symlink_to(setup.base)
    server, command = setup.server, setup.server.command
    server.command = [shutil.which("unshare"), "--pid", "--fork", "--kill-child", *command]
    server.settings["SYNC_BASE"] = str(alias)
    server.start()
    server.command = command
    del server.settings["SYNC_BASE"]
    broken.half_an_upload(setup)
    device = new_device(server)
    device.login()
    device.download()
    outcome = setup.check()
    assert (outcome.findings, outcome.status) == ([], 0)


def test_a_server_that_syncs_all_the_time_is_not_disturbed(setup, new_device):
    setup.server.start()
    device = new_device(setup.server)
    device.login()
    device.download()
    checks = [
        subprocess.Popen(
            [setup.server.command[0], "check", "--json"],
            env=setup.server.environment(),
            stdout=subprocess.PIPE,
        )
        for _ in range(2)
    ]
    rounds = 0
    while any(check.poll() is None for check in checks) or rounds < 5:
        device.add_note(f"round {rounds}", "back")
        assert device.sync() == "NO_CHANGES"
        device.download()
        rounds += 1
        assert rounds < 200
    for check in checks:
        output = check.stdout.read().decode()
        assert check.returncode == 0, output
