"""SQL that people write: read-only, bounded, and within the scope of who asks."""

import math
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any  # `Any`: rows hold whatever their columns hold
from uuid import UUID

from agentrecord.codec import values
from agentrecord.engine import Connection
from agentrecord.engine.guest_words import reads_only, refusal
from agentrecord.engine.guests import Bounds, on_postgresql, on_sqlite
from agentrecord.exceptions import Forbidden, InvalidValue
from agentrecord.records.scope import Role, Scope
from agentrecord.records.sql import Cell, SqlAnswer, SqlTable
from agentrecord.schema import metadata, policies
from agentrecord.store.roles import bypass

MAX_ROWS = 10_000
MAX_BYTES = 8 * 1024 * 1024
MAX_CHARS = 20_000
SECONDS = 1.0
SECRET_TABLES = frozenset(
    {
        "ar_accounts",
        "ar_api_keys",
        "ar_memberships",
        "ar_refresh_tokens",
        "ar_settings",
        "ar_sign_in_attempts",
        "ar_sign_ins",
    }
)
"""Tables that hold hashes of passwords, keys and tokens, or say who signs in: no query reads them."""

_BY_PROJECT = {
    "ar_projects": "id = {project}",
    "ar_prices": "(price_project_id IS NULL OR price_project_id = {project})",
}
"""Global tables of which a scope sees a part."""

_FOREIGN_SCHEMAS = "SELECT nspname FROM pg_namespace WHERE nspname NOT IN ('agentrecord', 'system', 'agent_sdk')"
_VIEW_COLUMNS = {
    "sqlite": "SELECT v.name, c.name FROM sqlite_master AS v, pragma_table_info(v.name) AS c"
    " WHERE v.type = 'view' AND v.name NOT LIKE 'ar_%' ORDER BY v.name, c.cid",
    "postgresql": "SELECT table_name::text, column_name::text FROM information_schema.columns"
    " WHERE table_schema IN ('system', 'agent_sdk') ORDER BY table_name, ordinal_position",
}


def run(conn: Connection, scope: Scope, sql: str, *, limit: int = 1000) -> SqlAnswer:
    """Run one SELECT on the record and return at most `limit` rows of what it gives, and no more than 8 MiB.

    It may take a second, and sees what `scope` may see: one project; where row-level security binds (PostgreSQL), one
    user's rows for a scope of one user; nothing that signs people in. Elsewhere administrators alone may ask. Raises
    `Forbidden` for who may not, `InvalidValue` for what is no query, is refused, or takes too long.
    """
    _check_asker(conn, scope)
    values.text("sql", sql, max_chars=MAX_CHARS)
    text = sql.strip().rstrip(";").rstrip()
    if not reads_only(text):
        raise InvalidValue("sql", sql, "is no query; begin with SELECT, WITH or VALUES")
    if not 1 <= limit <= MAX_ROWS:
        raise InvalidValue("limit", limit, f"must be from 1 to {MAX_ROWS:,}")
    bounds = Bounds(seconds=SECONDS, rows=limit, bytes=MAX_BYTES)
    if conn.is_sqlite:
        given = on_sqlite(conn, text, dict(_views(scope)), bounds)
    else:
        refused = refusal(
            text,
            _readable(scope, is_sqlite=False),
            hidden=() if scope.role is Role.OPERATOR else ("projects",),
            foreign=[str(name) for (name,) in conn.text(_FOREIGN_SCHEMAS)],
        )
        if refused is not None:
            raise InvalidValue("sql", sql, refused)
        given = on_postgresql(conn, text, bounds)
    return SqlAnswer(
        columns=given.columns,
        rows=tuple(tuple(_cell(value) for value in row) for row in given.rows),
        cut_because=given.cut_because,
        duration_ms=given.duration_ms,
    )


def tables(conn: Connection, scope: Scope) -> list[SqlTable]:
    """Return the tables and documented views that `run` can ask, with their columns; `Forbidden` as there."""
    _check_asker(conn, scope)
    found = [
        SqlTable(name=str(name), is_view=False, columns=tuple(map(str, metadata.tables[name].c.keys())))
        for name in sorted(_readable(scope, is_sqlite=conn.is_sqlite))
    ]
    views: dict[str, list[str]] = {}
    for view, column in conn.text(_VIEW_COLUMNS[conn.dialect.name]):
        views.setdefault(view, []).append(column)
    return [*[SqlTable(name=name, is_view=True, columns=tuple(columns)) for name, columns in views.items()], *found]


def _check_asker(conn: Connection, scope: Scope) -> None:
    sees_all = scope.role.may_administer and scope.user is None
    if conn.is_sqlite:
        if not sees_all:
            raise Forbidden("queries in SQL are for administrators who see the whole project")
    elif scope.role is not Role.OPERATOR and (why := bypass(conn)) is not None:
        raise Forbidden(f"queries in SQL need row-level security, which does not bind here: {why}")


def _readable(scope: Scope, *, is_sqlite: bool) -> frozenset[str]:
    """Return the tables that a scope may ask: for one user those whose rows are somebody's, or everybody's."""
    found = set(metadata.tables) - SECRET_TABLES
    if scope.user is not None or not scope.role.may_administer:
        own = {table.name for table in policies.tables() if policies.binds_users(table)}
        found &= own | {"ar_hosts", "ar_models"}
    elif scope.role is not Role.OPERATOR and not is_sqlite:
        found -= set(_BY_PROJECT)
    return frozenset(found)


def _views(scope: Scope) -> Iterator[tuple[str, str]]:
    """Yield what each table is on SQLite for a scope: its name, and the SELECT of the rows that are seen."""
    project = f"x'{scope.project.hex}'"
    for name in sorted(_readable(scope, is_sqlite=True)):
        table = metadata.tables[name]
        if name in _BY_PROJECT:
            condition = _BY_PROJECT[name].format(project=project)
        elif "project_id" in table.c:
            condition = f"project_id = {project}"
        else:
            # Any condition that holds: a table of which no column is read would be one that the query itself names.
            condition = f"{next(iter(table.primary_key)).name} >= 0"
        yield name, f"SELECT * FROM main.{name} WHERE {condition}"


def _cell(value: Any) -> Cell:
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else str(value)
        case Decimal():
            return int(value) if value.is_finite() and value == value.to_integral_value() else str(value)
        case bytes():
            return str(UUID(bytes=value)) if len(value) == 16 else value.hex()
        case datetime():
            return value.isoformat()
        case _:
            return str(value)
