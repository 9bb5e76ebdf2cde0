"""Whose a new row is: its session's user, else its run's, else the one named, else the scope's own.

A call is of the version that its run is of, of none outside runs.
"""

from collections.abc import Iterable
from typing import cast
from uuid import UUID

from sqlalchemy import bindparam, select

from agentrecord.engine import Connection, Prepared
from agentrecord.exceptions import NotFound
from agentrecord.ids import UserId
from agentrecord.records.scope import Scope
from agentrecord.schema import runs, sessions
from agentrecord.store import people
from agentrecord.store._sql import bound_within, scope_params

_SESSION = Prepared(
    select(sessions.c.user_uuid, sessions.c.agent_uuid).where(
        *bound_within(sessions), sessions.c.id == bindparam("id"), sessions.c.deleted_at.is_(None)
    )
)
_RUN = Prepared(
    select(runs.c.user_uuid, runs.c.agent_uuid, runs.c.agent_version_uuid).where(
        *bound_within(runs), runs.c.id == bindparam("id")
    )
)

OfRun = tuple[UUID | None, UUID | None]
"""A run's agent, and which version of it."""

OF_NO_RUN: OfRun = (None, None)


def of(
    conn: Connection, scope: Scope, *, session: UUID | None, run: UUID | None = None, user: str | None = None
) -> tuple[UserId, UUID | None]:
    """Return the user and the agent that a new row belongs to.

    Raises `NotFound` for a session or run that the scope cannot see.
    """
    owner, agent, _ = of_call(conn, scope, session=session, run=run, user=user)
    return owner, agent


def of_call(
    conn: Connection, scope: Scope, *, session: UUID | None, run: UUID | None, user: str | None = None
) -> tuple[UserId, UUID | None, UUID | None]:
    """Return the user, the agent and the agent's version that a new call belongs to.

    Raises `NotFound` for a session or run that the scope cannot see.
    """
    agent: UUID | None = None
    version: UUID | None = None
    owner: UserId | None = None
    for kind, statement, row_id in (("session", _SESSION, session), ("run", _RUN, run)):
        if row_id is None:
            continue
        row = conn.first(statement, {**scope_params(scope), "id": row_id})
        if row is None:
            raise NotFound(kind, row_id)
        owner = owner or cast(UserId, row[0])
        agent = cast("UUID | None", row[1]) or agent
        if statement is _RUN:
            version = cast("UUID | None", row[2])
    return owner or people.user_uuid(conn, scope, user), agent, version


def of_runs(conn: Connection, scope: Scope, runs_named: Iterable[UUID | None]) -> dict[UUID | None, OfRun]:
    """Return the agents of runs, which a call belongs to before its session's agent, and their versions."""
    found: dict[UUID | None, OfRun] = {}
    for run in {run for run in runs_named if run is not None}:
        row = conn.first(_RUN, {**scope_params(scope), "id": run})
        if row is not None:
            found[run] = row[1], row[2]
    return found
