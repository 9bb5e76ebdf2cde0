"""Errors, and the groups that equal ones fall into."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from agentrecord.ids import UserId


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
    error_code: str | None = None
    stack_trace: str | None = None
    context: str | None = None
    agent_uuid: UUID | None = None
    session_uuid: UUID | None = None
    run_uuid: UUID | None = None
    is_resolved: bool = False
    resolved_at: datetime | None = None
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorGroup:
    """All errors with one fingerprint: the type, and the message with its numbers and ids taken out."""

    id: UUID
    fingerprint: str
    error_type: str
    error_message: str
    count: int
    first_seen_at: datetime
    last_seen_at: datetime
    is_resolved: bool = False
    resolved_at: datetime | None = None
