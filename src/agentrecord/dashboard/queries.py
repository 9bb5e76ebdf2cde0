"""The page on which one asks in SQL."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from agentrecord.dashboard.filters import Asked
from agentrecord.exceptions import InvalidFilter, InvalidValue
from agentrecord.records.sql import SqlAnswer, SqlTable
from agentrecord.store import AsyncStore

ROWS = 200
CELLS = 1_500
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


_PAGES = {
    "run_id": "/r/", "run_uuid": "/r/", "session_id": "/s/", "session_uuid": "/s/",
    "user_name": "/u/", "user_id": "/u/", "user_uuid": "/u/", "external_id": "/u/",
    "agent": "/agents/", "agent_id": "/agents/", "agent_uuid": "/agents/",
    "message_uuid": "/m/", "fingerprint": "/errors/",
}  # fmt: skip
"""Where a column leads whose cells say what has a page, by its name."""

_PAGES_OF_TABLES = {
    "ar_runs": "/r/", "ar_sessions": "/s/", "ar_users": "/u/", "ar_agents": "/agents/", "ar_messages": "/m/",
}  # fmt: skip
"""Where a column called `id` leads, by the only table that a query names."""

_TABLE = re.compile(r"\bar_\w+", re.ASCII | re.IGNORECASE)
_SORT = re.compile(r"-?[1-9]\d{0,2}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlPage:
    """A query, what it gave or why it was refused, and what can be asked.

    `sort` is the column by whose place the rows are ordered, with a minus for the highest first; empty for the query's
    own order. `pages` says for each column where its cells lead, if anywhere.
    """

    sql: str
    tables: Sequence[SqlTable]
    answer: SqlAnswer | None = None
    refused: str = ""
    sort: str = ""
    pages: Sequence[str | None] = ()
    examples: Sequence[tuple[str, str]] = EXAMPLES


async def sql_page(store: AsyncStore, asked: Asked) -> SqlPage:
    """Return the tables, and the answer to `q` if there is one; what cannot be run is told, not raised."""
    sql, sort, tables = asked.get("q", ""), asked.get("sort", ""), await store.queries.tables()
    if not sql:
        return SqlPage(sql="", tables=tables)
    try:
        answer = await store.queries.run(ordered(asked), limit=ROWS)
    except InvalidValue as error:
        return SqlPage(sql=sql, tables=tables, refused=error.reason, sort=sort)
    pages = pages_of(sql, answer.columns)
    return SqlPage(sql=sql, tables=tables, answer=_shown(answer), sort=sort, pages=pages)


def ordered(asked: Asked) -> str:
    """Return the query `q` of an address, ordered by the place of a column if `sort` names one.

    All rows are ordered before any is left out. Raises `InvalidFilter` for what is no place.
    """
    sql, sort = asked.get("q", ""), asked.get("sort")
    if sort is None:
        return sql
    if _SORT.fullmatch(sort) is None:
        raise InvalidFilter("sort", sort, "must be the place of a column, as in 2, or -2 for the highest first")
    way = "DESC" if sort.startswith("-") else "ASC"
    whole = sql.strip().rstrip(";").rstrip()
    # On a line of its own, since a query may end with a comment.
    return f"SELECT * FROM (\n{whole}\n) AS asked ORDER BY {sort.removeprefix('-')} {way} NULLS LAST"


def pages_of(sql: str, columns: Sequence[str]) -> Sequence[str | None]:
    """Return where the cells of each column lead, as far as its name tells; `id` is told by the query's one table."""
    tables = {name.lower() for name in _TABLE.findall(sql)}
    own = _PAGES_OF_TABLES.get(next(iter(tables))) if len(tables) == 1 else None
    return tuple(own if column == "id" else _PAGES.get(column) for column in columns)


def _shown(answer: SqlAnswer) -> SqlAnswer:
    """Return what a page has room for of an answer, which says so if that is not all."""
    rows = max(1, CELLS // max(1, len(answer.columns)))
    if len(answer.rows) <= rows:
        return answer
    return replace(
        answer,
        rows=answer.rows[:rows],
        cut_because=f"only the first {rows:,} rows of so many columns are shown; name fewer, or take the file of all",
    )
