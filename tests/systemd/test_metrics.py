"""Metrics over a socket unit, and a mail when a unit fails, as docs/watching.md has them."""

import re
import urllib.request

import pytest

from harness.daemon import BACKUP, METRICS, SERVICE
from harness.server import REPOSITORY, free_port

PAGE = (REPOSITORY / "docs" / "watching.md").read_text()
MAIL = PAGE[PAGE.index("## A mail when something fails") :]
UNITS = re.findall(r"```ini\n(.*?)```", MAIL, re.DOTALL)


@pytest.fixture
def address(daemon):
    """Where the metrics are, on a port of its own."""
    address = f"127.0.0.1:{free_port()}"
    drop_in = f"/etc/systemd/system/{METRICS}.d/port.conf"
    daemon.container.write(drop_in, f"[Socket]\nListenStream=\nListenStream={address}\n")
    daemon.systemctl("daemon-reload")
    daemon.systemctl("enable", "--now", METRICS)
    yield address
    daemon.systemctl("disable", "--now", METRICS)


def test_the_socket_is_off_unless_enabled(daemon):
    assert daemon.state(METRICS) == "inactive"


def test_metrics_start_the_server_and_count_what_devices_do(daemon, address, new_device):
    def ask():
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=30) as answer:
            return answer.read().decode()

    assert daemon.pid() == 0
    assert 'anki_syncd_syncs_total{user="anna"} 0' in ask()
    device = new_device(daemon, "anna")
    device.login()
    device.upload()
    text = ask()
    assert 'anki_syncd_syncs_total{user="anna"} 1' in text
    assert 'anki_syncd_logins_total{user="anna"} 1' in text
    assert daemon.journal("-u", SERVICE, "-p", "warning") == []


def test_root_gets_a_mail_when_the_backup_fails(daemon):
    container = daemon.container
    # In place of a mail server.
    container.write("/usr/sbin/sendmail", "#!/bin/sh\ncat > /srv/mail\n", mode=0o755)
    container.write("/etc/systemd/system/mail-failure@.service", UNITS[0])
    container.write(f"/etc/systemd/system/{BACKUP}.d/mail.conf", UNITS[1])
    container.write(f"/etc/systemd/system/{BACKUP}.d/fails.conf", "[Service]\nExecStartPre=/bin/false\n")
    daemon.systemctl("daemon-reload")
    container.run("systemctl", "start", BACKUP, check=False)
    mail = container.path("/srv/mail")
    daemon.wait_for(lambda: mail.exists() and mail.stat().st_size > 100)
    text = mail.read_text()
    container.run("rm", "-r", f"/etc/systemd/system/{BACKUP}.d")
    daemon.systemctl("daemon-reload")
    assert text.startswith("To: root\nSubject: anki-syncd-backup failed on ")
    assert "Backup of the Anki sync server" in text
