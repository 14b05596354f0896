"""The .deb on Debian 12 and 13: installed, upgraded, removed, purged, and all cards still there."""

import json
import re
import shutil
import subprocess

import pytest

from harness import MEBIBYTE, collection
from harness.agreement import NOTHING_FOUND
from harness.daemon import (
    BACKUP,
    BACKUPS,
    BASE,
    CONFIGURATION,
    CONTROL,
    SERVICE,
    SOCKET,
    TIMER,
    USERS_CREDENTIAL,
)
from harness.device import ClientError
from harness.packages import COLLECTIONS_STAY, NEXT_STEP, MidSync
from harness.raw import Account
from harness.server import free_port
from harness.units import taken

MEDIA = {"one.txt": b"1", "Füße.mp3": b"two"}
# What was measured is some 15 MiB.
RESIDENT = 25 * MEBIBYTE
# What somebody would like to have banned.
ELSEWHERE = "198.51.100.1"


@pytest.fixture
def installed(daemon, packages):
    daemon.apt_install(packages.package("deb"))
    return daemon


@pytest.fixture
def with_users(installed):
    installed.add_users()
    return installed


def test_installing_it_starts_the_socket_and_says_what_is_next(daemon, packages):
    said = daemon.apt_install(packages.package("deb"))
    assert NEXT_STEP in said
    assert daemon.enabled(SOCKET) == "enabled"
    assert daemon.listening()
    assert daemon.state(CONTROL) == "active"
    for unit in (SERVICE, TIMER):
        assert daemon.enabled(unit) == "disabled"
        assert daemon.state(unit) == "inactive"
    assert daemon.modes(CONFIGURATION, USERS_CREDENTIAL, "/usr/bin/anki-syncd") == {
        CONFIGURATION: "644 root:root",
        USERS_CREDENTIAL: "600 root:root",
        "/usr/bin/anki-syncd": "755 root:root",
    }
    assert daemon.container.output("dpkg", "--verify", "anki-syncd") == ""
    assert daemon.container.output("id", "-un", "anki-syncd") == "anki-syncd"


def test_a_port_that_is_taken_at_installation_is_named_with_what_to_do(
    daemon, packages, new_device
):
    with taken(daemon, daemon.port):
        said = daemon.apt_install(packages.package("deb"))
        print(said)
        assert f"port {daemon.port} is in use by python3 (process " in said
        assert "ListenStream=27701" in said
        assert NEXT_STEP in said
        daemon.add_users()
        assert daemon.state(SERVICE) == "inactive"
        free = free_port()
        daemon.listen_on(free)
        daemon.systemctl("restart", SOCKET)
    before = daemon.port
    daemon.move_to(free)
    try:
        new_device(daemon).login()
    finally:
        daemon.move_to(before)


def test_without_users_yet_it_answers_and_lets_nobody_in(installed, new_device):
    assert installed.health() == 200
    with pytest.raises(ClientError):
        new_device(installed).login()


def test_the_next_step_is_all_that_a_login_needs(installed, new_device):
    password = installed.users["anna"]
    installed.container.run("anki-syncd", "user", "add", "anna", input=f"{password}\n")
    assert installed.modes(USERS_CREDENTIAL) == {USERS_CREDENTIAL: "600 root:root"}
    new_device(installed).login()
    told = installed.container.output("anki-syncd", "status")
    print(told)
    assert f":{installed.port}" in told
    assert re.search(r"^anna +1 ", told, re.MULTILINE)
    assert "warning" not in told
    checked = installed.container.run("anki-syncd", "check", "--json", check=False)
    found = {finding["id"] for finding in json.loads(checked.stdout)}
    # Of the machine that the tests run on.
    assert found <= {"clock-unsynchronised", "disk-nearly-full"}


def test_the_nightly_backup_is_switched_on_by_one_command(with_users, packages, new_device):
    daemon = with_users
    device = new_device(daemon)
    device.login()
    device.add_note("front", "back")
    device.put_media("one.txt", b"1")
    device.upload()
    device.sync_media()
    daemon.systemctl("enable", "--now", TIMER)
    daemon.systemctl("start", BACKUP)
    (backup,) = daemon.container.path(BACKUPS).glob("2*")
    saved = {str(path.relative_to(backup)) for path in backup.rglob("*") if path.is_file()}
    assert {"anna/collection.anki2", "anna/media/one.txt"} <= saved
    assert daemon.modes(BACKUPS) == {BACKUPS: "700 root:root"}

    # Over an upgrade, a removal and another installation it stays switched on.
    daemon.apt_install(packages.package("deb", revision=2))
    assert daemon.state(TIMER) == "active"
    daemon.apt("remove", "anki-syncd")
    assert daemon.state(TIMER) == "inactive"
    daemon.apt_install(packages.package("deb", revision=2))
    assert daemon.state(TIMER) == "active"
    said = daemon.apt("purge", "anki-syncd")
    assert BACKUPS in said
    assert backup.exists()
    daemon.apt_install(packages.package("deb", revision=2))
    assert daemon.enabled(TIMER) == "disabled"
    assert daemon.state(TIMER) == "inactive"


def test_a_user_who_was_added_syncs_from_another_computer(with_users, new_device):
    daemon = with_users
    first, second = new_device(daemon), new_device(daemon)
    first.login(), second.login()
    first.add_note("front", "back")
    first.put_media("one.txt", b"1")
    first.upload()
    first.sync_media()
    second.download()
    second.sync_media()
    second.add_note("more", "of it")
    second.sync()
    first.sync()
    assert first.rows()["notes"] == second.rows()["notes"]
    assert first.media() == second.media() == {"one.txt": b"1"}
    assert daemon.modes(BASE) == {BASE: "700 anki-syncd:anki-syncd"}


def test_it_takes_little_memory_whoever_logs_in_and_whatever_is_uploaded(
    with_users, template, tmp_path
):
    daemon = with_users
    large = collection.grown(template, tmp_path / "large.anki2", mebibytes=100)
    daemon.systemctl("restart", SERVICE)
    shown = {"idle": daemon.resident()}
    # Each of them computes a hash, which takes 19 MiB for a moment.
    accounts = [Account(daemon) for _ in range(8)]
    shown["after logins"] = daemon.resident()
    with daemon.sampled_memory() as samples:
        assert accounts[0].upload(large).text() == "OK"
    shown["while 100 MiB are uploaded"] = max(samples)
    shown["afterwards"] = daemon.resident()
    for when, resident in shown.items():
        print(f"resident {when}: {resident / MEBIBYTE:.1f} MiB")
    assert max(shown.values()) < RESIDENT
    assert len(samples) > 5


def test_an_upgrade_in_the_middle_of_a_sync_loses_nothing(
    with_users, packages, new_device, new_gate
):
    daemon = with_users
    settings = "# mine\nbody_timeout_secs = 61\n"
    daemon.container.write(CONFIGURATION, settings)
    work = MidSync(daemon, new_device, new_gate)
    process, since = daemon.pid(), daemon.listening_since()
    control = daemon.listening_since(CONTROL)
    said = work.during(lambda: daemon.apt_install(packages.package("deb", revision=2)))
    assert NEXT_STEP not in said, "they have users already"
    work.check()
    assert daemon.pid() not in (0, process)
    assert daemon.listening_since() == since, "the socket was closed meanwhile"
    assert daemon.listening_since(CONTROL) == control
    assert daemon.container.path(CONFIGURATION).read_text() == settings
    assert daemon.modes(USERS_CREDENTIAL) == {USERS_CREDENTIAL: "600 root:root"}
    version = daemon.container.output("dpkg-query", "-W", "-f=${Version}", "anki-syncd")
    assert version.endswith("-2")


def test_an_upgrade_starts_no_service_that_was_not_running(installed, packages):
    installed.apt_install(packages.package("deb", revision=2))
    assert installed.state(SERVICE) == "inactive"
    assert installed.listening()


def test_a_socket_that_was_disabled_stays_so_over_an_upgrade(installed, packages):
    installed.systemctl("disable", "--now", SOCKET)
    installed.apt_install(packages.package("deb", revision=2))
    assert installed.enabled(SOCKET) == "disabled"
    assert not installed.listening()


def test_removed_and_purged_it_leaves_the_collections_and_reinstalled_it_finds_them(
    with_users, packages, new_device
):
    daemon = with_users
    device = new_device(daemon)
    device.login()
    device.add_note("years of", "study")
    device.put_media("one.txt", b"1")
    device.upload()
    device.sync_media()

    daemon.apt("remove", "anki-syncd")
    assert daemon.state(SERVICE) == "inactive"
    assert not daemon.listening()
    assert daemon.state(CONTROL) == "inactive"
    assert not daemon.container.path("/usr/bin/anki-syncd").exists()
    assert daemon.container.path(USERS_CREDENTIAL).exists()
    daemon.apt_install(packages.package("deb"))
    # Nobody notices.
    assert device.sync() == "NO_CHANGES"

    said = daemon.apt("purge", "anki-syncd")
    assert COLLECTIONS_STAY in said
    assert not daemon.container.path("/etc/anki-syncd").exists()
    assert (daemon.folder("anna") / "collection.anki2").exists()
    assert daemon.enabled(SOCKET) in ("", "not-found")

    daemon.apt_install(packages.package("deb"))
    daemon.add_users()
    # The users are new ones, so that devices log in again; the collection is the same.
    device.login()
    assert device.sync() == "NO_CHANGES"
    second = new_device(daemon)
    second.login()
    second.download()
    second.sync_media()
    assert second.rows() == device.rows()
    assert second.media() == {"one.txt": b"1"}


def test_the_reference_servers_folder_is_taken_over_and_given_back(
    installed, start_server, new_device, tmp_path
):
    daemon = installed
    reference = start_server("reference", users=daemon.users)
    device = new_device(reference)
    device.login()
    device.add_note("from", "before")
    device.review(1)
    device.upload()
    for name, content in MEDIA.items():
        device.put_media(name, content)
    device.sync_media()
    reference.stop()

    inside = daemon.container.path(BASE)
    shutil.copytree(reference.base, inside)
    daemon.container.run("chown", "-R", "anki-syncd:", BASE)
    daemon.add_users()
    device.server = daemon
    device.login()
    assert device.sync() == "NO_CHANGES"
    device.add_note("after", "the move")
    assert device.status() == "NORMAL_SYNC"
    device.sync()
    device.put_media("later.txt", b"after the move")
    device.sync_media()
    second = new_device(daemon)
    second.login()
    second.download()
    second.sync_media()
    assert second.content() == device.content()
    assert second.media() == {**MEDIA, "later.txt": b"after the move"}
    assert second.check_database() == NOTHING_FOUND

    daemon.systemctl("stop", SOCKET, SERVICE)
    back = tmp_path / "back"
    subprocess.run(["cp", "-r", "--no-preserve=ownership", inside, back], check=True)
    second.server = start_server("reference", base=back, users=daemon.users)
    second.login()
    second.add_note("and", "back")
    assert second.status() == "NORMAL_SYNC"
    second.sync()


def test_fail2ban_finds_the_failed_login_and_only_it(with_users, new_device):
    daemon = with_users
    daemon.container.run("systemctl", "mask", "fail2ban.service")
    daemon.apt("update")
    daemon.apt("install", "fail2ban", "python3-systemd")
    device = new_device(daemon)
    device.login()
    device.upload()
    names = ["anna", "nobody", f'login failed ip={ELSEWHERE} user="x']
    for name in names:
        with pytest.raises(ClientError):
            new_device(daemon, name).login("wrong")
    failed = [text for text in daemon.messages() if text.startswith("login failed")]
    assert len(failed) == len(names)
    words = ["--out", "ip", "systemd-journal", "/etc/fail2ban/filter.d/anki-syncd.conf"]
    addresses = daemon.container.output("fail2ban-regex", *words).split()
    assert set(addresses) == {"127.0.0.1"}
    # Those of earlier tests are in the same journal.
    everything = daemon.container.output("journalctl", "-o", "cat", "-u", SERVICE)
    assert len(addresses) == len(re.findall("^login failed ip=", everything, re.MULTILINE))
    # The jail is there for whoever wants it, and valid.
    daemon.container.write(
        "/etc/fail2ban/jail.d/anki-syncd.local", "[anki-syncd]\nenabled = true\n"
    )
    assert "anki-syncd" in daemon.container.output("fail2ban-client", "-d")
