"""A server that does not answer: every command ends within seconds and says why."""

import os
import signal
import subprocess
import time

import pytest

WITHIN = 5
UNAVAILABLE = 69
COMMANDS = [
    ["status"],
    ["status", "--json"],
    ["user", "list"],
    ["user", "add", "dora"],
    ["user", "passwd", "anna"],
    ["user", "rename", "anna", "ann"],
    ["user", "remove", "anna"],
    ["user", "remove", "anna", "--delete-data", "--yes"],
    ["device", "list"],
    ["device", "revoke", "abcdef"],
    ["restore", "anna", "--list"],
    ["restore", "anna", "--yes"],
    ["restore", "anna", "--allow-upload"],
    ["backup"],
    ["backup", "anna"],
    ["check"],
]


def timed(server, *words):
    began = time.monotonic()
    done = server.attempt(*words, given="new")
    took = time.monotonic() - began
    assert took < WITHIN, f"{took:.1f} s"
    return done


@pytest.fixture
def stopped(running):
    os.kill(running.process.pid, signal.SIGSTOP)
    yield running
    os.kill(running.process.pid, signal.SIGCONT)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_server_that_is_stopped(stopped, words):
    before = stopped.list.read_text()
    done = timed(stopped, *words)
    said = done.stdout + done.stderr
    assert done.returncode == (1 if words == ["check"] else UNAVAILABLE)
    assert f"kill -CONT {stopped.process.pid}" in said
    assert stopped.list.read_text() == before


def test_it_goes_on_as_if_nothing_had_been(stopped):
    timed(stopped, "user", "add", "dora")
    os.kill(stopped.process.pid, signal.SIGCONT)
    assert "has been updated" in stopped.operate("user", "add", "dora", given="d")
    assert len(stopped.answer("status")["users"]) == 3


def test_a_file_that_is_to_be_restored_is_not_waited_for_either(stopped, tmp_path):
    with (tmp_path / "large").open("wb") as file:
        file.truncate(50_000_000)
    done = timed(stopped, "restore", "anna", "--from", tmp_path / "large", "--yes")
    assert done.returncode == UNAVAILABLE
    assert "kill -CONT" in done.stderr


def test_no_server_whose_settings_are_wrong(listed):
    listed.configuration.write_text("prot = 8080\n")
    for words in (["status"], ["device", "list"], ["backup"]):
        done = timed(listed, *words)
        assert done.returncode == UNAVAILABLE
        assert "no server answers" in done.stderr and "prot" in done.stderr


def test_no_server_and_another_program_on_its_port(listed):
    with subprocess.Popen(
        ["python3", "-m", "http.server", "--bind", "127.0.0.1", str(listed.port)],
        stderr=subprocess.DEVNULL,
    ) as other:
        try:
            deadline = time.monotonic() + 10
            while (taken := f"(process {other.pid})") not in (said := timed(listed, "status").stderr):
                assert time.monotonic() < deadline, said
            assert f"port {listed.port}" in said and f"python3 {taken}" in said
        finally:
            other.kill()
