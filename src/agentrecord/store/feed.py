"""What changed lately: the newest rows after a place, for live pages and `tail`. Polling is the truth."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any  # `Any`: rows hold whatever their columns hold
from uuid import UUID

from sqlalchemy import Table, and_, or_, select

from agentrecord.engine import Connection
from agentrecord.records.scope import Scope
from agentrecord.schema import errors, llm_calls, messages, models, sessions, tool_calls
from agentrecord.store._sql import within


class ChangeKind(StrEnum):
    """What a change is about."""

    MESSAGE = "message"
    LLM_CALL = "llm_call"
    TOOL_CALL = "tool_call"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One new row: what it is, where it belongs, and one line that tells it."""

    kind: ChangeKind
    id: UUID
    at: datetime
    session_uuid: UUID | None
    session_id: str | None
    line: str
    status: str | None = None
    cost_nanos: int | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a reader of the feed stands: the last row it saw of each kind."""

    seen: tuple[tuple[ChangeKind, datetime, UUID], ...] = ()

    def of(self, kind: ChangeKind) -> tuple[datetime, UUID] | None:
        """Return the last row seen of one kind."""
        return next(((at, row) for known, at, row in self.seen if known is kind), None)


_KINDS: dict[ChangeKind, tuple[Table, str, str, str]] = {
    ChangeKind.MESSAGE: (messages, "created_at", "content", "role"),
    ChangeKind.LLM_CALL: (llm_calls, "timestamp", "model", "status"),
    ChangeKind.TOOL_CALL: (tool_calls, "started_at", "tool_name", "status"),
    ChangeKind.ERROR: (errors, "created_at", "error_message", "error_type"),
}


def changes(
    conn: Connection, scope: Scope, after: Place | None = None, *, limit: int = 200
) -> tuple[tuple[Change, ...], Place]:
    """Return rows newer than `after`, the oldest first, and the place to go on from; without it the last `limit`."""
    found: list[Change] = []
    place = after or Place()
    for kind in ChangeKind:
        found.extend(_of_kind(conn, scope, kind, place.of(kind), limit))
    found.sort(key=lambda change: (change.at, change.id))
    seen = {kind: (at, row) for kind, at, row in place.seen}
    for change in found:
        seen[change.kind] = (change.at, change.id)
    if after is None:
        found = found[-limit:]
    return tuple(found), Place(tuple((kind, at, row) for kind, (at, row) in seen.items()))


def _of_kind(
    conn: Connection, scope: Scope, kind: ChangeKind, after: tuple[datetime, UUID] | None, limit: int
) -> list[Change]:
    table, at_name, line, status = _KINDS[kind]
    at = table.c[at_name]
    joined: Any = table.outerjoin(
        sessions, (sessions.c.project_id == table.c.project_id) & (sessions.c.id == table.c.session_uuid)
    )
    line_column: Any = table.c.get(line, models.c.name)
    if kind is ChangeKind.LLM_CALL:
        joined = joined.join(models, models.c.id == table.c.model_uuid)
    cost = table.c.cost_nanos if "cost_nanos" in table.c else None
    columns = [table.c.id, at.label("at"), table.c.session_uuid, sessions.c.session_id, line_column.label("line")]
    columns.append(table.c[status].label("status"))
    if cost is not None:
        columns.append(cost)
    statement = select(*columns).select_from(joined).where(*within(scope, table), at.is_not(None))
    if "deleted_at" in table.c:
        statement = statement.where(table.c.deleted_at.is_(None))
    if after is None:
        statement = statement.order_by(at.desc(), table.c.id.desc()).limit(limit)
    else:
        last_at, last_id = after
        newer = or_(at > last_at, and_(at == last_at, table.c.id > last_id))
        statement = statement.where(newer).order_by(at, table.c.id).limit(limit)
    return [
        Change(
            kind=kind,
            id=row["id"],
            at=row["at"],
            session_uuid=row["session_uuid"],
            session_id=row["session_id"],
            line=" ".join((row["line"] or "")[:400].split())[:160],
            status=row["status"],
            cost_nanos=row.get("cost_nanos"),
        )
        for row in conn.maps(statement)
    ]
