"""The power goes at a system call, or once all is confirmed: what the disk has, is old or new."""

import os

import pytest

from faults import image, scenarios
from faults.cuts import END, Cut, cuts_of
from faults.sweep import report, spread, wanted

# In the usual run, of each scenario on one of the disks in turn.
IN_EACH = 3
# With `--long`, of each scenario on each of the disks.
IN_EACH_LONG = 40
PROMISED, PROMISED_LONG = 80, 2_000
DISKS = list(image.DISKS)
IN_TURN = {name: DISKS[number % len(DISKS)] for number, name in enumerate(scenarios.BY_NAME)}
# Each confirms something by an fsync.
CONTROLS = ["normal-sync", "upload-over-another", "new-media"]


@pytest.fixture(scope="session", autouse=True)
def tools():
    assert os.geteuid() == 0, "mounting images takes root"
    image.provide_tools()


def pytest_generate_tests(metafunc):
    if {"scenario", "disk"} <= set(metafunc.fixturenames) and metafunc.function is the_sweep:
        everywhere = metafunc.config.getoption("--long") or "FAULT" in os.environ
        pairs = [
            (scenario, disk)
            for scenario in scenarios.BY_NAME
            for disk in (DISKS if everywhere else [IN_TURN[scenario]])
        ]
        metafunc.parametrize(("scenario", "disk"), pairs)


def test_a_power_cut_leaves_all_or_nothing_and_what_was_confirmed(sweep, scenario, disk, long):
    prepared = sweep.prepared(scenario)
    chosen = spread(wanted(cuts_of(prepared, disk)), IN_EACH_LONG if long else IN_EACH)
    made, failures = sweep.cut_power(prepared, chosen)
    assert not failures, report(failures)
    # What was done at the end at least, of each process; see `cuts.run` for the others.
    assert made >= len({cut.target for cut in chosen if cut.number == END})


the_sweep = test_a_power_cut_leaves_all_or_nothing_and_what_was_confirmed


@pytest.mark.parametrize("disk", ["ext4", "xfs"])
@pytest.mark.parametrize("scenario", CONTROLS)
def test_without_fsync_the_same_cuts_show_losses(sweep, scenario, disk):
    """Or these tests would be blind."""
    prepared = sweep.prepared(scenario)
    at_the_end = Cut(scenario, "server", disk, END)
    _, (failure,) = sweep.cut_power(prepared, [at_the_end], lying=True)
    assert "confirmed, and neither old nor new" in failure.problem, failure


@pytest.mark.skipif("FAULT" in os.environ, reason="one fault is had again")
def test_as_many_power_cuts_were_made_as_promised(sweep, long):
    if len(sweep.preparing) < len(scenarios.ALL):
        pytest.skip("some scenarios only")
    assert sweep.cut >= (PROMISED_LONG if long else PROMISED)
