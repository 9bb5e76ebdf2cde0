"""Reads that a page needs as one: a stretch of a conversation, the sums of a list."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any  # `Any`: rows hold whatever their columns hold
from uuid import UUID

from sqlalchemy import ColumnElement, Table, and_, func, or_, select

from agentrecord.engine import Connection
from agentrecord.records.event import Event
from agentrecord.records.llm_call import LLMCall
from agentrecord.records.message import Message
from agentrecord.records.price_sources import PriceSources
from agentrecord.records.run import Run
from agentrecord.records.scope import Scope
from agentrecord.records.session import Session, SessionFilter
from agentrecord.records.tool_call import ToolCall
from agentrecord.records.usage import UsageTotals
from agentrecord.schema import events, llm_calls, messages, models, runs, sessions, tool_calls
from agentrecord.schema.tables import USAGE_COUNTERS
from agentrecord.store import events as event_store
from agentrecord.store import llm_calls as call_store
from agentrecord.store import messages as message_store
from agentrecord.store import prices, session_trees
from agentrecord.store import runs as run_store
from agentrecord.store import sessions as session_store
from agentrecord.store import tool_calls as tool_store
from agentrecord.store._page import checked_limit
from agentrecord.store._rows import call_of
from agentrecord.store._sql import by_value, total, usage_totals, within
from agentrecord.store.usage_by_session import measures

COSTLY_NANOS = 50_000_000
"""From how many nano-dollars on a call is named among what made a session's cost: five cents."""

MAX_MARKS = 500
MAX_TURNS = 5000
_ROOT = func.coalesce(sessions.c.root_uuid, sessions.c.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """A stretch of a session's messages with all that is shown between them.

    `runs` are the session's turns (at most `MAX_TURNS`), `starts` says at which message each begins; `models` are
    the sums by model over the session and all below it; `next_sequence` starts the next stretch. `costly_calls` counts
    the calls there that cost `COSTLY_NANOS` or more, and `costliest` is the one that cost most, if any did.
    """

    messages: tuple[Message, ...]
    next_sequence: int | None
    runs: tuple[Run, ...]
    starts: Mapping[UUID, int]
    models: Mapping[str, UsageTotals]
    tool_calls: tuple[ToolCall, ...]
    events: tuple[Event, ...]
    children: tuple[Session, ...]
    child_runs: tuple[Run, ...]
    child_sums: Mapping[UUID, UsageTotals]
    costly_calls: int = 0
    costliest: LLMCall | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSums:
    """How many sessions a filter finds, and the sums over them and all below them.

    `prices` are those behind all that was spent in its range.
    """

    sessions: int
    messages: int
    tool_errors: int
    errors: int
    totals: UsageTotals
    prices: PriceSources | None = None


NO_SUMS = SessionSums(sessions=0, messages=0, tool_errors=0, errors=0, totals=UsageTotals())
"""The sums over no session."""


def conversation(
    conn: Connection, scope: Scope, session: UUID, *, from_sequence: int = 1, limit: int = 200, run: UUID | None = None
) -> Conversation:
    """Return `limit` of a session's messages from a sequence on, with what belongs between them.

    With `run`, only the messages and the events of that run of the session.
    """
    of_run = [] if run is None else [messages.c.run_uuid == run]
    rows = conn.maps(
        select(messages)
        .where(
            *within(scope, messages), messages.c.session_uuid == session, messages.c.deleted_at.is_(None),
            messages.c.sequence >= from_sequence, *of_run,
        )
        .order_by(messages.c.sequence)
        .limit(checked_limit(limit) + 1)
    )  # fmt: skip
    shown = tuple(message_store.with_usage(conn, scope, rows[:limit]))
    since = shown[0].created_at if shown and from_sequence > 1 else None
    until = rows[limit]["created_at"] if len(rows) > limit else None
    below = _children(conn, scope, session, since, until)
    costly_calls, costliest = _costly(conn, scope, session)
    starts = conn.rows(
        select(messages.c.run_uuid, func.min(messages.c.sequence))
        .where(*within(scope, messages), messages.c.session_uuid == session, messages.c.run_uuid.is_not(None))
        .group_by(messages.c.run_uuid)
    )
    return Conversation(
        messages=shown,
        next_sequence=rows[limit]["sequence"] if len(rows) > limit else None,
        runs=_runs_of(conn, scope, [session]),
        starts={row[0]: int(row[1]) for row in starts},
        models=_by_model(conn, scope, session),
        tool_calls=_tools_of(conn, scope, session, shown, (since, until)),
        events=_events(conn, scope, session, since, until, run),
        children=below,
        child_runs=_runs_of(conn, scope, [child.id for child in below]),
        child_sums=session_trees.subtree_sums(conn, scope, [child.id for child in below]),
        costly_calls=costly_calls,
        costliest=costliest,
    )


def _costly(conn: Connection, scope: Scope, session: UUID) -> tuple[int, LLMCall | None]:
    costly = [
        *within(scope, llm_calls),
        llm_calls.c.session_uuid.in_(session_trees.subtree_of(scope, session)),
        llm_calls.c.cost_nanos >= COSTLY_NANOS,
    ]
    row = conn.first_map(
        call_store.SELECT_CALL.where(*costly).order_by(llm_calls.c.cost_nanos.desc(), llm_calls.c.id).limit(1)
    )
    if row is None:
        return 0, None
    return _count(conn, llm_calls, costly), call_of(row, row["model"], row["host"])


def _by_model(conn: Connection, scope: Scope, session: UUID) -> Mapping[str, UsageTotals]:
    rows = conn.maps(
        select(models.c.name.label("model"), *[total(measure).label(name) for name, measure in measures().items()])
        .select_from(llm_calls.join(models, models.c.id == llm_calls.c.model_uuid))
        .where(*within(scope, llm_calls), llm_calls.c.session_uuid.in_(session_trees.subtree_of(scope, session)))
        .group_by(models.c.name)
    )
    return {row["model"] or "unknown": usage_totals(row) for row in rows}


def _between(column: Any, since: datetime | None, until: datetime | None) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if since is not None:
        found.append(column >= since)
    if until is not None:
        found.append(column < until)
    return found


def _children(
    conn: Connection, scope: Scope, session: UUID, since: datetime | None, until: datetime | None
) -> tuple[Session, ...]:
    found = session_store.children(conn, scope, session)
    return tuple(
        child
        for child in found
        if (since is None or child.created_at >= since) and (until is None or child.created_at < until)
    )


def _runs_of(conn: Connection, scope: Scope, session_ids: Sequence[UUID]) -> tuple[Run, ...]:
    if not session_ids:
        return ()
    statement = run_store.SELECT_RUN.where(*within(scope, runs), runs.c.session_uuid.in_(session_ids))
    return tuple(
        run_store.run_of(row)
        for row in conn.maps(statement.order_by(by_value(runs.c.started_at), runs.c.id).limit(MAX_TURNS))
    )


def _tools_of(
    conn: Connection,
    scope: Scope,
    session: UUID,
    shown: Sequence[Message],
    stretch: tuple[datetime | None, datetime | None],
) -> tuple[ToolCall, ...]:
    ids = [message.id for message in shown]
    run_ids = {message.run_uuid for message in shown if message.run_uuid is not None}
    refs = {part.call_ref for message in shown for part in message.parts if part.call_ref}
    refs.update(message.tool_call_id for message in shown if message.tool_call_id)
    if not ids:
        return ()
    statement = tool_store.SELECT_TOOL_CALL.where(
        *within(scope, tool_calls),
        tool_calls.c.session_uuid == session,
        or_(
            tool_calls.c.message_uuid.in_(ids),
            tool_calls.c.call_ref.in_(sorted(refs)),
            # Recorded while a turn went on, or in one that failed: no message tells of them.
            and_(
                tool_calls.c.run_uuid.in_(sorted(run_ids)),
                tool_calls.c.message_uuid.is_(None),
                *_between(tool_calls.c.started_at, *stretch),
            ),
        ),
    )
    rows = conn.maps(statement.order_by(tool_calls.c.started_at, tool_calls.c.id))
    return tuple(tool_store.tool_call_of(row) for row in rows)


def _events(
    conn: Connection,
    scope: Scope,
    session: UUID,
    since: datetime | None,
    until: datetime | None,
    run: UUID | None = None,
) -> tuple[Event, ...]:
    statement = select(events).where(
        *within(scope, events), events.c.session_uuid == session, *_between(events.c.timestamp, since, until)
    )
    if run is not None:
        statement = statement.where(events.c.run_uuid == run)
    rows = conn.maps(statement.order_by(events.c.timestamp, events.c.id).limit(MAX_MARKS))
    return tuple(event_store.event_of(row) for row in rows)


def _count(conn: Connection, table: Table, conditions: Sequence[ColumnElement[bool]]) -> int:
    return int(conn.value(select(func.count()).select_from(table).where(*conditions)))


def session_sums(conn: Connection, scope: Scope, wanted: SessionFilter | None = None) -> SessionSums:
    """Return the sums over all sessions that a filter finds, those below them included."""
    wanted = wanted or SessionFilter()
    found = session_store.filtered_ids(scope, wanted)
    counted = conn.first(
        select(func.count(), total(sessions.c.message_count), total(sessions.c.tool_error_count),
               total(sessions.c.error_count))
        .where(*within(scope, sessions), sessions.c.id.in_(found))
    )  # fmt: skip
    tops_only = wanted.parent_uuid is None and not wanted.include_children
    row = conn.first_map(
        select(*[total(sessions.c[name]).label(name) for name in USAGE_COUNTERS]).where(
            *within(scope, sessions), (_ROOT if tops_only else sessions.c.id).in_(found)
        )
    )
    count, message_count, tool_errors, error_count = counted or (0, 0, 0, 0)
    return SessionSums(
        sessions=count,
        messages=message_count,
        tool_errors=tool_errors,
        errors=error_count,
        totals=usage_totals(row) if row else UsageTotals(),
        prices=prices.behind(conn, scope, since=wanted.since, until=wanted.until) if row and row["calls"] else None,
    )
