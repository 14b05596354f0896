"""The .rpm: its scriptlets on a booted system.

The system is a Debian, whose rpm is real and whose database of packages is empty: a package
that provides what EL 9 would stands for the rest of it.
"""

import re
import subprocess

import pytest

from harness.daemon import (
    BACKUP,
    BACKUPS,
    BASE,
    CONFIGURATION,
    CONTROL,
    DROP_INS,
    SERVICE,
    SOCKET,
    TIMER,
    USERS_CREDENTIAL,
)
from harness.packages import COLLECTIONS_STAY, NEXT_STEP, MidSync, Packaged

PRESETS = "/etc/systemd/system-preset/10-tests.preset"
# EL 9's.
GLIBC = (2, 34)
LIBRARIES = ["libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "ld-linux-x86-64.so.2"]
STUB = """
Name: el9
Version: 9
Release: 1
Summary: What the system would have
License: MIT
BuildArch: noarch
{provides}
%description
Nothing.
%files
"""


def provides():
    versions = [f"GLIBC_2.{minor}" for minor in range(2, GLIBC[1] + 1)]
    versions += ["GLIBC_2.2.5", "GLIBC_2.3.2", "GLIBC_2.3.4"]
    yield "/bin/sh"
    yield "systemd = 252"
    for library in LIBRARIES:
        yield f"{library}()(64bit)"
        for version in versions:
            yield f"{library}({version})(64bit)"


class FromRpm(Packaged):
    """As on Fedora, where what is not in a preset stays disabled."""

    def remove_traces(self):
        self.container.run("rpm", "-e", "anki-syncd", check=False)
        self.presets("disable *")

    def presets(self, text):
        self.container.write(PRESETS, f"{text}\n")

    def rpm(self, *words):
        done = self.container.run("rpm", *words)
        return done.stdout + done.stderr

    def rpm_install(self, package, how="-i"):
        return self.rpm(how, self.bring(package))

    def verify(self):
        done = self.container.run("rpm", "-V", "anki-syncd", check=False)
        return done.stdout.splitlines()


@pytest.fixture(scope="module")
def system(boot, tmp_path_factory):
    container = boot("trixie")
    container.run("apt-get", "update", "-qq")
    container.run("apt-get", "install", "-y", "-qq", "--no-install-recommends", "rpm")
    folder = tmp_path_factory.mktemp("stub")
    spec = folder / "el9.spec"
    lines = "\n".join(f"Provides: {name}" for name in provides())
    spec.write_text(STUB.format(provides=lines))
    words = ["rpmbuild", "-bb", "--quiet", "-D", f"_topdir {folder}", spec]
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    (stub,) = folder.rglob("*.rpm")
    container.install(stub, f"/root/{stub.name}")
    container.run("rpm", "-U", "--force", f"/root/{stub.name}")
    yield container
    container.run("rpm", "-e", "anki-syncd", check=False)
    container.path(PRESETS).unlink()


@pytest.fixture
def daemon(system):
    daemon = FromRpm(system)
    daemon.clean()
    yield daemon
    print(f"--- journal of {system.name}\n{daemon.log_text()}")


@pytest.fixture
def running(daemon, packages):
    daemon.rpm_install(packages.package("rpm", "x86_64"))
    daemon.systemctl("enable", "--now", SOCKET)
    daemon.add_users()
    return daemon


def test_installing_it_leaves_to_the_presets_whether_it_listens(daemon, packages):
    said = daemon.rpm_install(packages.package("rpm", "x86_64"))
    assert NEXT_STEP in said
    assert f"systemctl enable --now {SOCKET}" in said
    for unit in (SOCKET, SERVICE, TIMER):
        assert daemon.enabled(unit) == "disabled"
    assert not daemon.listening()
    assert daemon.verify() == []
    assert daemon.modes(CONFIGURATION, USERS_CREDENTIAL, "/usr/bin/anki-syncd") == {
        CONFIGURATION: "644 root:root",
        USERS_CREDENTIAL: "600 root:root",
        "/usr/bin/anki-syncd": "755 root:root",
    }
    assert daemon.container.output("id", "-un", "anki-syncd") == "anki-syncd"


def test_a_preset_that_enables_the_socket_is_followed(daemon, packages):
    daemon.presets(f"enable {SOCKET}\ndisable *")
    daemon.rpm_install(packages.package("rpm", "x86_64"))
    assert daemon.enabled() == "enabled"
    assert daemon.enabled(SERVICE) == "disabled"


def test_an_upgrade_in_the_middle_of_a_sync_loses_nothing(running, packages, new_device, new_gate):
    settings = "# mine\nbody_timeout_secs = 61\n"
    running.container.write(CONFIGURATION, settings)
    work = MidSync(running, new_device, new_gate)
    process, since = running.pid(), running.listening_since()
    package = packages.package("rpm", "x86_64", 2)
    said = work.during(lambda: running.rpm_install(package, how="-U"))
    assert NEXT_STEP not in said
    work.check()
    assert running.pid() not in (0, process)
    assert running.listening_since() == since, "the socket was closed meanwhile"
    assert running.state(CONTROL) == "active"
    assert running.container.path(CONFIGURATION).read_text() == settings
    # Both differ from the package's, as they may.
    changed = {line.split()[-1]: line.split()[0] for line in running.verify()}
    assert set(changed) == {CONFIGURATION, USERS_CREDENTIAL}
    assert all(re.fullmatch(r"S\.5\.\.\.\.T\.", flags) for flags in changed.values())


def test_an_upgrade_leaves_a_socket_disabled_that_was(daemon, packages):
    daemon.rpm_install(packages.package("rpm", "x86_64"))
    daemon.presets(f"enable {SOCKET}")
    daemon.rpm_install(packages.package("rpm", "x86_64", 2), how="-U")
    assert daemon.enabled() == "disabled"


def test_erased_it_leaves_the_collections_and_installed_again_it_finds_them(
    running, packages, new_device
):
    device = new_device(running)
    device.login()
    device.add_note("years of", "study")
    device.upload()
    running.systemctl("enable", "--now", TIMER)
    running.systemctl("start", BACKUP)

    said = running.rpm("-e", "anki-syncd")
    assert COLLECTIONS_STAY in said
    assert BACKUPS in said
    # Those in which the users are; systemd has nothing to complain of.
    warnings = [line for line in said.splitlines() if "warning" in line.lower()]
    assert warnings == [f"warning: {USERS_CREDENTIAL} saved as {USERS_CREDENTIAL}.rpmsave"]
    assert "still active" not in said
    assert running.state(SERVICE) == "inactive"
    assert not running.listening()
    assert running.state(CONTROL) == "inactive"
    wanted = running.container.path(f"{DROP_INS}/sockets.target.wants/{SOCKET}")
    assert not wanted.is_symlink()
    assert running.state(TIMER) == "inactive"
    wanted = running.container.path(f"{DROP_INS}/timers.target.wants/{TIMER}")
    assert not wanted.is_symlink()
    saved = f"{USERS_CREDENTIAL}.rpmsave"
    assert running.modes(saved, BASE) == {
        saved: "600 root:root",
        BASE: "700 anki-syncd:anki-syncd",
    }

    running.rpm_install(packages.package("rpm", "x86_64"))
    running.systemctl("enable", "--now", SOCKET)
    running.add_users()
    device.login()
    assert device.sync() == "NO_CHANGES"


def test_dnf_installs_upgrades_and_removes_it(daemon, packages, long):
    if not long:
        pytest.skip("dnf is tried with --long")
    daemon.container.run("apt-get", "install", "-y", "-qq", "--no-install-recommends", "dnf")
    dnf = ["dnf", "-y", "--disablerepo=*", "--nogpgcheck"]
    daemon.container.run(*dnf, "install", daemon.bring(packages.package("rpm", "x86_64")))
    daemon.systemctl("enable", "--now", SOCKET)
    assert daemon.health() == 200
    daemon.container.run(*dnf, "upgrade", daemon.bring(packages.package("rpm", "x86_64", 2)))
    assert daemon.rpm("-q", "anki-syncd").strip().endswith("-2.x86_64")
    assert daemon.health() == 200
    daemon.container.run(*dnf, "remove", "anki-syncd")
    assert not daemon.listening()
