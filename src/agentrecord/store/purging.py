"""Taking content out: tombstones for messages, nothing left in search, figures moved to `archived_*`."""

import hashlib
import re
from collections.abc import Sequence
from typing import Any  # `Any`: what a column is emptied to
from uuid import UUID

from sqlalchemy import ColumnElement, Table, delete, select, update

from agentrecord.engine import Connection
from agentrecord.ids import ProjectId
from agentrecord.records.scope import Scope
from agentrecord.schema import (
    errors,
    events,
    llm_calls,
    message_revisions,
    messages,
    runs,
    sessions,
    tool_calls,
    turn_events,
    turns,
)
from agentrecord.store import search
from agentrecord.store._error_rows import retell_groups
from agentrecord.store._sql import within

EMPTIED: dict[Table, dict[str, Any]] = {
    tool_calls: {"arguments": None, "result": None, "error_message": None},
    events: {"data": None},
    errors: {"error_message": "", "context": None, "stack_trace": None},
    runs: {
        "error_message": None,
        "objective": None,
        "additional_context": None,
        "final_synthesis_output": None,
        "execution_history": None,
        "metadata": None,
    },
    turns: {"response": None, "error_message": None},
    llm_calls: {"response_content": None, "input_params": None, "prompt_uuid": None},
}
"""What is emptied where content goes, by table."""

_RUN_IN = {runs: "id"}
_MARK = re.compile("erased-[0-9a-f]{32}")


def mark_of(project: ProjectId, session_id: str) -> str:
    """Return what an imported session is called once its user is erased: the same each time, and of a mark itself."""
    if _MARK.fullmatch(session_id):
        return session_id
    return f"erased-{hashlib.sha256(f'{project}/{session_id}'.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"


def purge_messages(conn: Connection, scope: Scope, session: UUID) -> int:
    """Empty every message of a session, with what search, tools, runs and events kept of it; return how many."""
    mine = [*within(scope, messages), messages.c.session_uuid == session, messages.c.deleted_at.is_(None)]
    found = conn.rows(select(messages.c.id, messages.c.content).where(*mine))
    ids = [row[0] for row in found]
    search.forget(conn, scope, {row[0]: row[1] for row in found})
    for start in range(0, len(ids), 500):
        conn.run(
            delete(message_revisions).where(
                message_revisions.c.project_id == scope.project,
                message_revisions.c.message_uuid.in_(ids[start : start + 500]),
            )
        )
    conn.run(
        update(messages)
        .where(*mine)
        .values(content="", parts=None, extra_data=None, metadata=None, deleted_at=conn.now, updated_at=conn.now)
    )
    _purge_traces(conn, scope, session)
    conn.run(
        update(sessions)
        .where(*within(scope, sessions), sessions.c.id == session)
        .values(
            message_count=sessions.c.message_count - len(ids),
            archived_message_count=sessions.c.archived_message_count + len(ids),
        )
    )
    return len(ids)


def purge_message(conn: Connection, scope: Scope, session: UUID, message: UUID, run: UUID | None) -> None:
    """Empty what repeats one message's words elsewhere: in the calls that made it, and in all that its run left."""
    conn.run(
        update(llm_calls)
        .where(*within(scope, llm_calls), llm_calls.c.session_uuid == session, llm_calls.c.message_uuid == message)
        .values(**EMPTIED[llm_calls])
    )
    uses = select(tool_calls.c.id).where(
        *within(scope, tool_calls), tool_calls.c.session_uuid == session, tool_calls.c.result_message_uuid == message
    )
    failures = [*within(scope, errors), errors.c.is_derived, errors.c.tool_call_uuid.in_(uses)]
    told = _groups_of(conn, failures)
    conn.run(update(errors).where(*failures).values(**EMPTIED[errors]))
    retell_groups(conn, scope.project, told)
    if run is not None:
        _purge_traces(conn, scope, session, run)


def _purge_traces(conn: Connection, scope: Scope, session: UUID, run: UUID | None = None) -> None:
    """Empty what repeats a session's words, or those of one run of it; ids, times, tokens, cost and status stay."""

    def mine(table: Table) -> list[ColumnElement[bool]]:
        conditions = [*within(scope, table), table.c.session_uuid == session]
        if run is not None:
            conditions.append(table.c[_RUN_IN.get(table, "run_uuid")] == run)
        return conditions

    told = select(turns.c.id).where(*mine(turns))
    conn.run(delete(turn_events).where(turn_events.c.project_id == scope.project, turn_events.c.turn_uuid.in_(told)))
    groups = _groups_of(conn, mine(errors))
    for table, columns in EMPTIED.items():
        conn.run(update(table).where(*mine(table)).values(**columns))
    retell_groups(conn, scope.project, groups)


def _groups_of(conn: Connection, conditions: Sequence[ColumnElement[bool]]) -> list[UUID]:
    """Return the groups of the errors, among those meant, that say anything."""
    said = select(errors.c.group_uuid).where(*conditions, errors.c.error_message != "")
    return [row[0] for row in conn.rows(said.distinct())]
