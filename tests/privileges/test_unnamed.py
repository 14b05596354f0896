"""Started as root, and nobody said what to run as: whose server is it then?"""

import os
import pwd
import re
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from harness.raw import Account
from harness.server import COMMANDS, Server

CONFIGURATION_ERROR = 78
ROOT = {(0, 0)}


def identity(server):
    """Of each thread: user, group and further groups."""
    found = set()
    for task in Path(f"/proc/{server.process.pid}/task").iterdir():
        lines = (task / "status").read_text().splitlines()
        state = {name: value.split() for name, value in (line.split(":", 1) for line in lines)}
        assert len(set(state["Uid"])) == len(set(state["Gid"])) == 1
        assert int(state["CapEff"][0], 16) == 0
        groups = tuple(sorted(map(int, state["Groups"])))
        found.add((int(state["Uid"][0]), int(state["Gid"][0]), groups))
    (identity,) = found
    return identity


def owners(folder):
    return {(path.lstat().st_uid, path.lstat().st_gid) for path in [folder, *folder.rglob("*")]}


def refused(server):
    ended = subprocess.run(
        server.command, env=server.environment(), capture_output=True, text=True, timeout=20
    )
    assert ended.returncode == CONFIGURATION_ERROR, ended.stderr
    return ended.stderr


def collection_in(folder):
    folder.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(folder / "collection.anki2")) as database:
        database.execute("create table col (id integer primary key)")


def package_or_nobody():
    names = {entry.pw_name for entry in pwd.getpwall()}
    return pwd.getpwnam("anki-syncd" if "anki-syncd" in names else "nobody")


def test_it_runs_as_the_owner_of_the_folder_and_takes_nothing_of_roots(as_root, account, place):
    """The folder may be somebody's home, with things in it that root keeps from its owner."""
    base = place / "base"
    collection_in(base / "anna")
    secret = base / "anna" / "secret"
    secret.write_text("root's")
    secret.chmod(0o600)
    for path in [base, base / "anna", base / "anna" / "collection.anki2"]:
        os.chown(path, account.uid, account.gid)
    server = as_root(run_as=None, base=base).start()
    # Without its further groups, which may be able to do more than a server should.
    assert identity(server) == (account.uid, account.gid, (account.gid,))
    assert f"running as {account.name}, the owner of SYNC_BASE ({base})" in server.log_text()
    assert (secret.stat().st_uid, secret.stat().st_mode & 0o777) == (0, 0o600)


@pytest.mark.parametrize(("gid", "kept"), [(54322, 54322), (0, 54321)])
def test_an_owner_that_is_not_listed_is_a_number_and_never_in_roots_group(
    as_root, place, gid, kept
):
    base = place / "base"
    base.mkdir()
    os.chown(base, 54321, gid)
    server = as_root(run_as=None, base=base).start()
    assert identity(server) == (54321, kept, (kept,))
    assert Account(server).meta()["empty"]


def test_a_folder_that_is_missing_is_made_by_the_owner_of_the_one_above(as_root, account, place):
    home = place / "home"
    home.mkdir()
    os.chown(home, account.uid, account.gid)
    server = as_root(run_as=None, base=home / "a" / "base").start()
    assert identity(server)[0] == account.uid
    assert owners(home) == {(account.uid, account.gid)}


@pytest.mark.parametrize("what", ["missing", "empty", "users"])
def test_a_folder_of_roots_is_given_to_the_packages_account_or_nobody(as_root, place, what):
    base = place / "base"
    if what != "missing":
        base.mkdir()
    if what == "users":
        collection_in(base / "anna")
    server = as_root(run_as=None, base=base).start()
    user = package_or_nobody()
    assert identity(server)[:2] == (user.pw_uid, user.pw_gid)
    assert f"running as {user.pw_name}, with the data in {base}" in server.log_text()
    assert Account(server, "ben").meta()["empty"]
    assert owners(base) == {(user.pw_uid, user.pw_gid)}
    server.restart()
    assert identity(server)[:2] == (user.pw_uid, user.pw_gid)


@pytest.mark.parametrize(
    ("accounts", "name", "number"),
    [
        ("anki-syncd:x:54330:54330::/:/bin/false\nnobody:x:65534:65534::/:/bin/false\n", "anki-syncd", 54330),
        ("root:x:0:0::/root:/bin/sh\nnobody:x:54331:54331::/:/bin/false\n", "nobody", 54331),
        # Some systems know nobody without a list.
        ("", "(nobody|65534)", 65534),
    ],
    ids=["package", "nobody", "no list"],
)
def test_the_first_command_works_as_in_a_fresh_container(place, elsewhere, accounts, name, number):
    """With nothing but a user in the environment, as README has it."""
    server = Server("ours", place / "unused", place / "log", users={"you": "secret"})
    server.command = COMMANDS["ours"][:1]
    elsewhere(server, accounts)
    environment = server.environment()
    del environment["SYNC_BASE"]
    server.environment = lambda: environment
    try:
        server.start()
        assert identity(server) == (number, number, (number,))
        base = Path(f"/proc/{server.process.pid}/root/var/lib/anki-syncd")
        assert (base.stat().st_uid, base.stat().st_mode & 0o777) == (number, 0o700)
        assert Account(server, "you").meta()["empty"]
        told = f"running as {name}, with the data in /var/lib/anki-syncd"
        assert re.search(told, server.log_text())
        # Root's commands find it there.
        inside = ["nsenter", f"--target={server.process.pid}", "--mount", server.command[-1]]
        listed = subprocess.run(
            [*inside, "user", "list"], env=environment, capture_output=True, text=True
        )
        assert listed.returncode == 0 and "you" in listed.stdout, listed.stderr
    finally:
        server.kill()
        print(server.log_text())


def test_what_root_has_at_home_is_not_passed_over_in_silence(place, elsewhere):
    (place / ".syncserver").mkdir()
    server = Server("ours", place / "unused", place / "log", users={"you": "secret"})
    server.command = COMMANDS["ours"][:1]
    elsewhere(server, "")
    environment = server.environment()
    del environment["SYNC_BASE"]
    server.environment = lambda: environment
    try:
        server.start()
        assert f"{place}/.syncserver is not used" in server.log_text()
    finally:
        server.kill()


def test_a_folder_that_nobody_may_reach_stays_roots(as_root, place):
    """Such as one in root's home."""
    closed = place / "closed"
    collection_in(closed / "base" / "anna")
    closed.chmod(0o700)
    told = refused(as_root(run_as=None, base=closed / "base"))
    assert f"cannot enter {closed}," in told and "--allow-root" in told
    assert owners(closed) == ROOT


def test_a_folder_of_other_things_stays_roots(as_root, place):
    base = place / "srv"
    (base / "www").mkdir(parents=True)
    assert f"{base}/www" in refused(as_root(run_as=None, base=base))
    assert owners(base) == ROOT


def test_a_folder_of_roots_in_somebody_elses_stays_roots(as_root, account, place):
    """Who may put another one in its place while it is given away."""
    home = place / "home"
    (home / "base").mkdir(parents=True)
    os.chown(home, account.uid, account.gid)
    told = refused(as_root(run_as=None, base=home / "base"))
    assert f"{home} belongs to the account with the number {account.uid}" in told
    assert owners(home / "base") == ROOT


@pytest.mark.parametrize("chain", [False, True], ids=["link", "link to a link"])
def test_a_link_of_somebody_elses_leads_nowhere(as_root, account, place, chain):
    (place / "etc").mkdir()
    link = place / "theirs"
    link.symlink_to(place / "etc")
    os.lchown(link, account.uid, account.gid)
    if chain:
        link = place / "base"
        link.symlink_to("theirs")
    told = refused(as_root(run_as=None, base=link))
    assert f"{place}/theirs belongs to the account with the number {account.uid}" in told
    assert owners(place / "etc") == ROOT


def test_a_link_of_roots_own_is_followed(as_root, place):
    (place / "disk").mkdir()
    (place / "base").symlink_to("disk")
    server = as_root(run_as=None).start()
    assert Account(server).meta()["empty"]
    assert owners(place / "disk") == {package_or_nobody()[2:4]}


def test_links_in_a_circle_are_refused(as_root, place):
    (place / "base").symlink_to("base")
    assert "base" in refused(as_root(run_as=None))


def test_handing_over_that_was_cut_short_is_taken_up_again(as_root, place):
    base = place / "base"
    collection_in(base / "anna")
    collection_in(base / "ben")
    user = package_or_nobody()
    # The folder itself comes last.
    os.chown(base / "anna", user.pw_uid, user.pw_gid)
    as_root(run_as=None, base=base).start()
    assert owners(base) == {(user.pw_uid, user.pw_gid)}
