"""The phases of runs, as the events at their beginnings and ends tell of them."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any  # `Any`: rows hold whatever their columns hold
from uuid import UUID

import msgspec

from agentrecord.records.event import PHASES, EventType, Phase
from agentrecord.records.run_tree import RunSpan, SpanKind, end_of

EXCERPT = 500
_JSON = msgspec.json.Decoder()
STEPS = {event: (phase, event == ended) for phase, (began, ended) in PHASES.items() for event in (began, ended)}
"""Which phase an event tells of, and whether it ends it."""

Row = Mapping[str, Any]


@dataclass(slots=True, eq=False, kw_only=True)
class Draft:
    """A `RunSpan` that is still to be placed, and whose figures are still to be added up."""

    id: UUID
    kind: SpanKind
    name: str
    depth: int = 0
    parent: UUID | None = None
    started_at: datetime | None = None
    duration_ms: int | None = None
    status: str = ""
    is_failed: bool = False
    is_running: bool = False
    is_detached: bool = False
    detached_from: str | None = None
    error_message: str | None = None
    note: str | None = None
    calls: int = 0
    unpriced_calls: int = 0
    tokens: int | None = None
    cost_nanos: int | None = None

    @property
    def ended_at(self) -> datetime | None:
        """When it ended; None where that is not known."""
        return end_of(self.started_at, self.duration_ms)

    def add(self, other: "Draft") -> None:
        """Add another's figures to these."""
        self.calls += other.calls
        self.unpriced_calls += other.unpriced_calls
        if other.tokens is not None:
            self.tokens = (self.tokens or 0) + other.tokens
        if other.cost_nanos is not None:
            self.cost_nanos = (self.cost_nanos or 0) + other.cost_nanos

    def done(self) -> RunSpan:
        """Return the span as it is."""
        return RunSpan(
            id=self.id,
            kind=self.kind,
            name=self.name,
            depth=self.depth,
            parent=self.parent,
            started_at=self.started_at,
            duration_ms=self.duration_ms,
            status=self.status,
            is_failed=self.is_failed,
            is_running=self.is_running,
            is_detached=self.is_detached,
            detached_from=self.detached_from,
            error_message=self.error_message,
            note=self.note,
            calls=self.calls,
            unpriced_calls=self.unpriced_calls,
            tokens=self.tokens,
            cost_nanos=self.cost_nanos,
        )


def milliseconds(start: datetime, end: datetime) -> int:
    """Return how long it was from one instant to another."""
    return round((end - start).total_seconds() * 1000)


def paired(rows: Sequence[Row]) -> Iterator[Draft]:
    """Yield a run's phases; one whose beginning is not told reaches back by its duration."""
    began: defaultdict[Phase, list[Row]] = defaultdict(list)
    rounds = 0
    for row in rows:
        if row["event_type"] == EventType.CUSTOM:
            yield _phase_span(_own_name(row), None, row)
            continue
        phase, is_end = STEPS[row["event_type"]]
        if not is_end:
            began[phase].append(row)
            continue
        rounds += phase is Phase.ITERATION
        yield _phase_span(_name(phase, rounds), began[phase].pop() if began[phase] else None, row)
    for phase, open_ones in began.items():
        for number, row in enumerate(open_ones, rounds + 1):
            yield _phase_span(_name(phase, number), row, None)


def _name(phase: Phase, number: int) -> str:
    return f"{phase} {number}" if phase is Phase.ITERATION else str(phase)


def _own_name(row: Row) -> str:
    return next((said for said in (_told(row, key) for key in ("phase", "name", "function")) if said), EventType.CUSTOM)


def _told(row: Row, key: str) -> str | None:
    """Return what the data of an event say under a key, if that is text."""
    data = None if row["data"] is None else _JSON.decode(row["data"])
    found = data.get(key) if isinstance(data, dict) else None
    return found if isinstance(found, str) else None


def _phase_span(name: str, start: Row | None, end: Row | None) -> Draft:
    told = start or end
    assert told is not None
    took = None if end is None else end["duration_ms"] or 0
    if start is not None and end is not None:
        took = max(0, milliseconds(start["timestamp"], end["timestamp"]))
    began = told["timestamp"] if start is not None else told["timestamp"] - timedelta(milliseconds=took or 0)
    error = None if end is None else _told(end, "error")
    return Draft(
        id=told["id"],
        kind=SpanKind.PHASE,
        name=name,
        started_at=began,
        duration_ms=took,
        status="running" if end is None else "completed" if error is None else "error",
        is_running=end is None,
        is_failed=error is not None,
        error_message=None if error is None else error[:EXCERPT],
    )
