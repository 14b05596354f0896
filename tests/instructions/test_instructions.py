"""The instructions of usual work are those recorded: whoever changes them does so on purpose."""

import json

import pytest

from .count import RECORDED, count, made_with

TOLERANCE = 0.03
# Another compiler makes other code of the same source, and another processor runs other code.
TOLERANCE_OF_OTHERS = 0.15


def test_usual_work_takes_the_recorded_instructions(tmp_path):
    recorded = json.loads(RECORDED.read_text())
    counts = count(tmp_path)
    tolerance = TOLERANCE if recorded["made_with"] == made_with() else TOLERANCE_OF_OTHERS
    assert counts == pytest.approx(recorded["thousands"], rel=tolerance), (
        "if this is on purpose: tests/.venv/bin/python tests/instructions/count.py --record"
    )
