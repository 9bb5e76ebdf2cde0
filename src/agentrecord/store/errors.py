"""Errors: record them, each in the group of its fingerprint, and read them."""

import hashlib
import re
from collections.abc import Mapping
from typing import Any  # `Any`: rows hold whatever their columns hold
from uuid import UUID

from sqlalchemy import bindparam, case, null, select, update

from agentrecord.codec import values
from agentrecord.engine import Connection, Prepared
from agentrecord.exceptions import Conflict, NotFound
from agentrecord.ids import UserId, derived_id
from agentrecord.records.change import ChangeKind
from agentrecord.records.error import ErrorRecord, NewError
from agentrecord.records.page import Page
from agentrecord.records.scope import Scope
from agentrecord.schema import agents as agent_table
from agentrecord.schema import error_groups, errors, runs, sessions, users
from agentrecord.store import agents, owners
from agentrecord.store._arrivals import announcing
from agentrecord.store._figures import Figures
from agentrecord.store._page import page
from agentrecord.store._sql import contains, insert_into, insert_or_skip, within

ADD_ERROR = announcing(insert_into(errors), ChangeKind.ERROR)
_ADD_GROUP = insert_or_skip(error_groups)
_AT = bindparam("at", type_=errors.c.created_at.type)
_NOW = bindparam("now", type_=errors.c.created_at.type)
_COUNT_UP: dict[str, Any] = {
    "count": error_groups.c.count + 1,
    "first_seen_at": case((error_groups.c.first_seen_at > _AT, _AT), else_=error_groups.c.first_seen_at),
    "last_seen_at": case((error_groups.c.last_seen_at < _AT, _AT), else_=error_groups.c.last_seen_at),
}
_GROUP = update(error_groups).where(
    error_groups.c.project_id == bindparam("key_project"), error_groups.c.id == bindparam("key_id")
)
_SEEN_AGAIN = Prepared(
    _GROUP.values(
        **_COUNT_UP,
        resolved_at=null(),
        # It was thought to be over.
        regressed_at=case((error_groups.c.resolved_at.is_not(None), _NOW), else_=error_groups.c.regressed_at),
    )
)
_SEEN_RESOLVED = Prepared(_GROUP.values(**_COUNT_UP))
_VARYING = re.compile(
    r"[0-9a-fA-F]{8}-[0-9a-fA-F-]{27,}|0x[0-9a-fA-F]+|\b(?:req|msg|toolu|call|run|sess)_\w+|\b[0-9a-fA-F]{12,}\b|\d+"
)
_JOINED = (
    errors.join(
        error_groups, (error_groups.c.project_id == errors.c.project_id) & (error_groups.c.id == errors.c.group_uuid)
    )
    .join(users, (users.c.project_id == errors.c.project_id) & (users.c.id == errors.c.user_uuid))
    .outerjoin(
        agent_table, (agent_table.c.project_id == errors.c.project_id) & (agent_table.c.id == errors.c.agent_uuid)
    )
    .outerjoin(runs, (runs.c.project_id == errors.c.project_id) & (runs.c.id == errors.c.run_uuid))
    .outerjoin(sessions, (sessions.c.project_id == errors.c.project_id) & (sessions.c.id == errors.c.session_uuid))
)
_SELECT = select(
    *[c for c in errors.c if c.name not in ("project_id", "group_uuid")],
    error_groups.c.fingerprint,
    users.c.external_id.label("user"),
    agent_table.c.agent_id,
    runs.c.run_id,
    sessions.c.session_id,
).select_from(_JOINED)
SORTS = {"created_at": errors.c.created_at}


def fingerprint(error_type: str, message: str) -> str:
    """Return what equal errors share: a hash of the type and the message without its numbers and ids."""
    return hashlib.sha256(f"{error_type}\x1f{without_numbers(message)}".encode()).hexdigest()[:16]


def without_numbers(message: str) -> str:
    """Return what messages have in common that differ in numbers and ids only: each of these is a `#`."""
    return _VARYING.sub("#", message[:2000]).strip()


def _error(row: Mapping[str, Any]) -> ErrorRecord:
    return ErrorRecord(**{name: value for name, value in row.items() if name != "page_key"})


def error_row(
    conn: Connection, scope: Scope, new: NewError, *, error: UUID, user: UserId, agent: UUID | None
) -> dict[str, Any]:
    """Return a new error as a row, in the group of its fingerprint."""
    values.name("error_type", new.error_type)
    message = values.text("error_message", new.error_message)
    row: dict[str, Any] = {
        "project_id": scope.project,
        "id": error,
        "serial": None,
        "group_uuid": derived_id(0, "error", scope.project, fingerprint(new.error_type, message)),
        "user_uuid": user,
        "agent_uuid": agent,
        "session_uuid": new.session_uuid,
        "run_uuid": new.run_uuid,
        "error_type": new.error_type,
        "error_message": message,
        "error_code": new.error_code,
        "stack_trace": new.stack_trace,
        "context": None if new.context is None else values.json_text("context", new.context),
        "is_resolved": False,
        "resolved_at": None,
        "created_at": conn.now if new.created_at is None else values.moment("created_at", new.created_at),
    }
    for name in ("error_code", "stack_trace"):
        if row[name] is not None:
            values.text(name, row[name])
    return row


def group_of(scope: Scope, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the group of an error's row as a row, with nothing counted in it yet."""
    found = fingerprint(row["error_type"], row["error_message"])
    return {
        "project_id": scope.project,
        "id": derived_id(0, "error", scope.project, found),
        "fingerprint": found,
        "error_type": row["error_type"],
        "error_message": row["error_message"],
        "count": 0,
        "first_seen_at": row["created_at"],
        "last_seen_at": row["created_at"],
        "resolved_at": row["resolved_at"],
        "regressed_at": None,
    }


def count_in_group(conn: Connection, scope: Scope, row: Mapping[str, Any]) -> None:
    """Count an error in its group, which is open again unless the error is resolved."""
    statement = _SEEN_RESOLVED if row["is_resolved"] else _SEEN_AGAIN
    told = {"key_project": scope.project, "key_id": row["group_uuid"], "at": row["created_at"]}
    conn.run(statement, told if row["is_resolved"] else {**told, "now": conn.now})


def add_rows(conn: Connection, scope: Scope, rows: list[dict[str, Any]], figures: Figures) -> None:
    """Store errors that are new, their groups and their counts, in the caller's transaction."""
    for row in rows:
        conn.run(_ADD_GROUP, group_of(scope, row))
        count_in_group(conn, scope, row)
        figures.error(row)
    conn.many(ADD_ERROR, rows)


def record(conn: Connection, scope: Scope, new: NewError, *, user: str | None = None) -> ErrorRecord:
    """Record an error and count it in its group; the same `id` again is the same error.

    Raises `Conflict` if that id is another error.
    """
    if new.id is not None:
        stored = conn.first_map(_SELECT.where(*within(scope, errors), errors.c.id == new.id))
        if stored is not None:
            if (stored["error_type"], stored["error_message"]) != (new.error_type, new.error_message):
                raise Conflict("error", new.id)
            return _error(stored)
    owner, agent = owners.of(conn, scope, session=new.session_uuid, run=new.run_uuid, user=user)
    agent = agents.agent_uuid(conn, scope, new.agent_id) or agent
    row = error_row(conn, scope, new, error=new.id or conn.new_id(), user=owner, agent=agent)
    figures = Figures(scope.project, conn.now)
    add_rows(conn, scope, [row], figures)
    figures.apply(conn)
    return get(conn, scope, row["id"])


def get(conn: Connection, scope: Scope, error: UUID) -> ErrorRecord:
    """Return an error; raise `NotFound` if it is not there."""
    row = conn.first_map(_SELECT.where(*within(scope, errors), errors.c.id == error))
    if row is None:
        raise NotFound("error", error)
    return _error(row)


def list_(
    conn: Connection,
    scope: Scope,
    *,
    group: UUID | None = None,
    session: UUID | None = None,
    run: UUID | None = None,
    words: str | None = None,
    sort: str = "-created_at",
    limit: int = 50,
    cursor: str | None = None,
) -> Page[ErrorRecord]:
    """Return errors, the newest first."""
    wanted = {errors.c.group_uuid: group, errors.c.session_uuid: session, errors.c.run_uuid: run}
    conditions = [column == value for column, value in wanted.items() if value is not None]
    if words:
        conditions.append(contains(errors.c.error_message, words))
    return page(
        conn, _SELECT.where(*within(scope, errors), *conditions), _error,
        sorts=SORTS, sort=sort, row_id=errors.c.id, limit=limit, cursor=cursor,
    )  # fmt: skip
