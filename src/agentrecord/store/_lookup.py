"""Rows by many keys at once: SQL text built by hand, because compiling a list of thousands costs more than asking."""

from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from typing import Any, cast  # `Any`: rows hold whatever their columns hold

from sqlalchemy import Table

from agentrecord.engine import Connection
from agentrecord.ids import ProjectId
from agentrecord.schema.types import ColumnType

CHUNK = 500


def rows_by(
    conn: Connection,
    project: ProjectId,
    table: Table,
    key: str,
    wanted: Iterable[object],
    *,
    columns: Sequence[str],
    within: tuple[str, object] | None = None,
    lock: bool = False,
    across_users: bool = False,
) -> list[dict[str, Any]]:
    """Return `columns` of the project's rows whose `key` is one of `wanted`, `within` naming one more equal column.

    With `lock` they stay locked until the transaction ends (PostgreSQL; SQLite has one writer anyway). A scope of one
    user also finds what others have under these keys where that is asked `across_users`: it is taken.
    """
    keys = list(dict.fromkeys(wanted))
    name = table.name if conn.schema is None else f"{conn.schema}.{table.name}"
    mark = "?" if conn.is_sqlite else "%s"
    decoders = [cast(ColumnType, table.c[c].type).decoder(conn.dialect.name) for c in columns]
    narrower = "" if within is None else f" AND {within[0]} = {mark}"
    bound = (project,) if within is None else (project, within[1])
    ending = "" if conn.is_sqlite or not lock else f" ORDER BY {key} FOR UPDATE"
    found: list[dict[str, Any]] = []
    with conn.across_users() if across_users else nullcontext():
        for start in range(0, len(keys), CHUNK):
            chunk = keys[start : start + CHUNK]
            marks = ",".join([mark] * len(chunk))
            listed = ", ".join(columns)
            sql = f"SELECT {listed} FROM {name} WHERE project_id = {mark}{narrower} AND {key} IN ({marks}){ending}"
            found.extend(
                {
                    column: value if decode is None or value is None else decode(value)
                    for column, value, decode in zip(columns, row, decoders, strict=True)
                }
                for row in conn.text(sql, (*bound, *chunk))
            )
    return found
