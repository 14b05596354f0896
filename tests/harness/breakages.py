"""Ways to break a set-up, each of which a check has to name."""

import os
import shutil
import sqlite3
from contextlib import closing

from harness import MEBIBYTE
from harness.collection import connect, grown

ANOTHER_ACCOUNT = 54321
HASH = (
    "$pbkdf2-sha256$i=1000,l=32$UUOaQiACqOO/N0WFhMcwsA"
    "$YMnZxsJz6qnfHEZASU1ppuuYjfSqbkXgF64+8ojRJsE"
)


# Settings.


def gap(setup):
    setup.server.settings["SYNC_USER4"] = "dora:d"


def unknown_key(setup):
    setup.configure("host = '127.0.0.1'\nprot = 8080\n")


def passwords_hashed_without_a_value(setup):
    setup.server.settings["PASSWORDS_HASHED"] = ""


def hash_taken_for_a_password(setup):
    setup.server.users = {"anna": HASH, "ben": "b"}


def header_without_proxy(setup):
    setup.server.settings["SYNC_IP_HEADER"] = "XRealIp"
    setup.configure("trusted_proxies = []\n")


def header_from_anybody(setup):
    setup.server.settings["SYNC_IP_HEADER"] = "XRealIp"
    setup.configure("trusted_proxies = ['0.0.0.0/0']\n")


def limit_below_a_collection(setup, template):
    grown(template, setup.collection, 4)
    setup.collection.chmod(0o600)
    setup.server.settings["MAX_SYNC_PAYLOAD_MEGS"] = "1"


def limit_near_a_collection(setup, template):
    grown(template, setup.collection, 5.2)
    setup.collection.chmod(0o600)
    setup.server.settings["MAX_SYNC_PAYLOAD_MEGS"] = "2"


# Users.


def users_missing(setup):
    setup.list_users(b"").unlink()


def users_for_everybody(setup):
    setup.list_users(b"anna:a\n", mode=0o644)


def users_with_byte_order_mark(setup):
    setup.list_users("\ufeffben:b\nanna:a\n".encode())


def users_from_windows(setup):
    setup.list_users(b"ben:b\r\nanna:a\r\n")


def users_with_trailing_space(setup):
    setup.list_users(b"ben:b\nanna:a \n")


def users_with_bcrypt(setup):
    setup.list_users(b"anna:$2b$12$abcdefghijklmnopqrstuv\n")


def users_with_a_quoted_hash(setup):
    setup.list_users(f"anna:'{HASH}'\n".encode())


def user_with_a_blank(setup):
    setup.list_users(b"anna:a\nben :b\n")


def folder_vanished(setup):
    """As when its disk is not mounted."""
    setup.server.start()
    setup.server.stop()
    folder = setup.server.folder("anna")
    folder.rename(folder.with_name(".away"))
    folder.mkdir(mode=0o700)


def user_misspelt(setup):
    setup.list_users(b"Anna:a\n")


def other_users_than_the_server_has(setup):
    setup.server.start()
    setup.server.users = {**setup.server.users, "anna": "changed"}


# Files.


def file_of_another_account(setup):
    os.chown(setup.media / "a.png", ANOTHER_ACCOUNT, ANOTHER_ACCOUNT)


def all_of_another_account(setup):
    """Also the server, then."""
    setup.let_others_pass()
    for path in [setup.base, *setup.base.rglob("*")]:
        os.chown(path, ANOTHER_ACCOUNT, ANOTHER_ACCOUNT)


def files_of_root(setup):
    all_of_another_account(setup)
    os.chown(setup.collection, 0, 0)


def base_shared_and_open(setup):
    """As with `SYNC_BASE=/srv`."""
    beside_the_users(setup)
    (setup.base / "postgres").mkdir()
    setup.base.chmod(0o755)


def beside_the_users(setup):
    """What is in a folder where a file system is mounted, or that has snapshots."""
    for name in ("lost+found", ".snapshots", "anna/lost+found"):
        folder = setup.base / name
        folder.mkdir()
        (folder / "1").write_text("x")
        for path in (folder, folder / "1"):
            os.chown(path, ANOTHER_ACCOUNT, ANOTHER_ACCOUNT)


def collection_read_only(setup):
    setup.collection.chmod(0o400)


def base_for_everybody(setup):
    setup.base.chmod(0o755)


def secret_for_everybody(setup):
    (setup.base / ".anki-syncd/host-key-secret").chmod(0o644)


def secret_cut_short(setup):
    (setup.base / ".anki-syncd/host-key-secret").write_bytes(b"short")


def collection_elsewhere(setup):
    shutil.move(setup.collection, setup.folder / "elsewhere")
    setup.collection.symlink_to(setup.folder / "elsewhere")


def collection_linked_within(setup):
    shutil.move(setup.collection, setup.user / "real")
    setup.collection.symlink_to("real")


def half_an_upload(setup):
    (setup.user / ".anki-syncd/tmp/.tmpAbc").write_bytes(b"half")


def journal_left(setup):
    """As when the power fails: the log is there, and nobody has it open."""
    source = setup.folder / "source"
    shutil.copy(setup.collection, source)
    with closing(connect(source)) as database:
        database.execute("pragma journal_mode = wal")
        database.execute("update col set ls = ls + 1")
        database.commit()
        shutil.copy(source, setup.collection)
        shutil.copy(f"{source}-wal", f"{setup.collection}-wal")
    setup.collection.chmod(0o600)
    setup.user.joinpath("collection.anki2-wal").chmod(0o600)


def held_open(setup):
    database = sqlite3.connect(setup.collection)
    setup.held.append(database)
    database.execute("pragma locking_mode = exclusive")
    database.execute("begin immediate")
    database.execute("select count() from cards").fetchone()


def base_is_a_file(setup):
    shutil.rmtree(setup.base)
    setup.base.write_text("")


# Disk and clock.


def disk_too_small(setup):
    """For a collection as large as the disk, of which hardly anything is there."""
    free = os.statvfs(setup.base)
    folder = setup.base / "ben"
    folder.mkdir(mode=0o700)
    with open(folder / "collection.anki2", "wb") as file:
        file.truncate(min(free.f_bavail * free.f_frsize, 2**43))
    (folder / "collection.anki2").chmod(0o600)


def less_free_than_has_to_be(setup):
    setup.configure(f"min_free_megs = {2**40}\n")


def more_than_the_quota(setup):
    with open(setup.media / "film.mp4", "wb") as file:
        file.truncate(2 * MEBIBYTE)
    (setup.media / "film.mp4").chmod(0o600)
    setup.configure("quota_megs = 1\n")


def clock_not_synchronised(setup):
    setup.tell_time(synchronised="no")


# Collections.


def collection_overwritten(setup):
    content = bytearray(setup.collection.read_bytes())
    content[4096 * 3 : 4096 * 6] = b"U" * (4096 * 3)
    setup.collection.write_bytes(content)


def collection_without_content(setup):
    setup.collection.write_bytes(b"")


def collection_of_garbage(setup):
    setup.collection.write_bytes(b"not a database " * 1000)


def collection_of_something_else(setup):
    setup.collection.unlink()
    setup.execute(setup.collection, "create table places (id)")
    setup.collection.chmod(0o600)


def collection_of_tomorrow(setup):
    setup.execute(setup.collection, "update col set ver = 99")


def collection_without_a_table(setup):
    setup.execute(setup.collection, "drop table revlog")


def note_unsent(setup):
    setup.execute(setup.collection, "update notes set usn = -1 where id = (select min(id) from notes)")


def deletion_unsent(setup):
    setup.execute(setup.collection, "insert into graves values (1, 1, -1)")


def table_of_an_add_on(setup):
    setup.execute(setup.collection, "create table heatmap (day)")


def tables_without_keys(setup):
    """As a program leaves them that writes tables from data frames."""
    for table in ("notes", "cards", "revlog"):
        setup.execute(
            setup.collection,
            f"create table zz as select * from {table}; drop table {table}; alter table zz rename to {table}",
        )


def tags_of_another_client(setup):
    setup.execute(
        setup.collection,
        "alter table tags rename to old;"
        "create table tags (tag text primary key not null collate unicase, usn integer not null);"
        "insert into tags select tag, usn from old;"
        "drop table old",
    )


def note_twice(setup):
    tables_without_keys(setup)
    setup.execute(setup.collection, "insert into notes select * from notes limit 1")


def index_that_computes(setup):
    setup.execute(setup.collection, "create index evil on notes (length(flds))")


def trigger_and_view(setup):
    setup.execute(
        setup.collection,
        "create view v as select 1;"
        "create trigger t after update on notes begin delete from cards; end",
    )


def column_that_computes(setup):
    setup.execute(
        setup.collection,
        "alter table notes add column evil as (length(hex(zeroblob(400000000))))",
    )


def statistics_that_compute(setup):
    setup.execute(
        setup.collection,
        "analyze; pragma writable_schema = on;"
        "update sqlite_schema set sql ="
        " 'CREATE TABLE sqlite_stat1(tbl, idx as (length(hex(zeroblob(400000000)))), stat)'"
        " where name = 'sqlite_stat1'",
    )


def counter_that_is_no_number(setup):
    setup.execute(setup.collection, "update col set usn = 'x'")


def modified_in_the_future(setup):
    setup.execute(setup.collection, "update col set mod = mod + 86400000")


# Media.


def media_missing(setup):
    (setup.media / "a.png").unlink()


def media_extra(setup):
    (setup.media / "copied.png").write_bytes(b"by hand")
    (setup.media / "copied.png").chmod(0o600)


def media_changed(setup):
    (setup.media / "b.mp3").write_bytes(b"secon")


def media_with_the_same_size_changed(setup):
    (setup.media / "b.mp3").write_bytes(b"Second")


def media_name_not_in_normal_form(setup):
    (setup.media / "u\u0308ber.png").write_bytes(b"x")


def media_too_large(setup):
    with open(setup.media / "film.mp4", "wb") as file:
        file.truncate(101 * MEBIBYTE)


def media_empty(setup):
    (setup.media / "empty.png").write_bytes(b"")


def media_of_the_system(setup):
    (setup.media / ".DS_Store").write_bytes(b"x")


def media_in_a_folder(setup):
    (setup.media / "more").mkdir()


def media_database_overwritten(setup):
    setup.database.write_bytes(b"U" * setup.database.stat().st_size)


def media_database_that_never_answers(setup):
    all_of_another_account(setup)
    setup.database.unlink()
    os.mkfifo(setup.database, 0o600)
    os.chown(setup.database, ANOTHER_ACCOUNT, ANOTHER_ACCOUNT)


def media_database_without_end(setup):
    all_of_another_account(setup)
    setup.database.unlink()
    setup.database.symlink_to("/dev/zero")
    (setup.user / "media.db-journal").write_bytes(b"x")
    os.chown(setup.user / "media.db-journal", ANOTHER_ACCOUNT, ANOTHER_ACCOUNT)
    (setup.user / "media.db-journal").chmod(0o600)


def index_that_never_answers(setup):
    all_of_another_account(setup)
    index = setup.user / "collection.anki2-shm"
    os.mkfifo(index, 0o600)
    os.chown(index, ANOTHER_ACCOUNT, ANOTHER_ACCOUNT)


def media_database_missing(setup):
    setup.database.unlink()


def media_database_miscounts(setup):
    setup.execute(setup.database, "update meta set last_usn = 0")


def media_folder_that_cannot_be_listed(setup):
    setup.database.unlink()
    shutil.rmtree(setup.media)
    setup.media.write_bytes(b"x")
    setup.media.chmod(0o600)
