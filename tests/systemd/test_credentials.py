"""Secrets as systemd hands them over: in plain files, encrypted, or written in a drop-in."""

import os

import pytest

from harness.daemon import BASE, SERVICE, USERS_CREDENTIAL
from harness.device import ClientError

SECRET = "/etc/anki-syncd/host-key-secret"
OWN_SECRET = f"{BASE}/.anki-syncd/host-key-secret"
CONFIGURATION_ERROR = 78


def remove_own_secret(daemon):
    daemon.systemctl("stop", SERVICE)
    daemon.container.path(OWN_SECRET).unlink()


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "encrypted"])
def test_devices_stay_logged_in_by_the_secret_that_is_passed(daemon, new_device, encrypted):
    device = new_device(daemon)
    device.login()
    device.upload()
    daemon.container.install(daemon.container.path(OWN_SECRET), SECRET, mode=0o600)
    remove_own_secret(daemon)
    if encrypted:
        sealed = daemon.encrypt("host-key-secret", SECRET)
        daemon.drop_in(f"[Service]\nLoadCredentialEncrypted=host-key-secret:{sealed}\n")
    else:
        daemon.drop_in(f"[Service]\nLoadCredential=host-key-secret:{SECRET}\n")
    device.add_note("with the", "same key")
    assert device.sync() == "NO_CHANGES"
    assert not daemon.container.path(OWN_SECRET).exists()


def test_another_secret_logs_devices_out(daemon, new_device):
    device = new_device(daemon)
    device.login()
    device.upload()
    daemon.systemctl("stop", SERVICE)
    daemon.container.path(SECRET).write_bytes(os.urandom(32))
    daemon.drop_in(f"[Service]\nLoadCredential=host-key-secret:{SECRET}\n")
    device.add_note("with the", "old key")
    with pytest.raises(ClientError):
        device.sync()
    device.login()
    assert device.sync() == "NO_CHANGES"


def test_a_secret_of_another_length_is_a_configuration_error_with_a_remedy(daemon):
    daemon.container.write(SECRET, "topsecretbutnot32bytes\n", mode=0o600)
    daemon.drop_in(f"[Service]\nRestart=no\nLoadCredential=host-key-secret:{SECRET}\n")
    daemon.container.run("systemctl", "start", SERVICE, check=False)
    assert daemon.show("ExecMainStatus") == str(CONFIGURATION_ERROR)
    assert any("host-key-secret" in text and "32 bytes" in text for text in daemon.messages())
    assert "topsecret" not in daemon.log_text()
    assert not daemon.container.path(OWN_SECRET).exists()


def test_users_may_be_encrypted(daemon, new_device):
    sealed = daemon.encrypt("users", USERS_CREDENTIAL)
    # Empty, to drop the unit's own.
    daemon.drop_in(
        f"[Service]\nLoadCredential=\nLoadCredentialEncrypted=users:{sealed}\n"
    )
    assert new_device(daemon).login()


def test_users_may_be_written_in_a_drop_in(daemon, new_device):
    daemon.container.path(USERS_CREDENTIAL).unlink()
    name, password = "anna", daemon.users["anna"]
    daemon.drop_in(
        f"[Service]\nLoadCredential=\nSetCredential=users:{name}:{password}\\n\n"
    )
    assert new_device(daemon).login()
