"""How agents do, read from the daily figures: it costs the same however many runs and calls there are."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any  # `Any`: rows hold whatever their columns hold
from uuid import UUID

from sqlalchemy import ColumnElement, case, func, select

from agentrecord.engine import Connection
from agentrecord.exceptions import NotFound
from agentrecord.records.agent import AgentDetails, AgentFigures, AgentVersion, VersionFigures
from agentrecord.records.facet import Facets, FigureSums
from agentrecord.records.measures import WordKind
from agentrecord.records.page import Page
from agentrecord.records.run import RunStatus
from agentrecord.records.scope import Scope
from agentrecord.schema import agent_versions, agents, latency_days, llm_calls, runs, usage_days, users
from agentrecord.store import agents as agent_store
from agentrecord.store._days import Days, by_model
from agentrecord.store._facets import TOP, Observed
from agentrecord.store._figures import latency_bucket
from agentrecord.store._owners import COUNTED, FIGURE_SORTS, Other, Owners
from agentrecord.store._price_sources import of_days
from agentrecord.store._sql import total, usage_totals, within
from agentrecord.store._words import Rule, column_word, measured_word
from agentrecord.store.agents import COLUMNS, VERSION_COLUMNS, agent_of
from agentrecord.store.daily import percentile
from agentrecord.store.usage_sums import sums

Histogram = dict[int, int]


def report(
    conn: Connection,
    scope: Scope,
    *,
    query: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    sort: str = "-last_active_at",
    limit: int = 50,
    cursor: str | None = None,
) -> Page[AgentFigures]:
    """Return how agents did on the UTC days from `since` up to `until`, the last active first.

    A day that the range touches counts whole. Without a range, agents that never did anything are listed too; a scope
    of one user sees the agents that worked for that user, with that user's figures. `query` is a filter's
    text: `agent`, `name`, `version`, `user`, `model`, `tool`, `active`, `has`, `runs`, `failed`, `calls`, `cost` …
    """
    return AGENTS.page(conn, _days(scope, since, until), query, sort=sort, limit=limit, cursor=cursor)


def report_sums(
    conn: Connection,
    scope: Scope,
    *,
    query: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> FigureSums:
    """Return the sums over all agents that a filter finds, with the figures of the days that `report` counts."""
    return AGENTS.summed(conn, _days(scope, since, until), query)


def facets(
    conn: Connection,
    scope: Scope,
    *,
    query: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    top: int = TOP,
) -> Facets:
    """Return the `top` most frequent values of each main word among the agents that `report` finds.

    Up to 10,000 agents are counted, the last active ones; an agent counts for each user, model and tool of its days.
    """
    return AGENTS.faceted(conn, _days(scope, since, until), query, top=top)


def values(conn: Connection, scope: Scope, word: str, *, prefix: str = "", limit: int = 20) -> tuple[str, ...]:
    """Return values that a word of a filter of agents can have, those that begin with `prefix`; for completion.

    Raises `InvalidFilter` for an unknown word.
    """
    return AGENTS.values(conn, scope, word, prefix, limit)


def _days(scope: Scope, since: datetime | None, until: datetime | None, owner: UUID | None = None) -> Days:
    return Days(scope=scope, by="agent_uuid", owner=owner, since=since, until=until)


def _figures(row: Mapping[str, Any]) -> AgentFigures:
    told = {field: row[f"active_{name}"] for field, name in COUNTED.items()}
    agent = agent_of({c.name: row[c.name] for c in COLUMNS})
    return AgentFigures(agent=agent, usage=usage_totals(row), last_active_at=row["seen_at"], **told)


def _with_details(conn: Connection, days: Days, found: Sequence[AgentFigures]) -> list[AgentFigures]:
    ids = [one.agent.id for one in found]
    if not ids:
        return []
    made, latencies = days.by_day(conn, ids), _latencies(conn, days, ids)
    in_service: dict[UUID, str] = dict(
        conn.rows(
            select(agent_versions.c.agent_uuid, agent_versions.c.version_number).where(
                agent_versions.c.project_id == days.scope.project,
                agent_versions.c.agent_uuid.in_(ids),
                agent_versions.c.is_active,
            )
        )
    )
    return [
        replace(
            one,
            version=in_service.get(one.agent.id),
            days=made.get(one.agent.id, ()),
            latency_p50_ms=percentile(latencies[one.agent.id], 0.50),
            latency_p95_ms=percentile(latencies[one.agent.id], 0.95),
        )
        for one in found
    ]


def _latencies(conn: Connection, days: Days, ids: Sequence[UUID]) -> Mapping[UUID, Histogram]:
    found: defaultdict[UUID, Histogram] = defaultdict(dict)
    if days.scope.user is None:
        rows = conn.rows(
            select(latency_days.c.agent_uuid, latency_days.c.bucket, total(latency_days.c.calls))
            .where(*days.of(latency_days, "day"), latency_days.c.agent_uuid.in_(ids))
            .group_by(latency_days.c.agent_uuid, latency_days.c.bucket)
        )
        for agent, bucket, calls in rows:
            found[agent][bucket] = calls
        return found
    # The histogram knows no users: what one user's calls took is read from those calls.
    bounds = [llm_calls.c.timestamp >= days.since] if days.since is not None else []
    if days.until is not None:
        bounds.append(llm_calls.c.timestamp < days.until)
    rows = conn.rows(
        select(llm_calls.c.agent_uuid, llm_calls.c.latency_ms, func.count())
        .where(*within(days.scope, llm_calls), llm_calls.c.agent_uuid.in_(ids), *bounds)
        .where(llm_calls.c.latency_ms.is_not(None))
        .group_by(llm_calls.c.agent_uuid, llm_calls.c.latency_ms)
    )
    for agent, latency, calls in rows:
        bucket = latency_bucket(latency)
        found[agent][bucket] = found[agent].get(bucket, 0) + calls
    return found


def details(
    conn: Connection, scope: Scope, agent: str, *, since: datetime | None = None, until: datetime | None = None
) -> AgentDetails:
    """Return one agent's figures on the UTC days from `since` up to `until`, by model, day and tool, and its versions.

    `agent` is its `agent_id`, or else its row id. Raises `NotFound` for one that is not there, or that never worked
    for the user of a scope of one.
    """
    known = agent_store.named(conn, scope, agent)
    days = _days(scope, since, until, known.id)
    if scope.user is not None and not days.is_known(conn):
        raise NotFound("agent", agent)
    row = conn.first_map(AGENTS.listed(days).statement.where(agents.c.id == known.id))
    figures = AgentFigures(agent=known) if row is None else _figures(row)
    spend = days.by_day_and_model(conn, sums(usage_days))
    return AgentDetails(
        figures=_with_details(conn, days, [figures])[0],
        models=by_model(spend),
        spend=spend,
        tools=days.by_tool(conn),
        versions=versions(conn, scope, known.id),
        prices=of_days(conn, days),
    )


def versions(conn: Connection, scope: Scope, agent: UUID) -> tuple[VersionFigures, ...]:
    """Return the versions of an agent, the last put into service first, with the runs that each served."""
    mine = (agent_versions.c.project_id == scope.project, agent_versions.c.agent_uuid == agent)
    # Each version's runs are counted where its index holds them, before they meet the texts of versions.
    served = (
        select(
            runs.c.agent_version_uuid,
            func.count().label("run_count"),
            total(case((runs.c.status == RunStatus.ERROR, 1), else_=0)).label("failed_runs"),
            func.min(runs.c.started_at).label("first_run_at"),
            func.max(runs.c.started_at).label("last_run_at"),
        )
        .where(
            *within(scope, runs), runs.c.agent_uuid == agent,
            runs.c.agent_version_uuid.in_(select(agent_versions.c.id).where(*mine)),
        )
        .group_by(runs.c.agent_version_uuid)
        .subquery("served")
    )  # fmt: skip
    rows = conn.maps(
        select(
            *VERSION_COLUMNS,
            func.coalesce(served.c.run_count, 0).label("run_count"),
            func.coalesce(served.c.failed_runs, 0).label("failed_runs"),
            served.c.first_run_at,
            served.c.last_run_at,
        )
        .select_from(agent_versions.outerjoin(served, served.c.agent_version_uuid == agent_versions.c.id))
        .where(*mine)
    )
    found = [
        VersionFigures(
            version=AgentVersion(**{c.name: row[c.name] for c in VERSION_COLUMNS}),
            runs=row["run_count"],
            failed_runs=row["failed_runs"],
            first_run_at=row["first_run_at"],
            last_run_at=row["last_run_at"],
        )
        for row in rows
    ]
    return tuple(sorted(found, key=lambda one: (one.version.created_at, one.version.id), reverse=True))


_IN_SERVICE = (
    select(agent_versions.c.version_number)
    .where(
        agent_versions.c.project_id == agents.c.project_id, agent_versions.c.agent_uuid == agents.c.id,
        agent_versions.c.is_active,
    )
    .correlate(agents)
    .limit(1)
    .scalar_subquery()
)  # fmt: skip


def _rules(seen: ColumnElement[Any]) -> tuple[Rule, ...]:
    return (
        column_word("agent", "The agent's id", "agent:support-*", agents.c.agent_id),
        column_word("name", "The agent's name", "name:Support", agents.c.name),
        column_word("version", "The version that is in service", "version:1.4.*", _IN_SERVICE),
        measured_word("active", WordKind.MOMENT, "When it was last active, UTC", "active:>=2026-01-31", seen),
    )


AGENTS: Owners[AgentFigures] = Owners(
    table=agents,
    by="agent_uuid",
    columns=COLUMNS,
    known=agents.c.agent_id,
    sorts=("agent_id", "last_active_at"),
    rules=_rules,
    free=(agents.c.agent_id, agents.c.name),
    build=_figures,
    details=_with_details,
    other=Other(word="user", help="A user it worked for", example="user:bob@acme.io", by="user_uuid",
                name=users.c.external_id, table=users),
    facets={"version": _IN_SERVICE},
    observed={"name": Observed(agents.c.name, agents, agents)},
)  # fmt: skip
"""The list of agents."""

REPORT_SORTS = (*AGENTS.sorts, *FIGURE_SORTS)
