"""A system call fails, is cut short, or is the process's last: old or new, and nothing between."""

import os

import pytest

from faults import scenarios
from faults.cases import cases_of
from faults.sweep import report, spread, wanted

IN_EACH = 10
PROMISED, PROMISED_LONG = 300, 10_000


@pytest.mark.parametrize("scenario", scenarios.BY_NAME)
def test_what_was_confirmed_stays_and_what_was_not_is_all_or_nothing(sweep, scenario, long):
    prepared = sweep.prepared(scenario)
    chosen = wanted(cases_of(prepared))
    if not long:
        chosen = spread(chosen, 4 if prepared.scenario.slow else IN_EACH)
    made, failures = sweep.inject(prepared, chosen)
    assert not failures, report(failures)
    # What runs in the background need not be called as often in every run; how many there have to
    # be in all is below.
    assert made > 0


@pytest.mark.skipif("FAULT" in os.environ, reason="one fault is had again")
def test_as_many_faults_were_injected_as_promised(sweep, long):
    if len(sweep.preparing) < len(scenarios.ALL):
        pytest.skip("some scenarios only")
    assert sweep.injected >= (PROMISED_LONG if long else PROMISED)
