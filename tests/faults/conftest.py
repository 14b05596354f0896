"""One sweep for all tests here, and a line that tells how much was tried."""

import pytest

from faults import scenarios
from faults.sweep import Sweep

SWEEPS = []


@pytest.fixture(scope="session")
def sweep(request):
    sweep = Sweep()
    SWEEPS.append(sweep)
    names = {
        item.callspec.params["scenario"]
        for item in request.session.items
        if hasattr(item, "callspec") and "scenario" in item.callspec.params
    }
    sweep.prepare(names & set(scenarios.BY_NAME))
    yield sweep
    sweep.end()


def pytest_terminal_summary(terminalreporter):
    for sweep in SWEEPS:
        terminalreporter.write_line(
            f"{sweep.injected} faults injected, {sweep.cut} power cuts, "
            f"in {len(sweep.preparing)} scenarios"
        )
