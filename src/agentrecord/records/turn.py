"""Turns of the conversation endpoint: one request answered once, by one process at a time."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from agentrecord.ids import UserId
from agentrecord.records.message import Message, NewMessage
from agentrecord.records.run import Run
from agentrecord.records.session import Session
from agentrecord.records.usage import UsageTotals


class TurnStatus(StrEnum):
    """Where a turn stands."""

    RUNNING = "running"
    COMPLETED = "completed"
    ERROR = "error"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Say whether a turn in this state is over."""
        return self is not TurnStatus.RUNNING


LAST_EVENTS = {
    TurnStatus.COMPLETED: "turn.completed",
    TurnStatus.ERROR: "turn.failed",
    TurnStatus.CANCELLED: "turn.cancelled",
}
"""What the client of a turn is told last, by how the turn ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTurn:
    """A turn to begin: what was said, in which session (made if it is not there), and who will answer.

    `agent_instructions` hold for this turn, and become the session's if it has none.

    `session_name` and what follows describe the session when it is made and fill what it lacks; they do not overwrite
    it. The same `idempotency_key` and `request_hash` again are the same turn. `lease_owner` names the process that
    answers, for `lease_s` seconds unless it renews.
    """

    session_id: str
    messages: tuple[NewMessage, ...]
    lease_owner: str = ""
    lease_s: float = 0.0
    session_name: str | None = None
    agent_id: str | None = None
    agent_name: str | None = None
    agent_instructions: str | None = None
    runner: str | None = None
    idempotency_key: str | None = None
    request_hash: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationTurn:
    """A turn as it stands; `response` is the answer's JSON text once it is completed."""

    id: UUID
    session_uuid: UUID
    user_uuid: UserId
    run_uuid: UUID
    status: TurnStatus
    idempotency_key: str | None = None
    request_hash: str = ""
    lease_owner: str
    lease_expires_at: datetime
    cancel_requested_at: datetime | None = None
    watched_at: datetime | None = None
    last_event: int = 0
    response: str | None = None
    error_type: str | None = None
    error_message: str | None = None
    created_at: datetime
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BegunTurn:
    """What `begin` stored; `is_new` is false where the same request had begun it before.

    `instructions` are those that came with the request, for this turn alone.
    """

    turn: ConversationTurn
    session: Session
    run: Run
    messages: tuple[Message, ...]
    instructions: str | None = None
    is_new: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnEvent:
    """Something that the client of a turn is told; `sequence` counts from 1, `data` is JSON text."""

    sequence: int
    event: str
    data: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnResponse:
    """The answer of a completed turn, as the conversation endpoint gives it."""

    session_id: str
    session_uuid: UUID
    response: str
    messages_count: int
    session_active: bool
    model: str | None
    run_id: str
    turn_id: UUID
    message_id: UUID
    usage: UsageTotals


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnEnd:
    """How a turn ends.

    A completed one has a `reply`, the message to append, or `reply_uuid`, that of a message appended before. Any other
    has an `error_type` and an `error_message`.
    """

    status: TurnStatus
    reply: NewMessage | None = None
    reply_uuid: UUID | None = None
    model: str | None = None
    error_type: str | None = None
    error_message: str | None = None
