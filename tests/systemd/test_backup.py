"""The unit that backs up, and restoring, around a daemon in its sandbox."""

import json
import shutil

import pytest

from harness.daemon import BACKUP, BACKUPS, SERVICE, TIMER
from harness.device import ClientError
from harness.units import exposure, verify

ELSEWHERE = "/srv/my backups"
CHECK = ["/usr/bin/anki-syncd", "check", "--json"]


@pytest.fixture
def daemon(daemon):
    shutil.rmtree(daemon.container.path(BACKUPS), ignore_errors=True)
    yield daemon
    shutil.rmtree(daemon.container.path(ELSEWHERE), ignore_errors=True)
    daemon.container.path("/etc/fstab").unlink(missing_ok=True)
    daemon.systemctl("stop", TIMER)
    daemon.container.run("systemctl", "reset-failed", BACKUP, check=False)
    daemon.configure()
    daemon.systemctl("daemon-reload")


def refused(daemon):
    """What the unit says when it fails."""
    before = len(daemon.journal("-u", BACKUP))
    assert daemon.container.run("systemctl", "start", BACKUP, check=False).returncode != 0
    assert BACKUP in daemon.container.output("systemctl", "--failed", "--plain")
    return " ".join(entry["MESSAGE"] for entry in daemon.journal("-u", BACKUP)[before:])


def found(daemon):
    done = daemon.container.run(*CHECK, check=False)
    findings = {finding["id"]: finding for finding in json.loads(done.stdout)}
    return {id: finding for id, finding in findings.items() if id.startswith("backup-")}


def backups(daemon):
    return sorted(daemon.container.path(BACKUPS).glob("2*"))


def synced(device):
    """The server has a note and a media file of it."""
    device.login()
    device.add_note("front", "back")
    device.upload()
    device.put_media("one.txt", b"1")
    device.sync_media()
    return device


def test_the_timer_is_shipped_but_not_enabled_and_its_unit_backs_up(daemon, new_device):
    device = synced(new_device(daemon))
    enabled = daemon.container.run("systemctl", "is-enabled", TIMER, check=False)
    assert enabled.stdout.strip() == "disabled"
    daemon.systemctl("start", BACKUP)
    device.put_media("two.txt", b"2")
    device.sync_media()
    daemon.systemctl("start", BACKUP)
    first, second = backups(daemon)
    media = [{path.name for path in (backup / "anna/media").iterdir()} for backup in (first, second)]
    assert media == [{"one.txt"}, {"one.txt", "two.txt"}]
    inodes = {(backup / "anna/media/one.txt").stat().st_ino for backup in (first, second)}
    assert len(inodes) == 1
    assert first.stat().st_mode & 0o777 == 0o700
    daemon.systemctl("start", TIMER)
    daemon.systemctl("stop", TIMER)


def test_a_restore_goes_through_the_sandbox(daemon, new_device):
    first, second = new_device(daemon), new_device(daemon)
    first.login(), second.login()
    first.add_note("years", "of study")
    first.upload()
    second.add_note("the only", "one")
    second.upload()
    command = ["/usr/bin/anki-syncd", "restore", "anna"]
    restored = daemon.container.output(*command, "--yes", "--json")
    assert json.loads(restored)["restored"]["notes"] == 1
    with pytest.raises(ClientError, match="restored on"):
        second.upload()
    second.download()
    assert second.select("select sfld from notes") == [["years"]]
    daemon.systemctl("start", BACKUP)
    [backup] = [f"{BACKUPS}/{path.name}" for path in backups(daemon)]
    daemon.container.output(*command, "--yes", "--from", backup)
    second.download()
    assert second.select("select sfld from notes") == [["years"]]


def test_the_unit_is_well_formed_and_confined(daemon):
    assert verify(daemon.container, BACKUP, TIMER, SERVICE) == (0, "")
    figure, shown = exposure(daemon.container, BACKUP)
    assert figure <= 1.5, shown


def test_folder_time_and_number_are_those_of_the_settings(daemon, new_device):
    device = new_device(daemon)
    device.login()
    device.add_note("front", "back")
    device.upload()
    daemon.systemctl("start", TIMER)
    assert set(found(daemon)) == {"backup-same-disk"}
    daemon.configure(backup_to=ELSEWHERE, backup_keep=1, backup_at="02:15")
    # Until systemd knows.
    assert set(found(daemon)) == {"backup-folder-missing", "backup-not-allowed", "backup-time"}
    daemon.systemctl("daemon-reload")
    daemon.systemctl("restart", TIMER)
    assert "*-*-* 02:15:00" in daemon.show("TimersCalendar", TIMER)
    assert "03:30" not in daemon.show("TimersCalendar", TIMER)
    assert f"mkdir -m 700 {ELSEWHERE}" in refused(daemon)
    assert set(found(daemon)) == {"backup-folder-missing", "backup-failed"}
    assert not daemon.container.path(ELSEWHERE).exists()
    daemon.container.run("mkdir", "-m", "700", ELSEWHERE)
    for _ in range(2):
        daemon.systemctl("start", BACKUP)
    [backup] = daemon.container.path(ELSEWHERE).glob("2*")
    assert (backup / "anna/collection.anki2").exists()
    assert not daemon.container.path(BACKUPS).exists() or not backups(daemon)
    assert set(found(daemon)) == {"backup-same-disk"}


def test_what_was_edited_by_hand_wins_over_the_settings(daemon):
    daemon.configure(backup_at="02:15")
    daemon.drop_in("[Timer]\nOnCalendar=\nOnCalendar=*-*-* 05:00\n", TIMER, "override.conf")
    shown = daemon.show("TimersCalendar", TIMER)
    daemon.remove_drop_in(TIMER, "override.conf")
    assert "05:00" in shown and "02:15" not in shown


def test_a_disk_that_is_not_mounted_is_not_replaced_by_the_one_below(daemon):
    daemon.container.run("mkdir", "-p", f"{ELSEWHERE}/anki")
    place = ELSEWHERE.replace(" ", r"\040")
    daemon.container.write("/etc/fstab", f"/dev/none {place} ext4 noauto 0 0\n")
    daemon.configure(backup_to=f"{ELSEWHERE}/anki")
    daemon.systemctl("daemon-reload")
    daemon.systemctl("start", TIMER)
    assert f"mount {ELSEWHERE}" in refused(daemon)
    assert list(daemon.container.path(f"{ELSEWHERE}/anki").iterdir()) == []
    assert set(found(daemon)) == {"backup-unmounted", "backup-failed"}
    daemon.container.run("mount", "-t", "tmpfs", "none", ELSEWHERE)
    try:
        daemon.container.run("mkdir", "-p", f"{ELSEWHERE}/anki")
        daemon.systemctl("start", BACKUP)
        assert set(found(daemon)) == set()
    finally:
        daemon.container.run("umount", ELSEWHERE)


def test_media_that_backups_share_are_put_right(daemon, new_device):
    device = synced(new_device(daemon))
    command = ["/usr/bin/anki-syncd", "backup"]
    daemon.container.output(*command)
    [backup] = backups(daemon)
    media = f"{daemon.folder('anna')}/media/one.txt"
    shared = backup / "anna/media/one.txt"
    if not shared.samefile(media):
        pytest.skip("this file system shares blocks instead")
    daemon.container.run("chown", "root:", "/var/lib/anki-syncd/anna/media/one.txt")
    repaired = daemon.container.run(*CHECK, "--repair", "--yes", check=False)
    left = {finding["id"] for finding in json.loads(repaired.stdout)}
    assert "files-of-others" not in left, repaired.stderr
    assert daemon.container.output("stat", "-c", "%U", "/var/lib/anki-syncd/anna/media/one.txt") == "anki-syncd"
