"""Differences between two versions, as they are written."""

import pytest

from agentrecord.dashboard.agent_compare import signed
from agentrecord.records.comparison import Unit


@pytest.mark.parametrize(
    ("value", "unit", "written"),
    [
        (-0.3, Unit.MILLISECONDS, "±0 ms"),
        (-1.3, Unit.MILLISECONDS, "−1 ms"),
        (0.0004, Unit.SHARE, "±0.0 points"),
        (-0.02, Unit.SHARE, "−2.0 points"),
        (0.0, Unit.DOLLARS, "±$0"),
        (0.00001, Unit.DOLLARS, "+<$0.0001"),
        (-0.4, Unit.TOKENS, "±0"),
    ],
)
def test_a_difference_that_is_written_as_nothing_has_no_direction(value: float, unit: Unit, written: str) -> None:
    assert signed(value, unit) == written
