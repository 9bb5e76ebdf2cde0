"""Events: record what happened in a session, a run or both, and read either timeline."""

from collections.abc import Mapping
from typing import Any  # `Any`: rows hold whatever their columns hold
from uuid import UUID

from sqlalchemy import bindparam, select, update

from agentrecord.codec import values
from agentrecord.engine import Connection, Prepared
from agentrecord.exceptions import Conflict, NotFound
from agentrecord.ids import UserId
from agentrecord.records.event import Event, NewEvent
from agentrecord.records.page import Page
from agentrecord.records.scope import Scope
from agentrecord.schema import events, runs
from agentrecord.store import agents, owners
from agentrecord.store._figures import TOUCH_SESSION_RETURNING, Figures
from agentrecord.store._page import page
from agentrecord.store._sql import insert_into, within

ADD_EVENT = insert_into(events)
_NEXT_IN_RUN = Prepared(
    update(runs)
    .where(runs.c.project_id == bindparam("key_project"), runs.c.id == bindparam("key_id"))
    .values(
        last_event_sequence=runs.c.last_event_sequence + 1,
        heartbeat_at=bindparam("beat_at", type_=runs.c.heartbeat_at.type),
    )
    .returning(runs.c.last_event_sequence)
)
SORTS = {
    "timestamp": events.c.timestamp,
    "session_sequence": events.c.session_sequence,
    "run_sequence": events.c.run_sequence,
}
_HIDDEN = {"project_id", "run_ref", "session_ref", "page_key"}


def event_of(row: Mapping[str, Any]) -> Event:
    """Return a row of the events as an event."""
    return Event(**{name: value for name, value in row.items() if name not in _HIDDEN})


def event_row(
    conn: Connection, scope: Scope, new: NewEvent, *, event: UUID, user: UserId, agent: UUID | None
) -> dict[str, Any]:
    """Return a new event as a row, without its sequences."""
    return {
        "project_id": scope.project,
        "id": event,
        "serial": None,
        "event_type": values.name("event_type", new.event_type),
        "user_uuid": user,
        "agent_uuid": agent,
        "agent_name": None if new.agent_name is None else values.text("agent_name", new.agent_name),
        "run_uuid": new.run_uuid,
        "run_ref": None,
        "session_uuid": new.session_uuid,
        "session_ref": None,
        "session_sequence": None,
        "run_sequence": None,
        "parent_event_uuid": new.parent_event_uuid,
        "trace_uuid": new.trace_uuid,
        "span_id": None if new.span_id is None else values.text("span_id", new.span_id),
        "data": None if new.data is None else values.json_text("data", new.data),
        "duration_ms": None if new.duration_ms is None else values.integer("duration_ms", new.duration_ms, minimum=0),
        "timestamp": conn.now if new.timestamp is None else values.moment("timestamp", new.timestamp),
        "created_at": conn.now,
    }


def record(conn: Connection, scope: Scope, new: NewEvent, *, user: str | None = None) -> Event:
    """Record an event; the same `id` again is the same event, and raises `Conflict` if it says something else."""
    if new.id is not None:
        stored = conn.first_map(select(events).where(*within(scope, events), events.c.id == new.id))
        if stored is not None:
            if (stored["event_type"], stored["data"]) != (new.event_type, new.data):
                raise Conflict("event", new.id)
            return event_of(stored)
    owner, agent = owners.of(conn, scope, session=new.session_uuid, run=new.run_uuid, user=user)
    agent = agents.agent_uuid(conn, scope, new.agent_id, new.agent_name) or agent
    row = event_row(conn, scope, new, event=new.id or conn.new_id(), user=owner, agent=agent)
    if new.session_uuid is not None:
        figures = Figures(scope.project, conn.now)
        figures.session(new.session_uuid, last_event_sequence=1)
        touched = conn.first(TOUCH_SESSION_RETURNING, figures.session_params(new.session_uuid))
        row["session_sequence"] = None if touched is None else touched[1]
    if new.run_uuid is not None:
        params = {"key_project": scope.project, "key_id": new.run_uuid, "beat_at": conn.now}
        row["run_sequence"] = conn.value(_NEXT_IN_RUN, params)
    conn.run(ADD_EVENT, row)
    return event_of(row)


def get(conn: Connection, scope: Scope, event: UUID) -> Event:
    """Return an event; raise `NotFound` if it is not there."""
    row = conn.first_map(select(events).where(*within(scope, events), events.c.id == event))
    if row is None:
        raise NotFound("event", event)
    return event_of(row)


def list_(
    conn: Connection,
    scope: Scope,
    *,
    session: UUID | None = None,
    run: UUID | None = None,
    event_type: str | None = None,
    sort: str = "timestamp",
    limit: int = 50,
    cursor: str | None = None,
) -> Page[Event]:
    """Return events, the oldest first."""
    wanted = {events.c.session_uuid: session, events.c.run_uuid: run, events.c.event_type: event_type}
    conditions = [column == value for column, value in wanted.items() if value is not None]
    return page(
        conn, select(events).where(*within(scope, events), *conditions), event_of,
        sorts=SORTS, sort=sort, row_id=events.c.id, limit=limit, cursor=cursor,
    )  # fmt: skip
