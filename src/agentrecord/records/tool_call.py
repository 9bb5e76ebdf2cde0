"""Tool calls: what an agent did with its tools, and how that went."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from agentrecord.ids import UserId


class ToolCallStatus(StrEnum):
    """How a tool call stands; a call without a result stays `pending`."""

    PENDING = "pending"
    SUCCESS = "success"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewToolCall:
    """A tool call to record; `call_ref` is the id that the model gave it, unique in its session."""

    tool_name: str
    id: UUID | None = None
    call_ref: str | None = None
    arguments: str | None = None
    session_uuid: UUID | None = None
    run_uuid: UUID | None = None
    message_uuid: UUID | None = None
    started_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A use of a tool; `arguments` is JSON text, `result` what came back."""

    id: UUID
    serial: int | None = None
    tool_name: str
    call_ref: str | None = None
    user_uuid: UserId
    arguments: str | None = None
    result: str | None = None
    status: ToolCallStatus = ToolCallStatus.PENDING
    error_message: str | None = None
    session_uuid: UUID | None = None
    run_uuid: UUID | None = None
    message_uuid: UUID | None = None
    result_message_uuid: UUID | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    duration_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolFigures:
    """How often a tool was used and how often it failed."""

    tool_name: str
    calls: int
    errors: int
    duration_ms_sum: int
    duration_count: int

    @property
    def failure_rate(self) -> float | None:
        """Errors as a share of calls, 0–1."""
        return self.errors / self.calls if self.calls else None
