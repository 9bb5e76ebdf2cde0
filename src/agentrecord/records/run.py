"""Runs: one piece of work of one agent, from its start to its end."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from agentrecord.ids import UserId
from agentrecord.records import _shown
from agentrecord.records.price_sources import PriceSources
from agentrecord.records.tool_call import ToolFigures
from agentrecord.records.usage import UsageTotals


class RunStatus(StrEnum):
    """Where a run stands."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    ERROR = "error"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Say whether a run in this state is over."""
        return self in (RunStatus.COMPLETED, RunStatus.ERROR, RunStatus.CANCELLED)

    def may_become(self, new: "RunStatus") -> bool:
        """Say whether a run in this state may go to `new`."""
        if self is RunStatus.PENDING:
            return new in (RunStatus.RUNNING, RunStatus.ERROR, RunStatus.CANCELLED)
        return self is RunStatus.RUNNING and new.is_final


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRun:
    """A run to start; `run_id` is unique in its project."""

    run_id: str
    id: UUID | None = None
    agent_id: str | None = None
    agent_name: str | None = None
    objective: str | None = None
    additional_context: str | None = None
    session_uuid: UUID | None = None
    parent_uuid: UUID | None = None
    agent_version_uuid: UUID | None = None
    trace_id: str | None = None
    metadata: str | None = None
    started_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedTotals:
    """Totals that a run's source told with the run, kept apart from those that the record counts itself."""

    llm_calls: int = 0
    tool_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunContent:
    """All that a source tells of a run, in whatever state it is; `metadata` is JSON text.

    `status_reason` says more of the status in the source's own word, such as `timeout`.
    """

    status: RunStatus = RunStatus.PENDING
    status_reason: str | None = None
    agent_name: str | None = None
    objective: str | None = None
    additional_context: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    total_iterations: int = 0
    reported: ReportedTotals | None = None
    final_synthesis_output: str | None = None
    execution_history: str | None = None
    error_message: str | None = None
    metadata: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run with the figures of its own calls; a sub-agent's run has a `parent_uuid`.

    `subtree` adds those of the runs below it: in a list where there are any, else where asked for. `prices` are those
    that charged all of these calls, where the subtree was asked for.

    A running run whose `alive_until` is past belongs to a process that died; without one nobody promised to tell.
    """

    id: UUID
    serial: int | None = None
    run_id: str
    user_uuid: UserId
    user: str
    agent_uuid: UUID | None = None
    agent_id: str | None = None
    agent_name: str | None = None
    objective: str | None = None
    additional_context: str | None = None
    status: RunStatus
    status_reason: str | None = None
    error_message: str | None = None
    total_iterations: int = 0
    reported: ReportedTotals | None = None
    final_synthesis_output: str | None = None
    execution_history: str | None = None
    session_uuid: UUID | None = None
    session_id: str | None = None
    parent_uuid: UUID | None = None
    agent_version_uuid: UUID | None = None
    agent_version: str | None = None
    trace_id: str | None = None
    metadata: str | None = None
    tool_call_count: int = 0
    tool_error_count: int = 0
    child_count: int = 0
    usage: UsageTotals = field(default_factory=UsageTotals)
    subtree: UsageTotals | None = None
    prices: PriceSources | None = None
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    heartbeat_at: datetime | None = None
    alive_until: datetime | None = None

    @property
    def duration_ms(self) -> int | None:
        """Milliseconds from start to finish; None while either is unknown."""
        if self.started_at is None or self.finished_at is None:
            return None
        return round((self.finished_at - self.started_at).total_seconds() * 1000)

    def __repr__(self) -> str:
        """Return the run in one line: its id, how it stands, and what it came to."""
        sums = self.subtree or self.usage
        calls = _shown.counted(sums.calls, "call")
        took = None if self.duration_ms is None else _shown.duration(self.duration_ms)
        came_to = (calls, _shown.cost(sums), _shown.excludes(sums))
        return _shown.line("Run", f"{self.run_id} {self.status}", self.agent_id, *came_to, took)

    def _repr_html_(self) -> str:
        """Return the run as a notebook shows it."""
        sums = self.subtree or self.usage
        pairs = (
            ("status", self.status_reason or self.status),
            ("agent", self.agent_name or self.agent_id),
            ("user", self.user),
            ("started", _shown.instant(self.started_at)),
            ("duration", _shown.duration(self.duration_ms)),
            ("LLM calls", f"{sums.calls:,}"),
            ("tokens", f"{sums.total_tokens:,}" if sums.calls else None),
            ("cost", _shown.cost(sums)),
            ("prices", None if self.prices is None else str(self.prices)),
            ("without a price", f"{sums.unpriced_calls:,}" if sums.unpriced_calls else None),
            ("error", self.error_message),
            ("input", self.objective),
            ("output", self.final_synthesis_output),
        )
        return _shown.facts(f"Run {self.run_id}", pairs)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFilter:
    """Which runs to list; whatever is left out does not matter.

    `query` is a filter's text, in the words of docs/reference/filters.md; `words` must occur in the run's id or
    objective as they stand; `since` and `until` bound the start; those that `tells_error` have a told error of theirs.
    """

    query: str | None = None
    words: str | None = None
    user: str | None = None
    agent_id: str | None = None
    status: RunStatus | None = None
    session_uuid: UUID | None = None
    parent_uuid: UUID | None = None
    has_error: bool | None = None
    tells_error: bool | None = None
    since: datetime | None = None
    until: datetime | None = None
    include_children: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFigures:
    """How the runs of an agent, or of all agents, went; percentiles are of the calls' latencies.

    Percentiles are exact up to `EXACT_CALLS` calls, beyond that within 9 %; None without a call that told one.
    """

    total_runs: int = 0
    completed_runs: int = 0
    error_runs: int = 0
    total_iterations: int = 0
    usage: UsageTotals = field(default_factory=UsageTotals)
    tools: tuple[ToolFigures, ...] = ()
    latency_p50_ms: float | None = None
    latency_p75_ms: float | None = None
    latency_p90_ms: float | None = None
    latency_p95_ms: float | None = None
    latency_p99_ms: float | None = None

    @property
    def avg_iterations(self) -> float | None:
        """Mean iterations of a run; None without runs."""
        return self.total_iterations / self.total_runs if self.total_runs else None


EXACT_CALLS = 1_000
"""Up to how many calls the percentiles of `RunFigures` are read from the calls themselves."""
