"""Runs: one piece of work of one agent, from its start to its end."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from agentrecord.ids import UserId
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
class Run:
    """A run with the figures of its own calls; a sub-agent's run has a `parent_uuid`."""

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
    error_message: str | None = None
    total_iterations: int = 0
    final_synthesis_output: str | None = None
    execution_history: str | None = None
    session_uuid: UUID | None = None
    session_id: str | None = None
    parent_uuid: UUID | None = None
    agent_version_uuid: UUID | None = None
    trace_id: str | None = None
    metadata: str | None = None
    tool_call_count: int = 0
    tool_error_count: int = 0
    child_count: int = 0
    usage: UsageTotals = field(default_factory=UsageTotals)
    subtree: UsageTotals | None = None
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    heartbeat_at: datetime | None = None

    @property
    def duration_ms(self) -> int | None:
        """Milliseconds from start to finish; None while either is unknown."""
        if self.started_at is None or self.finished_at is None:
            return None
        return round((self.finished_at - self.started_at).total_seconds() * 1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFilter:
    """Which runs to list; whatever is left out does not matter.

    `words` must occur in the run's id or objective; `since` and `until` bound the start.
    """

    words: str | None = None
    user: str | None = None
    agent_id: str | None = None
    status: RunStatus | None = None
    session_uuid: UUID | None = None
    parent_uuid: UUID | None = None
    has_error: bool | None = None
    since: datetime | None = None
    until: datetime | None = None
    include_children: bool = True
