"""The page on which one asks in SQL."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from agentrecord.dashboard.filters import Asked
from agentrecord.exceptions import InvalidValue
from agentrecord.records.sql import SqlAnswer, SqlTable
from agentrecord.store import AsyncStore

ROWS = 200
CELLS = 2_000
"""So many cells a page shows at most: a browser lays out no more of them with ease."""

LAST_SESSIONS = """SELECT session_id, title, message_count
FROM ar_sessions
ORDER BY last_activity_at DESC
LIMIT 20"""
DOLLARS_BY_MODEL = """SELECT m.name, count(*) AS calls, sum(c.cost_nanos) / 1e9 AS dollars
FROM ar_llm_calls AS c
JOIN ar_models AS m ON m.id = c.model_uuid
GROUP BY m.name
ORDER BY 3 DESC"""
FAILING_TOOLS = """SELECT tool_name, count(*) AS failed
FROM ar_tool_calls
WHERE status = 'error'
GROUP BY tool_name
ORDER BY 2 DESC"""
EXAMPLES = (
    ("the last sessions", LAST_SESSIONS),
    ("dollars by model", DOLLARS_BY_MODEL),
    ("tools that fail", FAILING_TOOLS),
)
"""Queries that show how one asks, on every engine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlPage:
    """A query, what it gave or why it was refused, and what can be asked."""

    sql: str
    tables: Sequence[SqlTable]
    answer: SqlAnswer | None = None
    refused: str = ""
    examples: Sequence[tuple[str, str]] = EXAMPLES


async def sql_page(store: AsyncStore, asked: Asked) -> SqlPage:
    """Return the tables, and the answer to `q` if there is one; what cannot be run is told, not raised."""
    sql, tables = asked.get("q", ""), await store.queries.tables()
    if not sql:
        return SqlPage(sql="", tables=tables)
    try:
        answer = await store.queries.run(sql, limit=ROWS)
    except InvalidValue as error:
        return SqlPage(sql=sql, tables=tables, refused=error.reason)
    return SqlPage(sql=sql, tables=tables, answer=_shown(answer))


def _shown(answer: SqlAnswer) -> SqlAnswer:
    """Return what a page has room for of an answer, which says so if that is not all."""
    rows = max(1, CELLS // max(1, len(answer.columns)))
    if len(answer.rows) <= rows:
        return answer
    return replace(
        answer,
        rows=answer.rows[:rows],
        cut_because=f"only the first {rows:,} rows of so many columns are shown; name fewer, or take the CSV",
    )
