"""A run as a tree: the runs below it, its phases, its calls to models and its uses of tools, each with its time."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any  # `Any`: a row's values are of many types
from uuid import UUID

from agentrecord.records import _shown
from agentrecord.records.usage import dollars

NOTEBOOK_ROWS = 100
"""So many pieces a notebook shows."""


class SpanKind(StrEnum):
    """What a piece of a run is; only calls and uses of tools are work themselves."""

    RUN = "run"
    PHASE = "phase"
    LLM = "llm"
    TOOL = "tool"

    @property
    def is_work(self) -> bool:
        """Say whether a piece of this kind is work itself, and does not only hold some."""
        return self in (SpanKind.LLM, SpanKind.TOOL)


def end_of(started_at: datetime | None, duration_ms: int | None) -> datetime | None:
    """Return when something ended; None where its start or its duration is not known, or no calendar reaches so far."""
    if started_at is None or duration_ms is None:
        return None
    try:
        return started_at + timedelta(milliseconds=duration_ms)
    except OverflowError:
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSpan:
    """A piece of a run; `parent` is the piece that it stands below, `depth` how many there are above it.

    The figures of a run and of a phase are the sums over all below them; `tokens` and `cost_nanos` are None where
    nothing is known. `is_detached` marks what stands below a run only because what it was below is not there: a run
    whose parent leads to no run of this tree, or a piece of a trace whose parent span never came, `detached_from`.
    `error_message` holds at most the first 500 characters, `note` the first 200 of a tool's arguments.
    """

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
        """When it ended; None where its start or its duration is not known, or no calendar reaches that far."""
        return end_of(self.started_at, self.duration_ms)

    @property
    def cost_usd(self) -> Decimal | None:
        """The cost in dollars; None where none is known."""
        return None if self.cost_nanos is None else dollars(self.cost_nanos)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTree:
    """A run's pieces, each before those below it, in order of time; `hidden` more of them are too many to be read.

    `found` are those that a filter finds; None where none was given.
    """

    root: UUID
    spans: tuple[RunSpan, ...]
    hidden: int = 0
    found: frozenset[UUID] | None = None

    @property
    def first_failure(self) -> RunSpan | None:
        """The first piece of work that failed; else the deepest run that did, other than the whole."""
        work = (span for span in self.spans if span.is_failed and span.kind.is_work)
        rest = [span for span in self.spans if span.is_failed and not span.kind.is_work and span.id != self.root]
        return next(work, max(rest, key=lambda span: span.depth, default=None))

    def __repr__(self) -> str:
        """Return the tree in one line: of which run, and how many pieces it has."""
        failed = sum(span.is_failed for span in self.spans)
        return _shown.line("RunTree", str(self.root), _shown.counted(len(self.spans), "piece"), f"{failed} failed")

    def _repr_html_(self) -> str:
        """Return the first pieces as a waterfall, as a notebook shows it."""
        starts = [span.started_at for span in self.spans if span.started_at is not None]
        origin = min(starts, default=None)
        ends = [span.ended_at for span in self.spans if span.ended_at is not None]
        length = (max([*starts, *ends]) - origin).total_seconds() or 1.0 if origin is not None else 1.0

        def row(span: RunSpan) -> tuple[str, int, str, str, str, float, float, bool]:
            seconds = 0.0 if origin is None or span.started_at is None else (span.started_at - origin).total_seconds()
            spent = _shown.money(span.cost_nanos) if span.calls else ""
            took, width = _shown.duration(span.duration_ms), (span.duration_ms or 0) / 1000 / length
            start = seconds / length
            name = f"{span.name} (detached)" if span.is_detached else span.name
            return (span.kind, min(span.depth, 9), name, took, spent, start, min(width, 1 - start), span.is_failed)

        shown = self.spans[:NOTEBOOK_ROWS]
        return _shown.waterfall(map(row, shown), len(self.spans) - len(shown) + self.hidden)

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return the pieces as flat dicts, as a data frame takes them."""
        return [_shown.as_dict(span) for span in self.spans]


def only_failed(spans: Sequence[RunSpan]) -> list[RunSpan]:
    """Return the pieces that failed, and those that they are in."""
    return only(spans, {span.id for span in spans if span.is_failed})


def only(spans: Sequence[RunSpan], ids: Collection[UUID]) -> list[RunSpan]:
    """Return the pieces with some ids, and those that they are in."""
    kept: list[RunSpan] = []
    wanted: set[UUID] = set()
    for span in reversed(spans):
        if span.id in ids or span.id in wanted:
            kept.append(span)
            if span.parent is not None:
                wanted.add(span.parent)
    return kept[::-1]


def without_short(spans: Sequence[RunSpan], least_ms: float) -> list[RunSpan]:
    """Return the pieces that took at least `least_ms`, those that failed, and those whose duration is not known."""
    return [
        span
        for span in spans
        if span.is_failed or span.duration_ms is None or span.duration_ms >= least_ms or span.depth == 0
    ]


def between(spans: Sequence[RunSpan], since: datetime, until: datetime) -> list[RunSpan]:
    """Return the pieces that were there at some time from `since` to `until`."""
    return [
        span
        for span in spans
        if span.started_at is not None
        and span.started_at <= until
        and (span.is_running or (span.ended_at or span.started_at) >= since)
    ]
