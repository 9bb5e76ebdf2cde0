"""Errors, and the groups that equal ones fall into."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from agentrecord.ids import UserId
from agentrecord.records.usage import DayCount, NamedCount, UsageTotals


@dataclass(frozen=True, slots=True, kw_only=True)
class NewError:
    """An error to record."""

    error_type: str
    error_message: str
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
    """One occurrence of an error; `fingerprint` names its group."""

    id: UUID
    serial: int | None = None
    error_type: str
    error_message: str
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
    """All errors with one fingerprint: the type, and the message with its numbers and ids taken out.

    `users` is how many met it, `agents` in whose work (at most five, the most often first), `days` how often on each
    of the last 30 UTC days on which it was met at all. `first_version` is the version of the agent in whose run it was
    first met, where that is known.
    """

    id: UUID
    fingerprint: str
    error_type: str
    error_message: str
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
    runs' agent versions, `models` the runs that called each model, `tools` the failed uses of each tool in them.
    `usage` are the sums over those of their `runs` that ended in error.
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
