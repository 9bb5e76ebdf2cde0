"""Chats of Gemini CLI: one JSON document that is written anew at every step, or JSON lines since 0.40.

In both a message may come again with more in it; a tool's result stands in the message that called it.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import msgspec

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
    cleaned,
    digest,
    first_text,
    flat_text,
    json_text,
    table_of,
    tables_of,
    text_of,
    time_of,
    tokens_of,
    uncached,
)
from agentrecord.ingest.source import Reader, walk
from agentrecord.ingest.turns import LineReader, RowReader
from agentrecord.records.error import ErrorKind
from agentrecord.records.message import MessageRole, Part, PartKind
from agentrecord.records.run import RunStatus
from agentrecord.records.tokens import TokenCounts

ANSWERS = ("gemini", "model", "assistant")
NOTICES = ("info", "warning", "about", "help", "stats", "quit", "compression", "tool_group")
FINAL = ("success", "error", "cancelled")
CONTINUATION = "System: Please continue"
API_ERROR = "API Error"
CANCELLED = "Request cancelled"
SHELL = "run_shell_command"

_UNIQUE_LENGTH = 32
# Some versions escape the line ends within what a tool printed.
_EXIT = re.compile(r"(?:^|\\n)Exit Code: (-?\d+)", re.MULTILINE)


class GeminiRows(RowReader):
    """What the rows of a chat mean, in either form."""

    tool_name = "gemini-cli"
    agent_name = "Gemini CLI"

    def _forget(self) -> None:
        super()._forget()
        self._told: dict[str, str] = {}

    def _row(self, row: Row) -> Iterator[Fact]:
        if "$set" in row or "$rewindTo" in row:
            yield from self._change(row)
            return
        kind = text_of(row, "type", "role")
        if kind is None and ("sessionId" in row or "startTime" in row or "start_time" in row):
            yield from self._header(row)
            return
        at = self._time(row, "timestamp", "ts")
        yield from self._begin(None, at)
        if self._is_told(row):
            return
        if kind == "user":
            yield from self._user(row, at)
        elif kind in ANSWERS:
            yield from self._answer(row, at)
        elif kind in NOTICES or kind == "error":
            yield from self._notice(kind or "", row, at)
        else:
            raise ValueError(f"unknown message type {kind!r}: the row was left out")

    def _is_told(self, row: Row) -> bool:
        """Say whether this very message was told before; one that has grown was not."""
        identity, content = text_of(row, "id") or f"#{self._line}", digest(row)
        is_told = self._told.get(identity) == content
        self._told[identity] = content
        return is_told

    def _header(self, row: Row) -> Iterator[Fact]:
        at = self._time(row, "startTime", "start_time", "lastUpdated")
        yield from self._begin(text_of(row, "sessionId"), at)
        told = {name: row[name] for name in ("projectHash", "kind") if row.get(name)}
        folders = row.get("directories")
        yield from self._tell(
            title=text_of(row, "summary"),
            working_directory=first_text(map(flat_text, folders)) if isinstance(folders, list) else None,
            metadata=json_text(told) if told else None,
            host="Google",
        )

    def _change(self, row: Row) -> Iterator[Fact]:
        if "$rewindTo" in row and self._at:
            yield self._event("rewind", row, self._at)
            return
        changed = table_of(row, "$set")
        if self._session:
            yield from self._tell(title=text_of(changed, "summary"))
        yield Skipped(reason="updates of the header")

    def _event(self, kind: str, row: Row, at: datetime) -> EventFact:
        self.turns.note(at)
        return EventFact(
            session_id=self.session.session_id,
            key=text_of(row, "id") or self._key(kind, at, row),
            event_type=kind,
            timestamp=at,
            run_id=self.turns.run_id,
            data=json_text(row),
        )

    def _notice(self, kind: str, row: Row, at: datetime) -> Iterator[Fact]:
        text = flat_text(row.get("content"))
        if kind != "error":
            if text.startswith(CANCELLED):
                self.turns.end(RunStatus.CANCELLED, at, text)
            yield self._event(kind, row, at)
            return
        self.turns.note(at)
        self.turns.end(RunStatus.ERROR, at, text or "error")
        yield ErrorFact(
            session_id=self.session.session_id,
            key=text_of(row, "id") or self._key(kind, at, row),
            error_type="api_error",
            kind=ErrorKind.LLM if API_ERROR in text else ErrorKind.AGENT,
            error_message=text or "error",
            created_at=at,
            run_id=self.turns.run_id,
        )

    def _new_message(self, role: MessageRole, row: Row, at: datetime) -> MessageFact:
        key = text_of(row, "id") or self._key(role, at, row)
        return MessageFact(
            session_id=self.session.session_id,
            key=key,
            role=role,
            content=flat_text(row.get("content")) or flat_text(row.get("parts")),
            created_at=at,
            parts=_parts(row, key),
            model_used=text_of(row, "model"),
            line=self._line,
        )

    def _user(self, row: Row, at: datetime) -> Iterator[Fact]:
        message = self._new_message(MessageRole.USER, row, at)
        if message.content.startswith(CONTINUATION):
            self.turns.resume()
            yield from self._following(replace(message, metadata=json_text({"isMeta": True})))
        else:
            yield from self._opening(message)

    def _answer(self, row: Row, at: datetime) -> Iterator[Fact]:
        calls = tables_of(row, "toolCalls")
        message = self._new_message(MessageRole.ASSISTANT, row, at)
        names = dict.fromkeys(text_of(call, "name") or "unknown" for call in calls)
        self.turns.resume()
        yield from self._following(replace(message, tools_used=tuple(names)))
        for number, call in enumerate(calls):
            yield from self._tool(call, _call_ref(call, message.key, number), message)
        if message.content and not calls:
            self.turns.end(RunStatus.COMPLETED, at)
        if "tokens" in row:
            yield self._call(row, message)

    def _tool(self, call: Row, call_ref: str, message: MessageFact) -> Iterator[Fact]:
        self.turns.use(call_ref)
        yield ToolCallFact(
            session_id=message.session_id,
            run_id=self.turns.run_id,
            call_ref=call_ref,
            tool_name=text_of(call, "name") or "unknown",
            started_at=message.created_at,
            arguments=json_text(table_of(call, "args")),
            message_key=message.key,
        )
        status = text_of(call, "status")
        if status not in FINAL:
            return
        finished_at = time_of(call, "timestamp", latest=self.latest)
        self.turns.used(call_ref)
        self.turns.note(finished_at or message.created_at)
        result = _result(call)
        ended_with = _EXIT.search(result) if text_of(call, "name") == SHELL else None
        yield ToolResultFact(
            session_id=message.session_id,
            call_ref=call_ref,
            finished_at=finished_at or message.created_at,
            is_error=status != "success" or (ended_with is not None and ended_with[1] != "0"),
            result=result,
            duration_ms=None if finished_at is None else _milliseconds(message.created_at, finished_at),
        )

    def _call(self, row: Row, message: MessageFact) -> Fact:
        usage = table_of(row, "tokens")
        cached, thoughts = tokens_of(usage, "cached"), tokens_of(usage, "thoughts")
        # What tools gave the model is counted apart, but it is input like any other.
        prompt, tools = tokens_of(usage, "input"), tokens_of(usage, "tool") or 0
        fresh, spoken = uncached(prompt, cached), tokens_of(usage, "output")
        # A chat that was saved and resumed holds the same messages under another session's id.
        within = "" if len(message.key) >= _UNIQUE_LENGTH else f"{message.session_id}:"
        return CallFact(
            session_id=message.session_id,
            run_id=self.turns.run_id,
            dedup_key=f"gemini:{within}{message.key}",
            timestamp=message.created_at,
            model=message.model_used,
            host="Google",
            tokens=TokenCounts(
                input=None if fresh is None else fresh + tools,
                cache_read=cached,
                output=None if spoken is None else spoken + (thoughts or 0),
                reasoning=thoughts,
            ),
            message_key=message.key,
            usage_metrics=json_text(usage),
        )


def _call_ref(call: Row, message_key: str, number: int) -> str:
    return text_of(call, "id") or f"{message_key}:{number}"


def _milliseconds(start: datetime, end: datetime) -> int:
    return max(0, round((end - start).total_seconds() * 1000))


def _result(call: Row) -> str:
    """Return what a tool gave back, as the model saw it."""
    responses = (table_of(table_of(part, "functionResponse"), "response") for part in tables_of(call, "result"))
    texts = (
        text_of(response, "output", "error") or (json_text(response) if response else "") for response in responses
    )
    return "\n".join(filter(None, texts)) or flat_text(call.get("resultDisplay"))


def _parts(row: Row, message_key: str) -> tuple[Part, ...]:
    """Return the parts of a message, none if it is plain text."""
    parts = [Part(kind=PartKind.REASONING, text=_thought(thought)) for thought in tables_of(row, "thoughts")]
    blocks = [*tables_of(row, "content"), *tables_of(row, "parts")]
    if text := text_of(row, "content"):
        blocks.append({"text": text})
    for block in blocks:
        if image := table_of(block, "inlineData"):
            size = len(text_of(image, "data") or "") * 3 // 4
            parts.append(Part(kind=PartKind.IMAGE, media_type=text_of(image, "mimeType"), size_bytes=size))
        elif text := text_of(block, "text"):
            parts.append(Part(kind=PartKind.TEXT, text=text))
    for number, call in enumerate(tables_of(row, "toolCalls")):
        call_ref = _call_ref(call, message_key, number)
        parts.append(Part(kind=PartKind.TOOL_CALL, call_ref=call_ref, name=text_of(call, "name")))
    return () if all(part.kind is PartKind.TEXT for part in parts) else tuple(parts)


def _thought(thought: Row) -> str:
    return "\n".join(filter(None, (text_of(thought, "subject"), text_of(thought, "description"))))


class GeminiLines(GeminiRows, LineReader):
    """Reads a chat of JSON lines."""


class GeminiDocument(GeminiRows):
    """Reads a chat that is one JSON document, the whole of it whenever it has changed.

    The number of a row is that of its message, from 1; the header is number 0.
    """

    def __init__(self, path: Path, *, latest: datetime) -> None:
        """Prepare to read `path`, in which nothing later than `latest` is believed."""
        super().__init__(path, latest=latest)
        self._position = 0
        self._state: tuple[int, int] | None = None
        self._broken: Unreadable | None = None

    @property
    def position(self) -> int:
        """Bytes read so far."""
        return self._position

    def _rest(self) -> Unreadable | None:
        return self._broken

    def _rows(self) -> Iterator[tuple[int, Row | Unreadable]]:
        try:
            stat = self._path.stat()
            if self._state == (stat.st_mtime_ns, stat.st_size):
                return
            data = self._path.read_bytes()
        except OSError as error:
            yield 1, Unreadable(line=1, reason=f"cannot be read: {error.strerror}; check the file and its permissions")
            return
        self._state = (stat.st_mtime_ns, stat.st_size)
        document = self._decoded(data)
        if document is None:
            return
        self._position = len(data)
        # The whole document comes again: without this its first row would look like a shorter transcript.
        self._line = 0
        fit, was_altered = cleaned(document)
        if was_altered:
            reason = "characters that cannot be stored (NUL, lone surrogates) were replaced by U+FFFD"
            yield 0, Unreadable(line=0, reason=reason, was_kept=True)
        yield 0, {name: value for name, value in fit.items() if name not in ("messages", "history")}
        yield from enumerate(tables_of(fit, "messages") or tables_of(fit, "history"), start=1)

    def _decoded(self, data: bytes) -> Row | None:
        """Return the document; None if it is not whole, which it may be the next time."""
        self._broken = None
        try:
            document = _decode(data)
        except (ValueError, RecursionError) as error:
            reason = f"not a whole JSON document ({error}); import it again when it is"
            self._broken = Unreadable(line=1, reason=reason, excerpt=data[:160].decode("utf-8", "replace"))
            return None
        if isinstance(document, dict) and ("messages" in document or "history" in document):
            return document
        self._broken = Unreadable(line=1, reason="not a chat of Gemini CLI: it has no `messages`")
        return None


def _decode(data: bytes) -> object:
    try:
        return msgspec.json.decode(data)
    except msgspec.DecodeError:
        # Lone surrogates are JSON to Python alone; they are replaced afterwards.
        return json.loads(data.decode("utf-8-sig", "replace"), parse_constant=_refused)


def _refused(constant: str) -> object:
    raise ValueError(f"{constant} is not JSON")


class Gemini:
    """Google's Gemini CLI."""

    name = "gemini"
    title = "Gemini CLI"

    def roots(self, environment: Mapping[str, str], home: Path) -> Iterable[Path]:
        """Name the folder under which each project has its chats."""
        folder = environment.get("GEMINI_CLI_HOME")
        yield (Path(folder).expanduser() if folder else home) / ".gemini" / "tmp"

    def files(self, path: Path) -> Iterator[Path]:
        """Yield the chats at or below `path`: what lies in folders named chats, if there are any."""
        found = list(walk(path, (".json", ".jsonl", ".jsonl.gz")))
        chats = [file for file in found if "chats" in file.relative_to(path).parts[:-1]]
        yield from chats or found

    def open(self, path: Path, *, latest: datetime) -> Reader:
        """Start reading one chat."""
        return (GeminiDocument if path.suffix == ".json" else GeminiLines)(path, latest=latest)


SOURCE = Gemini()
