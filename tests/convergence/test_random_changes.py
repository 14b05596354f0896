"""Several devices change whatever they like, sync when they like, and end up equal.

    SEED=n tests/.venv/bin/python -m pytest tests/convergence  one seed
    SERVER=reference …                                        against the reference server
"""

import os
import random
import time

import pytest

from harness.agreement import settle
from harness.device import ClientError

LETTERS = "PQR"


def seeds(long):
    if "SEED" in os.environ:
        return [int(os.environ["SEED"])]
    return range(50 if long else 3)


def pytest_generate_tests(metafunc):
    metafunc.parametrize("seed", seeds(metafunc.config.getoption("--long")))


@pytest.fixture
def rounds(long):
    return 15 if long else 6


@pytest.fixture
def server(start_server):
    return start_server(os.environ.get("SERVER", "ours"))


def test_devices_end_up_equal(server, new_device, inspector, seed, rounds):
    chance = random.Random(seed)
    print(f"SEED={seed}")
    devices = {letter: new_device(server) for letter in LETTERS}
    begin(list(devices.values()), chance)
    clock = Clock()
    for number in range(rounds):
        for letter in chance.sample(LETTERS, len(LETTERS)):
            device = devices[letter]
            clock.next_second()
            made = device.call(
                "random_changes",
                seed=chance.getrandbits(32),
                count=chance.randint(2, 10),
                me=letter,
                others=LETTERS.replace(letter, ""),
            )
            print(f"round {number}, {letter}: {', '.join(made)}")
            if chance.random() < 0.7:
                synced(device)
                print(f"round {number}, {letter} synced")
    settle(list(devices.values()))
    content = inspector.agreed(server, list(devices.values()))
    print({table: len(rows) for table, rows in content.items()})


def begin(devices, chance):
    first, *others = devices
    first.login()
    first.add_deck("Shared")
    first.change("set_config", key="fsrs", value=True)
    first.call("random_changes", seed=chance.getrandbits(32), count=40, me="P", others="QR")
    first.upload()
    for device in others:
        device.login()
        device.download()


def synced(device):
    try:
        assert device.sync() == "NO_CHANGES", "a full sync is asked for"
    except ClientError as error:
        raise AssertionError(f"{device.folder.name}: {error}\n{device.server.log_text()[-3000:]}") from None


class Clock:
    """Whole seconds are what the client remembers of changes, so two devices may not share one."""

    def __init__(self):
        self.last = 0

    def next_second(self):
        while int(time.time()) <= self.last:
            time.sleep(0.02)
        self.last = int(time.time())
