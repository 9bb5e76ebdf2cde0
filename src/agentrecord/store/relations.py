"""Relations: typed edges between any two rows."""

from uuid import UUID

from sqlalchemy import or_, select

from agentrecord.codec import values
from agentrecord.engine import Connection
from agentrecord.exceptions import NotFound
from agentrecord.records.relation import Relation, RelationKind
from agentrecord.records.scope import Scope
from agentrecord.schema import errors, events, llm_calls, messages, relations, runs, sessions, tool_calls
from agentrecord.store._sql import insert_or_skip, within

_ADD = insert_or_skip(relations, ("project_id", "from_uuid", "kind", "to_uuid"))
KINDS = {
    "session": sessions,
    "message": messages,
    "run": runs,
    "event": events,
    "llm_call": llm_calls,
    "tool_call": tool_calls,
    "error": errors,
}


def relate(
    conn: Connection,
    scope: Scope,
    kind: RelationKind | str,
    from_kind: str,
    from_uuid: UUID,
    *,
    to_kind: str,
    to_uuid: UUID,
    metadata: str | None = None,
) -> Relation:
    """Tie one row to another; the same edge again is the same edge. Raises `NotFound` if either end is not there."""
    for end_kind, end in ((from_kind, from_uuid), (to_kind, to_uuid)):
        _check_end(conn, scope, end_kind, end)
    conn.run(
        _ADD,
        {
            "project_id": scope.project,
            "id": conn.new_id(),
            "kind": values.name("kind", str(kind)),
            "from_kind": from_kind,
            "from_uuid": from_uuid,
            "to_kind": to_kind,
            "to_uuid": to_uuid,
            "metadata": None if metadata is None else values.json_text("metadata", metadata),
            "created_at": conn.now,
        },
    )
    found = [r for r in of(conn, scope, from_kind, from_uuid) if r.kind == kind and r.to_uuid == to_uuid]
    return found[0]


def _check_end(conn: Connection, scope: Scope, kind: str, row_id: UUID) -> None:
    table = KINDS.get(kind)
    if table is None:
        raise NotFound("kind of row", kind)
    if conn.first(select(table.c.id).where(*within(scope, table), table.c.id == row_id)) is None:
        raise NotFound(kind, row_id)


def of(conn: Connection, scope: Scope, kind: str, row_id: UUID) -> tuple[Relation, ...]:
    """Return the edges from and to a row, the oldest first. Raises `NotFound` if the row is not there."""
    _check_end(conn, scope, kind, row_id)
    rows = conn.maps(
        select(*[c for c in relations.c if c.name != "project_id"])
        .where(
            relations.c.project_id == scope.project,
            or_(relations.c.from_uuid == row_id, relations.c.to_uuid == row_id),
        )
        .order_by(relations.c.created_at, relations.c.id)
    )
    return tuple(Relation(**row) for row in rows)
