"""Sums over rows and all below them, where rows have a parent of their own kind: runs and sessions."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar
from uuid import UUID

from sqlalchemy import Table, select

from agentrecord.engine import Connection
from agentrecord.records.run import Run
from agentrecord.records.scope import Scope
from agentrecord.records.session import Session
from agentrecord.records.usage import UsageTotals
from agentrecord.store._sql import usage_totals, within
from agentrecord.store.usage_sums import sums

R = TypeVar("R", Run, Session)


def sums_of(conn: Connection, scope: Scope, table: Table, row_ids: Sequence[UUID]) -> Mapping[UUID, UsageTotals]:
    """Return, for each row, the sums over it and every row below it; parents in a circle add nothing twice."""
    if not row_ids:
        return {}
    tree = (
        select(table.c.id.label("top"), table.c.id)
        .where(*within(scope, table), table.c.id.in_(list(row_ids)))
        .cte("tree", recursive=True)
    )
    below = table.alias("below")
    tree = tree.union(
        select(tree.c.top, below.c.id).where(below.c.project_id == scope.project, below.c.parent_uuid == tree.c.id)
    )
    rows = conn.maps(
        select(tree.c.top, *sums(table))
        .select_from(table.join(tree, tree.c.id == table.c.id))
        .where(*within(scope, table))
        .group_by(tree.c.top)
    )
    return {row["top"]: usage_totals(row) for row in rows}


def with_trees(conn: Connection, scope: Scope, table: Table, rows: Sequence[R]) -> Sequence[R]:
    """Return rows, each that has any below it with the sums over these too: for all of them by one statement."""
    found = sums_of(conn, scope, table, [row.id for row in rows if row.child_count])
    return [replace(row, subtree=found.get(row.id)) for row in rows] if found else rows
