"""What the feed tells: which fact arrived or changed, where it belongs, and one line about it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID


class ChangeKind(StrEnum):
    """What a change is about."""

    MESSAGE = "message"
    LLM_CALL = "llm_call"
    TOOL_CALL = "tool_call"
    ERROR = "error"
    RUN = "run"
    SESSION = "session"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One fact that is new or different: what it is, where it belongs, and one line that tells it.

    `at` is the fact's own time, which may be long past when it arrives. A fact that arrives and changes later is told
    both times, as it is when it is read.
    """

    kind: ChangeKind
    id: UUID
    at: datetime
    session_uuid: UUID | None
    session_id: str | None
    run_uuid: UUID | None
    run_id: str | None
    user: str | None
    agent: str | None
    line: str
    status: str | None = None
    cost_nanos: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """A stretch of the feed in the order of arrival, and the place to go on from.

    `more` says that others wait after it. `missed` says that the place it was asked from is too old, or another
    record's: what came between is no longer known, and the stretch begins with what is kept.
    """

    items: tuple[Change, ...]
    place: str
    more: bool = False
    missed: bool = False
