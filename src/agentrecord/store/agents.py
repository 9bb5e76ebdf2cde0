"""Agents, known by the `agent_id` that their framework gives them, and their versions."""

from collections.abc import Mapping
from typing import Any  # `Any`: rows hold whatever their columns hold
from uuid import UUID

from sqlalchemy import ColumnElement, Table, bindparam, select, update

from agentrecord.codec import values
from agentrecord.engine import Connection, Prepared
from agentrecord.exceptions import NotFound
from agentrecord.ids import derived_id, id_in
from agentrecord.records.agent import Agent, AgentVersion
from agentrecord.records.page import Page
from agentrecord.records.scope import Scope
from agentrecord.schema import agent_versions, agents
from agentrecord.store._page import page
from agentrecord.store._sql import insert_or_skip

_ADD = insert_or_skip(agents)
_BY_NAME = Prepared(
    select(agents).where(agents.c.project_id == bindparam("project"), agents.c.agent_id == bindparam("agent_id"))
)
_ADD_VERSION = insert_or_skip(agent_versions)
_VERSION = Prepared(
    select(agent_versions.c.id).where(
        agent_versions.c.project_id == bindparam("project"), agent_versions.c.id == bindparam("id")
    )
)
VERSION_COLUMNS = [c for c in agent_versions.c if c.name not in ("project_id", "serial", "performance")]
COLUMNS = [c for c in agents.c if c.name not in ("project_id", "serial")]


def agent_of(row: Mapping[str, Any]) -> Agent:
    """Return a row as an agent."""
    return Agent(**{name: value for name, value in row.items() if name not in ("project_id", "serial", "page_key")})


def version_of(table: Table) -> ColumnElement[str | None]:
    """Return the number of the version that a row of `table` names by `agent_version_uuid`, NULL for none."""
    named = (
        agent_versions.c.project_id == table.c.project_id,
        agent_versions.c.id == table.c.agent_version_uuid,
    )
    return select(agent_versions.c.version_number).where(*named).correlate(table).scalar_subquery()


def row_id(scope: Scope, agent_id: str) -> UUID:
    """Return the id that the row of the agent called `agent_id` has, if there is one."""
    return derived_id(0, "agent", scope.project, agent_id)


def agent_uuid(conn: Connection, scope: Scope, agent_id: str | None, name: str | None = None) -> UUID | None:
    """Return the row of the agent called `agent_id`, made when first named; None for None."""
    if agent_id is None:
        return None
    found = row_id(scope, values.name("agent_id", agent_id))
    key = ("agent", found)
    if conn.recall(key) is None:
        conn.run(
            _ADD,
            {
                "project_id": scope.project,
                "id": found,
                "serial": None,
                "agent_id": agent_id,
                "name": name,
                "description": None,
                "instructions": None,
                "learning_mode": None,
                "training_status": None,
                "specializations": (),
                "total_sessions": 0,
                "created_at": conn.now,
                "last_active_at": None,
            },
        )
        conn.remember(key, True)
    return found


def ensure(conn: Connection, scope: Scope, agent_id: str, *, name: str | None = None) -> Agent:
    """Return the agent called `agent_id`, made if there is none."""
    agent_uuid(conn, scope, agent_id, name)
    return get(conn, scope, agent_id)


def get(conn: Connection, scope: Scope, agent_id: str) -> Agent:
    """Return the agent called `agent_id`; raise `NotFound` if there is none."""
    row = conn.first_map(_BY_NAME, {"project": scope.project, "agent_id": agent_id})
    if row is None:
        raise NotFound("agent", agent_id)
    return agent_of(row)


def named(conn: Connection, scope: Scope, agent: str) -> Agent:
    """Return an agent by its `agent_id` or else its row id; raise `NotFound` if there is none."""
    row = conn.first_map(_BY_NAME, {"project": scope.project, "agent_id": values.text("agent", agent)})
    row_id = id_in(agent)
    if row is None and row_id is not None:
        row = conn.first_map(select(*COLUMNS).where(agents.c.project_id == scope.project, agents.c.id == row_id))
    if row is None:
        raise NotFound("agent", agent)
    return agent_of(row)


def list_(conn: Connection, scope: Scope, *, limit: int = 50, cursor: str | None = None) -> Page[Agent]:
    """Return the agents of the scope's project by `agent_id`."""
    statement = select(*COLUMNS).where(agents.c.project_id == scope.project)
    return page(
        conn, statement, agent_of, sorts={"agent_id": agents.c.agent_id}, sort="agent_id",
        row_id=agents.c.id, limit=limit, cursor=cursor,
    )  # fmt: skip


def find_active(conn: Connection, scope: Scope, agent_id: str) -> AgentVersion | None:
    """Return the version of an agent that is in service; None if there is none."""
    row = conn.first_map(
        select(*VERSION_COLUMNS)
        .join_from(
            agent_versions,
            agents,
            (agents.c.project_id == agent_versions.c.project_id) & (agents.c.id == agent_versions.c.agent_uuid),
        )
        .where(agent_versions.c.project_id == scope.project, agents.c.agent_id == agent_id, agent_versions.c.is_active)
    )
    return None if row is None else AgentVersion(**row)


def check_version(conn: Connection, scope: Scope, version: UUID) -> None:
    """Raise `NotFound` unless there is a version under this id."""
    if conn.value(_VERSION, {"project": scope.project, "id": version}) is None:
        raise NotFound("agent version", version)


def create_version(
    conn: Connection, scope: Scope, agent_id: str, version_number: str, *, changes: str | None = None
) -> AgentVersion:
    """Record a version of an agent and make it the active one; a version seen before is only made active."""
    agent = agent_uuid(conn, scope, agent_id)
    values.name("version_number", version_number)
    if changes is not None:
        values.json_text("changes", changes)
    mine = (agent_versions.c.project_id == scope.project, agent_versions.c.agent_uuid == agent)
    conn.run(
        update(agent_versions)
        .where(*mine, agent_versions.c.is_active, agent_versions.c.version_number != version_number)
        .values(is_active=False, deactivated_at=conn.now)
    )
    conn.run(
        _ADD_VERSION,
        {
            "project_id": scope.project,
            "id": conn.new_id(),
            "serial": None,
            "agent_uuid": agent,
            "version_number": version_number,
            "changes": changes,
            "performance": None,
            "created_by": None,
            "is_active": False,
            "activated_at": None,
            "deactivated_at": None,
            "created_at": conn.now,
        },
    )
    row = conn.first_map(
        update(agent_versions)
        .where(*mine, agent_versions.c.version_number == version_number)
        .values(is_active=True, activated_at=conn.now, deactivated_at=None)
        .returning(*VERSION_COLUMNS)
    )
    if row is None:
        raise NotFound("agent version", version_number)
    return AgentVersion(**row)
