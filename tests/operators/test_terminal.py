"""Passwords typed at a terminal."""

import os
import pty
import termios
import time
from contextlib import suppress

import pytest

from harness.listed import PROGRAM


class Terminal:
    """A command with a terminal of its own, and somebody at it."""

    def __init__(self, server, *words):
        self.shown = b""
        command = [PROGRAM, "--config", str(server.configuration), *words]
        self.process, self.screen = pty.fork()
        if self.process == 0:
            os.execve(command[0], command, server.environment())

    def wait_for(self, text):
        deadline = time.monotonic() + 20
        while text.encode() not in self.shown:
            assert time.monotonic() < deadline, self.shown
            self.shown += os.read(self.screen, 1024)

    def wait_for_secrecy(self, question):
        """The question comes a moment before what is typed is not shown any more."""
        self.wait_for(question)
        while termios.tcgetattr(self.screen)[3] & termios.ECHO:
            time.sleep(0.01)

    def type_password(self, question, password):
        self.wait_for_secrecy(question)
        self.type(password)

    def type(self, text):
        os.write(self.screen, f"{text}\n".encode())

    def end(self):
        """Its exit status and all that was to be seen."""
        # Linux says so when the other side is closed.
        with suppress(OSError):
            while data := os.read(self.screen, 1024):
                self.shown += data
        os.close(self.screen)
        _, status = os.waitpid(self.process, 0)
        return os.waitstatus_to_exitcode(status), self.shown.decode()


def test_a_password_is_asked_for_twice_and_never_seen(running, new_device):
    terminal = Terminal(running, "user", "add", "dora")
    terminal.type_password("Password for dora: ", "d0ra's first")
    terminal.type_password("Again: ", "d0ra's first")
    status, shown = terminal.end()
    assert status == 0
    assert "can log in" in shown
    assert "d0ra" not in shown
    new_device(running, "dora").login("d0ra's first")


def test_two_passwords_that_differ_change_nothing(running):
    before = running.list.read_text()
    terminal = Terminal(running, "user", "passwd", "anna")
    terminal.type_password("New password for anna: ", "one")
    terminal.type_password("Again: ", "other")
    status, shown = terminal.end()
    assert (status, running.list.read_text()) == (64, before)
    assert "differ" in shown


def test_nobody_waits_for_somebody_who_is_at_the_keyboard(running):
    terminal = Terminal(running, "user", "add", "dora")
    terminal.wait_for_secrecy("Password for dora: ")
    running.operate("user", "add", "emil", given="e")
    terminal.type("d")
    terminal.type_password("Again: ", "d")
    assert terminal.end()[0] == 0
    names = [line.split(":")[0] for line in running.list.read_text().splitlines()]
    assert names == ["anna", "ben", "emil", "dora"]


@pytest.mark.parametrize(("answer", "removed"), [("anna", True), ("yes", False), ("", False)])
def test_whoever_deletes_data_has_to_type_the_name(running, answer, removed):
    running.folder("anna").mkdir()
    terminal = Terminal(running, "user", "remove", "anna", "--delete-data")
    terminal.wait_for("Type the name to go on: ")
    terminal.type(answer)
    status, _ = terminal.end()
    assert status == (0 if removed else 64)
    assert running.folder("anna").exists() != removed
    assert ("anna" in running.list.read_text()) != removed
