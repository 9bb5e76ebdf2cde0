"""Errors: record them, each in the group of its fingerprint, and read them."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any  # `Any`: rows hold whatever their columns hold
from uuid import UUID

from sqlalchemy import select

from agentrecord.engine import Connection
from agentrecord.exceptions import Conflict, NotFound
from agentrecord.records.error import ErrorKind, ErrorRecord, NewError
from agentrecord.records.page import Page
from agentrecord.records.scope import Scope
from agentrecord.schema import agents as agent_table
from agentrecord.schema import error_groups, errors, llm_calls, runs, sessions, tool_calls, users
from agentrecord.store import agents, owners
from agentrecord.store._error_rows import ADD_ERROR, count_in_groups, error_row
from agentrecord.store._figures import Figures
from agentrecord.store._page import page
from agentrecord.store._sql import contains, within

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


def _error(row: Mapping[str, Any]) -> ErrorRecord:
    return ErrorRecord(**{name: value for name, value in row.items() if name != "page_key"})


def add_rows(conn: Connection, scope: Scope, rows: list[dict[str, Any]], figures: Figures) -> None:
    """Store errors that are new, their groups and their counts, in the caller's transaction."""
    count_in_groups(conn, scope.project, rows)
    for row in rows:
        figures.error(row)
    conn.many(ADD_ERROR, rows)


def record(conn: Connection, scope: Scope, new: NewError, *, user: str | None = None) -> ErrorRecord:
    """Record an error and count it in its group; the same `id` again is the same error.

    Raises `Conflict` if that id is another error, `NotFound` for a use of a tool or a call that the scope cannot see.
    """
    if new.id is not None:
        stored = conn.first_map(_SELECT.where(*within(scope, errors), errors.c.id == new.id))
        if stored is not None:
            if (stored["error_type"], stored["error_message"]) != (new.error_type, new.error_message):
                raise Conflict("error", new.id)
            return _error(stored)
    owner, agent = owners.of(conn, scope, session=new.session_uuid, run=new.run_uuid, user=user)
    new = _named(conn, scope, new)
    agent = agents.agent_uuid(conn, scope, new.agent_id) or agent
    row = error_row(conn, scope, new, error=new.id or conn.new_id(), user=owner, agent=agent)
    figures = Figures(scope.project, conn.now)
    add_rows(conn, scope, [row], figures)
    figures.apply(conn)
    return get(conn, scope, row["id"])


def _named(conn: Connection, scope: Scope, new: NewError) -> NewError:
    """Return an error with the name of the tool whose use it tells of."""
    if new.llm_call_uuid is not None:
        mine = (*within(scope, llm_calls), llm_calls.c.id == new.llm_call_uuid)
        if conn.first(select(llm_calls.c.id).where(*mine)) is None:
            raise NotFound("LLM call", new.llm_call_uuid)
    if new.tool_call_uuid is None:
        return new
    use = conn.first(
        select(tool_calls.c.tool_name).where(*within(scope, tool_calls), tool_calls.c.id == new.tool_call_uuid)
    )
    if use is None:
        raise NotFound("tool call", new.tool_call_uuid)
    return replace(new, tool_name=new.tool_name or use[0])


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
    kind: ErrorKind | None = None,
    derived: bool = False,
    sort: str = "-created_at",
    limit: int = 50,
    cursor: str | None = None,
) -> Page[ErrorRecord]:
    """Return errors that were told, the newest first; those `derived` from failed calls and uses of tools too if asked.

    `group`, `session`, `run` and `kind` keep those of one, `words` those whose message holds them.
    """
    wanted: dict[Any, object] = {
        errors.c.group_uuid: group,
        errors.c.session_uuid: session,
        errors.c.run_uuid: run,
        errors.c.kind: kind,
    }
    conditions = [column == value for column, value in wanted.items() if value is not None]
    if not derived:
        # Told ones may be few among many, and have an index: SQLite takes it only where the statement says just this.
        conditions.append(~errors.c.is_derived)
    if words:
        conditions.append(contains(errors.c.error_message, words))
    return page(
        conn, _SELECT.where(*within(scope, errors), *conditions), _error,
        sorts=SORTS, sort=sort, row_id=errors.c.id, limit=limit, cursor=cursor,
    )  # fmt: skip
