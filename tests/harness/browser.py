"""A real browser, Chromium, driven over its debugging pipe."""

import base64
import fcntl
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path
from queue import Empty, Queue

PACKAGE = "chromium"
PATIENCE = 60
OPTIONS = [
    *["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"],
    *["--disable-background-networking", "--disable-component-update", "--disable-sync"],
    *["--disable-dev-shm-usage", "--remote-debugging-pipe", "--hide-scrollbars"],
    # No name leaves this machine.
    "--host-resolver-rules=MAP * 127.0.0.1",
]
PAGE_EVENTS = ["Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown"]


class Browser:
    """One process with one page, in a profile of its own."""

    def __init__(self, folder):
        program = shutil.which("chromium")
        assert program, "there is no chromium"
        self.number = 0
        self.answers = {}
        self.events = []
        self.incoming = Queue()
        # The browser reads commands from its descriptor 3, and writes answers to 4.
        their_input, our_output = high(os.pipe())
        our_input, their_output = high(os.pipe())
        self.output = os.fdopen(our_output, "wb", buffering=0)
        self.input = os.fdopen(our_input, "rb")
        with open(Path(folder) / "chromium.log", "wb") as log:
            self.process = subprocess.Popen(
                [
                    *["bash", "-c", f'exec "$@" 3<&{their_input} 4>&{their_output}', "bash"],
                    *[program, *OPTIONS, f"--user-data-dir={folder}/profile", "about:blank"],
                ],
                pass_fds=[their_input, their_output],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        os.close(their_input)
        os.close(their_output)
        threading.Thread(target=self.listen, daemon=True).start()
        self.session = None
        target = self.command("Target.createTarget", url="about:blank")["targetId"]
        attached = self.command("Target.attachToTarget", targetId=target, flatten=True)
        self.session = attached["sessionId"]
        for domain in ["Page", "Runtime", "Log", "Network"]:
            self.command(f"{domain}.enable")

    def end(self):
        with suppress(OSError, AssertionError):
            self.session = None
            self.command("Browser.close")
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.output.close()

    def listen(self):
        pending = b""
        while block := self.input.read1():
            *messages, pending = (pending + block).split(b"\0")
            for message in messages:
                self.incoming.put(json.loads(message))
        self.incoming.put(None)

    def receive(self, deadline):
        try:
            message = self.incoming.get(timeout=max(0, deadline - time.monotonic()))
        except Empty:
            raise AssertionError("the browser does not answer") from None
        assert message is not None, "the browser has ended"
        if "id" in message:
            self.answers[message["id"]] = message
        else:
            self.events.append(message)

    def command(self, method, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        self.output.write(json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + PATIENCE
        while self.number not in self.answers:
            self.receive(deadline)
        answer = self.answers.pop(self.number)
        assert "error" not in answer, f"{method}: {answer}"
        return answer["result"]

    # As a person at it.

    def look(self, width, height, scheme):
        """The size of the window and the colour scheme that the person prefers."""
        self.command(
            *["Emulation.setDeviceMetricsOverride"],
            **{"width": width, "height": height},
            **{"deviceScaleFactor": 1, "mobile": width < 600},
        )
        preference = [{"name": "prefers-color-scheme", "value": scheme}]
        self.command("Emulation.setEmulatedMedia", features=preference)

    def allow_scripts(self, allowed):
        self.command("Emulation.setScriptExecutionDisabled", value=not allowed)

    def open(self, url):
        self.events.clear()
        answer = self.command("Page.navigate", url=url)
        assert "errorText" not in answer, answer
        deadline = time.monotonic() + PATIENCE
        while not self.named("Page.loadEventFired"):
            self.receive(deadline)

    def evaluate(self, expression):
        """The value of an expression in the page; also when its own scripts are not allowed."""
        answer = self.command(
            *["Runtime.evaluate"],
            **{"expression": expression, "returnByValue": True},
            **{"awaitPromise": True, "userGesture": True},
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def click(self, selector):
        place = self.evaluate(
            f"(() => {{ const it = document.querySelector({json.dumps(selector)});"
            " it.scrollIntoView({block: 'center'}); const box = it.getBoundingClientRect();"
            " return {x: box.x + box.width / 2, y: box.y + box.height / 2}; })()"
        )
        for kind in ["mousePressed", "mouseReleased"]:
            self.command(
                *["Input.dispatchMouseEvent"],
                **{"type": kind, "button": "left", "clickCount": 1},
                **place,
            )

    def screenshot(self, path):
        """The whole page, however long."""
        shot = self.command("Page.captureScreenshot", captureBeyondViewport=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    # What has happened since the page was opened.

    def named(self, method):
        return [event["params"] for event in self.events if event["method"] == method]

    def complaints(self):
        """Errors, warnings and violations of the policy that the console would show."""
        self.evaluate("0")  # Whatever was said before this has come.
        return [event for event in self.events if event["method"] in PAGE_EVENTS]

    def requested(self):
        """Every address that the page has asked for."""
        return [event["request"]["url"] for event in self.named("Network.requestWillBeSent")]


def high(descriptors):
    """The same under numbers that are in nobody's way."""
    moved = [fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 10) for descriptor in descriptors]
    for descriptor in descriptors:
        os.close(descriptor)
    return moved
