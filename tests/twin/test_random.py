"""Whatever several devices do, chosen at random, with either server in turn.

    SEED=n tests/.venv/bin/python -m pytest tests/twin -k random    one seed
"""

import os
import random

import pytest

from harness.device import ClientError

LETTERS = "PQR"
DAY = 86_400
# What the client asks the person to do.
FULL = {
    "FULL_UPLOAD": ["upload"],
    "FULL_DOWNLOAD": ["download"],
    "FULL_SYNC": ["upload", "download"],
}


def pytest_generate_tests(metafunc):
    if "seed" in metafunc.fixturenames:
        seeds = range(300 if metafunc.config.getoption("--long") else 4)
        metafunc.parametrize("seed", [int(os.environ["SEED"])] if "SEED" in os.environ else seeds)


def test_random_changes(pair, new_twin, seed):
    """By every other seed, devices do not keep out of each other's way."""
    chance = random.Random(seed)
    a, b = pair
    account = a.account
    devices = dict(zip(LETTERS, [a, b, new_twin(account)]))
    keep_apart = seed % 2 == 0
    devices["R"].download()
    for number in range(5):
        if chance.random() < 0.1:
            account.clock.advance(chance.choice([DAY // 2, DAY, 9 * DAY]))
        account.pace = chance.choice([0, 1, 1])
        for letter in chance.sample(LETTERS, len(LETTERS)):
            device = devices[letter]
            made = device.call(
                "random_changes",
                seed=chance.getrandbits(32),
                count=chance.randint(2, 10),
                me=letter if keep_apart else "P",
                others=LETTERS.replace(letter, "") if keep_apart else "",
            )
            print(f"round {number}, {letter}: {', '.join(made)}")
            if chance.random() < 0.03:
                device.change("ask_for_full_sync")
            if chance.random() < 0.7:
                print(f"round {number}, {letter} syncs: {synced(device, chance)}")


def synced(device, chance):
    try:
        asked = device.sync()
        if asked in FULL:
            chosen = chance.choice(FULL[asked])
            getattr(device, chosen)()
            return chosen
        return asked
    except ClientError as error:
        return error
