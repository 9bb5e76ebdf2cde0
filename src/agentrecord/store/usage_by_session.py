"""Usage by session and by working directory: from the sessions' own sums, or from calls for a range of time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any  # `Any`: rows hold whatever their columns hold
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Subquery, case, func, literal_column, select

from agentrecord.codec import values
from agentrecord.engine import Connection
from agentrecord.engine.moments import HOUR_MICROS, from_micros, to_micros
from agentrecord.records.llm_call import CallStatus
from agentrecord.records.scope import Scope
from agentrecord.records.usage import UsageBy, UsageRow
from agentrecord.schema import coding_sessions, llm_calls, sessions
from agentrecord.schema.tables import USAGE_COUNTERS
from agentrecord.store._sql import by_value, total, usage_totals, within

_ROOT = func.coalesce(sessions.c.root_uuid, sessions.c.id)
_TOP = sessions.alias("top")


def rows(
    conn: Connection,
    scope: Scope,
    by: UsageBy,
    *,
    since: datetime | None,
    until: datetime | None,
    include_subagents: bool,
) -> list[UsageRow]:
    """Return one row for each top session, or each directory, sub-agents' sessions counted in their top one's."""
    if since is None and until is None:
        measured = _from_sessions(scope, include_subagents).subquery("measured")
    else:
        measured = _from_calls(scope, since, until, include_subagents).subquery("measured")
    shown = _told(conn, scope, measured, by)
    outside = _without_session(conn, scope, since, until, include_subagents)
    if outside is not None:
        shown.append(outside)
    return sorted(shown, key=lambda row: (-row.totals.cost_nanos, -row.totals.total_tokens, row.key))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """Which rows come first: by which counter, whether the highest do, and how many of them."""

    column: str
    is_down: bool
    limit: int


def top(
    conn: Connection,
    scope: Scope,
    ranked: Ranked,
    *,
    since: datetime | None,
    until: datetime | None,
    include_subagents: bool,
) -> tuple[list[UsageRow], int]:
    """Return the first rows by session and how many there are: only these are added up in full and named."""
    # Of a range of time only the calls themselves tell; over all time the sums that sessions hold do.
    is_of_all = since is None and until is None
    if not is_of_all:
        each = _by_called_session(scope, ranked.column, since, until, include_subagents).subquery("each")
    else:
        counter = _counter(ranked.column, include_subagents).label("n")
        each = _with_calls(scope, include_subagents).with_only_columns(_ROOT.label("root"), counter).subquery("each")
    added = select(each.c.root, total(each.c.n).label("n")).group_by(each.c.root).cte("added")
    order = added.c.n.desc() if ranked.is_down else added.c.n
    counts = [select(func.count(one)).select_from(added).scalar_subquery() for one in (added.c.n, added.c.root)]
    found = conn.rows(select(added.c.root, *counts).order_by(order, added.c.root).limit(ranked.limit))
    roots = [root for root, _, _ in found if root is not None]
    if not is_of_all:
        measured = _from_calls(scope, since, until, include_subagents, roots=roots)
    else:
        measured = _from_sessions(scope, include_subagents).where(sessions.c.id.in_(_trees(scope, roots)))
    shown = _told(conn, scope, measured.subquery("measured"), UsageBy.SESSION) if roots else []
    # The calls of no session have a null for it.
    count, with_session = found[0][1:] if found else (0, 0)
    has_others = count > with_session
    if has_others or is_of_all:
        outside = _without_session(conn, scope, since, until, include_subagents)
        if outside is not None:
            # Where calls were added up, those of no session were counted as one with the sessions.
            shown, count = [*shown, outside], count + (0 if has_others else 1)
    return sorted(shown, key=_rank(ranked))[: ranked.limit], count


def _trees(scope: Scope, roots: Sequence[UUID]) -> Any:
    """Return the statement whose rows are the ids of sessions and of all below them."""
    tops = select(sessions.c.id).where(*within(scope, sessions), sessions.c.id.in_(roots))
    return tops.union_all(select(sessions.c.id).where(*within(scope, sessions), sessions.c.root_uuid.in_(roots)))


def _rank(ranked: Ranked) -> Callable[[UsageRow], tuple[int, int, str]]:
    sign = -1 if ranked.is_down else 1
    return lambda row: (sign * getattr(row.totals, ranked.column), -row.totals.total_tokens, row.key)


def _told(conn: Connection, scope: Scope, measured: Subquery, by: UsageBy) -> list[UsageRow]:
    joined = measured.join(_TOP, _TOP.c.id == measured.c.root).outerjoin(
        coding_sessions,
        (coding_sessions.c.project_id == _TOP.c.project_id) & (coding_sessions.c.session_uuid == _TOP.c.id),
    )
    key: Any = _TOP.c.session_id
    label: Any = func.coalesce(_TOP.c.title, coding_sessions.c.initial_task, _TOP.c.session_id)
    if by is UsageBy.DIRECTORY:
        key = label = func.coalesce(coding_sessions.c.working_directory, literal_column("''"))
    group = [_TOP.c.id, key, label] if by is UsageBy.SESSION else [key]
    found = conn.maps(
        select(
            key.label("key"),
            (label if by is UsageBy.SESSION else key).label("label"),
            *[total(measured.c[name]).label(name) for name in USAGE_COUNTERS],
            func.min(measured.c.first_at).label("first_at"),
            func.max(measured.c.last_at).label("last_at"),
        )
        .select_from(joined)
        .where(_TOP.c.project_id == scope.project)
        .group_by(*group)
    )
    return [_row(row) for row in found if row["calls"]]


def _row(row: dict[str, Any]) -> UsageRow:
    key = row["key"] or "unknown"
    first, last = row["first_at"], row["last_at"]
    return UsageRow(
        key=key,
        label=" ".join((row["label"] or key).split())[:120],
        totals=usage_totals(row),
        first_at=first if isinstance(first, datetime) or first is None else from_micros(first),
        last_at=last if isinstance(last, datetime) or last is None else from_micros(last),
    )


def _counter(name: str, include_subagents: bool) -> ColumnElement[Any]:
    """Return one of the sums that sessions hold, without what of it sub-agents' calls are where these do not count."""
    counter: ColumnElement[Any] = sessions.c[name]
    return counter if include_subagents else counter - sessions.c[f"subagent_{name}"]


def _with_calls(scope: Scope, include_subagents: bool) -> Select[Any]:
    """Return the statement whose rows are the sessions with calls that count."""
    return select(sessions).where(*within(scope, sessions), _counter("calls", include_subagents) > 0)


def _from_sessions(scope: Scope, include_subagents: bool) -> Select[Any]:
    return _with_calls(scope, include_subagents).with_only_columns(
        _ROOT.label("root"),
        sessions.c.created_at.label("first_at"),
        sessions.c.last_activity_at.label("last_at"),
        *[_counter(name, include_subagents).label(name) for name in USAGE_COUNTERS],
    )


def _by_called_session(
    scope: Scope, column: str, since: datetime | None, until: datetime | None, include_subagents: bool
) -> Select[Any]:
    """Return the statement whose rows are each session that was called in, its root, and one sum over its calls."""
    called = select(llm_calls.c.session_uuid, total(measures()[column]).label("n")).where(
        *within(scope, llm_calls), *in_range(since, until)
    )
    if not include_subagents:
        called = called.where(~llm_calls.c.is_subagent)
    added = called.group_by(llm_calls.c.session_uuid).subquery("called")
    told: list[ColumnElement[Any]] = [_ROOT.label("root"), added.c.n]
    return select(*told).select_from(
        # Calls of no session are one row, whose root is null.
        added.outerjoin(sessions, (sessions.c.project_id == scope.project) & (sessions.c.id == added.c.session_uuid))
    )


def in_range(
    since: datetime | None, until: datetime | None, seen_as: Callable[[Any], Any] | None = None
) -> list[ColumnElement[bool]]:
    """Bound the calls by the same whole hours as the rollups, so that every report of a range agrees.

    Seen `by_value`, they are found by another index than that of time.
    """
    at = llm_calls.c.timestamp if seen_as is None else seen_as(llm_calls.c.timestamp)
    found: list[ColumnElement[bool]] = []
    if since is not None:
        found.append(at >= hour_of(since))
    if until is not None:
        end = -(-to_micros(values.moment("until", until)) // HOUR_MICROS)
        found.append(at < from_micros(end * HOUR_MICROS))
    return found


def hour_of(since: datetime) -> datetime:
    """Return the beginning of the hour that a stretch of time begins in: all of that hour counts."""
    return from_micros(to_micros(values.moment("since", since)) // HOUR_MICROS * HOUR_MICROS)


def measures() -> dict[str, ColumnElement[Any]]:
    """Return what a call adds to each usage counter, in SQL: the twin of `call_figures`, held equal by a test."""
    calls = llm_calls.c
    found: dict[str, ColumnElement[Any]] = {
        "calls": case((calls.id.is_not(None), 1), else_=0),
        "failed_calls": case((calls.status == CallStatus.ERROR, 1), else_=0),
        "unpriced_calls": case((calls.cost_nanos.is_(None), 1), else_=0),
        "uncounted_calls": case((calls.input_tokens.is_(None) | calls.output_tokens.is_(None), 1), else_=0),
        "latency_ms_sum": func.coalesce(calls.latency_ms, 0),
        "latency_count": case((calls.latency_ms.is_not(None), 1), else_=0),
    }
    for name in USAGE_COUNTERS:
        if name not in found:
            found[name] = func.coalesce(calls[name], 0)
    return {name: found[name] for name in USAGE_COUNTERS}


def _from_calls(
    scope: Scope,
    since: datetime | None,
    until: datetime | None,
    include_subagents: bool,
    roots: Sequence[UUID] | None = None,
) -> Select[Any]:
    statement = (
        select(
            _ROOT.label("root"),
            llm_calls.c.timestamp.label("first_at"),
            llm_calls.c.timestamp.label("last_at"),
            *[measure.label(name) for name, measure in measures().items()],
        )
        .select_from(
            llm_calls.join(
                sessions,
                (sessions.c.project_id == llm_calls.c.project_id) & (sessions.c.id == llm_calls.c.session_uuid),
            )
        )
        .where(*within(scope, llm_calls), *in_range(since, until, by_value if roots is not None else None))
    )
    if roots is not None:
        statement = statement.where(llm_calls.c.session_uuid.in_(_trees(scope, roots)))
    return statement if include_subagents else statement.where(~llm_calls.c.is_subagent)


def _without_session(
    conn: Connection, scope: Scope, since: datetime | None, until: datetime | None, include_subagents: bool
) -> UsageRow | None:
    """Return the calls that belong to no session, so that the rows add up to the total."""
    statement = select(
        *[total(measure).label(name) for name, measure in measures().items()],
        func.min(llm_calls.c.timestamp).label("first_at"),
        func.max(llm_calls.c.timestamp).label("last_at"),
    ).where(*within(scope, llm_calls), llm_calls.c.session_uuid.is_(None), *in_range(since, until))
    if not include_subagents:
        statement = statement.where(~llm_calls.c.is_subagent)
    row = conn.first_map(statement)
    if row is None or not row["calls"]:
        return None
    return _row({**row, "key": "no session", "label": "no session"})
