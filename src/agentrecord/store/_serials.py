"""Integer ids for the doors that show them: a counter row per project and table, no sequence."""

from sqlalchemy.dialects import postgresql, sqlite

from agentrecord.engine import Connection
from agentrecord.ids import ProjectId
from agentrecord.schema import serials
from agentrecord.store._sql import PerDialect


def _take(construct: object) -> object:
    statement = construct(serials).values(project_id=None, table_name=None, next_serial=None)  # type: ignore[operator]
    return statement.on_conflict_do_update(
        index_elements=["project_id", "table_name"],
        set_={"next_serial": serials.c.next_serial + statement.excluded.next_serial},
    ).returning(serials.c.next_serial)


_TAKE = PerDialect(_take(sqlite.insert), _take(postgresql.insert))  # type: ignore[arg-type]


def next_serial(conn: Connection, project: ProjectId, table: str, *, count: int = 1) -> int:
    """Return the first of the next `count` integer ids of a project's table."""
    last = conn.value(_TAKE, {"project_id": project, "table_name": table, "next_serial": count})
    return int(last) - count + 1
