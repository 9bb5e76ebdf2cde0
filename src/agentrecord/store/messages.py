"""Messages: append turns, edit with revisions, delete, read pages and conversations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import add
from typing import Any  # `Any`: rows hold whatever their columns hold
from uuid import UUID

from sqlalchemy import ColumnElement, bindparam, select, update

from agentrecord.codec import values
from agentrecord.engine import Connection, Prepared
from agentrecord.exceptions import Conflict, NotFound, StaleRevision
from agentrecord.ids import NIL, UserId
from agentrecord.records.change import ChangeKind
from agentrecord.records.error import ErrorKind
from agentrecord.records.llm_call import LLMCall, NewLLMCall
from agentrecord.records.message import Message, MessageRole, NewMessage, Part, Revision
from agentrecord.records.page import Page
from agentrecord.records.scope import Scope
from agentrecord.records.session import Session
from agentrecord.records.unset import UNSET, UnsetType
from agentrecord.records.usage import UsageTotals
from agentrecord.schema import llm_calls, message_revisions, messages
from agentrecord.schema.tables import USAGE_COUNTERS
from agentrecord.store import llm_calls as call_store
from agentrecord.store import owners, purging, search, sessions
from agentrecord.store._arrivals import note
from agentrecord.store._call_counts import call_counts
from agentrecord.store._failures import answered
from agentrecord.store._figures import TOUCH_SESSION_RETURNING, Figures
from agentrecord.store._page import page
from agentrecord.store._rows import NO_USAGE, call_row, message_of, message_row, parts_of, parts_text
from agentrecord.store._sql import bound_within, insert_into, scope_params, within
from agentrecord.store._turns import turn_rows

_ADD_REVISION = insert_into(message_revisions)
_LAST = Prepared(
    select(messages)
    .where(*bound_within(messages), messages.c.session_uuid == bindparam("session"), messages.c.deleted_at.is_(None))
    .order_by(messages.c.sequence.desc())
    .limit(bindparam("n"))
)
_BY_ID = Prepared(
    select(messages).where(*bound_within(messages), messages.c.id == bindparam("id"), messages.c.deleted_at.is_(None))
)
_CALLS_OF_ONE = Prepared(
    select(llm_calls).where(
        llm_calls.c.project_id == bindparam("project"),
        llm_calls.c.session_uuid == bindparam("session"),
        llm_calls.c.message_uuid == bindparam("message"),
    )
)
SORTS: Mapping[str, ColumnElement[Any]] = {"sequence": messages.c.sequence, "created_at": messages.c.created_at}


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What `append` stored: the messages with their sequence, and the calls with their cost."""

    messages: tuple[Message, ...]
    calls: tuple[LLMCall, ...] = ()


def append(
    conn: Connection,
    scope: Scope,
    session: UUID,
    new_messages: Sequence[NewMessage],
    *,
    calls: Sequence[NewLLMCall] = (),
    indexed: bool = True,
) -> Turn:
    """Append messages, and the LLM calls that made them, to a session: all of it or nothing.

    A call that names no message belongs to the last assistant message given here. Messages sent again with the
    same `id` and content are returned as stored; other content raises `Conflict`. Raises `NotFound` if the session
    is not there. Search does not find messages that were not `indexed`.
    """
    given = {new.id for new in new_messages if new.id is not None}
    stored = _stored(conn, scope, session, new_messages) if given else {}
    fresh = [new for new in new_messages if new.id is None or new.id not in stored]
    ids = [new.id or conn.new_id() for new in fresh]
    roles = zip(reversed(fresh), reversed(ids), strict=True)
    answer = next((i for new, i in roles if new.role is MessageRole.ASSISTANT), None)
    told = [values.moment("created_at", new.created_at) for new in fresh if new.created_at is not None]
    latest = max(told if len(told) == len(fresh) and told else [conn.now, *told])
    figures = Figures(scope.project, conn.now)
    figures.session(session, active_at=latest if fresh else None, message_count=len(fresh), last_sequence=len(fresh))
    plain = all(map(call_store.is_plain, calls))
    call_rows = _plain_calls(conn, scope, session, answer, calls, figures) if plain else []
    # The session's row comes first: its lock orders the appends, and it says whose session this is.
    touched = conn.touch(TOUCH_SESSION_RETURNING, figures.session_params(session))
    if touched is None or (scope.user is not None and touched[2] != scope.user):
        raise NotFound("session", session)
    last, _, user, agent, tool_calls = touched
    rows = [
        message_row(scope.project, session, user, new, message=i, sequence=last - len(fresh) + n, now=conn.now)
        for n, (new, i) in enumerate(zip(fresh, ids, strict=True), start=1)
    ]
    of_runs = owners.of_runs(conn, scope, [new.run_uuid for new in calls])
    for call in call_rows:
        own, call["agent_version_uuid"] = of_runs.get(call["run_uuid"], owners.OF_NO_RUN)
        call["user_uuid"], call["agent_uuid"] = user, own or agent
    recorded = call_rows
    if not plain:
        recorded = call_store.record_rows(
            conn, scope, calls, figures, user=user, agent=agent, session=session, message=answer, of_runs=of_runs
        )
        figures.apply(conn)
    turn_rows(conn, scope).add(
        session, rows, call_rows, agent=agent, latest=latest, indexed=indexed, is_toolless=not tool_calls
    )
    return _turn(conn, stored, rows, recorded)


def _plain_calls(
    conn: Connection,
    scope: Scope,
    session: UUID,
    answer: UUID | None,
    calls: Sequence[NewLLMCall],
    figures: Figures,
) -> list[dict[str, Any]]:
    """Return calls as rows that still lack their owner, counted in their session."""
    rows = [
        call_row(conn, scope, new, call=conn.new_id(), user=UserId(NIL), agent=None, session=session, message=answer)
        for new in calls
    ]
    for row in rows:
        if row["session_uuid"] == session:
            figures.session_call(session, call_counts(row), row["timestamp"])
    return rows


def _turn(
    conn: Connection,
    stored: Mapping[UUID, Message],
    rows: Sequence[dict[str, Any]],
    recorded: Sequence[dict[str, Any]],
) -> Turn:
    usage = _usage_by_message(recorded)
    found = [message_of(row, usage.get(row["id"], NO_USAGE)) for row in rows]
    if stored:
        found = sorted([*stored.values(), *found], key=lambda m: m.sequence)
    return Turn(messages=tuple(found), calls=tuple([call_store.record_of(conn, row) for row in recorded]))


def _stored(conn: Connection, scope: Scope, session: UUID, given: Sequence[NewMessage]) -> dict[UUID, Message]:
    """Return those of `given` that are there already; raise `Conflict` where one of them says something else."""
    wanted = {new.id: new for new in given if new.id is not None}
    same = (messages.c.project_id == scope.project, messages.c.id.in_(list(wanted)))
    with conn.across_users():
        taken = {row[0] for row in conn.rows(select(messages.c.id).where(*same))}
    if not taken:
        return {}
    rows = conn.maps(select(messages).where(*same))
    for another in taken - {row["id"] for row in rows}:
        raise Conflict("message", another)
    for row in rows:
        new = wanted[row["id"]]
        same = row["session_uuid"] == session and row["role"] == new.role and row["revision"] > 1
        if not same and (row["session_uuid"], row["role"], row["content"]) != (session, new.role, new.content):
            raise Conflict("message", row["id"])
    return {row["id"]: message_of(row) for row in rows}


def _usage_by_message(calls: Sequence[Mapping[str, Any]]) -> dict[UUID, UsageTotals]:
    sums: dict[UUID, Sequence[int]] = {}
    for call in calls:
        message = call["message_uuid"]
        if message is not None:
            counts, before = call_counts(call), sums.get(message)
            sums[message] = counts if before is None else list(map(add, before, counts))
    return {message: UsageTotals(**dict(zip(USAGE_COUNTERS, counts, strict=True))) for message, counts in sums.items()}


def with_usage(conn: Connection, scope: Scope, rows: Sequence[dict[str, Any]]) -> list[Message]:
    """Return rows as messages, each with the sum of the calls that made it."""
    calls: list[dict[str, Any]] = []
    ids = [row["id"] for row in rows]
    sessions_seen = list({row["session_uuid"] for row in rows})
    if ids:
        calls = conn.maps(
            select(llm_calls).where(
                llm_calls.c.project_id == scope.project,
                llm_calls.c.session_uuid.in_(sessions_seen),
                llm_calls.c.message_uuid.in_(ids),
            )
        )
    usage = _usage_by_message(calls)
    return [message_of(row, usage.get(row["id"], UsageTotals())) for row in rows]


def get(conn: Connection, scope: Scope, message: UUID) -> Message:
    """Return a message with the sum of its calls; raise `NotFound` if it is not there or deleted."""
    row = conn.first_map(_BY_ID, {**scope_params(scope), "id": message})
    if row is None:
        raise NotFound("message", message)
    of_one = {"project": scope.project, "session": row["session_uuid"], "message": message}
    return message_of(row, _usage_by_message(conn.maps(_CALLS_OF_ONE, of_one)).get(message, UsageTotals()))


def list_(
    conn: Connection,
    scope: Scope,
    session: UUID,
    *,
    sort: str = "sequence",
    role: MessageRole | None = None,
    limit: int = 50,
    cursor: str | None = None,
    offset: int = 0,
) -> Page[Message]:
    """Return a session's messages in order; deleted ones are left out."""
    sessions.get(conn, scope, session)
    statement = select(messages).where(
        *within(scope, messages), messages.c.session_uuid == session, messages.c.deleted_at.is_(None)
    )
    if role is not None:
        statement = statement.where(messages.c.role == role)
    found = page(
        conn, statement, dict, sorts=SORTS, sort=sort, row_id=messages.c.id,
        limit=limit, cursor=cursor, offset=offset,
    )  # fmt: skip
    shown = with_usage(conn, scope, [dict(row) for row in found.items])
    return Page(shown, found.limit, found.next_cursor, found.total, found.total_is_exact)


def recent(conn: Connection, scope: Scope, session: UUID, *, limit: int = 50) -> tuple[Message, ...]:
    """Return a session's last messages, oldest first, without the sums of their calls."""
    rows = conn.maps(_LAST, {**scope_params(scope), "session": session, "n": values.integer("limit", limit, minimum=0)})
    return tuple([message_of(row) for row in reversed(rows)])


def edit(
    conn: Connection,
    scope: Scope,
    message: UUID,
    content: str | UnsetType = UNSET,
    *,
    parts: tuple[Part, ...] = (),
    extra_data: str | None | UnsetType = UNSET,
    tool_call_id: str | None | UnsetType = UNSET,
    tool_name: str | None | UnsetType = UNSET,
    seen_revision: int | None = None,
) -> Message:
    """Change a message; whatever is left out stays. With new content, the old stays as a revision.

    With `seen_revision`, raises `StaleRevision` if the message has changed since that revision was read.
    """
    old = get(conn, scope, message)
    if seen_revision not in (None, old.revision):
        raise StaleRevision("message", message, f"is at revision {old.revision}, not {seen_revision}")
    new_values: dict[str, Any] = {"updated_at": conn.now}
    if content is not UNSET:
        new_values.update(content=values.text("content", content), parts=parts_text(parts), revision=old.revision + 1)
    if extra_data is not UNSET:
        new_values["extra_data"] = None if extra_data is None else values.json_text("extra_data", extra_data)
    for name, value in (("tool_call_id", tool_call_id), ("tool_name", tool_name)):
        if value is not UNSET:
            new_values[name] = None if value is None else values.text(name, value)
    changed = conn.first(
        update(messages)
        .where(*within(scope, messages), messages.c.id == message, messages.c.revision == old.revision)
        .values(**new_values)
        .returning(messages.c.id, messages.c.user_uuid)
    )
    if changed is None:
        raise StaleRevision("message", message, "was changed by somebody else just now; read it again")
    if content is not UNSET:
        conn.run(_ADD_REVISION, _revision_row(scope, old))
        search.replace(conn, scope, message, old.content, content)
        _retell(conn, scope, old)
    note(conn, scope.project, ChangeKind.MESSAGE, message, changed[1])
    return get(conn, scope, message)


def _retell(conn: Connection, scope: Scope, changed: Message) -> None:
    """Let the failure of a tool say what its result, a message that was changed, says now."""
    if changed.role is MessageRole.TOOL:
        figures = Figures(scope.project, conn.now)
        for use in answered(conn, scope.project, {changed.id: changed.session_uuid}):
            figures.failed(ErrorKind.TOOL, use)
        figures.apply(conn)


def _revision_row(scope: Scope, old: Message) -> dict[str, Any]:
    return {
        "project_id": scope.project,
        "message_uuid": old.id,
        "revision": old.revision,
        "content": old.content,
        "parts": parts_text(old.parts),
        "created_at": old.updated_at,
    }


def revisions(conn: Connection, scope: Scope, message: UUID) -> tuple[Revision, ...]:
    """Return every content a message had, the first one first."""
    now = get(conn, scope, message)
    rows = conn.maps(
        select(message_revisions)
        .where(message_revisions.c.project_id == scope.project, message_revisions.c.message_uuid == message)
        .order_by(message_revisions.c.revision)
    )
    old = [
        Revision(
            message_uuid=message, revision=row["revision"], content=row["content"],
            parts=parts_of(row["parts"]), created_at=row["created_at"],
        )
        for row in rows
    ]  # fmt: skip
    latest = Revision(
        message_uuid=message, revision=now.revision, content=now.content, parts=now.parts, created_at=now.updated_at
    )
    return (*old, latest)


def delete(conn: Connection, scope: Scope, message: UUID) -> None:
    """Delete a message's content and revisions, and what its run repeats of it; its place and its calls stay."""
    found = conn.first_map(
        select(messages)
        .where(*within(scope, messages), messages.c.id == message, messages.c.deleted_at.is_(None))
        .with_for_update()
    )
    if found is None:
        raise NotFound("message", message)
    old = message_of(found)
    search.forget(conn, scope, {message: old.content})
    conn.run(
        message_revisions.delete().where(
            message_revisions.c.project_id == scope.project, message_revisions.c.message_uuid == message
        )
    )
    conn.run(
        update(messages)
        .where(*within(scope, messages), messages.c.id == message)
        .values(content="", parts=None, extra_data=None, metadata=None, deleted_at=conn.now, updated_at=conn.now)
    )
    purging.purge_message(conn, scope, old.session_uuid, message, old.run_uuid)
    figures = Figures(scope.project, conn.now)
    figures.session(old.session_uuid, message_count=-1)
    note(conn, scope.project, ChangeKind.SESSION, old.session_uuid, found["user_uuid"])
    figures.apply(conn)


def post(conn: Connection, scope: Scope, session: UUID, new: NewMessage) -> Message:
    """Append one message to an active session; raise `Conflict` if the session is inactive."""
    ensure_active(sessions.locked(conn, scope, session))
    return append(conn, scope, session, [new]).messages[0]


def ensure_active(session: Session) -> None:
    """Raise `Conflict` unless a session takes further messages."""
    if not session.is_active:
        raise Conflict("session", session.session_id, "is inactive and takes no messages; activate it first")


def clear(conn: Connection, scope: Scope, session: str | UUID) -> int:
    """Delete the content of every message of a session and return how many there were; its calls and figures stay."""
    return purging.purge_messages(conn, scope, sessions.locked(conn, scope, session).id)
