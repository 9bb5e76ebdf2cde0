"""Agents and the versions of them that were in service."""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from agentrecord.records.price_sources import PriceSources
from agentrecord.records.tool_call import ToolFigures
from agentrecord.records.usage import DayCount, UsageRow, UsageTotals


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """Something that acts: known by the `agent_id` its framework gives it."""

    id: UUID
    agent_id: str
    name: str | None = None
    description: str | None = None
    instructions: str | None = None
    learning_mode: str | None = None
    training_status: str | None = None
    specializations: tuple[str, ...] = ()
    total_sessions: int = 0
    created_at: datetime
    last_active_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentVersion:
    """One version of an agent; at most one of an agent's versions is active."""

    id: UUID
    agent_uuid: UUID
    version_number: str
    changes: str | None = None
    created_by: str | None = None
    is_active: bool = False
    activated_at: datetime | None = None
    deactivated_at: datetime | None = None
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentFigures:
    """How an agent did over the UTC days of a range; `version` is the one in service, if versions are recorded.

    Latencies are those of its calls to models, within 9 %. `days` are those of
    the last 90 on which it called one, with how often.
    `last_active_at` is exact where a call was the last that happened; else it is the beginning of that day.
    """

    agent: Agent
    version: str | None = None
    runs: int = 0
    completed_runs: int = 0
    failed_runs: int = 0
    sessions: int = 0
    messages: int = 0
    tool_calls: int = 0
    tool_errors: int = 0
    errors: int = 0
    usage: UsageTotals = field(default_factory=UsageTotals)
    latency_p50_ms: float | None = None
    latency_p95_ms: float | None = None
    last_active_at: datetime | None = None
    days: tuple[DayCount, ...] = ()

    @property
    def error_rate(self) -> float | None:
        """Failed runs as a share of those that completed or failed, 0–1; None without any."""
        ended = self.completed_runs + self.failed_runs
        return self.failed_runs / ended if ended else None

    @property
    def cost_per_run_usd(self) -> Decimal | None:
        """What its priced calls cost, in dollars, for each run; None without runs, calls or prices."""
        cost = self.usage.cost_usd
        return cost / self.runs if cost is not None and self.runs and self.usage.calls else None


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionFigures:
    """One version of an agent: how many runs it served, and when the first and the last of them began."""

    version: AgentVersion
    runs: int = 0
    failed_runs: int = 0
    first_run_at: datetime | None = None
    last_run_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentDetails:
    """An agent over the UTC days of a range: its figures, by model, by day and model, by tool; and all its versions.

    `prices` are those that charge these models.
    """

    figures: AgentFigures
    models: tuple[UsageRow, ...] = ()
    spend: tuple[UsageRow, ...] = ()
    tools: tuple[ToolFigures, ...] = ()
    versions: tuple[VersionFigures, ...] = ()
    prices: PriceSources | None = None
