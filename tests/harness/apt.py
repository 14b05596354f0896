"""Programs that tests need, from Debian's packages."""

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

# Asked by packages before they start their services.
START_POLICY = Path("/usr/sbin/policy-rc.d")
ONE_AT_A_TIME = Path(tempfile.gettempdir()) / "anki-syncd-tests-apt.lock"
START_NOTHING = "#!/bin/sh\nexit 101\n"


def provide(*packages):
    """Installs what is missing. Services that come along are started neither now nor at boot."""
    if all(map(installed, packages)):
        return
    with open(ONE_AT_A_TIME, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        install([package for package in packages if not installed(package)])


def install(missing):
    if not missing:
        return
    names = ", ".join(missing)
    if shutil.which("apt-get") is None:
        raise RuntimeError(f"missing: {names}, and there is no apt-get")
    if os.geteuid() != 0:
        raise RuntimeError(f"missing: {names}, and to install them needs root")
    subprocess.run(["apt-get", "update", "-qq"], check=True, stdout=sys.stderr)
    before = enabled()
    with nothing_starts():
        subprocess.run(
            ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing],
            check=True,
            stdout=sys.stderr,
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        )
    for link in enabled() - before:
        link.unlink()


def enabled():
    """What makes services start at boot."""
    return set(Path("/etc/systemd/system").glob("*.wants/*.service"))


def installed(package):
    query = subprocess.run(
        ["dpkg-query", "-W", "-f=${Status}", package], capture_output=True, text=True
    )
    return "ok installed" in query.stdout


@contextmanager
def nothing_starts():
    if START_POLICY.exists():
        # Whoever has put one there knows what should start.
        yield
        return
    START_POLICY.write_text(START_NOTHING)
    START_POLICY.chmod(0o755)
    try:
        yield
    finally:
        START_POLICY.unlink()
