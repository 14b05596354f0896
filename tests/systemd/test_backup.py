"""The unit that backs up, and restoring, around a daemon in its sandbox."""

import json
import shutil

import pytest

from harness.daemon import BACKUP, SERVICE, TIMER
from harness.device import ClientError
from harness.units import exposure, verify

BACKUPS = "/var/backups/anki-syncd"


@pytest.fixture
def daemon(daemon):
    shutil.rmtree(daemon.container.path(BACKUPS), ignore_errors=True)
    return daemon


def backups(daemon):
    return sorted(daemon.container.path(BACKUPS).glob("2*"))


def test_the_timer_is_shipped_but_not_enabled_and_its_unit_backs_up(daemon, new_device):
    device = new_device(daemon)
    device.login()
    device.add_note("front", "back")
    device.upload()
    device.put_media("one.txt", b"1")
    device.sync_media()
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
