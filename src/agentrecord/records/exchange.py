"""Facts as they travel between records: whole rows, with names where ids are each record's own."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any  # `Any`: fields are plain JSON
from uuid import UUID


class FactKind(StrEnum):
    """What a fact is; in this order facts are stored, so that what one names came before it."""

    SESSION = "session"
    RUN = "run"
    MESSAGE = "message"
    LLM_CALL = "llm_call"
    TOOL_CALL = "tool_call"
    EVENT = "event"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """A fact on its way into a record: its row id, and its fields as plain JSON; unknown ones are left out."""

    kind: FactKind
    id: UUID
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """A fact on its way out of a record, and where it stands.

    `trace` is the session that it belongs to, or else the uppermost run, or else itself; `parent` the fact above it.
    """

    fact: Carried
    trace: UUID
    parent: tuple[FactKind, UUID] | None
    session_id: str | None
    began: datetime
    ended: datetime


class UnitKind(StrEnum):
    """What is sent out as one; in this order."""

    SESSION = "session"
    RUN = "run"
    LOOSE = "loose"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """A session, or a run without one, with all that belongs to it; or the facts that belong to neither."""

    kind: UnitKind
    id: UUID
    began: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportFilter:
    """What to send out; whatever is left out does not matter.

    Sessions and runs come whole if they were at work at or after `since` and before `until`.
    """

    session: UUID | None = None
    run: UUID | None = None
    user: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """How far the facts of a unit were read."""

    kind: FactKind
    key: tuple[Any, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FactPage:
    """Some facts of a unit; `following` is None after the last."""

    facts: tuple[Placed, ...]
    following: Mark | None


@dataclass(slots=True, kw_only=True)
class Restored:
    """What was stored of facts that came in; `deleted` ones belong to sessions deleted here.

    `reasons` say why facts were refused, each once.
    """

    added: int = 0
    unchanged: int = 0
    deleted: int = 0
    refused: int = 0
    reasons: tuple[str, ...] = ()

    def refuse(self, reason: str) -> None:
        """Count a refused fact."""
        self.refused += 1
        if reason not in self.reasons:
            self.reasons = (*self.reasons, reason)
