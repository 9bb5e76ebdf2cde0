"""Facts to batches: a row id for each, derived from the source's own ids, and as many as fit one transaction."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any  # `Any`: facts are told apart by their type
from uuid import UUID

from agentrecord.ids import derived_id
from agentrecord.records.transcript import (
    CallFact,
    ErrorFact,
    EventFact,
    Fact,
    Identified,
    ImportBatch,
    MessageFact,
    RunFact,
    SessionFact,
    Skipped,
    ToolCallFact,
    ToolResultFact,
    Unreadable,
)

BATCH_FACTS = 2000
BATCH_CHARS = 4_000_000
KEPT_KEYS = 50_000


@dataclass(slots=True)
class Batcher:
    """Gives the facts of one source and user their row ids; remembers the last messages that others point at."""

    source: str
    path: str
    user: str | None
    indexed: bool = True
    skipped: dict[str, int] = field(default_factory=dict)
    facts: int = 0
    _messages: dict[tuple[str, str], UUID] = field(default_factory=dict)

    def batches(self, facts: Iterable[Fact]) -> Iterator[list[Fact]]:
        """Yield the facts to store in as many lists as make good transactions; count those that are skipped."""
        found: list[Fact] = []
        size = 0
        for fact in facts:
            if isinstance(fact, Skipped):
                self.skipped[fact.reason] = self.skipped.get(fact.reason, 0) + fact.count
                continue
            found.append(fact)
            size += _size(fact)
            if len(found) >= BATCH_FACTS or size >= BATCH_CHARS:
                self.facts += len(found)
                yield found
                found, size = [], 0
        if found:
            self.facts += len(found)
            yield found

    def batch(self, facts: Iterable[Fact]) -> ImportBatch:
        """Return facts as one batch, each with its row id."""
        kinds: dict[type, list[Any]] = {}
        for fact in facts:
            kinds.setdefault(type(fact), []).append(self._identified(fact))
        return ImportBatch(
            source=self.source,
            path=self.path,
            user=self.user,
            indexed=self.indexed,
            sessions=tuple(kinds.get(SessionFact, ())),
            runs=tuple(kinds.get(RunFact, ())),
            messages=tuple(kinds.get(MessageFact, ())),
            calls=tuple(kinds.get(CallFact, ())),
            tool_calls=tuple(kinds.get(ToolCallFact, ())),
            tool_results=tuple(kinds.get(ToolResultFact, ())),
            events=tuple(kinds.get(EventFact, ())),
            errors=tuple(kinds.get(ErrorFact, ())),
            unreadable=tuple(kinds.get(Unreadable, ())),
        )

    def _identified(self, fact: Fact) -> Any:
        match fact:
            case MessageFact():
                row_id = self._id(fact.created_at, "message", fact.session_id, fact.key)
                self._keep((fact.session_id, fact.key), row_id)
                return Identified(row_id=row_id), fact
            case CallFact():
                key = fact.dedup_key or (fact.message_key, fact.request_id, fact.tokens)
                row_id = self._id(fact.timestamp, "call", fact.session_id, key)
                return Identified(row_id=row_id, message_uuid=self._message(fact.session_id, fact.message_key)), fact
            case ToolCallFact():
                row_id = self._id(fact.started_at, "tool", fact.session_id, fact.call_ref)
                return Identified(row_id=row_id, message_uuid=self._message(fact.session_id, fact.message_key)), fact
            case ToolResultFact():
                row_id = self._id(fact.finished_at, "result", fact.session_id, fact.call_ref)
                return Identified(row_id=row_id, message_uuid=self._message(fact.session_id, fact.message_key)), fact
            case EventFact():
                return Identified(row_id=self._id(fact.timestamp, "event", fact.session_id, fact.key)), fact
            case ErrorFact():
                row_id = self._id(fact.created_at, "error", fact.session_id, fact.key)
                call = None
                if fact.call_key is not None:
                    call = self._id(fact.created_at, "call", fact.session_id, fact.call_key)
                return Identified(row_id=row_id, llm_call_uuid=call), fact
            case _:
                return fact

    def _id(self, at: Any, kind: str, session_id: str, key: object) -> UUID:
        return derived_id(at, kind, self.source, self.user, session_id, key)

    def _message(self, session_id: str, key: str | None) -> UUID | None:
        return None if key is None else self._messages.get((session_id, key))

    def _keep(self, key: tuple[str, str], row_id: UUID) -> None:
        messages = self._messages
        if len(messages) >= KEPT_KEYS:
            # Others point at recent messages only: let the oldest go, so that memory stays flat.
            del messages[next(iter(messages))]
        messages[key] = row_id


def _size(fact: Fact) -> int:
    match fact:
        case MessageFact():
            return len(fact.content)
        case ToolCallFact():
            return len(fact.arguments or "")
        case ToolResultFact():
            return len(fact.result or "")
        case _:
            return 0
