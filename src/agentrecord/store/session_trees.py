"""The tree of a session: the session itself and all below it."""

from collections.abc import Mapping, Sequence
from typing import Any, cast  # `Any`: SQLAlchemy selects are generic over rows they do not know
from uuid import UUID

from sqlalchemy import Select, select

from agentrecord.engine import Connection
from agentrecord.records.scope import Scope
from agentrecord.records.session import Session
from agentrecord.records.usage import UsageTotals
from agentrecord.schema import sessions
from agentrecord.schema.tables import USAGE_COUNTERS
from agentrecord.store import _trees as trees
from agentrecord.store._sql import total, usage_totals, within


def subtree_usage(conn: Connection, scope: Scope, session: UUID) -> UsageTotals:
    """Return the sums over a session and every session below it, deleted ones included: the ledger stays."""
    tree = subtree_of(scope, session)
    statement = select(*[total(sessions.c[name]).label(name) for name in USAGE_COUNTERS]).where(
        *within(scope, sessions), sessions.c.id.in_(tree)
    )
    row = conn.first_map(statement)
    return usage_totals(row) if row else UsageTotals()


def subtree_of(scope: Scope, session: UUID) -> Select[Any]:
    """Return a query for the ids of a session and of all below it."""
    tree = (
        select(sessions.c.id)
        .where(sessions.c.project_id == scope.project, sessions.c.id == session)
        .cte("tree", recursive=True)
    )
    below = sessions.alias("below")
    tree = tree.union(select(below.c.id).where(below.c.project_id == scope.project, below.c.parent_uuid == tree.c.id))
    return select(tree.c.id)


def subtree_sums(conn: Connection, scope: Scope, session_ids: Sequence[UUID]) -> Mapping[UUID, UsageTotals]:
    """Return, for each session, the sums over it and every session below it."""
    return trees.sums_of(conn, scope, sessions, session_ids)


def root_of(conn: Connection, scope: Scope, session: Session) -> UUID:
    """Return the top of the tree that a session is in."""
    found = conn.value(
        select(sessions.c.root_uuid).where(sessions.c.project_id == scope.project, sessions.c.id == session.id)
    )
    return cast("UUID | None", found) or session.id
