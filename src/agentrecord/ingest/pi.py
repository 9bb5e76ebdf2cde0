"""Sessions of pi: JSON lines, one entry each, with the usage and the cost of every answer.

Entries form a tree (`parentId`); a session is told in the order in which it was written, branches and all.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from agentrecord.ingest.facts import (
    CallFact,
    ErrorFact,
    EventFact,
    Fact,
    MessageFact,
    Skipped,
    ToolCallFact,
    ToolResultFact,
)
from agentrecord.ingest.fields import (
    Row,
    flat_text,
    host_of,
    json_text,
    nanos_of,
    stem,
    table_of,
    tables_of,
    text_of,
    tokens_of,
    whole_of,
)
from agentrecord.ingest.source import Reader, walk
from agentrecord.ingest.turns import LineReader
from agentrecord.records.error import ErrorKind
from agentrecord.records.event import EventType
from agentrecord.records.llm_call import CallStatus
from agentrecord.records.message import MessageRole, Part, PartKind
from agentrecord.records.run import RunStatus
from agentrecord.records.tokens import TokenCounts

SKIPPED = {
    "thinking_level_change": "thinking level changes",
    "custom": "state of extensions",
    "label": "labels",
}
EVENTS = {
    "model_change": "model_change",
    "compaction": EventType.COMPACTION,
    "compactionSummary": EventType.COMPACTION,
    "branch_summary": EventType.SUMMARY,
    "branchSummary": EventType.SUMMARY,
}
FAILED = {"aborted": RunStatus.CANCELLED, "error": RunStatus.ERROR}
FRAME = ("type", "id", "parentId", "timestamp")


class PiReader(LineReader):
    """Reads one session of pi."""

    tool_name = "pi"
    agent_name = "pi"

    def _forget(self) -> None:
        super()._forget()
        self._tools: dict[str, tuple[str, datetime]] = {}

    def _row(self, row: Row) -> Iterator[Fact]:
        kind = text_of(row, "type")
        at = self._time(row, "timestamp")
        if kind == "session":
            yield from self._begun(row, at)
            return
        if kind in SKIPPED:
            yield Skipped(reason=SKIPPED[kind])
            return
        yield from self._begin(None, at)
        if kind in ("message", "custom_message"):
            yield from self._message(row, at)
        elif kind == "session_info":
            yield from self._tell(title=text_of(row, "name"))
        elif kind in EVENTS:
            yield from self._event(kind, row, at)
        else:
            raise ValueError(f"unknown row type {kind!r}: the row was left out")

    def _begun(self, row: Row, at: datetime) -> Iterator[Fact]:
        if self._session:
            yield Skipped(reason="repeated session headers")
            return
        yield from self._begin(text_of(row, "id"), at)
        parent = text_of(row, "parentSession", "branchedFrom")
        yield from self._tell(
            working_directory=text_of(row, "cwd"),
            host=host_of(text_of(row, "provider")),
            # A parent is named by its file: <time>_<session id>.jsonl
            parent_session_id=stem(Path(parent)).rpartition("_")[2] if parent else None,
        )

    def _event(self, kind: str, row: Row, at: datetime) -> Iterator[Fact]:
        self.turns.note(at)
        data = {name: value for name, value in row.items() if name not in FRAME and value is not None}
        yield EventFact(
            session_id=self.session.session_id,
            key=text_of(row, "id") or self._key(row),
            event_type=EVENTS[kind],
            timestamp=at,
            run_id=self.turns.run_id,
            data=json_text(data),
        )

    def _message(self, row: Row, at: datetime) -> Iterator[Fact]:
        body = table_of(row, "message") or row
        role = text_of(body, "role") or "custom"
        tell = self._roles().get(role)
        if tell is None:
            raise ValueError(f"unknown message role {role!r}: the row was left out")
        message = MessageFact(
            session_id=self.session.session_id,
            key=text_of(row, "id") or self._key(row),
            role=MessageRole.USER,
            content=flat_text([block for block in _blocks(body) if block.get("type", "text") == "text"]),
            created_at=at,
            line=self._line,
        )
        yield from tell(message, body)

    def _roles(self) -> dict[str, Callable[[MessageFact, Row], Iterator[Fact]]]:
        return {
            "user": self._user,
            "assistant": self._assistant,
            "toolResult": self._tool_result,
            "bashExecution": self._shell,
            "custom": self._custom,
            "hookMessage": self._custom,
            "branchSummary": self._custom,
            "compactionSummary": self._custom,
        }

    def _user(self, message: MessageFact, body: Row) -> Iterator[Fact]:
        yield from self._opening(replace(message, parts=_parts(body)))

    def _custom(self, message: MessageFact, body: Row) -> Iterator[Fact]:
        named = {name: body[name] for name in ("role", "customType") if name in body}
        content = message.content or text_of(body, "summary") or ""
        yield from self._following(
            replace(message, role=MessageRole.SYSTEM, content=content, metadata=json_text(named))
        )

    def _shell(self, message: MessageFact, body: Row) -> Iterator[Fact]:
        """Tell a command that the user ran; it asks nothing of the agent."""
        command, output = text_of(body, "command") or "", text_of(body, "output")
        told = {"bashExecution": True, "exitCode": whole_of(body, "exitCode")}
        content = f"! {command}\n{output or ''}".rstrip()
        yield from self._following(replace(message, content=content, metadata=json_text(told)))

    def _tool_result(self, message: MessageFact, body: Row) -> Iterator[Fact]:
        call_ref = text_of(body, "toolCallId") or message.key
        name, started_at = self._tools.pop(call_ref, (text_of(body, "toolName") or "unknown", message.created_at))
        is_error = body.get("isError") is True
        yield from self._following(
            replace(message, role=MessageRole.TOOL, tool_call_id=call_ref, tool_name=name, parts=_parts(body))
        )
        self.turns.used(call_ref)
        yield ToolResultFact(
            session_id=message.session_id,
            call_ref=call_ref,
            finished_at=message.created_at,
            is_error=is_error,
            message_key=message.key,
            duration_ms=max(0, round((message.created_at - started_at).total_seconds() * 1000)),
        )

    def _assistant(self, message: MessageFact, body: Row) -> Iterator[Fact]:
        calls = [block for block in _blocks(body) if block.get("type") == "toolCall"]
        reason = text_of(body, "stopReason")
        yield from self._following(
            replace(
                message,
                role=MessageRole.ASSISTANT,
                message_id=text_of(body, "responseId"),
                parts=_parts(body),
                tools_used=tuple(dict.fromkeys(text_of(call, "name") or "unknown" for call in calls)),
                model_used=text_of(body, "model"),
            )
        )
        for call in calls:
            yield self._tool_call(call, message)
        yield from self._ended(reason, message, body)
        # Last, so that a usage which cannot be right costs the call alone.
        if "usage" in body:
            yield self._call(reason, message, body)

    def _tool_call(self, block: Row, message: MessageFact) -> Fact:
        call_ref = text_of(block, "id") or f"{message.key}:{text_of(block, 'name')}"
        name = text_of(block, "name") or "unknown"
        self._tools[call_ref] = (name, message.created_at)
        self.turns.use(call_ref)
        return ToolCallFact(
            session_id=message.session_id,
            run_id=self.turns.run_id,
            call_ref=call_ref,
            tool_name=name,
            started_at=message.created_at,
            arguments=json_text(table_of(block, "arguments")),
            message_key=message.key,
        )

    def _ended(self, reason: str | None, message: MessageFact, body: Row) -> Iterator[Fact]:
        at, why = message.created_at, text_of(body, "errorMessage")
        if reason in FAILED:
            self.turns.end(FAILED[reason], at, why or reason)
            if reason == "error":
                yield ErrorFact(
                    session_id=message.session_id,
                    key=message.key,
                    error_type="api_error",
                    kind=ErrorKind.LLM,
                    call_key=_call_key(message.created_at, body) if "usage" in body else None,
                    error_message=why or reason,
                    created_at=at,
                    run_id=self.turns.run_id,
                )
        elif reason in ("stop", "length"):
            self.turns.end(RunStatus.COMPLETED, at)
        else:
            self.turns.resume()

    def _call(self, reason: str | None, message: MessageFact, body: Row) -> Fact:
        usage, at = table_of(body, "usage"), message.created_at
        tokens = TokenCounts(
            input=tokens_of(usage, "input"),
            cache_read=tokens_of(usage, "cacheRead"),
            cache_write_5m=tokens_of(usage, "cacheWrite"),
            output=tokens_of(usage, "output"),
        )
        has_failed = reason in FAILED
        if has_failed and not tokens.total:
            # pi writes zeros when the provider had not told anything yet.
            tokens = TokenCounts()
        started = whole_of(body, "timestamp")
        model, provider = text_of(body, "model"), text_of(body, "provider")
        return CallFact(
            session_id=message.session_id,
            run_id=self.turns.run_id,
            # A fork repeats its parent's entries as they were, under another session and with new entry ids at most.
            dedup_key=_call_key(at, body),
            timestamp=at,
            model=model,
            host=host_of(provider),
            tokens=tokens,
            message_key=message.key,
            request_id=text_of(body, "responseId"),
            usage_metrics=json_text(usage),
            status=CallStatus.ERROR if has_failed else CallStatus.SUCCESS,
            error_message=(text_of(body, "errorMessage") or reason) if has_failed else None,
            latency_ms=None if started is None else max(0, round(at.timestamp() * 1000) - started),
            # Zero is what pi writes for a model whose prices it does not know.
            cost_nanos=nanos_of(table_of(usage, "cost"), "total") or None,
        )


def _call_key(at: datetime, body: Row) -> str:
    """Return what identifies the call of an answer."""
    model, provider = text_of(body, "model"), text_of(body, "provider")
    return f"pi:{at.isoformat()}:{whole_of(body, 'timestamp')}:{provider}/{model}"


def _blocks(body: Row) -> list[Row]:
    content = body.get("content")
    return [{"type": "text", "text": content}] if isinstance(content, str) else tables_of(body, "content")


def _parts(body: Row) -> tuple[Part, ...]:
    """Return the parts of a message, none if it is plain text."""
    parts = tuple(filter(None, map(_part, _blocks(body))))
    return () if all(part.kind is PartKind.TEXT for part in parts) else parts


def _part(block: Row) -> Part | None:
    kind = block.get("type")
    if kind == "text":
        return Part(kind=PartKind.TEXT, text=text_of(block, "text") or "")
    if kind == "thinking":
        return Part(kind=PartKind.REASONING, text=text_of(block, "thinking") or "")
    if kind == "toolCall":
        return Part(kind=PartKind.TOOL_CALL, call_ref=text_of(block, "id"), name=text_of(block, "name"))
    if kind == "image":
        size = len(text_of(block, "data") or "") * 3 // 4
        return Part(kind=PartKind.IMAGE, media_type=text_of(block, "mimeType"), size_bytes=size)
    return None


class Pi:
    """The pi coding agent."""

    name = "pi"
    title = "pi"

    def roots(self, environment: Mapping[str, str], home: Path) -> Iterable[Path]:
        """Name pi's folder of sessions."""
        folder = environment.get("PI_CODING_AGENT_DIR")
        yield (Path(folder).expanduser() if folder else home / ".pi" / "agent") / "sessions"

    def files(self, path: Path) -> Iterator[Path]:
        """Yield the sessions at or below `path`."""
        return walk(path, (".jsonl", ".jsonl.gz"))

    def open(self, path: Path, *, latest: datetime) -> Reader:
        """Start reading one session."""
        return PiReader(path, latest=latest)


SOURCE = Pi()
