"""Traces: keep the spans that tracing clients send, and what they say, whatever the order in which they come.

A trace is told in pieces. Its spans are kept whole, as events; whenever one comes that was not known, what the trace
says is derived anew from all of its spans, and the record is changed by the difference.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import cast
from uuid import UUID

from sqlalchemy import select

from agentrecord.codec import values
from agentrecord.engine import Connection
from agentrecord.records.project import UNASSIGNED
from agentrecord.records.scope import Scope
from agentrecord.records.span import Derive, Span, TraceCounts, trace_uuid
from agentrecord.records.transcript import ImportBatch
from agentrecord.schema import events, llm_calls, runs, tool_calls, traces
from agentrecord.store import people
from agentrecord.store._figures import Figures
from agentrecord.store._lookup import rows_by
from agentrecord.store._sql import by_value, comes_after, insert_or_skip, within
from agentrecord.store._trace_changes import Change, Changes
from agentrecord.store.runs import subtree_of

_ADD_TRACE = insert_or_skip(traces)
MAX_SPANS = 10_000
"""So many spans can be read at once."""

Known = dict[str, Span]


def record(conn: Connection, scope: Scope, spans: Sequence[Span], derive: Derive) -> TraceCounts:
    """Store spans and what `derive` reads in them: all of it or nothing; a span that is there already changes nothing.

    `derive` is pure: it is given every span known of one trace, and is called again when more of it come.
    """
    people.ensure_scope_project(conn, scope)
    salt = "" if scope.user is None else str(scope.user)
    sent = by_trace(spans)
    counts = TraceCounts(traces=len(sent))
    known = known_spans(conn, scope, _locked(conn, scope, sent, salt))
    changes: dict[str | None, list[Change]] = {}
    for trace, new in sent.items():
        old = known[trace]
        if old is None:
            counts.deleted += len(new)
            continue
        merged = {**old, **{key: _fuller(old.get(key), span) for key, span in new.items()}}
        fresh = len(merged) - len(old)
        counts.spans += fresh
        counts.unchanged += len(new) - fresh
        if merged != old:
            before = derive(list(old.values()), salt) if old else None
            after = derive(list(merged.values()), salt)
            changes.setdefault(after.user, []).append(Change(before, after))
    figures = Figures(scope.project, conn.now)
    work = Changes(conn, scope, figures, lambda row_ids: _derived(conn, scope, row_ids, derive, salt))
    for found in changes.values():
        work.retract(found)
    for user, found in changes.items():
        work.load(people.user_uuid(conn, scope, None if salt else user), user or UNASSIGNED, found)
    figures.apply(conn)
    work.drop_what_is_empty()
    return counts


def by_trace(spans: Iterable[Span]) -> dict[str, Known]:
    """Return spans by trace and id, each once, in an order that two writers share."""
    found: dict[str, Known] = {}
    for span in spans:
        held = found.setdefault(span.trace_id, {})
        held[span.span_id] = _fuller(held.get(span.span_id), span)
    return dict(sorted(found.items()))


def _fuller(one: Span | None, other: Span) -> Span:
    return other if one is None else max(one, other, key=lambda span: span.rank)


def _locked(conn: Connection, scope: Scope, sent: Iterable[str], salt: str) -> dict[UUID, str]:
    """Return the rows of the traces, made if need be and locked, so that two requests do not part a trace."""
    owner = people.user_uuid(conn, scope, None)
    named = {trace_uuid(trace, salt): trace for trace in sent}
    rows = [
        {"project_id": scope.project, "id": row_id, "trace_id": trace, "user_uuid": owner, "created_at": conn.now}
        for row_id, trace in sorted(named.items())
    ]
    conn.many(_ADD_TRACE, rows)
    rows_by(conn, scope.project, traces, "id", sorted(named), columns=("id",), lock=True)
    return named


def known_spans(conn: Connection, scope: Scope, named: Mapping[UUID, str]) -> dict[str, Known | None]:
    """Return the spans kept of each trace, given by row id and name; None for one whose content was deleted."""
    found: dict[str, Known | None] = {trace: {} for trace in named.values()}
    for row in rows_by(conn, scope.project, events, "trace_uuid", named, columns=("trace_uuid", "span_id", "data")):
        trace = named[row["trace_uuid"]]
        held = found[trace]
        if row["data"] is None or held is None:
            found[trace] = None
        else:
            held[row["span_id"]] = Span.of(trace, row["span_id"], row["data"])
    return found


def _derived(conn: Connection, scope: Scope, row_ids: Iterable[UUID], derive: Derive, salt: str) -> list[ImportBatch]:
    """Return what traces that did not change say."""
    rows = rows_by(conn, scope.project, traces, "id", row_ids, columns=("id", "trace_id"))
    known = known_spans(conn, scope, {row["id"]: row["trace_id"] for row in rows})
    return [derive(list(spans.values()), salt) for spans in known.values() if spans]


def spans(
    conn: Connection,
    scope: Scope,
    *,
    session: UUID | None = None,
    run: UUID | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    after: Span | None = None,
    limit: int = 1000,
) -> tuple[Span, ...]:
    """Return spans as they were sent, by when they began: of a session, of a run and all below it, of a time.

    `after` is the last span of the part before. Spans whose content was deleted are left out.
    """
    statement = (
        select(traces.c.trace_id, events.c.span_id, events.c.data)
        .select_from(
            events.join(traces, (traces.c.project_id == events.c.project_id) & (traces.c.id == events.c.trace_uuid))
        )
        # That they have a trace the join says too, but the index of spans wants it in these words.
        .where(*within(scope, events), events.c.trace_uuid.is_not(None), events.c.data.is_not(None))
    )
    if session is not None:
        statement = statement.where(events.c.session_uuid == session)
    if run is not None:
        statement = statement.where(events.c.run_uuid.in_(subtree_of(scope, run)))
    if since is not None:
        statement = statement.where(events.c.timestamp >= values.moment("since", since))
    if until is not None:
        statement = statement.where(events.c.timestamp < values.moment("until", until))
    order = (events.c.timestamp, traces.c.trace_id, events.c.span_id)
    if after is not None:
        # The first condition follows from the second: it is where the index begins to be read.
        statement = statement.where(events.c.timestamp >= after.started_at)
        statement = statement.where(comes_after(order, (after.started_at, after.trace_id, after.span_id)))
    checked = values.integer("limit", limit, minimum=1, maximum=MAX_SPANS)
    return tuple(Span.of(*row) for row in conn.rows(statement.order_by(*order).limit(checked)))


def sent(conn: Connection, scope: Scope, piece: UUID) -> Span | None:
    """Return the span that a call, a use of a tool or a run was made of, the first; None where none was sent."""
    run = _run_of(conn, scope, piece)
    if run is None:
        return None
    row = conn.first(
        select(traces.c.trace_id, events.c.span_id, events.c.data)
        .select_from(
            events.join(traces, (traces.c.project_id == events.c.project_id) & (traces.c.id == events.c.trace_uuid))
        )
        .where(*within(scope, events), events.c.run_uuid == run, events.c.piece_uuid == piece)
        .where(events.c.data.is_not(None))
        .order_by(by_value(events.c.timestamp), events.c.span_id)
        .limit(1)
    )
    return None if row is None else Span.of(*row)


def _run_of(conn: Connection, scope: Scope, piece: UUID) -> UUID | None:
    """Return the run in which a call was made or a tool used, or the run itself; None for what is none of them."""
    for table, run in ((llm_calls, "run_uuid"), (tool_calls, "run_uuid"), (runs, "id")):
        row = conn.first(select(table.c[run]).where(*within(scope, table), table.c.id == piece))
        if row is not None:
            return cast("UUID | None", row[0])
    return None
