"""What systemd itself says about the units."""

import re

import pytest

from harness.daemon import DROP_INS, SERVICE, SOCKET, UNITS
from harness.units import exposure, verify

# In the unit of systemd-analyze's threshold, a tenth of what it prints.
EXPOSURE = 0.3
UNIT = f"/usr/lib/systemd/system/{SERVICE}"


def test_verify_has_nothing_to_say(daemon):
    assert verify(daemon.container, SERVICE, SOCKET) == (0, "")


@pytest.mark.parametrize("drop_in", sorted(path.name for path in UNITS.glob("*.conf")))
def test_verify_has_nothing_to_say_about_a_drop_in(daemon, drop_in):
    daemon.container.install(UNITS / drop_in, f"{DROP_INS}/{SERVICE}.d/{drop_in}")
    assert verify(daemon.container, SERVICE) == (0, "")


def test_the_exposure_is_small_by_the_file(daemon):
    figure, shown = exposure(daemon.container, "--offline=true", UNIT)
    assert figure <= EXPOSURE, shown


def test_the_exposure_is_small_as_loaded(daemon):
    figure, shown = exposure(daemon.container, SERVICE)
    assert figure <= EXPOSURE, shown


def test_without_the_socket_unit_the_exposure_grows_by_the_network_only(daemon):
    _, before = exposure(daemon.container, SERVICE)
    daemon.container.install(UNITS / "standalone.conf", f"{DROP_INS}/{SERVICE}.d/standalone.conf")
    daemon.systemctl("daemon-reload")
    _, after = exposure(daemon.container, SERVICE)
    assert failed(after) - failed(before) == {
        "PrivateNetwork=",
        "IPAddressDeny=",
        "RestrictAddressFamilies=~AF_(INET|INET6)",
    }


def failed(shown):
    return set(re.findall(r"^✗ (\S+)", shown, re.MULTILINE))
