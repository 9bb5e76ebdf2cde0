"""The recount: every counter and daily figure counted anew from the rows, and compared with what is kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any  # `Any`: rows hold whatever their columns hold
from uuid import UUID

from sqlalchemy import ColumnElement, Executable, Table, case, func, literal_column, select
from sqlalchemy import cast as sql_cast

from agentrecord.engine import Connection
from agentrecord.engine.moments import DAY_MICROS, HOUR_MICROS
from agentrecord.ids import NIL
from agentrecord.records.llm_call import CallStatus
from agentrecord.records.run import RunStatus
from agentrecord.records.scope import Scope
from agentrecord.records.session import SessionStatus
from agentrecord.records.tool_call import ToolCallStatus
from agentrecord.schema import (
    activity_days,
    error_days,
    error_groups,
    errors,
    latency_days,
    llm_calls,
    messages,
    runs,
    sessions,
    tool_calls,
    tool_days,
    usage_days,
    usage_hours,
)
from agentrecord.schema.tables import SUBAGENT_COUNTERS, USAGE_COUNTERS
from agentrecord.schema.types import Whole
from agentrecord.schema.usage import USAGE_KEY
from agentrecord.store import recount_tools
from agentrecord.store._sql import total
from agentrecord.store.usage_by_session import measures

_NUMBER: ColumnElement[int] = func.count()
_ACTIVITY: dict[str, tuple[Table, list[ColumnElement[bool]], ColumnElement[int]]] = {
    "session_count": (sessions, [], _NUMBER),
    "failed_sessions": (sessions, [sessions.c.status == SessionStatus.FAILED], _NUMBER),
    "message_count": (messages, [], _NUMBER),
    "run_count": (runs, [], _NUMBER),
    "failed_runs": (runs, [runs.c.status == RunStatus.ERROR], _NUMBER),
    "completed_runs": (runs, [runs.c.status == RunStatus.COMPLETED], _NUMBER),
    "run_iterations": (runs, [], total(runs.c.total_iterations)),
    "tool_calls": (tool_calls, [], _NUMBER),
    "tool_errors": (tool_calls, [tool_calls.c.status == ToolCallStatus.ERROR], _NUMBER),
    "error_count": (errors, [~errors.c.is_derived], _NUMBER),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A figure that is not what its rows say."""

    table: str
    key: str
    figure: str
    kept: int
    counted: int


def check(conn: Connection, scope: Scope) -> tuple[Difference, ...]:
    """Return every figure of the scope's project that a recount contradicts; empty when all are right."""
    # Some figures are kept for all users together, so that one user's rows alone would contradict them.
    with conn.across_users():
        return tuple(_differences(conn, scope))


def _differences(conn: Connection, scope: Scope) -> list[Difference]:
    found: list[Difference] = []
    found.extend(_usage_of(conn, scope, sessions, "session_uuid"))
    found.extend(
        _usage_of(conn, scope, sessions, "session_uuid", names=SUBAGENT_COUNTERS, only=[llm_calls.c.is_subagent])
    )
    found.extend(_usage_of(conn, scope, runs, "run_uuid"))
    found.extend(_rollup(conn, scope, usage_hours, HOUR_MICROS))
    found.extend(_rollup(conn, scope, usage_days, DAY_MICROS))
    found.extend(_versions(conn, scope))
    live = messages.c.deleted_at.is_(None)
    for figure, table, conditions in (
        ("message_count", messages, [live]),
        ("last_sequence", messages, []),
        ("run_count", runs, []),
        ("tool_call_count", tool_calls, []),
        ("tool_error_count", tool_calls, [tool_calls.c.status == ToolCallStatus.ERROR]),
        ("error_count", errors, [~errors.c.is_derived]),
    ):
        found.extend(_count_of(conn, scope, sessions, "session_uuid", figure=figure, table=table, only=conditions))
    for figure, conditions in (
        ("tool_call_count", []),
        ("tool_error_count", [tool_calls.c.status == ToolCallStatus.ERROR]),
    ):
        found.extend(_count_of(conn, scope, runs, "run_uuid", figure=figure, table=tool_calls, only=conditions))
    found.extend(_days(conn, scope))
    for sides in recount_tools.sides(conn, scope):
        found.extend(_compare(*sides))
    found.extend(_groups(conn, scope))
    found.extend(_derived(conn, scope))
    return found


def _groups(conn: Connection, scope: Scope) -> list[Difference]:
    """Compare how often groups of equal errors were met with their errors."""
    mine = error_groups.c.project_id == scope.project
    kept = {
        row[0]: {"count": row[1]} for row in conn.rows(select(error_groups.c.id, error_groups.c["count"]).where(mine))
    }
    rows = conn.rows(
        select(errors.c.group_uuid, func.count())
        .where(errors.c.project_id == scope.project)
        .group_by(errors.c.group_uuid)
    )
    return _compare(error_groups.name, kept, {group: {"count": number} for group, number in rows}, ("count",))


def _derived(conn: Connection, scope: Scope) -> list[Difference]:
    """Compare the errors derived from uses of tools and calls with those that failed and that no told error names.

    Of deleted sessions nothing is derived anew, and what was derived stays: they are left out.
    """
    found: list[Difference] = []
    for table, reference in ((tool_calls, errors.c.tool_call_uuid), (llm_calls, errors.c.llm_call_uuid)):
        told = select(errors.c.id).where(
            errors.c.project_id == table.c.project_id,
            reference == table.c.id,
            errors.c.user_uuid == table.c.user_uuid,
            ~errors.c.is_derived,
        )
        expected = select(table.c.id).where(
            table.c.project_id == scope.project, table.c.status == CallStatus.ERROR, ~told.exists(), _is_live(table)
        )
        kept = select(reference).where(
            errors.c.project_id == scope.project, reference.is_not(None), errors.c.is_derived, _is_live(errors)
        )
        sides = [{row[0]: {"derived_errors": 1} for row in conn.rows(one)} for one in (kept, expected)]
        found += _compare(table.name, sides[0], sides[1], ("derived_errors",))
    return found


def _is_live(table: Table) -> ColumnElement[bool]:
    gone = select(sessions.c.id).where(
        sessions.c.project_id == table.c.project_id,
        sessions.c.id == table.c.session_uuid,
        sessions.c.deleted_at.is_not(None),
    )
    return ~gone.exists()


def _compare(
    table: str, kept: dict[Any, dict[str, int]], counted: dict[Any, dict[str, int]], names: tuple[str, ...]
) -> list[Difference]:
    nothing = dict.fromkeys(names, 0)
    found: list[Difference] = []
    for key in sorted({*kept, *counted}, key=str):
        left, right = kept.get(key, nothing), counted.get(key, nothing)
        found.extend(
            Difference(table=table, key=str(key), figure=name, kept=left[name], counted=right[name])
            for name in names
            if left[name] != right[name]
        )
    return found


def _summed(names: Sequence[str] = USAGE_COUNTERS) -> list[ColumnElement[Any]]:
    return [total(measure).label(name) for name, measure in zip(names, measures().values(), strict=True)]


def _usage_of(
    conn: Connection,
    scope: Scope,
    table: Table,
    reference: str,
    *,
    names: tuple[str, ...] = USAGE_COUNTERS,
    only: Sequence[ColumnElement[bool]] = (),
) -> list[Difference]:
    kept = {
        row["id"]: row
        for row in conn.maps(
            select(table.c.id, *[table.c[name] for name in names]).where(table.c.project_id == scope.project)
        )
    }
    column = llm_calls.c[reference]
    counted = {
        row["id"]: row
        for row in conn.maps(
            select(column.label("id"), *_summed(names))
            .where(llm_calls.c.project_id == scope.project, column.is_not(None), *only)
            .group_by(column)
        )
    }
    return _compare(table.name, kept, counted, names)


def _rollup(conn: Connection, scope: Scope, table: Table, size: int) -> list[Difference]:
    key_names = ("bucket", *[name for name in USAGE_KEY if name not in ("project_id", "bucket")])
    kept: dict[tuple[object, ...], Any] = {
        tuple(row[name] for name in key_names): row
        for row in conn.maps(select(table).where(table.c.project_id == scope.project))
    }
    kept = {key: row for key, row in kept.items() if any(row[name] for name in USAGE_COUNTERS)}
    bucket = llm_calls.c.timestamp.op("/", return_type=Whole())(literal_column(str(size)))
    key = (bucket, *(llm_calls.c[name] for name in key_names[1:]))
    rows = conn.maps(
        select(bucket.label("bucket"), *key[1:], *_summed())
        .where(llm_calls.c.project_id == scope.project)
        .group_by(*key)
    )
    counted = {tuple(NIL if row[name] is None else row[name] for name in key_names): row for row in rows}
    return _compare(table.name, kept, counted, USAGE_COUNTERS)


def _versions(conn: Connection, scope: Scope) -> list[Difference]:
    """Compare how many calls are of each version with how many calls there are in its runs."""
    of_run = (runs.c.project_id == llm_calls.c.project_id) & (runs.c.id == llm_calls.c.run_uuid)
    tables = ((llm_calls, llm_calls), (runs, llm_calls.join(runs, of_run)))
    kept, counted = (
        {
            version: {"calls": calls}
            for version, calls in conn.rows(
                select(table.c.agent_version_uuid, func.count())
                .select_from(joined)
                .where(llm_calls.c.project_id == scope.project, table.c.agent_version_uuid.is_not(None))
                .group_by(table.c.agent_version_uuid)
            )
        }
        for table, joined in tables
    )
    return _compare("ar_llm_calls", kept, counted, ("calls",))


def _count_of(
    conn: Connection,
    scope: Scope,
    owner: Table,
    reference: str,
    *,
    figure: str,
    table: Table,
    only: Sequence[ColumnElement[bool]],
) -> list[Difference]:
    kept: dict[UUID, dict[str, int]] = {
        row["id"]: row
        for row in conn.maps(select(owner.c.id, owner.c[figure]).where(owner.c.project_id == scope.project))
    }
    column = table.c[reference]
    counted = {
        row["id"]: row
        for row in conn.maps(
            select(column.label("id"), func.count().label(figure))
            .where(table.c.project_id == scope.project, column.is_not(None), *only)
            .group_by(column)
        )
    }
    return _compare(owner.name, kept, counted, (figure,))


def _days(conn: Connection, scope: Scope) -> list[Difference]:
    """Compare the sums of the daily figures of activity, tools and latency with the rows they count."""
    kept_activity = conn.maps(
        select(activity_days.c.user_uuid, *[total(activity_days.c[name]).label(name) for name in _ACTIVITY])
        .where(activity_days.c.project_id == scope.project)
        .group_by(activity_days.c.user_uuid)
    )
    counted: dict[Any, dict[str, int]] = {}
    for name, (table, only, measure) in _ACTIVITY.items():
        rows = conn.rows(
            select(table.c.user_uuid, measure)
            .where(table.c.project_id == scope.project, *only)
            .group_by(table.c.user_uuid)
        )
        for user, number in rows:
            counted.setdefault(user, dict.fromkeys(_ACTIVITY, 0))[name] = number
    found = _compare("ar_activity_days", {row["user_uuid"]: row for row in kept_activity}, counted, tuple(_ACTIVITY))
    day = func.coalesce(tool_calls.c.started_at, tool_calls.c.created_at).op("/", return_type=Whole())(
        literal_column(str(DAY_MICROS))
    )
    errors_of = func.sum(case((tool_calls.c.status == ToolCallStatus.ERROR, 1), else_=0))
    found += _compare_rows(
        conn,
        select(tool_days.c.day, tool_days.c.tool_name, total(tool_days.c.calls), total(tool_days.c.errors))
        .where(tool_days.c.project_id == scope.project)
        .group_by(tool_days.c.day, tool_days.c.tool_name),
        select(day, tool_calls.c.tool_name, func.count(), sql_cast(errors_of, Whole()))
        .where(tool_calls.c.project_id == scope.project)
        .group_by(day, tool_calls.c.tool_name),
        table="ar_tool_days",
    )
    found += _compare_rows(
        conn,
        select(literal_column("0"), literal_column("'calls'"), total(latency_days.c.calls), literal_column("0")).where(
            latency_days.c.project_id == scope.project
        ),
        select(literal_column("0"), literal_column("'calls'"), func.count(), literal_column("0")).where(
            llm_calls.c.project_id == scope.project, llm_calls.c.latency_ms.is_not(None)
        ),
        table="ar_latency_days",
    )
    met = errors.c.created_at.op("/", return_type=Whole())(literal_column(str(DAY_MICROS)))
    found += _compare_rows(
        conn,
        select(error_days.c.day, error_days.c.group_uuid, total(error_days.c["count"]), literal_column("0"))
        .where(error_days.c.project_id == scope.project)
        .group_by(error_days.c.day, error_days.c.group_uuid),
        select(met, errors.c.group_uuid, func.count(), literal_column("0"))
        .where(errors.c.project_id == scope.project)
        .group_by(met, errors.c.group_uuid),
        table="ar_error_days",
    )
    return found


def _compare_rows(conn: Connection, kept: Executable, counted: Executable, *, table: str) -> list[Difference]:
    sides = [
        {(day, name): {"calls": calls, "errors": errors} for day, name, calls, errors in conn.rows(statement)}
        for statement in (kept, counted)
    ]
    return _compare(table, sides[0], sides[1], ("calls", "errors"))
