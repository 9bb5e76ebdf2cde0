"""The rows that the feed tells of, read as changes: one statement for each kind that is among them."""

from collections import defaultdict
from collections.abc import Sequence
from functools import cache
from typing import Any  # `Any`: SQLAlchemy's constructs are generic over values they do not know
from uuid import UUID

from sqlalchemy import func, null, select

from agentrecord.engine import Connection
from agentrecord.records.change import Change, ChangeKind
from agentrecord.records.scope import Scope
from agentrecord.schema import agents, errors, llm_calls, messages, models, runs, sessions, tool_calls, users
from agentrecord.store._sql import within

_CHUNK = 500
_LINE = 160


def _of(table: Any, joined: Any, *, at: Any, line: Any, status: Any, cost: Any = None) -> Any:
    """Return what reads the rows of one kind."""
    same = table.c.project_id
    if table is not sessions:
        session, session_uuid = sessions, table.c.session_uuid
        joined = joined.outerjoin(sessions, (sessions.c.project_id == same) & (sessions.c.id == session_uuid))
    else:
        session, session_uuid = table, table.c.id
    if table is not runs:
        run_uuid = table.c.get("run_uuid", None)
        if run_uuid is not None:
            joined = joined.outerjoin(runs, (runs.c.project_id == same) & (runs.c.id == run_uuid))
    else:
        run_uuid = table.c.id
    agent_uuid = sessions.c.agent_uuid if table is messages else table.c.agent_uuid
    joined = joined.outerjoin(agents, (agents.c.project_id == same) & (agents.c.id == agent_uuid))
    joined = joined.outerjoin(users, (users.c.project_id == same) & (users.c.id == table.c.user_uuid))
    return select(
        table.c.id,
        at.label("at"),
        session_uuid.label("session_uuid"),
        session.c.session_id,
        (null() if run_uuid is None else run_uuid).label("run_uuid"),
        (null() if run_uuid is None else runs.c.run_id).label("run_id"),
        users.c.external_id.label("user"),
        agents.c.agent_id.label("agent"),
        func.substr(line, 1, 400).label("line"),
        status.label("status"),
        (null() if cost is None else cost).label("cost_nanos"),
    ).select_from(joined)


@cache
def _statement(kind: ChangeKind) -> tuple[Any, Any]:
    """Return the table that a kind's rows lie in, and what reads them; made when first asked for, not at import."""
    match kind:
        case ChangeKind.MESSAGE:
            found = _of(messages, messages, at=messages.c.created_at, line=messages.c.content, status=messages.c.role)
            return messages, found.where(messages.c.deleted_at.is_(None))
        case ChangeKind.LLM_CALL:
            joined = llm_calls.join(models, models.c.id == llm_calls.c.model_uuid)
            cost = llm_calls.c.cost_nanos
            return llm_calls, _of(
                llm_calls, joined, at=llm_calls.c.timestamp, line=models.c.name, status=llm_calls.c.status, cost=cost
            )
        case ChangeKind.TOOL_CALL:
            began = func.coalesce(tool_calls.c.started_at, tool_calls.c.created_at)
            return tool_calls, _of(
                tool_calls, tool_calls, at=began, line=tool_calls.c.tool_name, status=tool_calls.c.status
            )
        case ChangeKind.ERROR:
            return errors, _of(
                errors, errors, at=errors.c.created_at, line=errors.c.error_message, status=errors.c.error_type
            )
        case ChangeKind.RUN:
            last = func.coalesce(runs.c.finished_at, runs.c.started_at, runs.c.created_at)
            line = func.coalesce(runs.c.objective, runs.c.agent_name, runs.c.run_id)
            return runs, _of(runs, runs, at=last, line=line, status=runs.c.status, cost=runs.c.cost_nanos)
        case ChangeKind.SESSION:
            line = func.coalesce(sessions.c.title, sessions.c.session_id)
            found = _of(sessions, sessions, at=sessions.c.updated_at, line=line, status=sessions.c.status)
            return sessions, found.where(sessions.c.deleted_at.is_(None))  # fmt: skip


def changed_rows(conn: Connection, scope: Scope, refs: Sequence[tuple[ChangeKind, UUID]]) -> tuple[Change, ...]:
    """Return the rows that `refs` name, in that order, as they are now; what is gone is left out."""
    wanted: defaultdict[ChangeKind, list[UUID]] = defaultdict(list)
    for kind, row in refs:
        wanted[kind].append(row)
    found: dict[tuple[ChangeKind, UUID], Change] = {}
    for kind, ids in wanted.items():
        table, statement = _statement(kind)
        for start in range(0, len(ids), _CHUNK):
            asked = statement.where(*within(scope, table), table.c.id.in_(ids[start : start + _CHUNK]))
            for values in conn.maps(asked):
                values["line"] = " ".join((values["line"] or "").split())[:_LINE]
                found[kind, values["id"]] = Change(kind=kind, **values)
    return tuple(found[ref] for ref in refs if ref in found)
