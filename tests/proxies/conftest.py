"""Proxies in front of servers, and devices that trust their certificate."""

import sys

import pytest

from harness import apt
from harness.certificate import Certificate
from harness.device import WORKER, Device
from harness.proxy import Proxy
from harness.server import Activated


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    apt.provide("openssl")
    return Certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def start_activated(tmp_path):
    """Starts servers on a unix socket."""
    apt.provide("systemd")
    servers = []

    def start(**settings):
        number = len(servers)
        log = tmp_path / f"{number}.activated.log"
        servers.append(Activated(tmp_path / f"activated{number}", log, **settings))
        return servers[-1].start()

    yield start
    for server in servers:
        server.kill()
        print(f"--- log\n{server.log_text()}")


@pytest.fixture
def start_proxy(certificate, tmp_path):
    proxies = []

    def start(kind, upstream, **options):
        folder = tmp_path / f"proxy{len(proxies)}"
        proxies.append(Proxy(kind, upstream, certificate, folder, **options))
        return proxies[-1].start()

    yield start
    for proxy in proxies:
        proxy.end()
        print(f"--- log of {proxy.kind}\n{(proxy.folder / 'log').read_text()}")


@pytest.fixture
def new_trusting_device(certificate, tmp_path):
    """Makes devices whose client trusts the certificate authority, as its user would tell it to."""
    devices = []
    worker = ("env", f"SSL_CERT_FILE={certificate.authority}", sys.executable, WORKER)

    def make(server, user="anna"):
        folder = tmp_path / f"trusting{len(devices)}"
        devices.append(Device(folder, server, user, worker))
        return devices[-1]

    yield make
    for device in devices:
        device.end()
