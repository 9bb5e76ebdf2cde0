"""Versions of agents as usage tells them apart: a call counts for the version that its run is of."""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import bindparam, func, select

from agentrecord.engine import Connection, Prepared
from agentrecord.ids import NIL
from agentrecord.records.query import written
from agentrecord.records.scope import Scope
from agentrecord.schema import agent_versions, agents

NO_VERSION = "no version"
OF_NONE = (NO_VERSION, NO_VERSION)
"""How calls outside runs are told, and calls in runs of which no version is known."""

_STORED = Prepared(
    select(agent_versions.c.id, agents.c.agent_id, agent_versions.c.version_number)
    .select_from(
        agent_versions.join(
            agents, (agents.c.project_id == agent_versions.c.project_id) & (agents.c.id == agent_versions.c.agent_uuid)
        )
    )
    .where(agent_versions.c.project_id == bindparam("project"))
    # Of those that one transaction stored, their number tells which came first.
    .order_by(agent_versions.c.created_at, func.coalesce(agent_versions.c.serial, 0), agent_versions.c.id)
)


def stored(conn: Connection, scope: Scope) -> dict[UUID, tuple[str, str]]:
    """Return the key and the label of each version, in the order in which they were stored.

    A version's key is the filter that finds its runs.
    """
    return {
        row: (f"agent:{written(agent)} version:{written(version)}", f"{agent} {version}")
        for row, agent, version in conn.rows(_STORED, {"project": scope.project})
    }


def rows_of(conn: Connection, scope: Scope, keys: Collection[str]) -> list[UUID]:
    """Return the rows that calls of the versions with these keys have; of none they have the nil one."""
    rows = {NO_VERSION: NIL, **{key: row for row, (key, _) in stored(conn, scope).items()}}
    return [rows[key] for key in keys if key in rows]
