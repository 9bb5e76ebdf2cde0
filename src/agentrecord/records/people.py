"""What the people of a project did and spent."""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from agentrecord.ids import UserId
from agentrecord.records.price_sources import PriceSources
from agentrecord.records.project import User
from agentrecord.records.tool_call import ToolFigures
from agentrecord.records.usage import DayCount, NamedCount, UsageRow, UsageTotals


@dataclass(frozen=True, slots=True, kw_only=True)
class UserFigures:
    """What a user did and spent over the UTC days of a range.

    `sessions` counts those begun, sub-agents' included. `days` are those of the last 90 with
    calls to models, with how many.
    `last_seen_at` is exact where a call was the last that happened; else it is the beginning of that day.
    """

    user: User
    sessions: int = 0
    messages: int = 0
    runs: int = 0
    completed_runs: int = 0
    failed_runs: int = 0
    tool_calls: int = 0
    tool_errors: int = 0
    errors: int = 0
    usage: UsageTotals = field(default_factory=UsageTotals)
    last_seen_at: datetime | None = None
    days: tuple[DayCount, ...] = ()

    @property
    def error_rate(self) -> float | None:
        """Failed runs as a share of those that completed or failed, 0–1; None without any."""
        ended = self.completed_runs + self.failed_runs
        return self.failed_runs / ended if ended else None


@dataclass(frozen=True, slots=True, kw_only=True)
class UserDetails:
    """A user over the UTC days of a range: the figures, by model, by day and model, by tool, and calls by agent.

    `prices` are those that charge these models.
    """

    figures: UserFigures
    models: tuple[UsageRow, ...] = ()
    spend: tuple[UsageRow, ...] = ()
    tools: tuple[ToolFigures, ...] = ()
    agents: tuple[NamedCount, ...] = ()
    prices: PriceSources | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UserPurge:
    """How far the purge of a user has come: `rows` went in this batch, `cursor` is where the next goes on.

    `cursor` is None once everything is gone. `user` is the row id, by which alone the user is still found.
    """

    user: UserId
    rows: int
    cursor: str | None
    steps_done: int
    steps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionDrivers:
    """What made a session and all below it cost what they did: the model that most of it went to, the costliest call.

    `model_nanos` of the `cost_nanos` are that model's. `call` is the row id of the costliest call, `run_uuid` its run.
    """

    cost_nanos: int
    calls: int
    unpriced_calls: int
    model: str | None = None
    model_nanos: int = 0
    call: UUID | None = None
    call_nanos: int = 0
    call_model: str | None = None
    run_uuid: UUID | None = None
    models: int = 0
