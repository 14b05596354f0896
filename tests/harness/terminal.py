"""A terminal, and somebody at it."""

import os
import pty
import re
import select
import signal
import termios
import time
from contextlib import suppress


class Terminal:
    """A command with a terminal of its own, and somebody at it."""

    def __init__(self, command, environment):
        self.shown = b""
        command = list(map(str, command))
        self.process, self.screen = pty.fork()
        if self.process == 0:
            os.execvpe(command[0], command, environment)

    def wait_for(self, text):
        deadline = time.monotonic() + 20
        while text.encode() not in self.shown:
            assert time.monotonic() < deadline, self.shown
            self.shown += os.read(self.screen, 1024)

    def wait_for_secrecy(self, question):
        """The question comes a moment before what is typed is not shown any more."""
        self.wait_for(question)
        self.wait_until_hidden()

    def wait_until_hidden(self):
        deadline = time.monotonic() + 20
        while termios.tcgetattr(self.screen)[3] & termios.ECHO:
            assert time.monotonic() < deadline, self.shown
            time.sleep(0.01)

    def type_password(self, question, password):
        self.wait_for_secrecy(question)
        self.type(password)

    def type(self, text):
        os.write(self.screen, f"{text}\n".encode())

    def answer(self, answers, timeout):
        """Answers each question when it comes, and waits for the end: its exit status and all
        that was to be seen. An answer is a pattern for the end of what is shown, what to type,
        and whether that is hidden.
        """
        answered = 0
        deadline = time.monotonic() + timeout
        with suppress(OSError):
            while self.is_readable(deadline) and (data := os.read(self.screen, 1024)):
                self.shown += data
                new = self.shown[answered:].decode(errors="replace")
                for question, answer, is_hidden in answers:
                    if re.search(question, new):
                        answered = len(self.shown)
                        if is_hidden:
                            self.wait_until_hidden()
                        self.type(answer)
                        break
        return self.end()

    def is_readable(self, deadline):
        if select.select([self.screen], [], [], max(0, deadline - time.monotonic()))[0]:
            return True
        os.kill(self.process, signal.SIGKILL)
        raise AssertionError(f"it does not end:\n{self.shown.decode(errors='replace')}")

    def end(self):
        """Its exit status and all that was to be seen."""
        # Linux says so when the other side is closed.
        with suppress(OSError):
            while data := os.read(self.screen, 1024):
                self.shown += data
        os.close(self.screen)
        _, status = os.waitpid(self.process, 0)
        return os.waitstatus_to_exitcode(status), self.shown.decode()
