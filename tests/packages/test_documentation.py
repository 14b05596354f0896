"""The README and docs/, typed as a new user types them into a Debian with the package.

Every command of a page is typed in the page's order at a terminal, in a container with a network
of its own, where the addresses and ports are those of the pages. It has to succeed. What cannot
be typed there is in `NOT_TYPED`, with the reason.
"""

import json
import os
import re
import shlex
import sys
import time

import pytest

from harness.container import booted, prepare
from harness.daemon import BACKUPS
from harness.device import WORKER, Device
from harness.packages import Packaged
from harness.pages import PAGES, README, SECURITY, anchors, commands, links, name
from harness.terminal import Terminal

ADDRESS = "http://192.168.1.10:8080/"
PASSWORD = "correct horse"
NEXT_USER = "sudo anki-syncd user add anna"

# What is typed once questions come: the end of what is shown, the answer, whether it is hidden.
ANSWERS = [
    (r"[Pp]assword[^:\n]*: $|Again: $", PASSWORD, True),
    (r"\[y/N\] $|\[Y/n\] $", "y", False),
    (r"Type the [^:\n]*name[^:\n]*: $", "benjamin", False),
]

# In place of programs that the container lacks. Who types is root there.
STAND_INS = {
    "sudo": '#!/bin/sh\nexec "$@"\n',
    "curl": "#!/usr/bin/python3\nimport sys, urllib.request\n"
    "print(urllib.request.urlopen(sys.argv[1]).read().decode())\n",
    "sendmail": "#!/bin/sh\ncat > /root/mail\n",
    # Writes what the page says, below what is there already. systemd takes nothing from below
    # its own second remark.
    "nano": "#!/bin/sh\nfor file; do :; done\n"
    "[ -e \"$file\" ] || : > \"$file\"\n"
    "{ sed '/^### .*below this comment/,$d' \"$file\" | grep -v '^###'; cat /root/lines; } > /root/edited\n"
    'cat /root/edited > "$file"\n',
}

# What differs from one computer to the next: the text in the page, and what stands for it here.
SUBSTITUTED = {
    "1f0c9a3e": lambda typist: typist.first_device(),
    "2026-11-21 14:30": lambda typist: typist.time_of_first_snapshot(),
    "2026-11-21T03-41-07.310Z": lambda typist: typist.newest_backup(),
}

NOT_TYPED = {
    "needs Fedora or RHEL; test_rpm.py installs and removes the .rpm with rpm": [
        "sudo dnf install ./anki-syncd-*.$(uname -m).rpm",
        "sudo dnf remove anki-syncd",
    ],
    "needs openSUSE; test_rpm.py installs the .rpm with rpm": [
        "sudo zypper install --allow-unsigned-rpm ./anki-syncd-*.$(uname -m).rpm",
    ],
    "needs that firewall": [
        "sudo ufw allow 8080/tcp",
        "sudo firewall-cmd --permanent --add-port=8080/tcp",
        "sudo firewall-cmd --reload",
    ],
    "needs a tailnet": [
        "tailscale serve --bg 8080",
        "tailscale serve --bg unix:/run/anki-syncd.sock",
        "tailscale funnel",
    ],
    "needs a domain and its certificate; tests/proxies runs the files with each proxy": [
        "sudo cp /usr/share/doc/anki-syncd/docs/proxies/nginx.conf /etc/nginx/conf.d/anki-syncd.conf",
        "sudo nano /etc/nginx/conf.d/anki-syncd.conf",
        "sudo systemctl reload nginx",
        "sudo anki-syncd check --url https://anki.example.org/",
    ],
    "needs fail2ban; test_deb.py installs it and tries filter and jail": [
        "sudo systemctl reload fail2ban",
    ],
    "starts Anki with its window; tests/legacy runs these versions with these variables": [
        "SYNC_ENDPOINT=http://192.0.2.1:8080/sync/ SYNC_ENDPOINT_MEDIA=http://192.0.2.1:8080/msync/ anki",
    ],
    "serves until it is ended; all tests outside of containers start servers so": [
        "SYNC_USER1=anna:secret cargo run",
        "SYNC_USER1=anna:secret cargo run --release",
        "anki-syncd",
        "anki-syncd --config anki-syncd.toml",
        "anki-syncd --config anki-syncd.toml status",
        "python -m anki.syncserver",
    ],
    "needs a compiler and minutes; this test's own package is built by it": [
        "sudo apt install build-essential",
        "packaging/build --arch amd64 arm64 armhf",
        "cargo build --release",
    ],
    "is what runs this test, or a part of it": [
        "tests/run",
        "tests/run --only venv",
        "tests/run --quick",
        "tests/run --only fmt clippy test",
        "tests/run --long",
        "cargo test --lib retention",
        "cargo test --test architecture --test documentation",
        "cargo test --test in_process",
        "SERVER=ours tests/.venv/bin/python -m pytest -q tests/clients/test_login.py",
        "SERVER=reference tests/.venv/bin/python -m pytest -q tests/clients/test_media.py",
        "fuzz/run 600 upload",
        "tests/.venv/bin/python benches/compare.py",
        "tests/.venv/bin/python benches/load.py",
        "tests/.venv/bin/python tests/hostile/table",
        "tests/.venv/bin/python tests/page/picture",
        "FAULT=normal-sync:server:kill:17 tests/.venv/bin/python -m pytest -q tests/faults -k normal-sync",
    ],
}
ALL_NOT_TYPED = {typed for listed in NOT_TYPED.values() for typed in listed}

# How a page begins: with nothing but the package's file, with the package, or in use by anna.
BEGINS = {
    "README.md": "nothing",
    "docs/installing.md": "nothing",
    "docs/first-devices.md": "installed",
    "docs/changing-over.md": "installed",
}
TYPED_PAGES = [
    page for page in PAGES if {it.typed for it in commands(page)} - ALL_NOT_TYPED
]


class Typist:
    """Somebody at the terminal of the container, with devices in the same network."""

    def __init__(self, container, package, folder):
        self.container = container
        self.package = package
        self.folder = folder
        self.daemon = Packaged(container)
        self.daemon.move_to(8080)
        self.devices = []
        self.clean()

    # What a page finds.

    def clean(self):
        """As if there had never been anything."""
        shell = self.container.run
        shell("systemctl", "unmask", "anki-syncd.socket", check=False)
        shell("systemctl", "stop", "anki-syncd*", check=False)
        shell("dpkg", "--purge", "anki-syncd", check=False)
        shell("sh", "-c", "rm -rf /etc/systemd/system/*anki-syncd* /etc/systemd/system/mail-failure*")
        shell("sh", "-c", "rm -rf /var/lib/anki-syncd /var/backups/anki-syncd /srv/anki /mnt/usb")
        shell("sh", "-c", "rm -rf /root/* /root/.syncserver /etc/anki-syncd /etc/fail2ban")
        shell("systemctl", "daemon-reload")
        shell("systemctl", "reset-failed")
        for program, text in STAND_INS.items():
            self.container.write(f"/usr/local/bin/{program}", text, mode=0o755)
        self.daemon.bring(self.package)
        # Where the page about backups says that a disk is.
        shell("mkdir", "-p", "/mnt/usb", "/etc/fail2ban/jail.d")

    def begin(self, page):
        begins = BEGINS.get(name(page), "in use")
        if begins != "nothing":
            self.type(first(README, "sudo apt install"))
        if name(page) == "docs/changing-over.md":
            device = self.new_device()
            device.add_note("from", "the bundled server")
            folder = self.container.path("/root/.syncserver/anna")
            folder.mkdir(parents=True)
            device.call("close")
            (folder / "collection.anki2").write_bytes(device.path.read_bytes())
        if begins == "in use":
            self.type(first(README, NEXT_USER))

    def new_device(self, user="anna"):
        """A client in the container's network."""
        enter = ["nsenter", "-t", self.container.leader, "-n", sys.executable, WORKER]
        folder = self.folder / f"device{len(self.devices)}"
        self.devices.append(Device(folder, self.daemon, user, worker=enter))
        return self.devices[-1]

    def sync(self, user):
        """What a new user does next: the first device uploads, and the second one by mistake, too."""
        for cards in (3, 1):
            device = self.new_device(user)
            device.login(PASSWORD)
            for card in range(cards):
                device.add_note(f"front {card}", "back")
            device.upload()

    def end(self):
        for device in self.devices:
            device.end()

    # What is typed.

    def type(self, command):
        typed = command.typed
        for text, here in SUBSTITUTED.items():
            if text in typed:
                typed = typed.replace(text, here(self))
        self.container.write("/root/lines", command.lines)
        print(f"$ {typed}", flush=True)
        shell = f"cd /root && SYSTEMD_EDITOR=nano bash -o pipefail -c {shlex.quote(typed)}"
        inside = self.container.inside("sh", "-c", shell)
        began = time.monotonic()
        status, shown = Terminal(inside, os.environ).answer(ANSWERS, timeout=120)
        print(f"{shown}({status}, {time.monotonic() - began:.1f} s)", flush=True)
        assert status == 0, f"{typed}: status {status}\n{shown}"
        if added := re.fullmatch("sudo anki-syncd user add (.*)", command.typed):
            assert ADDRESS in shown
            self.sync(added[1])
        return shown

    def asked(self, *words):
        return json.loads(self.container.output("anki-syncd", *words, "--json"))

    def first_device(self):
        return self.asked("device", "list", "anna")[-1]["id"][:8]

    def time_of_first_snapshot(self):
        at = self.asked("restore", "anna", "--list")[0]["at_ms"] - 1
        return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at // 1000)) + f".{at % 1000:03}Z"

    def newest_backup(self):
        return max(path.name for path in self.container.path(BACKUPS).iterdir())


def first(page, beginning):
    return next(it for it in commands(page) if it.typed.startswith(beginning))


@pytest.fixture(scope="module")
def container(tmp_path_factory):
    prepare()
    folder = tmp_path_factory.mktemp("documentation")
    with booted(f"documentation-{os.getpid()}", "trixie", folder, own_network=True) as container:
        for words in (
            ["link", "set", "lo", "up"],
            ["link", "add", "eth0", "type", "bridge"],
            ["address", "add", "192.168.1.10/24", "dev", "eth0"],
            ["link", "set", "eth0", "up"],
        ):
            container.run("ip", *words)
        yield container


@pytest.fixture
def typist(container, packages, tmp_path):
    typist = Typist(container, packages.package("deb"), tmp_path)
    yield typist
    typist.end()


@pytest.mark.parametrize("page", TYPED_PAGES, ids=name)
def test_every_command_of_the_page_succeeds(typist, page):
    typist.begin(page)
    for command in commands(page):
        if command.typed not in ALL_NOT_TYPED:
            typist.type(command)


def test_what_the_readme_shows_of_status_is_what_it_shows(typist):
    typist.begin(PAGES[-1])
    shown = typist.type(first(README, "sudo anki-syncd status"))
    (printed,) = re.findall(r"^```\n(anki-syncd .*?)^```$", README.read_text(), re.MULTILINE | re.DOTALL)
    (columns,) = re.findall(r"^USER .*$", printed, re.MULTILINE)
    assert columns.split() == re.search(r"^USER .*$", shown, re.MULTILINE)[0].split()
    listening = re.findall(r"^(?:listening|data) .*? ", printed, re.MULTILINE)
    assert listening and all(line in shown for line in listening)


def test_nothing_is_excused_that_no_page_has():
    typed = {it.typed for page in PAGES for it in commands(page)}
    assert ALL_NOT_TYPED - typed == set()


@pytest.mark.parametrize("page", [*PAGES, SECURITY], ids=name)
def test_every_link_leads_somewhere(page):
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link
