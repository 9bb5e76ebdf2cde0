"""Usage by agent version: a call counts for the version that its run is of."""

from datetime import datetime
from typing import Any  # `Any`: rows hold whatever their columns hold
from uuid import UUID

from sqlalchemy import func, select

from agentrecord.engine import Connection
from agentrecord.records.query import written
from agentrecord.records.scope import Scope
from agentrecord.records.usage import UsageRow, UsageTotals
from agentrecord.schema import agent_versions, agents, llm_calls, runs
from agentrecord.store._sql import total, usage_totals, within
from agentrecord.store.usage_by_session import in_range, measures

NO_VERSION = "no version"


def rows(
    conn: Connection,
    scope: Scope,
    whole: UsageTotals,
    *,
    since: datetime | None,
    until: datetime | None,
    include_subagents: bool,
) -> list[UsageRow]:
    """Return one row for each version, and one for what is left of the `whole`: the calls of no version's run.

    A row's key is the filter that finds its runs.
    """
    names = _names(conn, scope)
    found = _found(conn, scope, since, until, include_subagents) if names else ()
    shown = []
    for row in found:
        agent, version = names[row["version"]]
        totals = usage_totals(row)
        whole = whole - totals
        key = f"agent:{written(agent)} version:{written(version)}"
        shown.append(
            UsageRow(
                key=key, label=f"{agent} {version}", totals=totals, first_at=row["first_at"], last_at=row["last_at"]
            )
        )
    if whole.calls:
        shown.append(UsageRow(key=NO_VERSION, label=NO_VERSION, totals=whole))
    return shown


def _names(conn: Connection, scope: Scope) -> dict[UUID, tuple[str, str]]:
    """Return each version's agent and number."""
    of_agent = (agents.c.project_id == agent_versions.c.project_id) & (agents.c.id == agent_versions.c.agent_uuid)
    found = conn.rows(
        select(agent_versions.c.id, agents.c.agent_id, agent_versions.c.version_number)
        .select_from(agent_versions.join(agents, of_agent))
        .where(*within(scope, agent_versions))
    )
    return {row: (agent, version) for row, agent, version in found}


def _found(
    conn: Connection, scope: Scope, since: datetime | None, until: datetime | None, include_subagents: bool
) -> list[dict[str, Any]]:
    of_run = (runs.c.project_id == llm_calls.c.project_id) & (runs.c.id == llm_calls.c.run_uuid)
    return conn.maps(
        select(
            runs.c.agent_version_uuid.label("version"),
            *[total(measure).label(name) for name, measure in measures().items()],
            func.min(llm_calls.c.timestamp).label("first_at"),
            func.max(llm_calls.c.timestamp).label("last_at"),
        )
        .select_from(llm_calls.join(runs, of_run))
        .where(
            *within(scope, llm_calls),
            *in_range(since, until),
            *([] if include_subagents else [~llm_calls.c.is_subagent]),
            runs.c.agent_version_uuid.is_not(None),
        )
        .group_by(runs.c.agent_version_uuid)
    )
