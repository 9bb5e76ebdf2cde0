"""Messages, the parts they are made of, and their immutable revisions."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from agentrecord.ids import UserId
from agentrecord.records.usage import UsageTotals


class MessageRole(StrEnum):
    """Who speaks."""

    USER = "user"
    ASSISTANT = "assistant"
    SYSTEM = "system"
    TOOL = "tool"


class PartKind(StrEnum):
    """What a part of a message is."""

    TEXT = "text"
    REASONING = "reasoning"
    IMAGE = "image"
    TOOL_CALL = "tool_call"
    TOOL_RESULT = "tool_result"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part of a message.

    `text` is set for text and reasoning; `call_ref` names the tool call that a tool part belongs to (its
    arguments and result are kept on the tool call, once); `media_type` and `size_bytes` describe an image.
    """

    kind: PartKind
    text: str | None = None
    call_ref: str | None = None
    name: str | None = None
    is_error: bool = False
    media_type: str | None = None
    size_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMessage:
    """A message to append; `content` is its text, `parts` are given where it is more than text."""

    role: MessageRole
    content: str
    id: UUID | None = None
    message_id: str | None = None
    parts: tuple[Part, ...] = ()
    tool_call_id: str | None = None
    tool_name: str | None = None
    tools_used: tuple[str, ...] = ()
    extra_data: str | None = None
    metadata: str | None = None
    model_used: str | None = None
    response_time_ms: int | None = None
    run_uuid: UUID | None = None
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message as it stands now; `revision` counts its contents from 1, `usage` sums the calls that made it."""

    id: UUID
    serial: int | None = None
    session_uuid: UUID
    user_uuid: UserId
    sequence: int
    role: MessageRole
    content: str
    revision: int = 1
    message_id: str | None = None
    parts: tuple[Part, ...] = ()
    tool_call_id: str | None = None
    tool_name: str | None = None
    tools_used: tuple[str, ...] = ()
    extra_data: str | None = None
    metadata: str | None = None
    model_used: str | None = None
    response_time_ms: int | None = None
    run_uuid: UUID | None = None
    usage: UsageTotals = field(default_factory=UsageTotals)
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """One content that a message had; revisions never change."""

    message_uuid: UUID
    revision: int
    content: str
    parts: tuple[Part, ...] = ()
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchHit:
    """A message that matched; `excerpt` alternates plain and matching text, starting with plain.

    `session_title` is the session's title, or the task that a coding session without one began with.
    """

    message_uuid: UUID
    session_uuid: UUID
    session_id: str
    session_title: str | None
    sequence: int
    role: MessageRole
    created_at: datetime
    excerpt: tuple[str, ...]
    score: float
