"""A reload counts or fails, and says what does not count yet."""

import pytest

from harness.daemon import BASE, CONFIGURATION, DROP_INS, SERVICE, UNITS, USERS_CREDENTIAL
from harness.device import ClientError

NEW_USER = {"dora": "d0ra's first"}
COMMAND = "/usr/bin/anki-syncd"
ELSEWHERE = "/srv/anki"
# As earlier versions shipped it.
NOTIFY_RELOAD = "[Service]\nType=notify-reload\nExecReload=\n"


def reload(daemon):
    return daemon.container.run("systemctl", "reload", SERVICE, check=False)


def add_new_user(daemon):
    daemon.users.update(NEW_USER)
    daemon.write_users()


def warnings(daemon):
    return [entry["MESSAGE"] for entry in daemon.entries() if entry["PRIORITY"] == "4"]


def test_users_that_were_added_by_hand_log_in_and_nothing_under_way_is_disturbed(
    daemon, under_way, new_device, tmp_path
):
    work = under_way()
    process = daemon.pid()
    add_new_user(daemon)
    with pytest.raises(ClientError):
        new_device(daemon, "dora").login()
    assert reload(daemon).returncode == 0
    new_device(daemon, "dora").login()
    work.complete(tmp_path)
    work.check(tmp_path)
    assert daemon.pid() == process


def test_a_broken_configuration_fails_the_reload_with_the_reason_and_changes_nothing(
    daemon, new_device
):
    device = new_device(daemon)
    device.login()
    process = daemon.pid()
    daemon.configure(idle_exit_secs=1, bsae="/")
    add_new_user(daemon)
    failed = reload(daemon)
    assert failed.returncode != 0
    assert "failed" in failed.stderr
    assert (daemon.state(), daemon.pid()) == ("active", process)
    shown = daemon.container.run("systemctl", "status", "--lines=20", SERVICE, check=False).stdout
    assert "bsae" in shown
    (reason,) = [entry for entry in daemon.entries() if "not reloaded" in entry["MESSAGE"]]
    assert reason["PRIORITY"] == "3"
    assert CONFIGURATION in reason["MESSAGE"]
    device.upload()
    with pytest.raises(ClientError):
        new_device(daemon, "dora").login()
    # Corrected, it counts.
    daemon.configure(idle_exit_secs=0)
    assert reload(daemon).returncode == 0
    new_device(daemon, "dora").login()


def test_users_that_cannot_be_read_fail_the_reload_with_the_reason(daemon, new_device):
    new_device(daemon).login()
    daemon.container.path(USERS_CREDENTIAL).unlink()
    assert reload(daemon).returncode != 0
    assert f"{USERS_CREDENTIAL} cannot be read" in daemon.log_text()
    new_device(daemon, "ben").login()


def test_each_changed_setting_counts_or_is_named(daemon, new_device):
    new_device(daemon).login()
    needing_a_restart = {"idle_exit_secs": 77, "max_connections": 77, "memory_megs": 77}
    daemon.configure(min_free_megs=10**9, **needing_a_restart)
    assert reload(daemon).returncode == 0
    daemon.wait_for(lambda: daemon.show("StatusText").startswith("Not storing anything"))
    named = [text for text in warnings(daemon) if "has changed" in text]
    assert {text.split()[0] for text in named} == set(needing_a_restart)
    assert len(named) == len(needing_a_restart)
    told = daemon.container.output(COMMAND, "status")
    assert "warning: idle_exit_secs has changed" in told
    # By hand it says the same at once.
    told = daemon.container.output(COMMAND, "reload")
    assert "3 can log in" in told
    assert "warning: memory_megs has changed" in told

    daemon.systemctl("restart", SERVICE)
    assert "has changed" not in daemon.container.output(COMMAND, "status")


def test_a_server_with_its_data_elsewhere_is_reloaded_too(daemon, new_device):
    daemon.container.run("install", "-d", "-m", "700", "-o", "anki-syncd", ELSEWHERE)
    daemon.container.install(UNITS / "other-base.conf", f"{DROP_INS}/{SERVICE}.d/other-base.conf")
    daemon.systemctl("daemon-reload")
    new_device(daemon).login()
    assert not daemon.container.path(f"{BASE}/.anki-syncd").exists()
    add_new_user(daemon)
    assert reload(daemon).returncode == 0
    new_device(daemon, "dora").login()


def test_users_that_only_systemd_reads_or_that_variables_list_stay(daemon, new_device):
    daemon.drop_in("[Service]\nEnvironment=SYNC_USER1=dora:pass\n")
    new_device(daemon, "dora").login("pass")
    assert reload(daemon).returncode == 0
    sealed = daemon.encrypt("users", USERS_CREDENTIAL)
    daemon.drop_in(f"[Service]\nLoadCredential=\nLoadCredentialEncrypted=users:{sealed}\n")
    daemon.systemctl("restart", SERVICE)
    assert reload(daemon).returncode == 0
    new_device(daemon, "anna").login()


def test_the_drop_in_of_earlier_versions_goes_on_working(daemon, new_device):
    if daemon.container.systemd_version() < 253:
        pytest.skip("Type=notify-reload needs systemd 253")
    daemon.drop_in(NOTIFY_RELOAD)
    new_device(daemon).login()
    assert reload(daemon).returncode == 0
    assert any("have been reloaded" in text for text in daemon.messages())
