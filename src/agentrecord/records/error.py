"""Errors, and the groups that equal ones fall into."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from agentrecord.ids import UserId
from agentrecord.records.price_sources import PriceSources
from agentrecord.records.usage import DayCount, NamedCount, UsageTotals


class ErrorKind(StrEnum):
    """What failed."""

    AGENT = "agent"
    """The agent's own work: a run, a turn, a step of them."""
    LLM = "llm"
    """A request to a model."""
    TOOL = "tool"
    """A use of a tool."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewError:
    """An error to record.

    `tool_call_uuid` or `llm_call_uuid` names the use of a tool or the call that it tells of, whose failure is then not
    an error of its own; `tool_name` is the tool's, taken from the use where that is named.
    """

    error_type: str
    error_message: str
    kind: ErrorKind = ErrorKind.AGENT
    tool_name: str | None = None
    tool_call_uuid: UUID | None = None
    llm_call_uuid: UUID | None = None
    id: UUID | None = None
    error_code: str | None = None
    stack_trace: str | None = None
    context: str | None = None
    agent_id: str | None = None
    session_uuid: UUID | None = None
    run_uuid: UUID | None = None
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorRecord:
    """One occurrence of an error; `fingerprint` names its group.

    One that `is_derived` nobody told: it is the failure of the use of a tool (`tool_call_uuid`) or of the call
    (`llm_call_uuid`) that it names, and follows it. Its type is then the tool's or the model's name.
    """

    id: UUID
    serial: int | None = None
    kind: ErrorKind = ErrorKind.AGENT
    error_type: str
    error_message: str
    tool_name: str | None = None
    tool_call_uuid: UUID | None = None
    llm_call_uuid: UUID | None = None
    is_derived: bool = False
    fingerprint: str
    user_uuid: UserId
    user: str
    error_code: str | None = None
    stack_trace: str | None = None
    context: str | None = None
    agent_uuid: UUID | None = None
    agent_id: str | None = None
    session_uuid: UUID | None = None
    session_id: str | None = None
    run_uuid: UUID | None = None
    run_id: str | None = None
    is_resolved: bool = False
    resolved_at: datetime | None = None
    created_at: datetime


class ErrorStatus(StrEnum):
    """How a group of equal errors stands."""

    NEW = "new"
    """First met within the last day."""
    ONGOING = "ongoing"
    REGRESSED = "regressed"
    """Met again after it was resolved."""
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorGroup:
    """All errors with one fingerprint: kind, type, tool, and the message with its numbers and ids taken out.

    Of failures that nobody told as errors, the first line of the message tells them apart.

    `users` is how many met it, `agents` in whose work (at most five, the most often first), `days` how often on each
    of the last 30 UTC days on which it was met at all. `first_version` is the version of the agent in whose run it was
    first met, where that is known.
    """

    id: UUID
    fingerprint: str
    kind: ErrorKind = ErrorKind.AGENT
    error_type: str
    error_message: str
    tool_name: str | None = None
    count: int
    first_seen_at: datetime
    last_seen_at: datetime
    status: ErrorStatus = ErrorStatus.ONGOING
    is_resolved: bool = False
    resolved_at: datetime | None = None
    regressed_at: datetime | None = None
    users: int = 0
    agents: tuple[str, ...] = ()
    first_version: str | None = None
    days: tuple[DayCount, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorBreakdown:
    """Where the latest occurrences of a group were met, and what the runs that met it cost.

    `agents` and `users` count every occurrence; the rest looks at the `looked_at` latest: `versions` counts their
    runs' agent versions, `models` the runs that called each model, `tools` the failed uses of each tool in them. Of a
    group of kind `llm`, `models` are those of the calls that failed; of kind `tool`, `tools` are those that did.
    `usage` are the sums over those of their `runs` that ended in error, `prices` those that charged them.
    """

    agents: tuple[NamedCount, ...] = ()
    users: tuple[NamedCount, ...] = ()
    versions: tuple[NamedCount, ...] = ()
    models: tuple[NamedCount, ...] = ()
    tools: tuple[NamedCount, ...] = ()
    looked_at: int = 0
    runs: int = 0
    failed_runs: int = 0
    usage: UsageTotals = field(default_factory=UsageTotals)
    prices: PriceSources | None = None
