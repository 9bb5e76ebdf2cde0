"""What tools are charged for: sums by hour and day, each kept in several cuts so that few rows answer a question.

Whoever writes changes the sums of all users together, too, which a scope of one user neither sees nor is answered from.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any  # `Any`: the parts of a key are of several types

from agentrecord.engine import Connection, Prepared
from agentrecord.engine.moments import HOUR_MICROS, to_micros
from agentrecord.ids import NIL, ProjectId
from agentrecord.schema import tool_usage_days, tool_usage_hours
from agentrecord.schema.tables import USAGE_COUNTERS
from agentrecord.schema.usage import (
    CUT_KEYS,
    DAY_CUTS,
    DIMENSIONS,
    DIVIDED,
    HOUR_CUTS,
    TOOL_COUNTERS,
    TOOL_DAYS_KEY,
    TOOL_HOURS_KEY,
    ToolCut,
)
from agentrecord.store._call_counts import Spent, gather
from agentrecord.store._sql import insert_or_add

_IS_DIVIDED = tuple(name in DIVIDED for name in USAGE_COUNTERS)
_UNDIVIDED = tuple(place for place, is_divided in enumerate(_IS_DIVIDED) if not is_divided)
_KEPT_IN = {cut: tuple(name in CUT_KEYS[cut] for name in DIMENSIONS) for cut in ToolCut}
_ADD_HOURS = insert_or_add(tool_usage_hours, TOOL_HOURS_KEY, add=TOOL_COUNTERS, span=True)
_ADD_DAYS = insert_or_add(tool_usage_days, TOOL_DAYS_KEY, add=TOOL_COUNTERS, span=True)

Key = tuple[Any, ...]


class ToolSums:
    """What one transaction adds to what tools are charged for."""

    def __init__(self, project: ProjectId) -> None:
        """Start with nothing to add."""
        self._project = project
        self._hours: dict[Key, Spent] = {}

    def add(self, at: datetime, key: Key, counts: Sequence[int], tools: Collection[str], sign: int = 1) -> None:
        """Charge a call, made at an instant, to each of the tools that it asked for, or with `sign` -1 no longer."""
        hour = to_micros(at) // HOUR_MICROS
        for place, tool in enumerate(sorted(tools)):
            share = _share(counts, len(tools), place)
            gather(self._hours, (hour, tool, *key), [sign * value for value in share] if sign < 0 else share, at, at)

    def apply(self, conn: Connection) -> None:
        """Write what was gathered; rows in one order, so that two writers cannot deadlock."""
        hours = [(key, spent) for key, spent in self._hours.items() if any(spent.counts)]
        if not hours:
            return
        days: dict[Key, Spent] = {}
        for (hour, *key), spent in hours:
            gather(days, (hour // 24, *key), spent.counts, spent.first, spent.last)
        with conn.across_users():
            self._write(conn, _ADD_HOURS, HOUR_CUTS, hours)
            self._write(conn, _ADD_DAYS, DAY_CUTS, days.items())

    def _write(
        self, conn: Connection, statement: Prepared, cuts: Iterable[ToolCut], sums: Iterable[tuple[Key, Spent]]
    ) -> None:
        told = list(sums)
        rows: dict[Key, Spent] = {}
        for cut in cuts:
            kept = _KEPT_IN[cut]
            for (bucket, tool, *key), spent in told:
                cut_key = [part if is_kept else NIL for part, is_kept in zip(key, kept, strict=True)]
                gather(rows, (cut, bucket, tool, *cut_key), spent.counts, spent.first, spent.last)
        counted = len(USAGE_COUNTERS)
        conn.many_rows(
            statement,
            [
                (self._project, bucket, *key, *spent.counts[:counted], spent.first, spent.last, cut, tool,
                 *spent.counts[counted:])
                for (cut, bucket, tool, *key), spent in sorted(rows.items(), key=_first)
            ],
        )  # fmt: skip


def _first(item: tuple[Key, Spent]) -> Key:
    return item[0]


def _share(counts: Sequence[int], tools: int, place: int) -> Sequence[int]:
    """Return what one of so many tools is charged of a call, and what of it cannot be divided if it is the first.

    The first ones get what is left over.
    """
    if tools == 1:
        share: Sequence[int] = counts
    else:
        share = [
            (value + tools - 1 - place) // tools if is_divided else value
            for value, is_divided in zip(counts, _IS_DIVIDED, strict=True)
        ]
    return [*share, *((counts[one] if place == 0 else 0) for one in _UNDIVIDED)]
