"""Figures: what was used, by any of the ways people ask for it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from operator import add, attrgetter, sub
from typing import Any  # `Any`: a row's values are of many types
from uuid import UUID

from agentrecord.records import _shown
from agentrecord.records.price_sources import PriceSources

NANOS_PER_DOLLAR = 1_000_000_000


def dollars(nanos: int) -> Decimal:
    """Return integer nano-dollars as exact decimal dollars."""
    return Decimal(nanos) / NANOS_PER_DOLLAR


class UsageBy(StrEnum):
    """What a usage report has one row for."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    MODEL = "model"
    HOST = "host"
    PROJECT = "project"
    USER = "user"
    AGENT = "agent"
    VERSION = "version"
    TOOL = "tool"
    SESSION = "session"
    DIRECTORY = "directory"
    TOTAL = "total"


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageTotals:
    """Sums over LLM calls; `cost_nanos` leaves out the `unpriced_calls`, whose price is not known."""

    calls: int = 0
    failed_calls: int = 0
    unpriced_calls: int = 0
    uncounted_calls: int = 0
    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_5m_tokens: int = 0
    cache_write_1h_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    unclassified_tokens: int = 0
    cost_nanos: int = 0
    latency_ms_sum: int = 0
    latency_count: int = 0

    def __add__(self, other: "UsageTotals") -> "UsageTotals":
        """Return two sums as one."""
        return UsageTotals(**dict(zip(_SUMMED, map(add, _counts(self), _counts(other)), strict=True)))

    def __sub__(self, other: "UsageTotals") -> "UsageTotals":
        """Return what is left of a sum without a part of it."""
        return UsageTotals(**dict(zip(_SUMMED, map(sub, _counts(self), _counts(other)), strict=True)))

    @property
    def cost_usd(self) -> Decimal | None:
        """The cost in dollars; None when there are calls and none of them has a price."""
        if self.calls and self.unpriced_calls == self.calls:
            return None
        return dollars(self.cost_nanos)

    @property
    def total_tokens(self) -> int:
        """All tokens, each counted once."""
        return (
            self.input_tokens
            + self.cache_read_tokens
            + self.cache_write_5m_tokens
            + self.cache_write_1h_tokens
            + self.output_tokens
            + self.unclassified_tokens
        )

    @property
    def cached_share(self) -> float | None:
        """Cache reads as a share of all input tokens, 0–1; None without input."""
        total = self.input_tokens + self.cache_read_tokens + self.cache_write_5m_tokens + self.cache_write_1h_tokens
        return self.cache_read_tokens / total if total else None

    @property
    def avg_latency_ms(self) -> float | None:
        """Mean latency of the calls that reported one, in milliseconds."""
        return self.latency_ms_sum / self.latency_count if self.latency_count else None


_SUMMED = tuple(field.name for field in fields(UsageTotals))
_counts: Callable[[UsageTotals], tuple[int, ...]] = attrgetter(*_SUMMED)


def costliest(row: "UsageRow") -> tuple[int, int, str]:
    """Return what rows are sorted by that come the costliest first."""
    return -row.totals.cost_nanos, -row.totals.total_tokens, row.label


def added(totals: Iterable[UsageTotals]) -> UsageTotals:
    """Return many sums as one."""
    return UsageTotals(**dict(zip(_SUMMED, map(sum, zip(*map(_counts, totals), strict=True)), strict=False)))


@dataclass(frozen=True, slots=True, kw_only=True)
class DayCount:
    """How often something happened on one UTC day."""

    date: date
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedCount:
    """How often something of one name was met; `name` is None where there is none."""

    name: str | None
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageRow:
    """One row of a usage report: `key` is its identity, `label` what people read.

    Where rows are told apart by two things, `split` and `split_label` are of the second.
    """

    key: str
    label: str
    totals: UsageTotals
    first_at: datetime | None = None
    last_at: datetime | None = None
    split: str | None = None
    split_label: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageReport:
    """A usage report: its rows and the sum of the whole filter, which the rows add up to.

    A call that asked for several tools is among the calls of each: by tool, only costs and tokens add up. `prices` are
    those behind what was spent on the days of the range.
    """

    by: UsageBy
    split: UsageBy | None = None
    rows: tuple[UsageRow, ...]
    total: UsageTotals
    unpriced_models: tuple[str, ...] = ()
    prices: PriceSources | None = None

    def __repr__(self) -> str:
        """Return the report in one line: what it has rows for, and the sum of them."""
        rows, calls = _shown.counted(len(self.rows), "row"), _shown.counted(self.total.calls, "call")
        return _shown.line("UsageReport", f"by {self._by}", rows, calls, _shown.cost(self.total), self._excludes)

    def _repr_html_(self) -> str:
        """Return the report as a notebook shows it."""
        texts = 1 if self.split is None else 2
        head = (str(self.by), str(self.split))[:texts]
        rows = [*((row.label, row.split_label or row.split, row.totals) for row in self.rows), ("all", "", self.total)]
        told = [
            (*names[:texts], *[f"{figure:,}" for figure in (*_figures(sums), sums.total_tokens)], _shown.cost(sums))
            for *names, sums in rows
        ]
        beside = [self._excludes, "" if self.prices is None else f"prices: {self.prices}"]
        caption = ", ".join([f"Usage by {self._by}", *filter(None, beside)])
        return _shown.table(caption, (*head, *_HEAD), told, texts=texts)

    @property
    def _by(self) -> str:
        return str(self.by) if self.split is None else f"{self.by} and {self.split}"

    @property
    def _excludes(self) -> str:
        return _shown.excludes(self.total)

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return the rows as flat dicts, as a data frame takes them; the sums stand under their own names."""
        return [_shown.as_dict(row) for row in self.rows]


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageTop:
    """The first rows of a report, and how many it has in all."""

    rows: tuple[UsageRow, ...]
    count: int


_HEAD = ("calls", "input", "cached", "output", "tokens", "cost")


def _figures(totals: UsageTotals) -> tuple[int, int, int, int]:
    return totals.calls, totals.input_tokens, totals.cache_read_tokens, totals.output_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageBlock:
    """A five-hour window of a coding plan: it starts on the hour of its first call.

    The convention is that of coding plans which reset five hours after first use.
    """

    start_at: datetime
    end_at: datetime
    first_at: datetime
    last_at: datetime
    is_active: bool
    totals: UsageTotals
    models: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DailyUsage:
    """One user's use of one agent on one UTC day."""

    user_uuid: UUID
    user: str
    agent_id: str | None
    date: date
    session_count: int
    message_count: int
    unique_tools_used: int
    totals: UsageTotals


@dataclass(frozen=True, slots=True, kw_only=True)
class DailyPerformance:
    """How one agent did on one UTC day; a rate is None, not 0, where there is nothing to divide by."""

    agent_id: str | None
    date: date
    total_sessions: int
    failed_sessions: int
    satisfaction_sum: float = 0.0
    satisfaction_count: int = 0
    totals: UsageTotals = field(default_factory=UsageTotals)
    latency_p50_ms: float | None = None
    latency_p95_ms: float | None = None

    @property
    def successful_sessions(self) -> int:
        """Sessions that did not fail."""
        return self.total_sessions - self.failed_sessions

    @property
    def success_rate(self) -> float | None:
        """Successful sessions as a share of all, 0–1."""
        return self.successful_sessions / self.total_sessions if self.total_sessions else None

    @property
    def error_rate(self) -> float | None:
        """Failed calls as a share of all calls, 0–1."""
        return self.totals.failed_calls / self.totals.calls if self.totals.calls else None
