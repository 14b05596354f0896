"""From within the sandbox of the service: what is refused there."""

import json
from pathlib import Path

import pytest

from harness import probe
from harness.daemon import BASE, DROP_INS, SERVICE, UNITS

PROGRAM = "/usr/share/probe.py"
OTHER_BASE = "/srv/anki"
# Rights on files do not protect these, so that the sandbox has to.
OPEN_FOLDERS = ["/srv/open", "/opt/open", "/var/lib/open", "/var/cache/open", "/etc/open"]
# What an ordinary process without privileges cannot do either; outside, it is root that tries.
REPLACED = """
[Service]
Type=oneshot
Restart=no
WatchdogSec=0
ExecStart=
ExecStart={python} {program} {folder} {folder}/outcomes.json
ExecPaths={python} /usr/lib/{name}
"""


@pytest.fixture(scope="session")
def opened(installed):
    inside = installed.container
    inside.install(Path(probe.__file__), PROGRAM)
    for folder in OPEN_FOLDERS:
        inside.write(f"{folder}/file", "", mode=0o666)
        inside.path(folder).chmod(0o777)
    return inside.output("readlink", "-f", "/usr/bin/python3")


def probed(installed, python, folder):
    """Runs the probes in place of the daemon, with everything else as in its unit."""
    installed.drop_in(REPLACED.format(python=python, name=Path(python).name, program=PROGRAM, folder=folder))
    installed.systemctl("start", SERVICE)
    return json.loads(installed.container.path(f"{folder}/outcomes.json").read_text())


@pytest.fixture(scope="session")
def outcomes(installed, opened):
    """In itself a proof that SYNC_BASE can be written to: that is where they come from."""
    installed.reset()
    return probed(installed, opened, BASE)


@pytest.fixture(scope="session")
def outcomes_outside(installed, opened):
    folder = "/srv/outside"
    inside = installed.container
    inside.path(folder).mkdir(parents=True)
    assert inside.unit_status("python3", PROGRAM, folder, f"{folder}/outcomes.json") == 0
    return json.loads(inside.path(f"{folder}/outcomes.json").read_text())


@pytest.mark.parametrize("name", probe.PROBES)
def test_it_is_refused(outcomes, name):
    outcome = outcomes[name]
    assert outcome["refused"], f"possible: {outcome['value']}"


@pytest.mark.parametrize("name", probe.PROBES)
def test_it_would_work_outside_the_sandbox(outcomes_outside, name):
    """Else the one above would prove nothing."""
    assert outcomes_outside[name]["refused"] is None


def test_the_check_of_an_upload_gives_way_in_the_sandbox_too(daemon, new_device):
    device = new_device(daemon)
    device.login()
    device.upload()
    shown = daemon.container.output("ps", "-L", "-o", "ni=", "-p", str(daemon.pid()))
    assert set(shown.split()) == {"0", "5"}


def test_with_another_base_that_one_and_no_other_can_be_written_to(installed, opened):
    installed.reset()
    inside = installed.container
    for folder in (OTHER_BASE, BASE):
        inside.path(folder).mkdir(exist_ok=True)
        inside.run("chown", "anki-syncd:", folder)
    inside.install(UNITS / "other-base.conf", f"{DROP_INS}/{SERVICE}.d/other-base.conf")
    outcomes = probed(installed, opened, OTHER_BASE)
    outcome = outcomes["write-anywhere-else"]
    assert outcome["refused"], f"possible: {outcome['value']}"
