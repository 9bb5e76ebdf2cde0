"""Spans: what a tracing client sent, kept whole; what the record says about them is derived from them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec

from agentrecord.ids import derived_id
from agentrecord.records.transcript import ImportBatch

SOURCE = "otlp"
"""What the rows are marked with that traces tell of."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class _Frame:
    """The part of a span's data that says where it stands."""

    start: int
    end: int
    parent: str | None = None


def instant(nanos: int) -> datetime:
    """Return nanoseconds since 1970 as an instant, to the microsecond below."""
    return _EPOCH + timedelta(microseconds=nanos // 1000)


def trace_uuid(trace_id: str, salt: str) -> UUID:
    """Return the row id of a trace; `salt` keeps those of one owner apart from another's."""
    return derived_id(0, "trace", salt, trace_id)


def run_uuid(trace_id: str, name: str, salt: str) -> UUID:
    """Return the row id of a run that a trace tells of."""
    return derived_id(0, "run", SOURCE, salt, trace_id, name)


def session_uuid(name: str, owner: str) -> UUID:
    """Return the row id of a session that traces tell of."""
    return derived_id(0, "session", SOURCE, owner, name)


def traced_run(row_id: UUID, trace_id: str | None, run_id: str, owner: str) -> bool:
    """Say whether a run is what a trace tells of: its row id is that of the trace's run of its name."""
    if trace_id is None:
        return False
    # Where the name was taken, the run is called after its user too.
    names = {run_id, run_id.rpartition("@")[0]}
    return any(row_id == run_uuid(trace_id, name, salt) for name in names for salt in ("", owner))


def traced_session(row_id: UUID, session_id: str, owners: Sequence[str]) -> bool:
    """Say whether a session is what traces alone tell of."""
    return any(row_id == session_uuid(session_id, owner) for owner in owners)


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One span of a trace; ids are lower-case hex, times nanoseconds since 1970.

    `data` is JSON text with all that was sent but the ids: `start`, `end`, `parent`, attributes, events, links,
    status, resource and scope.
    """

    trace_id: str
    span_id: str
    parent_span_id: str | None = None
    start_nanos: int
    end_nanos: int
    data: str

    @classmethod
    def of(cls, trace_id: str, span_id: str, data: str) -> "Span":
        """Return the span that a row keeps."""
        frame = msgspec.json.decode(data, type=_Frame)
        return cls(
            trace_id=trace_id,
            span_id=span_id,
            parent_span_id=frame.parent,
            start_nanos=frame.start,
            end_nanos=frame.end,
            data=data,
        )

    @property
    def started_at(self) -> datetime:
        """When it began."""
        return instant(self.start_nanos)

    @property
    def ended_at(self) -> datetime:
        """When it ended."""
        return instant(self.end_nanos)

    @property
    def rank(self) -> tuple[int, int, str]:
        """What decides between two versions of one span, whichever came first: the later end, then the longer text."""
        return self.end_nanos, len(self.data), self.data


@dataclass(slots=True, kw_only=True)
class TraceCounts:
    """What spans brought: `spans` are new, `unchanged` ones were there already, `deleted` ones not wanted here."""

    spans: int = 0
    unchanged: int = 0
    traces: int = 0
    deleted: int = 0

    def add(self, other: "TraceCounts") -> None:
        """Add another request's counts to these."""
        for name in self.__dataclass_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


Derive = Callable[[Sequence[Span], str], ImportBatch]
"""What the spans known of one trace say; the text makes the ids of one owner's rows differ from another's."""
