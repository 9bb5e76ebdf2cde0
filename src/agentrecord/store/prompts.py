"""Prompts, stored once: a chain of parts, each kept one time for its project and user.

A prompt is its last part and the prompt before it; the id of each is the hash of both. A conversation of N turns,
each with its whole prompt kept, so takes N parts, not N².
"""

import json
from collections.abc import Sequence
from itertools import takewhile
from typing import Any  # `Any`: rows hold whatever their columns hold
from uuid import UUID

from sqlalchemy import select

from agentrecord.codec import values
from agentrecord.engine import Connection
from agentrecord.exceptions import NotFound
from agentrecord.ids import UserId, derived_id
from agentrecord.records.llm_call import NewLLMCall, PromptPart
from agentrecord.records.scope import Scope
from agentrecord.schema import contents, message_revisions, messages, prompts
from agentrecord.store._sql import insert_or_skip, within

_ADD_CONTENT = insert_or_skip(contents)
_ADD_PROMPT = insert_or_skip(prompts)


def remember(conn: Connection, scope: Scope, user: UserId, call: NewLLMCall) -> tuple[UUID | None, int | None]:
    """Store a call's prompt and return its id and its length in characters.

    Where the call tells the prompt's length and each message's revision, what is stored already of the prompt is not
    read again: a turn then costs what it adds, however long the conversation before it is.
    """
    given = call.prompt
    parts: Sequence[PromptPart] = (PromptPart(content=given),) if isinstance(given, str) else (given or ())
    known = _known(conn, scope, user, parts) if call.prompt_length is not None else []
    head = known[-1] if known else None
    length = 0
    for depth, part in enumerate(parts[len(known) :], start=len(known) + 1):
        head, added = _add(conn, scope, user, part, parent=head, depth=depth)
        length += added
    return head, call.prompt_length if call.prompt_length is not None else length


def _known(conn: Connection, scope: Scope, user: UserId, parts: Sequence[PromptPart]) -> list[UUID]:
    """Return the ids of those parts, from the first, that are stored as the start of a prompt."""
    ids: list[UUID] = []
    for part in parts:
        if part.message_uuid is not None and part.revision is None:
            break
        said = (part.message_uuid, part.revision)
        if part.message_uuid is None:
            said = (_content_id(scope, user, part.content or ""), None)
        ids.append(_part_id(scope, user, ids[-1] if ids else None, part, *said))
    stored: set[object] = set()
    for start in range(0, len(ids), 500):
        mine = (prompts.c.project_id == scope.project, prompts.c.id.in_(ids[start : start + 500]))
        stored.update(row[0] for row in conn.rows(select(prompts.c.id).where(*mine)))
    return list(takewhile(stored.__contains__, ids))


def _content_id(scope: Scope, user: UserId, text: str) -> UUID:
    return derived_id(0, "content", scope.project, user, text)


def _part_id(
    scope: Scope, user: UserId, parent: UUID | None, part: PromptPart, said: UUID | None, revision: int | None
) -> UUID:
    what = (said,) if revision is None else (said, revision)
    return derived_id(0, "prompt", scope.project, user, parent, part.role, *what)


def _add(
    conn: Connection, scope: Scope, user: UserId, part: PromptPart, *, parent: UUID | None, depth: int
) -> tuple[UUID, int]:
    row: dict[str, Any] = {
        "project_id": scope.project,
        "user_uuid": user,
        "parent_uuid": parent,
        "depth": depth,
        "role": part.role,
        "message_uuid": None,
        "revision": None,
        "content_uuid": None,
    }
    if part.message_uuid is not None:
        text, revision = _message_text(conn, scope, part.message_uuid, part.revision)
        row.update(message_uuid=part.message_uuid, revision=revision)
        row["id"] = _part_id(scope, user, parent, part, part.message_uuid, revision)
    else:
        text = values.text("prompt", part.content or "")
        content = _content_id(scope, user, text)
        conn.run(
            _ADD_CONTENT,
            {
                "project_id": scope.project,
                "id": content,
                "user_uuid": user,
                "content": text,
                "created_at": conn.now,
            },
        )
        row["content_uuid"] = content
        row["id"] = _part_id(scope, user, parent, part, content, None)
    conn.run(_ADD_PROMPT, row)
    return row["id"], len(text)


def _message_text(conn: Connection, scope: Scope, message: UUID, revision: int | None) -> tuple[str, int]:
    row = conn.first(
        select(messages.c.content, messages.c.revision).where(*within(scope, messages), messages.c.id == message)
    )
    if row is None:
        raise NotFound("message", message)
    if revision in (None, row[1]):
        return row[0], row[1]
    old = conn.value(
        select(message_revisions.c.content).where(
            message_revisions.c.project_id == scope.project,
            message_revisions.c.message_uuid == message,
            message_revisions.c.revision == revision,
        )
    )
    if old is None:
        raise NotFound("revision", f"{message}#{revision}")
    return old, revision or 1


def parts(conn: Connection, scope: Scope, prompt: UUID) -> tuple[PromptPart, ...]:
    """Return a prompt's parts in order, each with its content."""
    chain = (
        select(prompts.c.id, prompts.c.parent_uuid)
        .where(*within(scope, prompts), prompts.c.id == prompt)
        .cte("chain", recursive=True)
    )
    above = prompts.alias("above")
    chain = chain.union_all(
        select(above.c.id, above.c.parent_uuid).where(
            above.c.project_id == scope.project, above.c.id == chain.c.parent_uuid
        )
    )
    rows = conn.maps(
        select(prompts, contents.c.content.label("content"))
        .select_from(
            prompts.join(chain, prompts.c.id == chain.c.id).outerjoin(
                contents,
                (contents.c.project_id == prompts.c.project_id) & (contents.c.id == prompts.c.content_uuid),
            )
        )
        .where(prompts.c.project_id == scope.project)
        .order_by(prompts.c.depth)
    )
    if not rows:
        raise NotFound("prompt", prompt)
    return tuple(_part(conn, scope, row) for row in rows)


def _part(conn: Connection, scope: Scope, row: dict[str, Any]) -> PromptPart:
    content = row["content"]
    if row["message_uuid"] is not None:
        content, _ = _message_text(conn, scope, row["message_uuid"], row["revision"])
    return PromptPart(role=row["role"], content=content, message_uuid=row["message_uuid"], revision=row["revision"])


def text(conn: Connection, scope: Scope, prompt: UUID) -> str:
    """Return a prompt as it was given: the text itself, or its messages as a JSON array of role and content."""
    found = parts(conn, scope, prompt)
    if len(found) == 1 and found[0].role is None:
        return found[0].content or ""
    return json.dumps([{"role": part.role, "content": part.content} for part in found], ensure_ascii=False)
