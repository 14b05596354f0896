"""Another port: the way that docs/systemd.md has it, and what says so when it is done otherwise."""

import json
import re
import shlex
import time

import pytest

from harness.daemon import CONFIGURATION, CONTROL, SERVICE, SOCKET
from harness.packages import MidSync
from harness.server import REPOSITORY, free_port
from harness.under_way import UnderWay
from harness.units import refuses, taken

COMMAND = "/usr/bin/anki-syncd"
# What no command may take longer than when the server cannot answer.
PATIENCE = 5
OF_THE_MACHINE = {"clock-unsynchronised", "disk-nearly-full"}
DOCUMENTS = [
    *["docs/systemd.md", "docs/proxies.md", "packaging/anki-syncd.toml"],
    *["packaging/man/anki-syncd.8", "systemd/anki-syncd.socket"],
]


def recipe(port):
    """The page's section: the command for the editor, what to write, what to do then."""
    page = (REPOSITORY / "docs" / "systemd.md").read_text()
    section = page.split("\n## Another port\n")[1].split("\n## ")[0]
    edit, lines, restart, *_ = re.findall(r"```\w+\n(.*?)```", section, re.DOTALL)
    as_root = [command.strip().removeprefix("sudo ") for command in (edit, restart)]
    return as_root[0], lines.replace("27701", str(port)), as_root[1]


def follow_the_page(daemon, port):
    edit, lines, restart = recipe(port)
    daemon.container.write("/root/lines", lines)
    editor = daemon.container.path("/root/editor")
    # The file comes last, behind the line to begin at.
    editor.write_text('#!/bin/sh\nfor file; do :; done\nexec cp /root/lines "$file"\n')
    editor.chmod(0o755)
    daemon.container.at_a_terminal(edit, SYSTEMD_EDITOR="/root/editor")
    return daemon.container.run(*shlex.split(restart), check=False, timeout=90)


def ask(daemon, *words, **options):
    """A command of the operator's, which answers soon whatever is wrong."""
    began = time.monotonic()
    done = daemon.container.run(COMMAND, *words, check=False, timeout=60, **options)
    assert time.monotonic() - began < PATIENCE
    return done


def check(daemon):
    done = daemon.container.run(COMMAND, "check", "--json", check=False, timeout=60)
    found = {finding["id"]: finding for finding in json.loads(done.stdout)}
    return {id: finding for id, finding in found.items() if id not in OF_THE_MACHINE}


@pytest.fixture
def elsewhere(daemon):
    """A port of its own for the server to move to; the next test finds it where it was."""
    before = daemon.port
    yield free_port()
    daemon.move_to(before)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_document_has_the_same_two_commands(document):
    text = (REPOSITORY / document).read_text()
    edit = text.index("systemctl edit anki-syncd.socket")
    restart = text.index("systemctl restart anki-syncd.socket", edit)
    assert "ListenStream=" in text[edit:restart]


def test_with_a_sync_under_way_it_completes_and_clients_reach_the_new_port(
    daemon, elsewhere, new_device, new_gate
):
    """Also after the idle exit, and after a reboot."""
    daemon.configure(idle_exit_secs=2, header_timeout_secs=2)
    before = daemon.port
    work = MidSync(daemon, new_device, new_gate)
    done = work.during(lambda: follow_the_page(daemon, elsewhere))
    assert done.returncode == 0, done.stderr
    work.syncing.wait()
    assert daemon.listening()
    assert daemon.state(CONTROL) == "active"
    assert refuses(before)
    daemon.move_to(elsewhere)
    work.witness.server = daemon
    work.check()
    assert daemon.show("NRestarts") == "0"
    assert check(daemon) == {}

    daemon.wait_for(lambda: daemon.state() == "inactive")
    assert daemon.health() == 200
    daemon.wait_for(lambda: daemon.state() == "inactive")
    assert check(daemon) == {}
    daemon.container.reboot()
    assert daemon.state() == "inactive"
    work.device.add_note("after", "the reboot")
    work.device.sync()
    assert refuses(before)


def test_an_upload_and_a_sync_under_way_both_complete(
    daemon, elsewhere, template, tmp_path, new_device, new_gate
):
    work = UnderWay(daemon, template, tmp_path, new_device, new_gate)
    daemon.listen_on(elsewhere)
    daemon.container.run("systemctl", "restart", "--no-block", SOCKET)
    daemon.wait_for(lambda: daemon.state() == "deactivating")
    work.complete(tmp_path)
    daemon.wait_for(lambda: not refuses(elsewhere))
    daemon.move_to(elsewhere)
    work.check(tmp_path)


def test_while_it_sleeps_the_port_changes_and_nothing_is_started(daemon, elsewhere):
    before = daemon.port
    assert follow_the_page(daemon, elsewhere).returncode == 0
    assert daemon.state() == "inactive"
    assert refuses(before)
    daemon.move_to(elsewhere)
    assert daemon.health() == 200


@pytest.mark.parametrize("is_running", [False, True])
def test_until_the_restart_check_says_what_is_missing(daemon, elsewhere, is_running):
    before = daemon.port
    if is_running:
        assert daemon.health() == 200
    daemon.listen_on(elsewhere)
    found = check(daemon)
    assert set(found) == {"socket-changed"}
    assert f"nothing listens on [::]:{elsewhere}" in found["socket-changed"]["what"]
    assert f"systemctl restart {SOCKET}" in found["socket-changed"]["remedy"]
    daemon.systemctl("restart", SOCKET)
    assert check(daemon) == {}
    assert refuses(before)


def test_a_server_that_still_listens_at_a_second_address(daemon, elsewhere):
    daemon.listen_on(daemon.port, elsewhere)
    daemon.systemctl("restart", SOCKET)
    assert daemon.health() == 200
    daemon.listen_on(daemon.port)
    what = check(daemon)["socket-changed"]["what"]
    assert f"still listens on [::]:{elsewhere}" in what
    daemon.systemctl("restart", SOCKET)
    assert check(daemon) == {}


def test_a_change_that_systemd_has_not_read(daemon, elsewhere):
    lines = f"[Socket]\nListenStream=\nListenStream={elsewhere}\n"
    daemon.container.write(f"/etc/systemd/system/{SOCKET}.d/tests.conf", lines)
    found = check(daemon)
    assert set(found) == {"socket-outdated"}
    assert "systemctl daemon-reload" in found["socket-outdated"]["remedy"]


def test_a_port_in_the_configuration_is_said_to_be_ignored(daemon, elsewhere):
    daemon.configure(port=elsewhere)
    assert daemon.health() == 200
    sentence = f"port ({CONFIGURATION}, line 1) has no effect: systemd listens on [::]:{daemon.port}"
    (logged,) = [entry for entry in daemon.entries() if sentence in entry["MESSAGE"]]
    assert logged["PRIORITY"] == "4"
    assert f"ListenStream=27701`; then `sudo systemctl restart {SOCKET}`" in logged["MESSAGE"]
    assert sentence in ask(daemon, "status").stdout
    found = check(daemon)
    assert set(found) == {"address-ignored"}
    assert sentence in found["address-ignored"]["what"]
    # The same port is no other.
    daemon.configure(port=daemon.port)
    assert check(daemon) == {}


def test_a_port_that_is_taken_is_told_with_its_holder_and_users_can_be_added(
    daemon, elsewhere, new_device
):
    daemon.systemctl("stop", SOCKET)
    with taken(daemon, daemon.port):
        assert daemon.container.run("systemctl", "start", SOCKET, check=False).returncode != 0
        sentence = f"port {daemon.port} is in use by python3 (process "
        added = ask(daemon, "user", "add", "dora", input="d0ra's first\n")
        assert added.returncode == 0, added.stderr
        assert sentence in added.stdout
        status = ask(daemon, "status")
        assert status.returncode == 69
        assert sentence in status.stderr
        assert "ListenStream=27701" in status.stderr
        found = check(daemon)
        assert set(found) == {"socket-failed"}
        assert sentence in found["socket-failed"]["what"]
        # It was not started, to fail again and again.
        assert daemon.state() == "inactive"
        assert daemon.show("NRestarts") == "0"
        assert follow_the_page(daemon, elsewhere).returncode == 0
        daemon.move_to(elsewhere)
        daemon.users["dora"] = "d0ra's first"
        new_device(daemon, "dora").login()
        assert check(daemon) == {}


def test_a_new_port_that_is_taken_fails_at_once_and_the_next_choice_works(
    daemon, elsewhere, new_device
):
    new_device(daemon).login()
    with taken(daemon, elsewhere):
        assert follow_the_page(daemon, elsewhere).returncode != 0
        sentence = f"port {elsewhere} is in use by python3 (process "
        assert sentence in ask(daemon, "status").stderr
        assert sentence in check(daemon)["socket-failed"]["what"]
        third = free_port()
        assert follow_the_page(daemon, third).returncode == 0
        daemon.move_to(third)
        new_device(daemon).login()
        daemon.wait_for(lambda: daemon.state() == "active")
