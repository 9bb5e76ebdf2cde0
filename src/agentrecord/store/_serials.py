"""Integer ids for the doors that show them: a counter row per project and table, no sequence."""

from collections.abc import Sequence
from typing import cast
from uuid import UUID

from sqlalchemy import Dialect, Executable, Table, bindparam, select, update

from agentrecord.engine import Connection, Prepared
from agentrecord.ids import ProjectId
from agentrecord.records.scope import Scope
from agentrecord.schema import events, llm_calls, runs, serials
from agentrecord.store._sql import PerDialect, insert_for, within


def _take(dialect: Dialect) -> Executable:
    names = ("project_id", "table_name", "next_serial")
    statement = insert_for(dialect, serials, {name: bindparam(name) for name in names})
    taken = statement.on_conflict_do_update(
        index_elements=["project_id", "table_name"],
        set_={"next_serial": serials.c.next_serial + statement.excluded.next_serial},
    )
    return cast(Executable, taken.returning(serials.c.next_serial))


_TAKE = PerDialect(_take)


def next_serial(conn: Connection, project: ProjectId, table: str, *, count: int = 1) -> int:
    """Return the first of the next `count` integer ids of a project's table."""
    last = conn.value(_TAKE, {"project_id": project, "table_name": table, "next_serial": count})
    return int(last) - count + 1


def number_runs(conn: Connection, scope: Scope, ids: Sequence[UUID]) -> dict[UUID, int]:
    """Give integer ids to those of some runs that have none, in their order of creation; return all that have one."""
    return _number(conn, scope, runs, "runs", ids)


def number_events(conn: Connection, scope: Scope, ids: Sequence[UUID]) -> dict[UUID, int]:
    """Give integer ids to those of some events that have none, in their order of creation; return all that have one."""
    return _number(conn, scope, events, "events", ids)


def number_calls(conn: Connection, scope: Scope, ids: Sequence[UUID]) -> dict[UUID, int]:
    """Give integer ids to those of some calls that have none, in their order of creation; return all that have one."""
    return _number(conn, scope, llm_calls, "llm_calls", ids)


def _number(conn: Connection, scope: Scope, table: Table, name: str, ids: Sequence[UUID]) -> dict[UUID, int]:
    found: dict[UUID, int | None] = {}
    for start in range(0, len(ids), 500):
        asked = select(table.c.id, table.c.serial).where(
            *within(scope, table), table.c.id.in_(ids[start : start + 500])
        )
        # Locked, so that two that show a row for the first time do not number it twice.
        found.update(conn.rows(asked.order_by(table.c.id).with_for_update()))
    missing = sorted(row_id for row_id, serial in found.items() if serial is None)
    if missing:
        first = next_serial(conn, scope.project, name, count=len(missing))
        numbers = dict(zip(missing, range(first, first + len(missing)), strict=True))
        give = Prepared(
            update(table)
            .where(table.c.project_id == bindparam("key_project"), table.c.id == bindparam("key_id"))
            .values(serial=bindparam("number"))
        )
        conn.many(
            give, [{"key_project": scope.project, "key_id": row, "number": number} for row, number in numbers.items()]
        )
        found.update(numbers)
    return {row_id: serial for row_id, serial in found.items() if serial is not None}
