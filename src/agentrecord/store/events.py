"""Events: record what happened in a session, a run or both, and read either timeline."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar  # `Any`: rows hold whatever their columns hold
from uuid import UUID

from sqlalchemy import bindparam, or_, select, update

from agentrecord.codec import values
from agentrecord.engine import Connection, Prepared
from agentrecord.exceptions import Conflict, NotFound
from agentrecord.ids import UserId
from agentrecord.records.event import Event, NamedEvent, NewEvent
from agentrecord.records.page import Page
from agentrecord.records.scope import Scope
from agentrecord.schema import agents as agent_rows
from agentrecord.schema import events, runs
from agentrecord.store import _refs as refs
from agentrecord.store import agents, owners, people
from agentrecord.store._figures import TOUCH_SESSION_RETURNING, Figures
from agentrecord.store._page import page
from agentrecord.store._serials import next_serial
from agentrecord.store._sql import bound_within, insert_into, scope_params, within
from agentrecord.store._tool_events import record_uses

ADD_EVENT = insert_into(events)
_NEXT = (
    update(runs)
    .where(*bound_within(runs))
    .values(
        last_event_sequence=runs.c.last_event_sequence + bindparam("number"),
        heartbeat_at=bindparam("beat_at", type_=runs.c.heartbeat_at.type),
    )
    .returning(runs.c.id, runs.c.user_uuid, runs.c.agent_uuid, runs.c.last_event_sequence)
)
_NEXT_IN_RUN = Prepared(_NEXT.where(runs.c.id == bindparam("key")))
_NEXT_IN_NAMED = Prepared(_NEXT.where(runs.c.run_id == bindparam("key")))
SORTS = {
    "timestamp": events.c.timestamp,
    "session_sequence": events.c.session_sequence,
    "run_sequence": events.c.run_sequence,
}
_SELECT_NAMED = select(events, agent_rows.c.agent_id.label("agent_id"), runs.c.run_id.label("run_id")).select_from(
    events.outerjoin(
        agent_rows, (agent_rows.c.project_id == events.c.project_id) & (agent_rows.c.id == events.c.agent_uuid)
    ).outerjoin(runs, (runs.c.project_id == events.c.project_id) & (runs.c.id == events.c.run_uuid))
)
_HIDDEN = {"project_id", "session_ref", "page_key", "agent_id", "run_id"}


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
        "run_ref": None if new.run_uuid is not None or new.run_ref is None else refs.ref(new.run_ref),
        "session_uuid": new.session_uuid,
        "session_ref": None,
        "session_sequence": None,
        "run_sequence": None,
        "parent_event_uuid": new.parent_event_uuid,
        "trace_uuid": new.trace_uuid,
        "span_id": None if new.span_id is None else values.text("span_id", new.span_id),
        "piece_uuid": new.piece_uuid,
        "detached_from": None if new.detached_from is None else values.text("detached_from", new.detached_from),
        "data": None if new.data is None else values.json_text("data", new.data),
        "duration_ms": None if new.duration_ms is None else values.integer("duration_ms", new.duration_ms, minimum=0),
        "timestamp": conn.now if new.timestamp is None else values.moment("timestamp", new.timestamp),
        "created_at": conn.now,
    }


def record(conn: Connection, scope: Scope, new: NewEvent, *, user: str | None = None) -> Event:
    """Record an event; the same `id` again is the same event, and raises `Conflict` if it says something else."""
    return record_all(conn, scope, (new,), user=user)[0]


def record_all(
    conn: Connection, scope: Scope, new_events: Sequence[NewEvent], *, user: str | None = None
) -> tuple[Event, ...]:
    """Record many events in their order, as `record` does each: all of them or, if one is refused, none."""
    stored = [_stored(conn, scope, new) for new in new_events]
    fresh = [new for new, old in zip(new_events, stored, strict=True) if old is None]
    rows = iter(_fresh_rows(conn, scope, fresh, user))
    found = [next(rows) if old is None else old for old in stored]
    conn.many(ADD_EVENT, [row for row, old in zip(found, stored, strict=True) if old is None])
    return tuple(event_of(row) for row in found)


def record_numbered(conn: Connection, scope: Scope, new_events: Sequence[NewEvent]) -> tuple[Event, ...]:
    """Record many events, each with an integer id; one that tells a use of a tool is counted as one too."""
    rows = _fresh_rows(conn, scope, new_events, None)
    if not rows:
        return ()
    first = next_serial(conn, scope.project, "events", count=len(rows))
    for serial, row in enumerate(rows, first):
        row["serial"] = serial
    conn.many(ADD_EVENT, rows)
    record_uses(conn, scope, rows)
    return tuple(event_of(row) for row in rows)


def _stored(conn: Connection, scope: Scope, new: NewEvent) -> dict[str, Any] | None:
    if new.id is None:
        return None
    stored = conn.first_map(select(events).where(*within(scope, events), events.c.id == new.id))
    if stored is not None and (stored["event_type"], stored["data"]) != (new.event_type, new.data):
        raise Conflict("event", new.id)
    return stored


def _fresh_rows(
    conn: Connection, scope: Scope, new_events: Sequence[NewEvent], user: str | None
) -> list[dict[str, Any]]:
    """Return new events as rows, each at its place in its run and session, whose counters have moved on."""
    run_lines = _lines(conn, scope, Counter(_run_key(new) for new in new_events), _take_in_run)
    session_lines = _lines(conn, scope, Counter(new.session_uuid for new in new_events), _take_in_session)
    rows = []
    for new in new_events:
        run, session = run_lines.get(_run_key(new)), session_lines.get(new.session_uuid)
        owner = next((line.user for line in (session, run) if line is not None), None)
        inherited = next((line.agent for line in (run, session) if line is not None and line.agent is not None), None)
        row = event_row(
            conn,
            scope,
            new,
            event=new.id or conn.new_id(),
            user=owner or people.user_uuid(conn, scope, user),
            agent=agents.agent_uuid(conn, scope, new.agent_id, new.agent_name) or inherited,
        )
        if run is not None:
            row.update(run_uuid=run.row_id, run_ref=None, run_sequence=run.take())
        if session is not None:
            row["session_sequence"] = session.take()
        rows.append(row)
    return rows


@dataclass(slots=True)
class _Line:
    """What stands in line in one run or session: whose it is, and the sequence of the next event."""

    row_id: UUID
    user: UserId
    agent: UUID | None
    next_sequence: int

    def take(self) -> int:
        """Return the next sequence."""
        self.next_sequence += 1
        return self.next_sequence - 1


Key = TypeVar("Key", UUID | str | None, UUID | None)


def _run_key(new: NewEvent) -> UUID | str | None:
    return new.run_uuid or new.run_ref


def _lines(
    conn: Connection, scope: Scope, wanted: Counter[Key], take: Callable[[Connection, Scope, Key, int], _Line | None]
) -> dict[Key, _Line]:
    found = {}
    # In one order, so that two writers cannot deadlock.
    for key, number in sorted(wanted.items(), key=lambda item: str(item[0])):
        line = None if key is None else take(conn, scope, key, number)
        if line is not None:
            found[key] = line
    return found


def _take_in_run(conn: Connection, scope: Scope, key: UUID | str | None, number: int) -> _Line | None:
    params = {**scope_params(scope), "key": key, "number": number, "beat_at": conn.now}
    if isinstance(key, str):
        row = conn.first(_NEXT_IN_NAMED, {**params, "key": refs.ref(key)})
    else:
        row = conn.first(_NEXT_IN_RUN, params)
        if row is None:
            raise NotFound("run", key)
    return None if row is None else _Line(row[0], row[1], row[2], row[3] - number + 1)


def _take_in_session(conn: Connection, scope: Scope, key: UUID | None, number: int) -> _Line | None:
    owner, agent = owners.of(conn, scope, session=key)
    if key is None:
        return None
    figures = Figures(scope.project, conn.now)
    figures.session(key, last_event_sequence=number)
    touched = conn.first(TOUCH_SESSION_RETURNING, figures.session_params(key))
    return None if touched is None else _Line(key, owner, agent, touched[1] - number + 1)


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


def named(
    conn: Connection, scope: Scope, *, run_id: str | None = None, event_type: str | None = None
) -> tuple[NamedEvent, ...]:
    """Return all events of the run called `run_id`, known or not, or of all runs, by their timestamps."""
    conditions = within(scope, events)
    if run_id is not None:
        known = refs.run_named(conn, scope, run_id)
        by_name = events.c.run_ref == run_id
        conditions.append(by_name if known is None else or_(events.c.run_uuid == known, by_name))
    if event_type is not None:
        conditions.append(events.c.event_type == event_type)
    rows = conn.maps(_SELECT_NAMED.where(*conditions).order_by(events.c.timestamp, events.c.id))
    return tuple(
        NamedEvent(
            event=event_of(row),
            agent_id=row["agent_id"],
            run_id=row["run_id"] if row["run_ref"] is None else row["run_ref"],
        )
        for row in rows
    )
