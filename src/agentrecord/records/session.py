"""Sessions: conversations, coding sessions among them, as a tree."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from agentrecord.ids import UserId
from agentrecord.records import _shown
from agentrecord.records.price_sources import PriceSources
from agentrecord.records.unset import UNSET, UnsetType
from agentrecord.records.usage import UsageTotals


class SessionStatus(StrEnum):
    """Where a session stands."""

    ACTIVE = "active"
    INACTIVE = "inactive"
    COMPLETED = "completed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class CodingDetails:
    """What a coding agent's session has besides a conversation."""

    tool_name: str
    tool_version: str | None = None
    working_directory: str | None = None
    git_branch: str | None = None
    host: str | None = None
    username: str | None = None
    chat_id: str | None = None
    initial_task: str | None = None
    task_count: int = 0
    session_metadata: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSession:
    """A session to create; `session_id` is unique for its user."""

    session_id: str
    id: UUID | None = None
    agent_id: str | None = None
    agent_name: str | None = None
    agent_instructions: str | None = None
    title: str | None = None
    description: str | None = None
    is_active: bool = True
    status: SessionStatus = SessionStatus.ACTIVE
    purpose: str | None = None
    business_context: str | None = None
    tags: tuple[str, ...] = ()
    learning_outcomes: str | None = None
    source: str | None = None
    parent_uuid: UUID | None = None
    metadata: str | None = None
    coding: CodingDetails | None = None
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A conversation with its own figures.

    `subtree` adds those of the sessions below it: in a list where there are any, else where asked for. `prices` are
    those that charged all of these calls, where the subtree was asked for.
    """

    id: UUID
    serial: int | None = None
    session_id: str
    user_uuid: UserId
    user: str
    agent_uuid: UUID | None = None
    agent_id: str | None = None
    agent_name: str | None = None
    agent_instructions: str | None = None
    agent_version_uuid: UUID | None = None
    agent_version: str | None = None
    title: str | None = None
    description: str | None = None
    is_active: bool = True
    status: SessionStatus = SessionStatus.ACTIVE
    purpose: str | None = None
    business_context: str | None = None
    tags: tuple[str, ...] = ()
    quality_score: float | None = None
    user_satisfaction: float | None = None
    learning_outcomes: str | None = None
    source: str | None = None
    parent_uuid: UUID | None = None
    metadata: str | None = None
    message_count: int = 0
    run_count: int = 0
    tool_call_count: int = 0
    tool_error_count: int = 0
    error_count: int = 0
    child_count: int = 0
    usage: UsageTotals = field(default_factory=UsageTotals)
    subtree: UsageTotals | None = None
    prices: PriceSources | None = None
    coding: CodingDetails | None = None
    created_at: datetime
    updated_at: datetime
    last_activity_at: datetime

    def __repr__(self) -> str:
        """Return the session in one line: its id, what it is about, and what it came to."""
        sums = self.subtree or self.usage
        said = _shown.counted(self.message_count, "message")
        calls = _shown.counted(sums.calls, "call")
        name = f"{self.session_id} {self.status}"
        came_to = (calls, _shown.cost(sums), _shown.excludes(sums))
        return _shown.line("Session", name, self.title, self.agent_id, said, *came_to)

    def _repr_html_(self) -> str:
        """Return the session as a notebook shows it."""
        sums = self.subtree or self.usage
        pairs = (
            ("title", self.title or (self.coding.initial_task if self.coding else None)),
            ("status", self.status),
            ("agent", self.agent_name or self.agent_id),
            ("user", self.user),
            ("created", _shown.instant(self.created_at)),
            ("last active", _shown.instant(self.last_activity_at)),
            ("messages", f"{self.message_count:,}"),
            ("turns", f"{self.run_count:,}"),
            ("tool calls", f"{self.tool_call_count:,}, {self.tool_error_count:,} failed"),
            ("LLM calls", f"{sums.calls:,}"),
            ("tokens", f"{sums.total_tokens:,}" if sums.calls else None),
            ("cost", _shown.cost(sums)),
            ("prices", None if self.prices is None else str(self.prices)),
            ("without a price", f"{sums.unpriced_calls:,}" if sums.unpriced_calls else None),
        )
        return _shown.facts(f"Session {self.session_id}", pairs)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionChanges:
    """What to change in a session; whatever is left out stays as it is."""

    title: str | None | UnsetType = UNSET
    description: str | None | UnsetType = UNSET
    agent_name: str | None | UnsetType = UNSET
    agent_instructions: str | None | UnsetType = UNSET
    is_active: bool | UnsetType = UNSET
    status: SessionStatus | UnsetType = UNSET
    purpose: str | None | UnsetType = UNSET
    business_context: str | None | UnsetType = UNSET
    tags: tuple[str, ...] | UnsetType = UNSET
    quality_score: float | None | UnsetType = UNSET
    user_satisfaction: float | None | UnsetType = UNSET
    learning_outcomes: str | None | UnsetType = UNSET
    metadata: str | None | UnsetType = UNSET


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionFilter:
    """Which sessions to list; whatever is left out does not matter.

    `query` is a filter's text, in the words of docs/reference/filters.md; `words` must occur in the session's id,
    title, description, agent's name or first task as they stand; `since` and `until` bound the last activity.
    """

    query: str | None = None
    words: str | None = None
    session_id: str | None = None
    user: str | None = None
    user_uuid: UserId | None = None
    agent_name: str | None = None
    is_active: bool | None = None
    agent_id: str | None = None
    source: str | None = None
    status: SessionStatus | None = None
    directory: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    parent_uuid: UUID | None = None
    include_children: bool = False
