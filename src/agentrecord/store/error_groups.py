"""Groups of equal errors: how often, by whom and where each was met; resolve them and open them again."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any  # `Any`: rows hold whatever their columns hold
from uuid import UUID

from sqlalchemy import ColumnElement, Executable, Subquery, func, select, update

from agentrecord.engine import Connection
from agentrecord.exceptions import NotFound
from agentrecord.ids import id_in
from agentrecord.records.audit import SYSTEM, Actor
from agentrecord.records.error import ErrorBreakdown, ErrorGroup, ErrorKind, ErrorStatus
from agentrecord.records.page import Page
from agentrecord.records.run import RunStatus
from agentrecord.records.scope import Scope
from agentrecord.records.tool_call import ToolCallStatus
from agentrecord.records.usage import DayCount, NamedCount, UsageTotals
from agentrecord.schema import (
    agent_versions,
    agents,
    error_days,
    error_groups,
    errors,
    llm_calls,
    models,
    runs,
    tool_calls,
    users,
)
from agentrecord.schema.tables import USAGE_COUNTERS
from agentrecord.store import agents as agent_store
from agentrecord.store import audit
from agentrecord.store._error_words import (
    IN_WORK_OF,
    NEW_FOR,
    OF_USER,
    TIMES,
    group_conditions,
    met,
    seen_by,
)
from agentrecord.store._figures import date_of, day_of
from agentrecord.store._page import page
from agentrecord.store._price_sources import of_calls
from agentrecord.store._run_words import OF_VERSION
from agentrecord.store._sql import total, usage_totals, within

GROUP_SORTS = {
    "last_seen_at": error_groups.c.last_seen_at,
    "first_seen_at": error_groups.c.first_seen_at,
    "count": error_groups.c.count,
    "error_type": error_groups.c.error_type,
}
TREND_DAYS = 30
MAX_AGENTS = 5
LOOKED_AT = 500
"""How many of a group's latest occurrences a breakdown looks at."""


def groups(
    conn: Connection,
    scope: Scope,
    *,
    include_resolved: bool = False,
    status: ErrorStatus | None = None,
    query: str | None = None,
    agent_id: str | None = None,
    user: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    sort: str = "-last_seen_at",
    limit: int = 50,
    cursor: str | None = None,
) -> Page[ErrorGroup]:
    """Return groups of equal errors, the last seen first; a scope of one user sees the groups that it is in.

    Their counts are then that user's own. `query` is a filter's text: `kind`, `status`, `type`, `tool`, `agent`,
    `user`, `count`, `first`, `last` and free text in the type or message. `since` and `until` keep the groups that
    were met between them, `agent_id` and `user` those met in that agent's work and by that user, `status` those that
    stand so. Resolved ones are left out, unless that or the filter asks for a status.
    """
    seen = seen_by(scope)
    conditions = group_conditions(
        scope, seen, conn.now, query=query, include_resolved=include_resolved, status=status, since=since, until=until
    )
    if agent_id is not None:
        conditions.append(met(scope, error_days.c.agent_uuid == agent_store.row_id(scope, agent_id)))
    if user is not None:
        theirs = select(users.c.id).where(users.c.project_id == scope.project, users.c.external_id == user)
        conditions.append(met(scope, error_days.c.user_uuid.in_(theirs)))
    found = page(
        conn, seen.statement.where(*conditions), lambda row: _group(row, conn.now),
        sorts={name: seen.columns[name] for name in GROUP_SORTS}, sort=sort, row_id=error_groups.c.id,
        limit=limit, cursor=cursor,
    )  # fmt: skip
    return replace(found, items=_with_details(conn, scope, found.items))


def _group(row: Mapping[str, Any], now: datetime) -> ErrorGroup:
    if row["resolved_at"] is not None:
        status = ErrorStatus.RESOLVED
    elif row["regressed_at"] is not None:
        status = ErrorStatus.REGRESSED
    else:
        status = ErrorStatus.NEW if row["first_seen_at"] >= now - NEW_FOR else ErrorStatus.ONGOING
    return ErrorGroup(
        **{name: row[name] for name in _KEPT}, status=status, is_resolved=row["resolved_at"] is not None
    )  # fmt: skip


_KEPT = (
    "id", "fingerprint", "kind", "error_type", "error_message", "tool_name", "count", "first_seen_at", "last_seen_at",
    "resolved_at", "regressed_at",
)  # fmt: skip


def _with_details(conn: Connection, scope: Scope, found: Sequence[ErrorGroup]) -> list[ErrorGroup]:
    if not found:
        return []
    mine = [*within(scope, error_days), error_days.c.group_uuid.in_([group.id for group in found]), TIMES > 0]
    counted = conn.rows(
        select(error_days.c.group_uuid, func.count(error_days.c.user_uuid.distinct()))
        .where(*mine)
        .group_by(error_days.c.group_uuid)
    )
    met_by: dict[UUID, int] = dict(counted)
    first = day_of(conn.now) - TREND_DAYS + 1
    days: defaultdict[UUID, list[DayCount]] = defaultdict(list)
    for group, day, times in conn.rows(
        select(error_days.c.group_uuid, error_days.c.day, total(TIMES))
        .where(*mine, error_days.c.day >= first)
        .group_by(error_days.c.group_uuid, error_days.c.day)
        .order_by(error_days.c.day)
    ):
        days[group].append(DayCount(date=date_of(day), count=times))
    met_in: defaultdict[UUID, list[str]] = defaultdict(list)
    for group, name in conn.rows(
        select(error_days.c.group_uuid, agents.c.agent_id)
        .select_from(error_days.join(agents, IN_WORK_OF))
        .where(*mine)
        .group_by(error_days.c.group_uuid, agents.c.agent_id)
        .order_by(total(TIMES).desc(), agents.c.agent_id)
    ):
        met_in[group].append(name)
    started_with = _first_versions(conn, scope, [group.id for group in found])
    return [
        replace(
            group,
            first_version=started_with.get(group.id),
            users=met_by.get(group.id, 0),
            agents=tuple(met_in[group.id][:MAX_AGENTS]),
            days=tuple(days[group.id]),
        )
        for group in found
    ]


def _first_versions(conn: Connection, scope: Scope, ids: Sequence[UUID]) -> Mapping[UUID, str]:
    """Return the version of the agent in whose run each group was first met, where that run has one."""
    first = (
        select(errors.c.run_uuid)
        .where(*within(scope, errors), errors.c.group_uuid == error_groups.c.id)
        .order_by(errors.c.created_at, errors.c.id)
        .limit(1)
        .correlate(error_groups)
        .scalar_subquery()
    )
    return dict(
        conn.rows(
            select(error_groups.c.id, agent_versions.c.version_number)
            .select_from(
                error_groups.join(runs, (runs.c.project_id == error_groups.c.project_id) & (runs.c.id == first))
                .join(agent_versions, OF_VERSION)
            )
            .where(error_groups.c.project_id == scope.project, error_groups.c.id.in_(ids))
        )
    )  # fmt: skip


def group(conn: Connection, scope: Scope, group: str | UUID) -> ErrorGroup:
    """Return a group of equal errors by its fingerprint or its row id; raise `NotFound` if the scope sees none."""
    return _with_details(conn, scope, [_get(conn, scope, group)])[0]


def _get(conn: Connection, scope: Scope, group: str | UUID) -> ErrorGroup:
    statement = seen_by(scope).statement
    row = None
    if isinstance(group, str):
        row = conn.first_map(statement.where(error_groups.c.fingerprint == group))
    row_id = group if isinstance(group, UUID) else id_in(group)
    if row is None and row_id is not None:
        row = conn.first_map(statement.where(error_groups.c.id == row_id))
    if row is None:
        raise NotFound("error group", group)
    return _group(row, conn.now)


def breakdown(conn: Connection, scope: Scope, group: str | UUID) -> ErrorBreakdown:
    """Return by whom, in what and at what cost a group of equal errors was met; raise `NotFound` if there is none."""
    found = _get(conn, scope, group)
    latest = (
        select(errors.c.run_uuid, errors.c.llm_call_uuid, errors.c.tool_name)
        .where(*within(scope, errors), errors.c.group_uuid == found.id)
        .order_by(errors.c.created_at.desc(), errors.c.id.desc())
        .limit(LOOKED_AT)
        .subquery()
    )
    in_runs = [*within(scope, runs), runs.c.id.in_(select(latest.c.run_uuid))]
    in_failed = [*in_runs, runs.c.status == RunStatus.ERROR]
    row = conn.first_map(
        select(*[total(runs.c[name]).label(name) for name in USAGE_COUNTERS], func.count().label("runs")).where(
            *in_failed
        )
    )
    return ErrorBreakdown(
        agents=_named(conn, _days_of(scope, found.id, agents, IN_WORK_OF, agents.c.agent_id)),
        users=_named(conn, _days_of(scope, found.id, users, OF_USER, users.c.external_id)),
        versions=_named(
            conn,
            # How often it was met, as of agents and users: each of several in one run counts.
            select(agent_versions.c.version_number, func.count())
            .select_from(latest.join(runs, runs.c.id == latest.c.run_uuid).join(agent_versions, OF_VERSION))
            .where(*within(scope, runs))
            .group_by(agent_versions.c.version_number),
        ),
        models=_named(conn, _by_model(scope, found.kind, latest)),
        tools=_named(conn, _by_tool(scope, found.kind, latest)),
        looked_at=min(LOOKED_AT, found.count),
        runs=int(conn.value(select(func.count()).select_from(runs).where(*in_runs))),
        failed_runs=row["runs"] if row else 0,
        usage=usage_totals(row) if row else UsageTotals(),
        prices=of_calls(conn, scope, llm_calls.c.run_uuid.in_(select(runs.c.id).where(*in_failed))),
    )


def _by_model(scope: Scope, kind: ErrorKind, latest: Subquery) -> Executable:
    """Return a query for the models of the calls that failed, or else of how many runs called each."""
    called = llm_calls.join(models, models.c.id == llm_calls.c.model_uuid)
    if kind is ErrorKind.LLM:
        failed = called.join(latest, latest.c.llm_call_uuid == llm_calls.c.id)
        asked = select(models.c.name, func.count()).select_from(failed).where(*within(scope, llm_calls))
    else:
        asked = (
            select(models.c.name, func.count(llm_calls.c.run_uuid.distinct()))
            .select_from(called)
            .where(*within(scope, llm_calls), llm_calls.c.run_uuid.in_(select(latest.c.run_uuid)))
        )
    return asked.group_by(models.c.name)


def _by_tool(scope: Scope, kind: ErrorKind, latest: Subquery) -> Executable:
    """Return a query for the tools whose uses failed, or else for those that failed in the same runs."""
    if kind is ErrorKind.TOOL:
        return select(latest.c.tool_name, func.count()).group_by(latest.c.tool_name)
    return (
        select(tool_calls.c.tool_name, func.count())
        .where(
            *within(scope, tool_calls),
            tool_calls.c.run_uuid.in_(select(latest.c.run_uuid)),
            tool_calls.c.status == ToolCallStatus.ERROR,
        )
        .group_by(tool_calls.c.tool_name)
    )


def _days_of(scope: Scope, group: UUID, table: Any, joined: Any, name: ColumnElement[Any]) -> Executable:
    return (
        select(name, total(TIMES))
        .select_from(error_days.outerjoin(table, joined))
        .where(*within(scope, error_days), error_days.c.group_uuid == group)
        .group_by(name)
    )


def _named(conn: Connection, statement: Executable) -> tuple[NamedCount, ...]:
    found = [NamedCount(name=name, count=count) for name, count in conn.rows(statement) if count]
    return tuple(sorted(found, key=lambda one: (-one.count, one.name or "")))


def resolve(conn: Connection, scope: Scope, group: str | UUID, *, by: Actor = SYSTEM) -> ErrorGroup:
    """Mark the errors of a group as resolved; a new one of its kind opens the group again, as regressed.

    A scope of one user resolves its own; the group is resolved once none is left open. Goes into the audit trail.
    """
    found = _get(conn, scope, group)
    conn.run(
        update(errors)
        .where(*within(scope, errors), errors.c.group_uuid == found.id, ~errors.c.is_resolved)
        .values(is_resolved=True, resolved_at=conn.now)
    )
    still_open = select(errors.c.id).where(
        errors.c.project_id == scope.project, errors.c.group_uuid == found.id, ~errors.c.is_resolved
    )
    with conn.across_users():
        is_open = conn.first(still_open.limit(1)) is not None
    if not is_open:
        _set(conn, scope, found.id, resolved_at=conn.now, regressed_at=None)
    audit.record_by(conn, scope, by, "error.resolve", "error_group", found.fingerprint)
    told = replace(found, status=ErrorStatus.RESOLVED, is_resolved=True, resolved_at=conn.now)
    return _with_details(conn, scope, [told])[0]


def reopen(conn: Connection, scope: Scope, group: str | UUID, *, by: Actor = SYSTEM) -> ErrorGroup:
    """Mark the errors of a group as unresolved again, those of its user in a scope of one; the group is open then.

    Goes into the audit trail.
    """
    found = _get(conn, scope, group)
    conn.run(
        update(errors)
        .where(*within(scope, errors), errors.c.group_uuid == found.id, errors.c.is_resolved)
        .values(is_resolved=False, resolved_at=None)
    )
    _set(conn, scope, found.id, resolved_at=None, regressed_at=None)
    audit.record_by(conn, scope, by, "error.reopen", "error_group", found.fingerprint)
    return _with_details(conn, scope, [_get(conn, scope, found.id)])[0]


def _set(conn: Connection, scope: Scope, group: UUID, **changes: datetime | None) -> None:
    conn.run(
        update(error_groups)
        .where(error_groups.c.project_id == scope.project, error_groups.c.id == group)
        .values(**changes)
    )
