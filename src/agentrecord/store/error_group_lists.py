"""What a list of groups of errors is told by: sums over a whole filter, facets, and completion of its words."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any  # `Any`: SQLAlchemy columns are generic over values they do not know

from sqlalchemy import ColumnElement, FromClause, Subquery, and_, case, distinct, func, select

from agentrecord.engine import Connection
from agentrecord.records.error import ErrorStatus
from agentrecord.records.facet import Facets, GroupSums
from agentrecord.records.page import COUNT_LIMIT
from agentrecord.records.scope import Scope
from agentrecord.schema import agents, error_days, error_groups, users
from agentrecord.store._error_words import (
    IN_WORK_OF,
    OF_USER,
    TIMES,
    Seen,
    group_conditions,
    known_words,
    seen_by,
    standing,
)
from agentrecord.store._facets import TOP, Observed, counted, observed, pairs
from agentrecord.store._sql import total, within

_MET = error_days.join(
    error_groups,
    (error_groups.c.project_id == error_days.c.project_id) & (error_groups.c.id == error_days.c.group_uuid),
)
_OBSERVED: Mapping[str, Observed] = {
    # By way of the days, which know whose they are.
    "tool": Observed(error_groups.c.tool_name, error_days, _MET),
    "type": Observed(error_groups.c.error_type, error_days, _MET),
    "group": Observed(error_groups.c.fingerprint, error_days, _MET),
}


def sums(
    conn: Connection,
    scope: Scope,
    *,
    include_resolved: bool = False,
    query: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> GroupSums:
    """Return how many groups of equal errors a filter finds, how they stand, and how often errors of theirs were met.

    They are those that `groups` finds; like there, it is counted how often each was met at any time.
    """
    seen = seen_by(scope)
    asked = group_conditions(
        scope, seen, conn.now, query=query, include_resolved=include_resolved, since=since, until=until
    )
    found = seen.statement.where(*asked).add_columns(_status(conn, seen).label("status_now")).subquery("found")
    rows = conn.rows(
        select(found.c.status_now, func.count(), total(found.c["count"]))
        .group_by(found.c.status_now)
        .order_by(found.c.status_now)
    )
    return GroupSums(
        groups=sum(count for _, count, _ in rows),
        by_status={ErrorStatus(status): count for status, count, _ in rows},
        errors=sum(times for *_, times in rows),
    )


def facets(
    conn: Connection,
    scope: Scope,
    *,
    include_resolved: bool = False,
    query: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    top: int = TOP,
) -> Facets:
    """Return the `top` most frequent values of each main word among the groups of errors that `groups` finds.

    Up to 10,000 groups are counted, the last seen ones; a group counts for each agent and user that ever met it.
    """
    seen = seen_by(scope)
    asked = group_conditions(
        scope, seen, conn.now, query=query, include_resolved=include_resolved, since=since, until=until
    )
    columns = seen.columns
    found = (
        seen.statement.where(*asked)
        .with_only_columns(
            error_groups.c.id, columns["kind"].label("kind"), _status(conn, seen).label("status"),
            columns["error_type"].label("type"),
            maintain_column_froms=True,
        )
        .order_by(columns["last_seen_at"].desc(), error_groups.c.id.desc())
        .limit(COUNT_LIMIT + 1)
        .subquery("matched")
    )  # fmt: skip
    others = {
        "agent": _met_by(conn, scope, found, agents.c.agent_id, error_days.join(agents, IN_WORK_OF)),
        "user": _met_by(conn, scope, found, users.c.external_id, error_days.join(users, OF_USER)),
    }
    return counted(conn, found, ("kind", "status", "type"), others, top=top, deep=COUNT_LIMIT)


def _status(conn: Connection, seen: Seen) -> ColumnElement[str]:
    known = [(and_(*standing(status, conn.now, seen.columns)), str(status)) for status in ErrorStatus]
    return case(*known)


def _met_by(
    conn: Connection, scope: Scope, found: Subquery, name: ColumnElement[Any], source: FromClause
) -> Mapping[str, int]:
    rows = conn.rows(
        select(name, func.count(distinct(error_days.c.group_uuid)))
        .select_from(source)
        .where(*within(scope, error_days), TIMES > 0, error_days.c.group_uuid.in_(select(found.c.id)))
        .group_by(name)
    )
    return pairs(rows)


def values(conn: Connection, scope: Scope, word: str, *, prefix: str = "", limit: int = 20) -> tuple[str, ...]:
    """Return values that a word of a filter of groups of errors can have, those that begin with `prefix`.

    Raises `InvalidFilter` for an unknown word.
    """
    return observed(conn, scope, known_words(), word, prefix, limit, own=_OBSERVED)
