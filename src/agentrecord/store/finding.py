"""A search over everything: ids and names by how they begin, messages by their words, each from an index.

Titles, purposes and names are looked through for words too, in any order and case: those of the latest rows, so that
the time it takes does not grow with the record.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain
from typing import Any  # `Any`: SQLAlchemy columns are generic over values they do not know
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Table, and_, exists, false, func, or_, select

from agentrecord.codec import values
from agentrecord.engine import Connection
from agentrecord.exceptions import InvalidFilter
from agentrecord.ids import derived_id
from agentrecord.records.found import Found, FoundKind
from agentrecord.records.scope import Scope
from agentrecord.schema import (
    agents,
    coding_sessions,
    error_groups,
    errors,
    events,
    llm_calls,
    messages,
    models,
    runs,
    sessions,
    tool_days,
    traces,
    usage_days,
    users,
)
from agentrecord.store import search
from agentrecord.store._page import checked_limit
from agentrecord.store._sql import contains, within

MIN_ID_DIGITS = 8
"""Shorter beginnings of an id say only in which weeks it was made."""

MAX_CHARS = 300
LATEST = 5_000
"""So many of the latest sessions and runs are looked through for words."""

NAMES = 5_000
"""So many users, agents and days of tools are looked through for words."""

_HIGHEST = "\U0010ffff"
_HEX = re.compile(r"[0-9a-f-]+", re.IGNORECASE)


def find(conn: Connection, scope: Scope, query: str, *, limit: int = 5) -> list[Found]:
    """Return what `query` may mean, at most `limit` of each kind.

    Sessions, runs, messages, calls and traces whose id begins with it; users, agents, models and groups of errors
    whose name does; then the latest sessions and runs whose title or purpose holds its words, and users, agents and
    tools whose names do; messages that hold its words, the last of which may be a beginning. An empty query finds
    nothing.
    """
    checked_limit(limit)
    text = values.text("q", query, max_chars=MAX_CHARS).strip()
    if not text:
        return []
    order, found = list(FoundKind), dict[tuple[FoundKind, UUID], Found]()
    # What begins with the text is meant more likely than what has it somewhere.
    for parts in (_BY_NAME, _BY_WORDS, (_messages,)):
        told = chain.from_iterable(part(conn, scope, text, limit) for part in parts)
        for one in sorted(told, key=lambda one: order.index(one.kind)):
            found.setdefault((one.kind, one.id), replace(one, is_named=parts is _BY_NAME))
    return list(_at_most(limit, found.values()))


def _at_most(limit: int, found: Iterable[Found]) -> Iterator[Found]:
    """Yield the first of each kind."""
    seen: Counter[FoundKind] = Counter()
    for one in found:
        seen[one.kind] += 1
        if seen[one.kind] <= limit:
            yield one


def _begins(conn: Connection, column: ColumnElement[Any], text: str) -> ColumnElement[bool]:
    """Return the condition that a name begins with a text, in a form that an index answers."""
    if conn.is_sqlite:
        return and_(column >= text, column < text + _HIGHEST)
    return column.startswith(text, autoescape=True)


def _either(conn: Connection, column: ColumnElement[Any], text: str) -> ColumnElement[bool]:
    """Return the condition that a name begins with a text as it was typed, or in small letters."""
    typed = {text, text.lower()}
    return or_(*[_begins(conn, column, one) for one in sorted(typed)])


def _id_range(text: str) -> tuple[UUID, UUID] | None:
    """Return the first and the last id that begin with a text, None for one that begins none."""
    digits = text.replace("-", "").lower()
    if not _HEX.fullmatch(text) or not MIN_ID_DIGITS <= len(digits) <= 32:
        return None
    return UUID(hex=digits.ljust(32, "0")), UUID(hex=digits.ljust(32, "f"))


def _ids(conn: Connection, scope: Scope, text: str, limit: int) -> Iterator[Found]:
    ids = _id_range(text)
    if ids is None:
        return
    for make, table, statement in (
        (_session, sessions, _SESSIONS),
        (_run, runs, _RUNS),
        (_call, llm_calls, _CALLS),
        (_message, messages, _MESSAGES),
    ):
        asked = statement.where(*within(scope, table), table.c.id.between(*ids)).order_by(table.c.id).limit(limit)
        yield from map(make, conn.maps(asked))


_TASK = (coding_sessions.c.project_id == sessions.c.project_id) & (coding_sessions.c.session_uuid == sessions.c.id)
_SESSIONS = (
    select(
        sessions.c.id,
        sessions.c.session_id,
        func.coalesce(sessions.c.title, coding_sessions.c.initial_task).label("title"),
    )
    .select_from(sessions.outerjoin(coding_sessions, _TASK))
    .where(sessions.c.deleted_at.is_(None))
)
_RUNS = select(runs.c.id, runs.c.run_id, runs.c.objective)
_CALLS = select(llm_calls.c.id, llm_calls.c.run_uuid, models.c.name).select_from(
    llm_calls.join(models, models.c.id == llm_calls.c.model_uuid)
)
_MESSAGES = select(messages.c.id, messages.c.role).where(messages.c.deleted_at.is_(None))
Row = dict[str, Any]


def _session(row: Row) -> Found:
    return Found(kind=FoundKind.SESSION, id=row["id"], name=row["session_id"], detail=row["title"])


def _run(row: Row) -> Found:
    return Found(kind=FoundKind.RUN, id=row["id"], name=row["run_id"], detail=row["objective"])


def _call(row: Row) -> Found:
    return Found(kind=FoundKind.CALL, id=row["id"], name=str(row["id"]), detail=row["name"], run=row["run_uuid"])


def _message(row: Row) -> Found:
    return Found(kind=FoundKind.MESSAGE, id=row["id"], name=str(row["id"]), detail=row["role"])


def _sessions(conn: Connection, scope: Scope, text: str, limit: int) -> Iterator[Found]:
    found = _SESSIONS.where(*within(scope, sessions), _begins(conn, sessions.c.session_id, text))
    yield from map(_session, conn.maps(found.order_by(sessions.c.session_id).limit(limit)))


def _runs(conn: Connection, scope: Scope, text: str, limit: int) -> Iterator[Found]:
    found = _RUNS.where(*within(scope, runs), _begins(conn, runs.c.run_id, text))
    yield from map(_run, conn.maps(found.order_by(runs.c.run_id).limit(limit)))


def _traces(conn: Connection, scope: Scope, text: str, limit: int) -> Iterator[Found]:
    if not _HEX.fullmatch(text):
        return
    found = select(traces.c.id, traces.c.trace_id).where(
        *within(scope, traces), _begins(conn, traces.c.trace_id, text.lower())
    )
    for row in conn.maps(found.order_by(traces.c.trace_id).limit(limit)):
        of_run = select(events.c.run_uuid).where(
            *within(scope, events), events.c.trace_uuid == row["id"], events.c.run_uuid.is_not(None)
        )
        run = conn.value(of_run.order_by(events.c.timestamp).limit(1))
        yield Found(kind=FoundKind.TRACE, id=row["id"], name=row["trace_id"], run=run)


def _users(conn: Connection, scope: Scope, text: str, limit: int) -> Iterator[Found]:
    own = [] if scope.user is None else [users.c.id == scope.user]
    found = select(users.c.id, users.c.external_id, users.c.name).where(
        users.c.project_id == scope.project, *own, users.c.erased_at.is_(None), _either(conn, users.c.external_id, text)
    )
    for row in conn.maps(found.order_by(users.c.external_id).limit(limit)):
        yield Found(kind=FoundKind.USER, id=row["id"], name=row["external_id"], detail=row["name"])


def _agents(conn: Connection, scope: Scope, text: str, limit: int) -> Iterator[Found]:
    found = select(agents.c.id, agents.c.agent_id, agents.c.name).where(
        agents.c.project_id == scope.project, _either(conn, agents.c.agent_id, text), *_seen_by(scope, agents)
    )
    for row in conn.maps(found.order_by(agents.c.agent_id).limit(limit)):
        yield Found(kind=FoundKind.AGENT, id=row["id"], name=row["agent_id"], detail=row["name"])


def _seen_by(scope: Scope, table: Table) -> list[ColumnElement[bool]]:
    """Return the condition that one user's calls or sessions name an agent; none for a scope of all."""
    if scope.user is None:
        return []
    named = [
        exists().where(*within(scope, used), used.c.agent_uuid == table.c.id) for used in (sessions, runs, llm_calls)
    ]
    return [or_(*named)]


def _models(conn: Connection, scope: Scope, text: str, limit: int) -> Iterator[Found]:
    used = exists().where(*within(scope, usage_days), usage_days.c.model_uuid == models.c.id)
    found = select(models.c.id, models.c.name).where(_either(conn, models.c.name, text), used)
    for row in conn.maps(found.order_by(models.c.name).limit(limit)):
        yield Found(kind=FoundKind.MODEL, id=row["id"], name=row["name"])


def _errors(conn: Connection, scope: Scope, text: str, limit: int) -> Iterator[Found]:
    found: Select[*tuple[Any, ...]] = select(
        error_groups.c.id, error_groups.c.fingerprint, error_groups.c.error_type, error_groups.c.error_message
    ).where(
        error_groups.c.project_id == scope.project,
        or_(
            _begins(conn, error_groups.c.fingerprint, text),
            _begins(conn, error_groups.c.error_type, text),
            _begins(conn, error_groups.c.error_message, text),
        ),
    )
    if scope.user is not None:
        # The words of a group are those of whoever met it first: only its type is everybody's.
        own = exists().where(*within(scope, errors), errors.c.group_uuid == error_groups.c.id)
        found = found.where(own, _begins(conn, error_groups.c.error_type, text))
    for row in conn.maps(found.order_by(error_groups.c.last_seen_at.desc(), error_groups.c.id).limit(limit)):
        said = row["error_message"] if scope.user is None else None
        yield Found(kind=FoundKind.ERROR, id=row["id"], name=row["error_type"], detail=said, key=row["fingerprint"])


def _holds(text: str, *columns: ColumnElement[Any]) -> ColumnElement[bool]:
    """Return the condition that each word of a text stands in one of the columns."""
    words = re.findall(r"\S+", text.replace('"', " ").replace("*", " "))
    return and_(*[or_(*[contains(column, word) for column in columns]) for word in words]) if words else false()


def _titled(conn: Connection, scope: Scope, text: str, limit: int) -> Iterator[Found]:
    latest = (
        _SESSIONS.where(*within(scope, sessions))
        .order_by(sessions.c.last_activity_at.desc(), sessions.c.id.desc())
        .limit(LATEST)
        .subquery()
    )
    found = select(latest).where(_holds(text, latest.c.title, latest.c.session_id)).limit(limit)
    yield from map(_session, conn.maps(found))


def _purposed(conn: Connection, scope: Scope, text: str, limit: int) -> Iterator[Found]:
    latest = (
        _RUNS.where(*within(scope, runs)).order_by(runs.c.created_at.desc(), runs.c.id.desc()).limit(LATEST).subquery()
    )
    found = select(latest).where(_holds(text, latest.c.objective, latest.c.run_id)).limit(limit)
    yield from map(_run, conn.maps(found))


def _called_users(conn: Connection, scope: Scope, text: str, limit: int) -> Iterator[Found]:
    own = [] if scope.user is None else [users.c.id == scope.user]
    known = (
        select(users.c.id, users.c.external_id, users.c.name, users.c.email)
        .where(users.c.project_id == scope.project, *own, users.c.erased_at.is_(None))
        .limit(NAMES)
        .subquery()
    )
    found = select(known).where(_holds(text, known.c.external_id, known.c.name, known.c.email))
    for row in conn.maps(found.order_by(known.c.external_id).limit(limit)):
        yield Found(kind=FoundKind.USER, id=row["id"], name=row["external_id"], detail=row["name"])


def _called_agents(conn: Connection, scope: Scope, text: str, limit: int) -> Iterator[Found]:
    known = (
        select(agents.c.id, agents.c.agent_id, agents.c.name)
        .where(agents.c.project_id == scope.project, *_seen_by(scope, agents))
        .limit(NAMES)
        .subquery()
    )
    found = select(known).where(_holds(text, known.c.agent_id, known.c.name))
    for row in conn.maps(found.order_by(known.c.agent_id).limit(limit)):
        yield Found(kind=FoundKind.AGENT, id=row["id"], name=row["agent_id"], detail=row["name"])


def _called_tools(conn: Connection, scope: Scope, text: str, limit: int) -> Iterator[Found]:
    used = (
        select(tool_days.c.tool_name, tool_days.c.day)
        .where(*within(scope, tool_days))
        .order_by(tool_days.c.day.desc())
        .limit(NAMES)
        .subquery()
    )
    names = select(used.c.tool_name).where(_holds(text, used.c.tool_name)).distinct()
    for (name,) in conn.rows(names.order_by(used.c.tool_name).limit(limit)):
        yield Found(kind=FoundKind.TOOL, id=derived_id(0, "tool", scope.project, name), name=name)


_BY_NAME = (_ids, _sessions, _runs, _traces, _users, _agents, _models, _errors)
_BY_WORDS = (_titled, _purposed, _called_users, _called_agents, _called_tools)


def _messages(conn: Connection, scope: Scope, text: str, limit: int) -> Iterator[Found]:
    beginning = text if text.endswith(('"', "*")) else text + "*"
    try:
        hits = search.messages(conn, scope, beginning, limit=limit)
    except InvalidFilter:
        # Signs alone: there is no word to look for.
        return
    for hit in hits:
        yield Found(
            kind=FoundKind.MESSAGE, id=hit.message_uuid, name=hit.session_title or hit.session_id,
            detail=hit.role, excerpt=hit.excerpt,
        )  # fmt: skip
