"""Passwords typed at a terminal."""

import json
import re
import subprocess

import pytest

from harness import qr
from harness.listed import PROGRAM
from harness.terminal import Terminal


def at_a_terminal(server, *words):
    return Terminal([PROGRAM, "--config", server.configuration, *words], server.environment())


def test_a_password_is_asked_for_twice_and_never_seen(running, new_device):
    terminal = at_a_terminal(running, "user", "add", "dora")
    terminal.type_password("Password for dora: ", "d0ra's first")
    terminal.type_password("Again: ", "d0ra's first")
    status, shown = terminal.end()
    assert status == 0
    assert "can log in" in shown
    assert "d0ra" not in shown
    new_device(running, "dora").login("d0ra's first")


def test_a_new_user_is_shown_the_addresses_and_a_code_for_a_camera(listed):
    listed.host = "0.0.0.0"
    listed.start()
    terminal = at_a_terminal(listed, "user", "add", "dora")
    terminal.type_password("Password for dora: ", "d")
    terminal.type_password("Again: ", "d")
    status, shown = terminal.end()
    assert status == 0
    addresses = re.findall(r"^    (http://\S+/)\r$", shown, re.MULTILINE)
    expected = {f"http://{ip}:{listed.port}/" for ip in own_addresses()}
    assert expected and set(addresses) >= expected
    assert qr.in_terminal(shown) == addresses[0]
    # Not where no camera can see it.
    told = listed.operate("user", "add", "emil", given="e")
    assert addresses[0] in told and "\x1b" not in told
    # It is the same while the server is not running.
    listed.stop()
    told = listed.operate("user", "add", "fritz", given="f")
    assert all(address in told for address in addresses)


def test_a_server_for_a_proxy_only_has_no_address_to_show(running):
    told = running.operate("user", "add", "dora", given="d")
    assert f"only on 127.0.0.1:{running.port}" in told and "proxy" in told
    assert "http://" not in told


def own_addresses():
    """In networks with other computers, as `ip` lists them."""
    listed = json.loads(subprocess.check_output(["ip", "-json", "-4", "address", "show", "up"]))
    for interface in listed:
        internal = ("br-", "cni", "docker", "lxc", "podman", "veth", "virbr")
        if "LOOPBACK" in interface["flags"] or interface["ifname"].startswith(internal):
            continue
        for address in interface["addr_info"]:
            if address["scope"] != "link":
                yield address["local"]


def test_two_passwords_that_differ_change_nothing(running):
    before = running.list.read_text()
    terminal = at_a_terminal(running, "user", "passwd", "anna")
    terminal.type_password("New password for anna: ", "one")
    terminal.type_password("Again: ", "other")
    status, shown = terminal.end()
    assert (status, running.list.read_text()) == (64, before)
    assert "differ" in shown


def test_nobody_waits_for_somebody_who_is_at_the_keyboard(running):
    terminal = at_a_terminal(running, "user", "add", "dora")
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
    terminal = at_a_terminal(running, "user", "remove", "anna", "--delete-data")
    terminal.wait_for("Type the user's name to confirm: ")
    terminal.type(answer)
    status, _ = terminal.end()
    assert status == (0 if removed else 64)
    assert running.folder("anna").exists() != removed
    assert ("anna" in running.list.read_text()) != removed
