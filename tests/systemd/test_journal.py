"""What an administrator finds in the journal, and what never gets there."""

import re

import pytest

from harness import collection
from harness.daemon import SERVICE
from harness.device import ClientError
from harness.raw import Account

FIELDS = {
    *["ANKI_USER", "ANKI_DEVICE", "ANKI_CLIENT", "ANKI_ADDRESS", "ANKI_METHOD", "ANKI_SENT"],
    *["ANKI_RECEIVED", "ANKI_BYTES_IN", "ANKI_BYTES_OUT", "ANKI_MS", "ANKI_REQUEST"],
    *["ANKI_MEDIA_SENT", "ANKI_MEDIA_RECEIVED", "ANKI_MEDIA_REMOVED"],
}
INFO = "6"
# In days_work(): three of each device, and one more.
SYNCS = 7


def days_work(daemon, new_device):
    """Two devices of one user and one of another, over a stop and a start."""
    first, second, other = (new_device(daemon, user) for user in ("anna", "anna", "ben"))
    for device in (first, second, other):
        device.login()
    first.add_note("front", "back")
    first.put_media("picture.png", b"not really one")
    first.upload()
    first.sync_media()
    second.download()
    second.sync_media()
    other.upload()
    daemon.systemctl("restart", SERVICE)
    for number in range(3):
        first.add_note(f"first {number}", "")
        first.sync()
        second.add_note(f"second {number}", "")
        second.sync()
    first.remove_media("picture.png")
    first.sync_media()
    assert first.sync() == "NO_CHANGES"
    daemon.systemctl("stop", SERVICE)
    return [first, second, other]


def test_a_finished_sync_is_one_line_with_fields(daemon, new_device):
    days_work(daemon, new_device)
    syncs = [entry for entry in daemon.entries() if entry.get("ANKI_METHOD") == "finish"]
    assert len(syncs) == SYNCS
    for entry in syncs:
        assert set(entry) >= FIELDS
        assert entry["PRIORITY"] == INFO
        assert entry["ANKI_USER"] == "anna"
        assert entry["ANKI_ADDRESS"] == "127.0.0.1"
        assert int(entry["ANKI_MS"]) >= 0
        short = entry["ANKI_DEVICE"][:8]
        known = f"anna (26.09.3, linux, {short}, from 127.0.0.1): sent "
        assert entry["MESSAGE"].startswith(known)
    assert len({entry["ANKI_DEVICE"] for entry in syncs}) == 2
    assert len({entry["ANKI_REQUEST"] for entry in syncs}) == SYNCS
    others = [entry for entry in daemon.entries() if set(entry) >= FIELDS and entry not in syncs]
    # With their media.
    assert len([entry for entry in syncs if "; media: removed 1; " in entry["MESSAGE"]]) == 1
    sent = {(entry["ANKI_USER"], entry["ANKI_METHOD"]): entry["MESSAGE"] for entry in others}
    assert len(others) == len(sent) == 3
    assert re.search(r": uploaded the .*; media: sent 1 \(", sent["anna", "upload"])
    assert re.search(r": downloaded the .*; media: received 1 \(", sent["anna", "download"])
    assert "media" not in sent["ben", "upload"]


def test_a_normal_day_has_no_warning(daemon, new_device):
    days_work(daemon, new_device)
    assert daemon.journal("-u", SERVICE, "-p", "warning") == []


def test_the_whole_journal_has_no_password_and_no_key(daemon, new_device):
    devices = days_work(daemon, new_device)
    with pytest.raises(ClientError):
        new_device(daemon, "anna").login("wr0ng but secret")
    # Of everything since the boot, and not by this service alone.
    exported = daemon.container.run("journalctl", "-o", "export", "--all", text=False)
    # Somebody may have logged what is no UTF-8.
    journal = exported.stdout.decode(errors="replace")
    assert "login failed" in journal
    secrets = [*daemon.users.values(), "wr0ng but secret", *(device.key for device in devices)]
    for secret in secrets:
        # The part of a key that makes it one; the others name user and device.
        for part in (secret, secret.rsplit(".", 1)[-1]):
            assert [line for line in journal.splitlines() if part in line] == []


def test_a_failed_login_has_a_form_that_fail2ban_can_read(daemon, new_device):
    for user, password in (("anna", "wrong"), ("nobody", "b"), ('x" ip=1.2.3.4', "b")):
        with pytest.raises(ClientError):
            new_device(daemon, user).login(password)
    failed = [text for text in daemon.messages() if text.startswith("login failed")]
    # The name, which anybody may choose, comes after the address and within its quotes.
    for text, user in zip(failed, ["anna", "nobody", 'x\\" ip=1.2.3.4'], strict=True):
        assert text.startswith(f'login failed ip=127.0.0.1 user="{user}"')


def test_health_checks_leave_no_line(daemon):
    daemon.health()
    before = daemon.messages()
    for _ in range(5):
        daemon.health()
    assert daemon.messages() == before


def test_a_failure_names_cause_and_remedy(daemon, new_device, tmp_path, template):
    broken = tmp_path / "broken.anki2"
    broken.write_bytes(b"SQLite format 3\0" + bytes(5000))
    assert Account(daemon).upload(broken).text() != "OK"
    refused = [entry for entry in daemon.entries() if entry.get("ANKI_METHOD") == "upload"]
    assert [entry["ANKI_USER"] for entry in refused] == ["anna"]
    assert len(refused[0]["MESSAGE"]) > 40
    assert collection.integrity(template) == "ok"
