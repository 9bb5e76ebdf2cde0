"""Rollouts of Codex: JSON lines in which each call's usage stands beside totals that grow, and repeat.

What was said stands there twice, as the model's items and as events for the screen; the first copy counts.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from agentrecord.ingest.codex_items import (
    Outcome,
    ended_well,
    is_injected,
    item_arguments,
    item_content,
    item_name,
    item_parts,
    outcome_of_event,
    outcome_of_output,
)
from agentrecord.ingest.codex_kinds import CALLS, CALLS_WITHOUT_OUTPUT, ENDS, EVENTS, OUTPUTS, ROLES, SKIPPED, unwrapped
from agentrecord.ingest.codex_usage import UsageMeter
from agentrecord.ingest.facts import (
    CallFact,
    ErrorFact,
    EventFact,
    Fact,
    MessageFact,
    Skipped,
    ToolCallFact,
    ToolResultFact,
    Unreadable,
)
from agentrecord.ingest.fields import (
    Row,
    host_of,
    json_text,
    table_of,
    text_of,
    whole_of,
)
from agentrecord.ingest.source import Reader, walk
from agentrecord.ingest.turns import LineReader
from agentrecord.records.error import ErrorKind
from agentrecord.records.event import EventType
from agentrecord.records.message import MessageRole
from agentrecord.records.run import RunStatus

_NO_REQUESTS = frozenset({"sandbox_error", "thread_rollback_failed", "active_turn_not_steerable", "other"})
"""Errors by their code that Codex does not tell of a request to a model."""


class CodexReader(LineReader):
    """Reads one rollout of Codex."""

    tool_name = "codex"
    agent_name = "Codex"

    def _forget(self) -> None:
        super()._forget()
        self._meter = UsageMeter()
        self._model: str | None = None
        self._effort: str | None = None
        self._is_subagent = False
        self._has_header = False
        self._said: dict[MessageRole, tuple[str, frozenset[str]]] = {}
        self._answer_key: str | None = None
        self._tools: dict[str, tuple[str, datetime]] = {}
        self._outcomes: dict[str, Outcome] = {}
        self._kinds: dict[str, Callable[[Row, datetime], Iterator[Fact]]] = {
            "session_meta": self._session_meta,
            "turn_context": self._turn_context,
            "event_msg": self._event_msg,
            "response_item": self._item,
            "compacted": self._compacted,
        }

    def _row(self, row: Row) -> Iterator[Fact]:
        at = self._time(row, "timestamp", "created_at")
        kind, payload = unwrapped(row)
        if kind in SKIPPED:
            yield Skipped(reason=SKIPPED[kind])
            return
        tell = self._kinds.get(kind)
        if tell is None:
            raise ValueError(f"unknown row type {kind!r}: the row was left out")
        if kind != "session_meta":
            yield from self._begin(None, at)
        yield from tell(payload, at)

    def _session_meta(self, payload: Row, at: datetime) -> Iterator[Fact]:
        session_id = text_of(payload, "id", "session_id")
        # A fork repeats the rows of its parent, and before them the parent's metadata: calls are the parent's then.
        self._meter.thread = session_id or self._meter.thread
        if self._has_header:
            yield Skipped(reason="session metadata of parents")
            return
        self._has_header = True
        spawned = table_of(table_of(payload, "source"), "subagent")
        spawn = table_of(spawned, "thread_spawn")
        self._is_subagent = bool(spawned)
        role = text_of(spawn, "agent_role") or text_of(spawned, "other") or "subagent"
        yield from self._begin(session_id, at, agent_id=f"codex/{role}" if spawned else None)
        parent = text_of(spawn, "parent_thread_id") or text_of(payload, "parent_thread_id", "forked_from_id")
        told = {name: payload[name] for name in ("originator", "source", "forked_from_id") if payload.get(name)}
        yield from self._tell(
            parent_session_id=parent,
            tool_version=text_of(payload, "cli_version"),
            working_directory=text_of(payload, "cwd"),
            git_branch=text_of(table_of(payload, "git"), "branch"),
            host=self._host(payload),
            metadata=json_text(told) if told else None,
        )

    def _host(self, payload: Row) -> str | None:
        return host_of(text_of(payload, "model_provider") or "openai")

    def _turn_context(self, payload: Row, at: datetime) -> Iterator[Fact]:
        self._model = text_of(payload, "model") or self._model
        self._effort = text_of(payload, "effort", "reasoning_effort") or self._effort
        self._meter.turn = text_of(payload, "turn_id")
        self.turns.note(at)
        if not self.session.working_directory:
            yield from self._tell(working_directory=text_of(payload, "cwd"))
        yield Skipped(reason="turn contexts")

    def _compacted(self, payload: Row, at: datetime) -> Iterator[Fact]:
        history = payload.get("replacement_history")
        data: Row = {"summary": text_of(payload, "message")}
        if isinstance(history, list):
            data["messages_kept"] = len(history)
        yield self._happened(EventType.COMPACTION, payload, at, data)

    def _happened(
        self, event_type: str, payload: Row, at: datetime, data: Any, duration_ms: int | None = None
    ) -> EventFact:
        self.turns.note(at)
        return EventFact(
            session_id=self.session.session_id,
            key=self._key(event_type, at, payload),
            event_type=event_type,
            timestamp=at,
            run_id=self.turns.run_id,
            data=json_text(data),
            duration_ms=duration_ms,
        )

    # Events

    def _event_msg(self, payload: Row, at: datetime) -> Iterator[Fact]:
        kind = text_of(payload, "type") or ""
        if kind in SKIPPED:
            yield Skipped(reason=SKIPPED[kind])
        elif kind == "token_count":
            yield from self._token_count(payload, at)
        elif kind in ("user_message", "agent_message"):
            role = MessageRole.USER if kind == "user_message" else MessageRole.ASSISTANT
            yield from self._spoken(role, {"content": text_of(payload, "message")}, at, source="event")
        elif kind in ("task_complete", "turn_complete", "turn.completed"):
            yield from self._turn_ended(payload, at)
        elif kind == "turn_aborted":
            self.turns.end(RunStatus.CANCELLED, at, f"turn aborted: {text_of(payload, 'reason') or 'no reason given'}")
            yield self._happened("turn_aborted", payload, at, payload, whole_of(payload, "duration_ms"))
        elif kind == "error":
            yield self._failed(payload, at)
        else:
            yield from self._other_event(kind, payload, at)

    def _other_event(self, kind: str, payload: Row, at: datetime) -> Iterator[Fact]:
        item = table_of(payload, "item")
        if kind == "thread_name_updated":
            yield from self._tell(title=text_of(payload, "thread_name"))
        elif kind in EVENTS:
            yield self._happened(EVENTS[kind], payload, at, payload)
        elif kind == "item_completed" and item.get("type") == "Plan":
            yield self._happened("plan", payload, at, item)
        elif kind in ENDS or kind == "item_completed":
            ended = item or payload
            call_ref = text_of(ended, "call_id", "callId", "id")
            if call_ref:
                self._outcomes[call_ref] = outcome_of_event(ended)
            yield Skipped(reason="copies of tool results and other items")
        else:
            raise ValueError(f"unknown event type {kind!r}: the row was left out")

    def _token_count(self, payload: Row, at: datetime) -> Iterator[Fact]:
        info = table_of(payload, "info")
        if not info:
            yield Skipped(reason="rate limits")
            return
        call = self._meter.read(info)
        if call is None:
            yield Skipped(reason="token counts that repeat")
            return
        yield from self.turns.touch(at)
        yield CallFact(
            session_id=self.session.session_id,
            run_id=self.turns.run_id,
            dedup_key=call.dedup_key or f"codex:{self.session.session_id}:{self._key('call', call.usage)}",
            timestamp=at,
            model=text_of(info, "model") or self._model,
            host=self.session.host or "OpenAI",
            tokens=call.tokens,
            message_key=self._answer_key,
            is_subagent=self._is_subagent,
            usage_metrics=json_text(call.usage),
            input_params=json_text({"reasoning_effort": self._effort}) if self._effort else None,
        )
        self._answer_key = None

    def _turn_ended(self, payload: Row, at: datetime) -> Iterator[Fact]:
        if payload.get("error"):
            yield self._failed(payload, at)
        elif ended_well(payload) or self.turns.outcome is not RunStatus.ERROR:
            self.turns.end(RunStatus.COMPLETED, at)
        if text := text_of(payload, "last_agent_message"):
            self.turns.answer(text)
        yield self._happened(EventType.TURN_DURATION, payload, at, payload, whole_of(payload, "duration_ms"))

    def _failed(self, payload: Row, at: datetime) -> Fact:
        error = table_of(payload, "error") or payload
        message = text_of(error, "message") or json_text(error)
        code = error.get("codex_error_info", error.get("kind"))
        self.turns.note(at)
        self.turns.end(RunStatus.ERROR, at, message)
        return ErrorFact(
            session_id=self.session.session_id,
            key=self._key("error", at, payload),
            error_type="api_error",
            kind=ErrorKind.AGENT if str(code) in _NO_REQUESTS else ErrorKind.LLM,
            error_message=message,
            created_at=at,
            run_id=self.turns.run_id,
            error_code=code if code is None or isinstance(code, str) else json_text(code),
        )

    # Items of the model

    def _item(self, payload: Row, at: datetime) -> Iterator[Fact]:
        kind = text_of(payload, "type") or "message"
        if kind in SKIPPED:
            yield Skipped(reason=SKIPPED[kind])
        elif kind == "message":
            name = text_of(payload, "role") or "assistant"
            if name not in ROLES:
                raise ValueError(f"unknown message role {name!r}: the row was left out")
            yield from self._spoken(ROLES[name], payload, at, source="item")
        elif kind == "agent_message":
            told = {name: payload.get(name) for name in ("author", "recipient")}
            message = self._new_message(MessageRole.SYSTEM, payload, at)
            yield from self._following(replace(message, metadata=json_text(told)))
        elif kind == "reasoning":
            yield from self._reasoning(payload, at)
        elif kind in CALLS:
            yield from self._tool_call(kind, payload, at)
        elif kind in OUTPUTS:
            yield from self._tool_output(payload, at)
        else:
            raise ValueError(f"unknown item type {kind!r}: the row was left out")

    def _new_message(self, role: MessageRole, payload: Row, at: datetime) -> MessageFact:
        return MessageFact(
            session_id=self.session.session_id,
            key=self._key(role, at, payload),
            role=role,
            content=item_content(payload),
            created_at=at,
            message_id=text_of(payload, "id"),
            parts=item_parts(payload),
            model_used=self._model if role is MessageRole.ASSISTANT else None,
            line=self._line,
        )

    def _spoken(self, role: MessageRole, payload: Row, at: datetime, *, source: str) -> Iterator[Fact]:
        """Tell what was said, unless it is the other copy of what was told last."""
        message = self._new_message(role, payload, at)
        blocks = (part.text for part in message.parts if part.text)
        texts = frozenset(text.strip() for text in (message.content, *blocks))
        other, told = self._said.pop(role, ("", frozenset()))
        if other not in ("", source) and texts & told:
            yield Skipped(reason="copies of messages")
            return
        self._said[role] = (source, texts)
        if role is MessageRole.USER and is_injected(message.content):
            yield from self._following(replace(message, metadata=json_text({"isMeta": True})))
        elif role is MessageRole.USER:
            self._answer_key = None
            yield from self._opening(message)
        else:
            self._answer_key = message.key if role is MessageRole.ASSISTANT else self._answer_key
            yield from self._following(message)

    def _reasoning(self, payload: Row, at: datetime) -> Iterator[Fact]:
        message = self._new_message(MessageRole.ASSISTANT, payload, at)
        if not any(part.text for part in message.parts):
            yield Skipped(reason="encrypted reasoning")
            return
        self._answer_key = message.key
        yield from self._following(message)

    def _tool_call(self, kind: str, payload: Row, at: datetime) -> Iterator[Fact]:
        name = item_name(kind, payload)
        message = self._new_message(MessageRole.ASSISTANT, payload, at)
        call_ref = text_of(payload, "call_id", "id") or message.key
        self._answer_key = message.key
        yield from self._following(
            replace(message, content="", parts=item_parts(payload, call_ref), tools_used=(name,))
        )
        yield ToolCallFact(
            session_id=message.session_id,
            run_id=self.turns.run_id,
            call_ref=call_ref,
            tool_name=name,
            started_at=at,
            arguments=item_arguments(payload),
            message_key=message.key,
        )
        if kind in CALLS_WITHOUT_OUTPUT:
            yield ToolResultFact(
                session_id=message.session_id,
                call_ref=call_ref,
                finished_at=at,
                is_error=text_of(payload, "status") == "failed",
            )
            return
        self._tools[call_ref] = (name, at)
        self.turns.use(call_ref)

    def _tool_output(self, payload: Row, at: datetime) -> Iterator[Fact]:
        call_ref = text_of(payload, "call_id") or self._unanswered(text_of(payload, "name"))
        if call_ref is None:
            raise ValueError("the result of a tool that was not called: the row was left out")
        name, started_at = self._tools.pop(call_ref, (text_of(payload, "name") or "unknown", at))
        told = self._outcomes.pop(call_ref, None)
        outcome, content = outcome_of_output(payload)
        message = self._new_message(MessageRole.TOOL, payload, at)
        yield from self._following(
            replace(message, content=content, parts=item_parts(payload), tool_call_id=call_ref, tool_name=name)
        )
        self.turns.used(call_ref)
        measured = outcome.duration_ms if told is None or told.duration_ms is None else told.duration_ms
        elapsed = max(0, round((at - started_at).total_seconds() * 1000))
        yield ToolResultFact(
            session_id=message.session_id,
            call_ref=call_ref,
            finished_at=at,
            is_error=outcome.is_error or (told is not None and told.is_error),
            message_key=message.key,
            duration_ms=elapsed if measured is None else measured,
        )

    def _unanswered(self, name: str | None) -> str | None:
        """Return the earliest call of this tool that has no result yet, for versions that name no call."""
        return next((ref for ref, (tool, _) in self._tools.items() if tool == name), None)


class CompressedReader:
    """Stands for a rollout that Codex has compressed in a way that this Python cannot read."""

    position = 0

    def __init__(self, *, latest: datetime) -> None:
        """Have the reason to tell, once."""
        self.latest = latest
        self._is_told = False

    def read(self) -> Iterator[Fact]:
        """Say how to make the rollout readable."""
        if not self._is_told:
            self._is_told = True
            yield Unreadable(line=1, reason="compressed with zstd; unpack it (`zstd -d FILE`) and import the result")


class Codex:
    """OpenAI's Codex, on the command line or in an editor."""

    name = "codex"
    title = "Codex"

    def roots(self, environment: Mapping[str, str], home: Path) -> Iterable[Path]:
        """Name Codex' folders of sessions, live and archived."""
        folder = environment.get("CODEX_HOME")
        base = Path(folder).expanduser() if folder else home / ".codex"
        yield base / "sessions"
        yield base / "archived_sessions"

    def files(self, path: Path) -> Iterator[Path]:
        """Yield the rollouts at or below `path`."""
        return walk(path, (".jsonl", ".jsonl.gz", ".jsonl.zst"))

    def open(self, path: Path, *, latest: datetime) -> Reader:
        """Start reading one rollout."""
        return CompressedReader(latest=latest) if path.suffix == ".zst" else CodexReader(path, latest=latest)


SOURCE = Codex()
