"""Settings: a mistake is named and nothing else happens; what people write works."""

import re
import subprocess

import pytest

from harness.raw import Account
from harness.server import Server

CONFIGURATION_ERROR = 78


def run(server, *arguments):
    """Runs the program in the foreground, where it is expected to end."""
    return subprocess.run(
        [*server.command, *arguments],
        env=server.environment(),
        capture_output=True,
        text=True,
        timeout=20,
    )


@pytest.mark.parametrize(
    ("named", "settings"),
    [
        ("SYNC_USER1", {}),
        ("SYNC_USER1", {"SYNC_USER1": ":password"}),
        ("SYNC_USER1", {"SYNC_USER1": "name without a password"}),
        ("SYNC_USER1", {"SYNC_USER1": ""}),
        ("SYNC_USER1", {"SYNC_USER1": "a/b:password"}),
        ("SYNC_USER1", {"SYNC_USER1": "../evil:password"}),
        ("SYNC_USER1", {"SYNC_USER1": "..:password"}),
        ("SYNC_USER1", {"SYNC_USER1": ".:password"}),
        ("SYNC_USER1", {"SYNC_USER1": "a:plain", "PASSWORDS_HASHED": "1"}),
        ("SYNC_USER1", {"SYNC_USER1": "a:$argon2id$broken", "PASSWORDS_HASHED": "1"}),
        ("MAX_SYNC_PAYLOAD_MEGS", {"SYNC_USER1": "a:b", "MAX_SYNC_PAYLOAD_MEGS": "100M"}),
        ("MAX_SYNC_PAYLOAD_MEGS", {"SYNC_USER1": "a:b", "MAX_SYNC_PAYLOAD_MEGS": "-1"}),
        ("SYNC_PORT", {"SYNC_USER1": "a:b", "SYNC_PORT": "abc"}),
        ("SYNC_PORT", {"SYNC_USER1": "a:b", "SYNC_PORT": "70000"}),
        ("SYNC_HOST", {"SYNC_USER1": "a:b", "SYNC_HOST": "not an address"}),
        # As compose's list form passes them on: NAME="value".
        ("SYNC_BASE: .*quotation mark", {"SYNC_USER1": "a:b", "SYNC_BASE": '"base"'}),
        ("SYNC_HOST: .*quotation mark", {"SYNC_USER1": "a:b", "SYNC_HOST": "'127.0.0.1'"}),
        ("SYNC_USER1: .*quotation mark", {"SYNC_USER1": '"a:hunter2"'}),
        ("SYNC_USER1: .*quotation mark", {"SYNC_USER1": "'a:hunter2"}),
        ("PASSWORDS_HASHED: .*quotation mark", {"SYNC_USER1": "a:b", "PASSWORDS_HASHED": '"0"'}),
        # As a file from Windows has it.
        ("SYNC_BASE: .*Windows", {"SYNC_USER1": "a:b", "SYNC_BASE": "base\r"}),
        ("SYNC_PORT: .*Windows", {"SYNC_USER1": "a:b", "SYNC_PORT": "8080\r"}),
        ("SYNC_USER1: .*Windows", {"SYNC_USER1": "a:hunter2\r"}),
        ("SYNC_IP_HEADER: .*Windows", {"SYNC_USER1": "a:b", "SYNC_IP_HEADER": "XRealIp\r"}),
        ("PASSWORDS_HASHED: .*Windows", {"SYNC_USER1": "a:b", "PASSWORDS_HASHED": "0\r"}),
        ("MAX_SYNC_PAYLOAD_MEGS: .*Windows", {"SYNC_USER1": "a:b", "MAX_SYNC_PAYLOAD_MEGS": "9\r"}),
        ("SYNC_USER1: .*U\\+0009", {"SYNC_USER1": "a:hun\tter2"}),
    ],
)
def test_a_mistake_is_named_and_leaves_nothing_behind(tmp_path, named, settings):
    server = Server("ours", tmp_path / "base", tmp_path / "log", users={}, **settings)
    ended = run(server)
    assert ended.returncode == CONFIGURATION_ERROR
    assert re.search(named, ended.stderr)
    assert "hun" not in ended.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("named", "settings"),
    [
        ("SYNC_USER3: .*no colon", {"SYNC_USER3": "cleo hunter2"}),
        ("SYNC_USER3: .*listed already", {"SYNC_USER3": "anna:hunter2"}),
        ("SYNC_USER3: .*newline", {"SYNC_USER3": "cleo:hunter2\n"}),
        ("SYNC_USER3: .*quotation mark", {"SYNC_USER3": '"cleo:hunter2"'}),
        ("SYNC_USER03: .*number the users", {"SYNC_USER03": "cleo:hunter2"}),
        ("SYNC_USER3 is missing", {"SYNC_USER4": "cleo:hunter2"}),
    ],
)
def test_a_mistake_in_one_user_is_named_and_keeps_out_nobody_else(start_server, named, settings):
    server = start_server("ours", **settings)
    for user in ("anna", "ben"):
        assert Account(server, user).meta()["empty"]
    warnings = [line for line in server.log_text().splitlines() if " WARN " in line]
    assert len(warnings) == 1 and re.search(named, warnings[0])
    assert "hunter2" not in server.log_text()
    assert any(re.search(named, warning) for warning in server.answer("status")["warnings"])


def test_every_mistake_of_the_file_is_named_at_once(tmp_path):
    file = tmp_path / "anki-syncd.toml"
    file.write_text('port = 99999\nhots = "::"\nidle_exit_secs = "5"\nbase = /srv\n')
    server = Server("ours", tmp_path, tmp_path / "log", arguments=["--config", file])
    ended = run(server)
    assert ended.returncode == CONFIGURATION_ERROR
    for named in ["port .*line 1.*65535", "hots .*line 2.*did you mean host", "line 3", "line 4"]:
        assert re.search(named, ended.stderr), ended.stderr
    assert "u16" not in ended.stderr


@pytest.mark.parametrize("password", ["it's", '"quoted"', "'", '"'])
def test_a_password_may_have_quotes(start_server, password):
    server = start_server("ours", users={"anna": password})
    assert Account(server).meta()["empty"]


@pytest.mark.parametrize(
    "text", ["base = '\"/data\"'", 'host = "127.0.0.1\\r"']
)
def test_what_cannot_be_meant_in_the_file_is_named_with_its_line(tmp_path, text):
    file = tmp_path / "anki-syncd.toml"
    file.write_text(f"\n{text}\n")
    # Empty variables count as unset.
    unset = {"SYNC_BASE": "", "SYNC_HOST": ""}
    server = Server("ours", tmp_path, tmp_path / "log", arguments=["--config", file], **unset)
    ended = run(server)
    assert ended.returncode == CONFIGURATION_ERROR
    assert re.search(rf"{file}.*line 2", ended.stderr)
    assert "hunter2" not in ended.stderr


@pytest.mark.parametrize("value", ["", "0", "false"])
def test_passwords_hashed_that_says_no_is_off_with_a_warning(start_server, value):
    # The reference server takes any value for a yes.
    server = start_server("ours", PASSWORDS_HASHED=value)
    assert Account(server).meta()["empty"]
    assert "PASSWORDS_HASHED" in server.log_text()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1", "[::1]"])
def test_hosts_as_people_write_them(start_server, host):
    assert Account(start_server("ours", host=host)).meta()["empty"]


def test_a_user_name_with_spaces_and_umlauts(start_server):
    server = start_server("ours", users={"Jürgen Groß": "ö:ö "})
    assert Account(server, "Jürgen Groß").meta()["empty"]


def test_a_mistake_in_the_file_is_named_with_its_line(tmp_path):
    file = tmp_path / "anki-syncd.toml"
    file.write_text('host = "127.0.0.1"\nprot = 8080\n')
    server = Server("ours", tmp_path / "base", tmp_path / "log", arguments=["--config", file])
    ended = run(server)
    assert ended.returncode == CONFIGURATION_ERROR
    assert re.search(rf"{file}.*line 2", ended.stderr)
    assert list(tmp_path.iterdir()) == [file]


def test_the_environment_wins_over_the_file(start_server, tmp_path):
    file = tmp_path / "anki-syncd.toml"
    file.write_text('port = 1\nusers = ["clara:c"]\nmax_sync_payload_megs = 1\n')
    server = start_server("ours", arguments=["--config", file])
    assert Account(server, "anna").meta()["empty"]


def test_the_health_check_tells_whether_a_server_is_there(ours):
    assert run(ours, "--healthcheck").returncode == 0
    ours.stop()
    assert run(ours, "--healthcheck").returncode != 0


def test_a_folder_that_a_server_is_using_is_refused(ours, tmp_path):
    second = Server("ours", ours.base, tmp_path / "second.log")
    with pytest.raises(RuntimeError, match="SYNC_BASE"):
        second.start()
    assert Account(ours).meta()["empty"]


def test_the_base_folder_is_made_with_its_parents(start_server, tmp_path):
    server = start_server("ours", tmp_path / "a" / "b")
    assert Account(server).meta()["empty"]
