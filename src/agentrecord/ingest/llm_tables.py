"""The two generations of tables in a database of the `llm` tool, read into the same exchanges.

The older one keeps each prompt and response in a row of `responses`. The newer one keeps messages in a tree in
which conversations share what is equal: a row of `turns` points at the end of its input and of its output.
"""

import sqlite3
from dataclasses import dataclass

from agentrecord.ingest.fields import Row, cleaned, json_object, json_or_text, text_of
from agentrecord.records.message import MessageRole, Part, PartKind

OLDER = "responses"
NEWER = "turns"
MAX_MESSAGES = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolUse:
    """A tool that the model asked for."""

    call_ref: str
    name: str
    arguments: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolOutput:
    """What a tool gave back to the model."""

    call_ref: str
    name: str
    output: str
    is_error: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One message of an exchange."""

    key: str
    role: MessageRole
    content: str
    parts: tuple[Part, ...] = ()
    uses: tuple[ToolUse, ...] = ()
    results: tuple[ToolOutput, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One call of a model with what was new in its input, and its output; `row` is the row that records it."""

    row: Row
    response_id: str
    thread_id: str | None
    title: str | None
    forked_from: str | None
    model: str | None
    said: tuple[Said, ...]


def has_table(connection: sqlite3.Connection, table: str) -> bool:
    """Say whether the database has this table; older versions lack many."""
    query = "select 1 from sqlite_master where type = 'table' and name = ?"
    return connection.execute(query, (table,)).fetchone() is not None


def older_exchange(connection: sqlite3.Connection, row: Row) -> Exchange:
    """Return what a row of `responses` records."""
    response_id, thread_id = text_of(row, "id") or "", text_of(row, "conversation_id")
    said = [*_older_input(connection, row, response_id), _older_answer(connection, row, response_id)]
    return Exchange(
        row=row,
        response_id=response_id,
        thread_id=thread_id,
        title=_title(connection, "conversations", thread_id),
        forked_from=None,
        model=text_of(row, "resolved_model", "model"),
        said=tuple(said),
    )


def _rows(connection: sqlite3.Connection, tables: str, query: str, *arguments: str) -> list[Row]:
    """Return the rows of a query, none if one of the tables that it needs is missing."""
    if not all(has_table(connection, table) for table in tables.split()):
        return []
    return [cleaned(dict(row))[0] for row in connection.execute(query, arguments)]


def _title(connection: sqlite3.Connection, table: str, thread_id: str | None) -> str | None:
    found = _rows(connection, table, f"select name from {table} where id = ?", thread_id or "")
    return text_of(found[0], "name") if found else None


def _older_input(connection: sqlite3.Connection, row: Row, response_id: str) -> list[Said]:
    said = []
    if system := _with_fragments(connection, "system_fragments", response_id, text_of(row, "system")):
        said.append(Said(key=f"{response_id}:system", role=MessageRole.SYSTEM, content=system))
    for result in _older_results(connection, response_id):
        key = f"{response_id}:{result.call_ref}"
        said.append(Said(key=key, role=MessageRole.TOOL, content=result.output, results=(result,)))
    prompt = _with_fragments(connection, "prompt_fragments", response_id, text_of(row, "prompt"))
    images = _older_attachments(connection, response_id)
    if prompt or images:
        parts = (Part(kind=PartKind.TEXT, text=prompt), *images) if images else ()
        said.append(Said(key=f"{response_id}:prompt", role=MessageRole.USER, content=prompt, parts=parts))
    return said


def _with_fragments(connection: sqlite3.Connection, table: str, response_id: str, text: str | None) -> str:
    query = (
        f"select content from {table} join fragments on fragments.id = {table}.fragment_id"
        f' where response_id = ? order by "order"'
    )
    fragments = _rows(connection, f"{table} fragments", query, response_id)
    return "\n".join(filter(None, [*(text_of(fragment, "content") for fragment in fragments), text]))


def _older_attachments(connection: sqlite3.Connection, response_id: str) -> tuple[Part, ...]:
    query = (
        "select type, length(content) as size_bytes from prompt_attachments"
        ' join attachments on attachments.id = attachment_id where response_id = ? order by "order"'
    )
    found = _rows(connection, "prompt_attachments attachments", query, response_id)
    return tuple(
        Part(kind=PartKind.IMAGE, media_type=text_of(row, "type"), size_bytes=row["size_bytes"]) for row in found
    )


def _older_results(connection: sqlite3.Connection, response_id: str) -> list[ToolOutput]:
    query = "select * from tool_results where response_id = ? order by id"
    return [
        ToolOutput(
            call_ref=text_of(row, "tool_call_id") or f"{text_of(row, 'name')}-{row['id']}",
            name=text_of(row, "name") or "unknown",
            output=text_of(row, "output") or "",
            is_error=bool(text_of(row, "exception")),
        )
        for row in _rows(connection, "tool_results", query, response_id)
    ]


def _older_answer(connection: sqlite3.Connection, row: Row, response_id: str) -> Said:
    query = "select * from tool_calls where response_id = ? order by id"
    uses = tuple(
        ToolUse(
            call_ref=text_of(call, "tool_call_id") or f"{text_of(call, 'name')}-{call['id']}",
            name=text_of(call, "name") or "unknown",
            arguments=text_of(call, "arguments"),
        )
        for call in _rows(connection, "tool_calls", query, response_id)
    )
    content = text_of(row, "response") or ""
    parts = [Part(kind=PartKind.TOOL_CALL, call_ref=use.call_ref, name=use.name) for use in uses]
    if reasoning := text_of(row, "reasoning"):
        parts.insert(0, Part(kind=PartKind.REASONING, text=reasoning))
    if parts and content:
        parts.insert(len(parts) - len(uses), Part(kind=PartKind.TEXT, text=content))
    return Said(
        key=f"{response_id}:response", role=MessageRole.ASSISTANT, content=content, parts=tuple(parts), uses=uses
    )


def newer_exchange(connection: sqlite3.Connection, row: Row) -> Exchange:
    """Return what a row of `turns` records."""
    response_id, thread_id = text_of(row, "id") or "", text_of(row, "thread_id")
    threads = _rows(connection, "threads", "select * from threads where id = ?", thread_id or "")
    thread = threads[0] if threads else {}
    return Exchange(
        row=row,
        response_id=response_id,
        thread_id=thread_id,
        title=text_of(thread, "name"),
        forked_from=text_of(thread, "forked_from"),
        model=text_of(row, "resolved_model", "model"),
        said=tuple(_said(connection, message) for message in _new_messages(connection, row)),
    )


def _new_messages(connection: sqlite3.Connection, row: Row) -> list[Row]:
    """Return the output of a turn and what was new in its input, oldest first.

    New is what came after the last answer: what is before that belongs to an earlier turn, or to an older
    response that was logged before the message tree existed.
    """
    parent, at = text_of(row, "parent_message_hash"), text_of(row, "tip_message_hash")
    found: list[Row] = []
    is_output = at != parent
    while at is not None and len(found) < MAX_MESSAGES:
        is_output = is_output and at != parent
        messages = _rows(connection, "messages", "select * from messages where hash = ?", at)
        if not messages:
            raise ValueError(f"message {at} is missing from the database; the response was left out")
        if not is_output and messages[0].get("role") == "assistant":
            break
        found.append(messages[0])
        at = text_of(messages[0], "parent_hash")
    return found[::-1]


def _said(connection: sqlite3.Connection, message: Row) -> Said:
    key, named = text_of(message, "hash") or "", text_of(message, "role")
    role = MessageRole(named) if named in tuple(MessageRole) else MessageRole.SYSTEM
    query = "select * from parts where message_hash = ? order by position"
    payloads = [_payload(connection, part) for part in _rows(connection, "parts", query, key)]
    uses = [_use(payload, key) for payload in payloads if payload["type"] == "tool_call"]
    results = [_result(payload, key) for payload in payloads if payload["type"] == "tool_result"]
    parts = tuple(_part(payload, key) for payload in payloads)
    texts = [text_of(payload, "text") for payload in payloads if payload["type"] == "text"]
    outputs = [result.output for result in results]
    return Said(
        key=key,
        role=role,
        content="\n".join(filter(None, [*texts, *outputs])),
        parts=() if all(part.kind is PartKind.TEXT for part in parts) else parts,
        uses=tuple(uses),
        results=tuple(results),
    )


def _payload(connection: sqlite3.Connection, part: Row) -> Row:
    """Return a part as one object: its columns, and the structure that is kept beside them as JSON."""
    payload = json_object(text_of(part, "payload") or "")
    payload["type"] = text_of(part, "type") or ""
    if text := text_of(part, "text"):
        payload["text"] = text
    if isinstance(pieces := payload.get("text_ref"), list):
        payload["text"] = "".join(_piece(connection, piece) for piece in pieces)
    if payload["type"] == "attachment":
        query = (
            "select type, length(content) as size_bytes from part_attachments"
            ' join attachments on attachments.id = attachment_id where part_id = ? order by "order"'
        )
        found = _rows(connection, "part_attachments attachments", query, str(part["id"]))
        payload["attachment"] = found[0] if found else {}
    return payload


def _piece(connection: sqlite3.Connection, piece: object) -> str:
    """Return a piece of a text that borrows from fragments: a literal, or a fragment by its number."""
    row = piece if isinstance(piece, dict) else {}
    query = "select content from fragments where id = ?"
    found = _rows(connection, "fragments", query, str(row["fragment"])) if "fragment" in row else [row]
    return next((text_of(one, "content", "literal") or "" for one in found), "")


def _call_ref(payload: Row, key: str) -> str:
    return text_of(payload, "tool_call_id") or f"{text_of(payload, 'name')}-{key}"


def _use(payload: Row, key: str) -> ToolUse:
    name = text_of(payload, "name") or "unknown"
    return ToolUse(call_ref=_call_ref(payload, key), name=name, arguments=json_or_text(payload.get("arguments")))


def _result(payload: Row, key: str) -> ToolOutput:
    return ToolOutput(
        call_ref=_call_ref(payload, key),
        name=text_of(payload, "name") or "unknown",
        output=json_or_text(payload.get("output")) or "",
        is_error=bool(payload.get("exception")),
    )


def _part(payload: Row, key: str) -> Part:
    kind = payload["type"]
    if kind == "reasoning":
        return Part(kind=PartKind.REASONING, text=text_of(payload, "text") or "")
    if kind == "tool_call":
        return Part(kind=PartKind.TOOL_CALL, call_ref=_call_ref(payload, key), name=text_of(payload, "name"))
    if kind == "tool_result":
        call_ref, is_error = _call_ref(payload, key), bool(payload.get("exception"))
        return Part(kind=PartKind.TOOL_RESULT, call_ref=call_ref, name=text_of(payload, "name"), is_error=is_error)
    if kind == "attachment":
        about = payload["attachment"]
        return Part(kind=PartKind.IMAGE, media_type=text_of(about, "type"), size_bytes=about.get("size_bytes"))
    return Part(kind=PartKind.TEXT, text=text_of(payload, "text") or "")
