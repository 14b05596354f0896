"""An account with two devices, on both servers."""

import shutil
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from harness.agreement import settle
from harness.clock import Clock
from harness.sample import furnish
from twin.twin import START, TALLY, Account, Servers, Twin


def pytest_collection_modifyitems(config, items):
    """One in six of the cases that are many."""
    if config.getoption("--long"):
        return
    many = [item for item in items if item.get_closest_marker("sampled")]
    left_out = [item for number, item in enumerate(many) if number % 6]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def pytest_terminal_summary(terminalreporter):
    made = ", ".join(f"{count} {what}: {end}" for (what, end), count in sorted(TALLY.items()))
    terminalreporter.write_line(f"made twice: {made or 'nothing'}")


@pytest.fixture(scope="session")
def memory():
    """A folder where nobody waits for a disk, since no power is cut here."""
    in_memory = Path("/dev/shm")
    with TemporaryDirectory(dir=in_memory if in_memory.is_dir() else None) as folder:
        yield Path(folder)


@pytest.fixture
def folder(memory):
    """One for each test, gone after it."""
    with TemporaryDirectory(dir=memory) as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def clock(memory):
    clock = Clock(memory, START)
    yield clock
    clock.close()


@pytest.fixture(scope="session")
def servers(memory, clock):
    servers = Servers(memory, clock)
    yield servers
    servers.end()


@dataclass
class Begun:
    """What there is of an account after the first syncs."""

    folder: Path
    notes: list
    time: int


@pytest.fixture(scope="session")
def begun(memory, servers):
    """A device has sent all it has, and another one got it: with something of every kind."""
    folder = memory / "begun"
    folder.mkdir()
    account = Account(folder, servers)
    devices = [Twin(folder / name, account) for name in "ab"]
    first, second = devices
    first.add_deck("Shared")
    first.call("random_changes", seed=1, count=60, me="P", others="QR")
    notes = furnish(first)
    first.upload()
    second.download()
    assert first.sync() == "NO_CHANGES"
    for device in devices:
        device.call("close")
        shutil.copy(device.path, folder / f"{device.folder.name}.anki2")
        device.end()
    return Begun(folder, notes, servers.clock.now)


@pytest.fixture
def new_account(folder, servers):
    servers.clock.set(START)
    return Account(folder, servers)


@pytest.fixture
def account(new_account, begun):
    """The one that has begun."""
    new_account.clock.set(begun.time)
    shutil.copy(begun.folder / new_account.file.name, new_account.file)
    return new_account


@pytest.fixture
def new_twin(folder):
    """Makes devices, each in two copies."""
    made = []

    def make(account):
        made.append(Twin(folder / f"device{len(made)}", account))
        return made[-1]

    yield make
    for device in made:
        device.end()


@pytest.fixture
def pair(account, new_twin, begun):
    """Its two devices."""
    devices = new_twin(account), new_twin(account)
    for device, name in zip(devices, "ab"):
        device.begin_with(begun.folder / f"{name}.anki2")
        device.notes = begun.notes
    return devices


@pytest.fixture(params=["the later one", "the earlier one", "one at the same time"])
def meet(pair, request):
    """Two devices do something about the same things, and then sync; first the one that did it at
    the time that the parameter says."""

    def act(first_does, second_does=None):
        first, second = pair
        does = [(first, first_does), (second, second_does or first_does)]
        if request.param == "the later one":
            does.reverse()
        with nullcontext() if "same" not in request.param else first.account.at_once():
            for device, action in does:
                action(device)
        settle(pair)

    return act


@pytest.fixture
def put(pair):
    """Has the first device write rows that no client would; a note gives it cause to sync."""

    def write(*statements):
        pair[0].add_note("beside", "it")
        for statement in statements:
            pair[0].change("execute", sql=statement)

    return write
