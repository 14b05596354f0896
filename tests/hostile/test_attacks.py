"""Nobody's attack costs another user a sync, or the server its life; `table` has the figures."""

import pytest
from hostile.attacks import ATTACKS
from hostile.measure import ENOUGH, measure

# Until a server ends that was asked to, whatever it is doing.
STOP_SECONDS = 10


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.number.replace(" ", ""))
def test_an_attack_costs_nobody_else_anything(attack, tmp_path, template, long):
    seconds = 120 if long else 6
    row = measure(attack, tmp_path, template, seconds, quiet_seconds=1)
    print(" | ".join(row.cells()))
    assert row.kills == 0, "the server was killed for its memory"
    assert row.fault is None, row.answer
    assert row.beside.failures == []
    assert row.meanwhile > 0, "nobody else got in"
    assert row.afterwards < ENOUGH
    assert row.stopped_in < STOP_SECONDS
