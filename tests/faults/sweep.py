"""Many cases, spread over the processors; what went wrong is told with how to have it again."""

import os
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from faults import cases, cuts, scenarios
from faults.prepared import prepare, prepare_common
from faults.world import free_port

# So many cuts are taken out of one run, each of which leaves an image.
CUTS_AT_ONCE = 32
# In memory, where it is quick, and where disks wear nothing out.
MEMORY = Path("/dev/shm")


class Sweep:
    """The scenarios made ready, and a tally of what has been tried."""

    def __init__(self):
        self.place = tempfile.TemporaryDirectory(
            prefix="anki-syncd-", dir=MEMORY if os.access(MEMORY, os.W_OK) else None
        )
        self.folder = Path(self.place.name)
        self.pool = ProcessPoolExecutor(os.cpu_count())
        # For those that mostly wait.
        self.patient = ProcessPoolExecutor(8 * os.cpu_count())
        self.common = prepare_common(self.folder / "common")
        self.preparing = {}
        self.injected, self.cut, self.finished = 0, 0, set()

    def end(self):
        self.pool.shutdown(cancel_futures=True)
        self.patient.shutdown(cancel_futures=True)
        self.place.cleanup()

    def prepare(self, names):
        """Begins to; those that wait for something come first."""
        for name in sorted(names, key=lambda name: not scenarios.BY_NAME[name].slow):
            number = 300 + len(self.preparing)
            arguments = (name, *self.common, self.folder / name, free_port(number))
            self.preparing[name] = self.pool.submit(prepare, *arguments)

    def prepared(self, name):
        return self.preparing[name].result()

    def inject(self, prepared, chosen):
        """Returns how many there were, and the failures."""
        folder = self.folder / "faults"
        pool = self.patient if prepared.scenario.slow else self.pool
        waiting = [pool.submit(cases.run, prepared, case, folder) for case in chosen]
        results = [each.result() for each in waiting]
        made = sum(result.injected is not None for result in results)
        self.injected += made
        return made, [result for result in results if result.problem]

    def cut_power(self, prepared, chosen, lying=False):
        """Returns how many there were, and the failures."""
        folder = self.folder / "cuts"
        waiting = [
            self.pool.submit(cuts.run, prepared, part, folder, lying) for part in parts(chosen)
        ]
        results = [result for each in waiting for result in each.result()]
        made = sum(result.injected is not None for result in results)
        self.cut += made
        return made, [result for result in results if result.problem]


def parts(chosen):
    """Those of one process together, in parts."""
    targets = {cut.target: None for cut in chosen}
    for target in targets:
        own = [cut for cut in chosen if cut.target == target]
        for start in range(0, len(own), CUTS_AT_ONCE):
            yield own[start : start + CUTS_AT_ONCE]


def spread(everything, most):
    """At most so many, evenly over the whole, the last one among them; the same in each run."""
    if len(everything) <= most:
        return everything
    return [everything[(number + 1) * len(everything) // most - 1] for number in range(most)]


def wanted(everything):
    """All, or the one that the environment variable FAULT names."""
    one = os.environ.get("FAULT")
    found = [case for case in everything if one in (None, str(case))]
    if not found:
        pytest.skip(f"{one} is not one of these")
    return found


def report(failures):
    shown = "\n\n".join(str(failure) for failure in failures[:10])
    again = " ".join(f"FAULT={failure.case}" for failure in failures)
    return f"{len(failures)} failed; to have one again: {again}\n\n{shown}"
