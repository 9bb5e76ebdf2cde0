"""What a list of sessions is told by: facets of a whole filter, and completion of its words."""

from collections.abc import Mapping
from typing import Any  # `Any`: SQLAlchemy columns are generic over values they do not know

from sqlalchemy import Select, and_, distinct, func, select

from agentrecord.engine import Connection
from agentrecord.records.facet import Facets
from agentrecord.records.page import COUNT_LIMIT
from agentrecord.records.scope import Scope
from agentrecord.records.session import SessionFilter
from agentrecord.schema import (
    agent_versions,
    agents,
    coding_sessions,
    llm_calls,
    models,
    runs,
    sessions,
    tool_calls,
    users,
)
from agentrecord.store._facets import TOP, counted, named, observed, pairs
from agentrecord.store._run_words import OF_VERSION, environment
from agentrecord.store._session_words import JOINED, SESSION_WORDS, session_conditions
from agentrecord.store._sql import within

_FACETS = ("status", "agent", "user", "source", "directory")
_BELOW = sessions.alias("below")
DEEP = 200
"""Over how many sessions, the last active ones, models, tools, versions and environments are counted."""


def facets(conn: Connection, scope: Scope, where: SessionFilter | None = None, *, top: int = TOP) -> Facets:
    """Return the `top` most frequent values of each main word among the sessions that a filter finds.

    Up to 10,000 sessions are counted, the last active ones, up to 200 for models, tools, versions and
    environments; a session counts for each model, tool and version that it, or one below it, used.
    """
    found = (
        select(
            sessions.c.id,
            sessions.c.status,
            agents.c.agent_id.label("agent"),
            users.c.external_id.label("user"),
            sessions.c.source,
            coding_sessions.c.working_directory.label("directory"),
        )
        .select_from(JOINED)
        .where(*session_conditions(scope, where or SessionFilter()))
        .order_by(sessions.c.last_activity_at.desc(), sessions.c.id.desc())
        .limit(COUNT_LIMIT + 1)
    )
    latest = found.limit(DEEP)
    others: dict[str, Mapping[str, int]] = {
        "model": _used(conn, scope, models.c.name, llm_calls, latest),
        "tool": _used(conn, scope, tool_calls.c.tool_name, tool_calls, latest),
        "version": _used(conn, scope, agent_versions.c.version_number, runs, latest),
        "env": named(conn, latest, environment(sessions.c.metadata)),
    }
    return counted(conn, found.subquery("matched"), _FACETS, others, top=top, deep=DEEP)


def _used(
    conn: Connection, scope: Scope, column: Any, table: Any, found: Select[*tuple[Any, ...]]
) -> Mapping[str, int]:
    """Return how many of the sessions found have a row of `table` in their tree, by the value of `column`."""
    matched = found.cte("matched")
    below = select(matched.c.id.label("top"), _BELOW.c.id).select_from(
        matched.outerjoin(_BELOW, (_BELOW.c.project_id == scope.project) & (_BELOW.c.root_uuid == matched.c.id))
    )
    tree = select(matched.c.id.label("top"), matched.c.id).union_all(below).subquery("tree")
    # Outer joins, so that SQLite, which has no statistics, begins with the few sessions.
    source = tree.outerjoin(table, and_(*within(scope, table), table.c.session_uuid == tree.c.id))
    if table is llm_calls:
        source = source.outerjoin(models, models.c.id == llm_calls.c.model_uuid)
    elif table is runs:
        source = source.outerjoin(agent_versions, and_(*within(scope, agent_versions), OF_VERSION))
    return pairs(conn.rows(select(column, func.count(distinct(tree.c.top))).select_from(source).group_by(column)))


def values(conn: Connection, scope: Scope, word: str, *, prefix: str = "", limit: int = 20) -> tuple[str, ...]:
    """Return values that a word of a filter of sessions can have, those that begin with `prefix`; for completion.

    Raises `InvalidFilter` for an unknown word.
    """
    return observed(conn, scope, SESSION_WORDS, word, prefix, limit)
