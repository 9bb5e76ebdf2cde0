"""What a filter finds, as figures: sums over all of it, its most frequent values, and how it spreads over time."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from agentrecord.records.error import ErrorStatus
from agentrecord.records.price_sources import PriceSources
from agentrecord.records.run import RunStatus
from agentrecord.records.usage import UsageTotals

TIMED = 10_000
"""Of how many runs of a filter, the last started ones, the percentiles of `RunBucket` are told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FacetValue:
    """A value of a word, and how many of the rows found have it."""

    value: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Facet:
    """The most frequent values of a word, and how many others there are.

    They are counted over the latest `rows` of what was found; not `is_exact` if there are more than those.
    """

    word: str
    values: tuple[FacetValue, ...]
    others: int = 0
    rows: int
    is_exact: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Facets:
    """The facets of what a filter finds, counted over its latest `rows`; not `is_exact` if it finds more than those."""

    facets: tuple[Facet, ...]
    rows: int
    is_exact: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSums:
    """How many runs a filter finds, and the sums over the calls and tools of each of them.

    `prices` are those behind all that was spent in its range.
    """

    runs: int = 0
    by_status: Mapping[RunStatus, int] = field(default_factory=dict)
    tool_calls: int = 0
    tool_errors: int = 0
    errors: int = 0
    duration_ms: int = 0
    totals: UsageTotals = field(default_factory=UsageTotals)
    prices: PriceSources | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureSums:
    """How many agents or users a filter finds, and the sums over what they did and spent on the days of its range.

    `prices` are those behind all that was spent on these days.
    """

    found: int = 0
    sessions: int = 0
    messages: int = 0
    runs: int = 0
    completed_runs: int = 0
    failed_runs: int = 0
    tool_calls: int = 0
    tool_errors: int = 0
    errors: int = 0
    totals: UsageTotals = field(default_factory=UsageTotals)
    prices: PriceSources | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupSums:
    """How many groups of equal errors a filter finds, how they stand, and how often errors of theirs were met."""

    groups: int = 0
    by_status: Mapping[ErrorStatus, int] = field(default_factory=dict)
    errors: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunBucket:
    """The runs that started in a stretch of time, by status, and how long those of them took that ended.

    The percentiles are exact over `timed_runs`; None without any, and before the last `TIMED` runs of the filter.
    """

    start: datetime
    by_status: Mapping[RunStatus, int]
    timed_runs: int = 0
    p50_ms: float | None = None
    p95_ms: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """The first thing that failed in a run: a use of a tool (`tool`) or a call to a model (`call`), by its row id."""

    kind: str
    id: UUID
    name: str
    message: str | None
    at: datetime | None
