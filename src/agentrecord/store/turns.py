"""Turns of the conversation endpoint: begun once, answered by one process at a time, ended truthfully.

A turn holds its session: the next one begins when it is over. Whoever answers keeps a lease, which every write
renews; when it runs out, the process is taken for dead and the turn is closed as an error.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any  # `Any`: rows hold whatever their columns hold
from uuid import UUID

from sqlalchemy import bindparam, delete, or_, select, update

from agentrecord.codec import values
from agentrecord.engine import Connection, Prepared
from agentrecord.exceptions import Conflict, InvalidTransition, InvalidValue, NotFound, TurnInterrupted
from agentrecord.exceptions import SessionBusy as Busy
from agentrecord.ids import UserId, id_in
from agentrecord.records.message import MessageRole
from agentrecord.records.run import NewRun
from agentrecord.records.scope import Scope
from agentrecord.records.session import NewSession, Session, SessionChanges
from agentrecord.records.turn import (
    BegunTurn,
    ConversationTurn,
    NewTurn,
    TurnEnd,
    TurnEvent,
    TurnStatus,
)
from agentrecord.records.unset import UNSET
from agentrecord.schema import sessions as session_table
from agentrecord.schema import turn_events, turns
from agentrecord.store import agents, messages, people, runs, sessions
from agentrecord.store._sql import bound_within, insert_into, scope_params, within
from agentrecord.store._turn_ends import add_events, end_of

_ADD = insert_into(turns)
_FIELDS = tuple(field.name for field in fields(ConversationTurn))
_RUNNING = turns.c.finished_at.is_(None)
_BY_ID = Prepared(select(turns).where(*bound_within(turns), turns.c.id == bindparam("id")))
_OF_SESSION = (turns.c.project_id == bindparam("project"), turns.c.session_uuid == bindparam("session"))
_RUNNING_IN = Prepared(select(turns).where(*_OF_SESSION, _RUNNING))
_FORGET_EVENTS = Prepared(
    delete(turn_events).where(
        turn_events.c.project_id == bindparam("project"),
        turn_events.c.turn_uuid.in_(select(turns.c.id).where(*_OF_SESSION, turns.c.finished_at < bindparam("before"))),
    )
)


def _change_of(**changes: object) -> Prepared:
    """Return a change of a turn that runs, for who holds it."""
    held = (turns.c.id == bindparam("turn"), turns.c.lease_owner == bindparam("held_by"), _RUNNING)
    return Prepared(update(turns).where(*bound_within(turns), *held).values(changes).returning(*turns.c))


_LEASED = bindparam("leased_until", type_=turns.c.lease_expires_at.type)
_RENEW = _change_of(lease_expires_at=_LEASED)
_EMIT = _change_of(
    lease_expires_at=_LEASED,
    last_event=turns.c.last_event + bindparam("told", type_=turns.c.last_event.type),
)
_FINISH = _change_of(
    finished_at=bindparam("now", type_=turns.c.finished_at.type),
    status=bindparam("ended", type_=turns.c.status.type),
    last_event=turns.c.last_event + 1,
)
EVENTS_KEPT = timedelta(minutes=15)
"""How long the events of a finished turn can still be read by a client that comes back."""

_FORGOTTEN_AT_ONCE = 10_000

INTERRUPTED = TurnInterrupted.__name__
"""The error type of a turn whose server stopped before the agent had answered."""


def _turn(row: Mapping[str, Any]) -> ConversationTurn:
    return ConversationTurn(**{name: row[name] for name in _FIELDS})


def begin(conn: Connection, scope: Scope, new: NewTurn, *, user: str | None = None) -> BegunTurn:
    """Store what was said and start the run that answers it; make the session if it is not there.

    The same `idempotency_key` again returns the turn that it began, and raises `Conflict` if it came with another
    request. Raises `SessionBusy` while another turn of the session is being answered, `Conflict` if the session is
    inactive, `InvalidValue` without a message.
    """
    if not new.messages:
        raise InvalidValue("messages", [], "must hold at least one message")
    for message in new.messages:
        values.text("content", message.content)
    # Checked where it is not stored, too: in a session that has an agent already.
    _agent_id(new)
    again = _again(conn, scope, new, user)
    if again is not None:
        return again
    session = _session_for(conn, scope, new, user)
    # Whoever held the lock before may have begun this very turn.
    again = _again(conn, scope, new, user)
    if again is not None:
        return again
    messages.ensure_active(session)
    _free(conn, scope, session)
    session = _completed(conn, scope, session, new)
    return _begin(conn, scope, session, new, people.user_uuid(conn, scope, user))


def _again(conn: Connection, scope: Scope, new: NewTurn, user: str | None) -> BegunTurn | None:
    found = find(conn, scope, new.idempotency_key, user=user) if new.idempotency_key is not None else None
    if found is None:
        return None
    if found.request_hash != new.request_hash:
        raise Conflict("idempotency key", new.idempotency_key, "was used for another request; take a new one")
    session = sessions.get(conn, scope, found.session_uuid)
    return BegunTurn(turn=found, session=session, run=runs.get(conn, scope, found.run_uuid), messages=(), is_new=False)


def find(conn: Connection, scope: Scope, idempotency_key: str, *, user: str | None = None) -> ConversationTurn | None:
    """Return the turn that a user began with an idempotency key; None if there is none."""
    owner = people.known_user(conn, scope, user)
    row = conn.first_map(
        select(turns).where(
            *within(scope, turns), turns.c.begun_by_uuid == owner, turns.c.idempotency_key == idempotency_key
        )
    )
    return None if row is None else _turn(row)


def _session_for(conn: Connection, scope: Scope, new: NewTurn, user: str | None) -> Session:
    """Return the session to answer in, locked: the user's own of that name, else anybody's of that row id, else new."""
    name = values.name("session_id", new.session_id)
    own = replace(scope, user=people.user_uuid(conn, scope, user))
    found = sessions.find(conn, own, name)
    row_id = id_in(name)
    if found is None and row_id is not None:
        # Never by a name: a conversation does not go on in another user's session because both chose the same one.
        found = sessions.find(conn, scope, row_id)
    if found is not None:
        return sessions.locked(conn, scope, found.id)
    return sessions.create(
        conn, scope,
        NewSession(
            session_id=name, title=new.session_name, agent_id=_agent_id(new), agent_name=new.agent_name,
            agent_instructions=new.agent_instructions, source="user",
        ),
        user=user,
    )  # fmt: skip


def _agent_id(new: NewTurn) -> str | None:
    name = new.agent_id or new.agent_name
    return None if name is None else values.name("agent_name", name)


def _free(conn: Connection, scope: Scope, session: Session) -> None:
    """See that nobody answers in the session now; raise `SessionBusy` if somebody does."""
    mine = {"project": scope.project, "session": session.id}
    row = conn.first_map(_RUNNING_IN, mine)
    if row is not None:
        if row["lease_expires_at"] > conn.now:
            raise Busy(session.session_id, row["id"])
        _close_abandoned(conn, scope, _turn(row))
    conn.run(_FORGET_EVENTS, {**mine, "before": conn.now - EVENTS_KEPT})


def _completed(conn: Connection, scope: Scope, session: Session, new: NewTurn) -> Session:
    """Give a session what it lacks of its description."""
    changes = SessionChanges(
        title=UNSET if session.title is not None or new.session_name is None else new.session_name,
        agent_name=UNSET if session.agent_name is not None or new.agent_name is None else new.agent_name,
        agent_instructions=(
            UNSET
            if session.agent_instructions is not None or new.agent_instructions is None
            else new.agent_instructions
        ),
    )
    return sessions.update_(conn, scope, session.id, changes)


def _begin(conn: Connection, scope: Scope, session: Session, new: NewTurn, begun_by: UserId) -> BegunTurn:
    turn = conn.new_id()
    agent_id = session.agent_id or _agent_id(new)
    version = agents.find_active(conn, scope, agent_id) if agent_id is not None else None
    said = [message.content for message in new.messages if message.role is MessageRole.USER]
    run = runs.start(
        conn, scope,
        NewRun(
            run_id=str(turn), session_uuid=session.id, agent_id=agent_id,
            agent_name=new.agent_name or session.agent_name or new.runner, objective=said[-1] if said else None,
            agent_version_uuid=None if version is None else version.id,
        ),
    )  # fmt: skip
    stored = messages.append(conn, scope, session.id, [replace(message, run_uuid=run.id) for message in new.messages])
    row = {
        "project_id": scope.project,
        "id": turn,
        "session_uuid": session.id,
        "user_uuid": session.user_uuid,
        "begun_by_uuid": begun_by,
        "run_uuid": run.id,
        "status": TurnStatus.RUNNING,
        "idempotency_key": None if new.idempotency_key is None else values.name("idempotency_key", new.idempotency_key),
        "request_hash": new.request_hash,
        "lease_owner": values.name("lease_owner", new.lease_owner),
        "lease_expires_at": conn.now + timedelta(seconds=new.lease_s),
        "created_at": conn.now,
        "last_event": 0,
        **dict.fromkeys(
            ("cancel_requested_at", "watched_at", "response", "error_type", "error_message", "finished_at")
        ),
    }
    conn.run(_ADD, row)
    if version is not None and session.agent_version_uuid != version.id:
        conn.run(
            update(session_table)
            .where(*within(scope, session_table), session_table.c.id == session.id)
            .values(agent_version_uuid=version.id)
        )
    return BegunTurn(
        turn=_turn(row),
        session=sessions.get(conn, scope, session.id),
        run=run,
        messages=stored.messages,
        instructions=new.agent_instructions,
    )


def get(conn: Connection, scope: Scope, turn: UUID) -> ConversationTurn:
    """Return a turn; raise `NotFound` if it is not there."""
    row = conn.first_map(_BY_ID, {**scope_params(scope), "id": turn})
    if row is None:
        raise NotFound("turn", turn)
    return _turn(row)


def running(conn: Connection, scope: Scope) -> tuple[ConversationTurn, ...]:
    """Return the turns that are being answered, the oldest first."""
    rows = conn.maps(select(turns).where(*within(scope, turns), _RUNNING).order_by(turns.c.created_at, turns.c.id))
    return tuple(_turn(row) for row in rows)


def _held(
    conn: Connection, scope: Scope, turn: UUID, lease_owner: str, change: Prepared, **params: object
) -> dict[str, Any]:
    """Change a running turn that `lease_owner` answers and return its row; raise `InvalidTransition` if it does not."""
    row = conn.first_map(change, {**scope_params(scope), "turn": turn, "held_by": lease_owner, **params})
    if row is None:
        raise InvalidTransition("turn", turn, get(conn, scope, turn).status, "written by a process that lost it")
    return row


def emit(
    conn: Connection,
    scope: Scope,
    turn: UUID,
    events: Sequence[tuple[str, str]],
    *,
    lease_owner: str,
    lease_s: float,
) -> tuple[TurnEvent, ...]:
    """Keep what the client is told, each an event's name and its JSON text; renews the lease.

    Raises `InvalidTransition` if the turn is over, or another process's.
    """
    expires = conn.now + timedelta(seconds=lease_s)
    row = _held(conn, scope, turn, lease_owner, _EMIT, told=len(events), leased_until=expires)
    return add_events(conn, scope, row, events)


def events(conn: Connection, scope: Scope, turn: UUID, *, after: int = 0, limit: int = 1000) -> tuple[TurnEvent, ...]:
    """Return what the client of a turn was told beyond the event `after`, in order."""
    rows = conn.rows(
        select(turn_events.c.sequence, turn_events.c.event, turn_events.c.data)
        .where(*within(scope, turn_events), turn_events.c.turn_uuid == turn, turn_events.c.sequence > after)
        .order_by(turn_events.c.sequence)
        .limit(values.integer("limit", limit, minimum=1, maximum=1000))
    )
    return tuple(TurnEvent(sequence=row[0], event=row[1], data=row[2]) for row in rows)


def renew(conn: Connection, scope: Scope, turn: UUID, *, lease_owner: str, lease_s: float) -> ConversationTurn:
    """Keep the lease of a turn and return it as it is; raise `InvalidTransition` if it is lost or over."""
    row = _held(conn, scope, turn, lease_owner, _RENEW, leased_until=conn.now + timedelta(seconds=lease_s))
    return _turn(row)


def watch(conn: Connection, scope: Scope, turn: UUID) -> ConversationTurn:
    """Tell that a client still follows a turn, wherever it is answered."""
    return _marked(conn, scope, turn, watched_at=conn.now)


def request_cancel(conn: Connection, scope: Scope, turn: UUID) -> ConversationTurn:
    """Ask whoever answers a turn to stop; a turn that is over stays as it is."""
    return _marked(conn, scope, turn, cancel_requested_at=conn.now)


def _marked(conn: Connection, scope: Scope, turn: UUID, **changes: Any) -> ConversationTurn:
    conn.run(update(turns).where(*within(scope, turns), turns.c.id == turn, _RUNNING).values(**changes))
    return get(conn, scope, turn)


def finish(conn: Connection, scope: Scope, turn: UUID, end: TurnEnd, *, lease_owner: str) -> ConversationTurn:
    """End a turn in one transaction: its reply, its run, what the client is told last.

    A turn whose session was deleted meanwhile ends as cancelled. Raises `InvalidTransition` if another process took
    the turn for dead and closed it.
    """
    row = _held(conn, scope, turn, lease_owner, _FINISH, now=conn.now, ended=end.status)
    end_of(conn, scope, row, end)
    return get(conn, scope, turn)


def close_abandoned(conn: Connection, scope: Scope, *, owners: Sequence[str] = ()) -> tuple[ConversationTurn, ...]:
    """Close as errors the turns whose lease has run out, or that `owners`, known to be dead, were answering.

    Takes out, too, events of turns that were finished longer ago than clients can come back for.
    """
    dead = or_(turns.c.lease_expires_at <= conn.now, turns.c.lease_owner.in_(list(owners)))
    rows = conn.maps(select(turns).where(*within(scope, turns), _RUNNING, dead).order_by(turns.c.id).with_for_update())
    closed = tuple(_close_abandoned(conn, scope, _turn(row)) for row in rows)
    _forget_events(conn, scope)
    return closed


def _forget_events(conn: Connection, scope: Scope) -> None:
    before = conn.now - EVENTS_KEPT
    of_turn = (turns.c.project_id == turn_events.c.project_id) & (turns.c.id == turn_events.c.turn_uuid)
    # By their own age first, which has an index: all that are old are of these turns, or of the few that still run.
    told = (
        select(turn_events.c.turn_uuid)
        .select_from(turn_events.join(turns, of_turn))
        .where(*within(scope, turn_events), turn_events.c.created_at < before, turns.c.finished_at < before)
        .order_by(turn_events.c.created_at)
        .limit(_FORGOTTEN_AT_ONCE)
    )
    conn.run(delete(turn_events).where(*within(scope, turn_events), turn_events.c.turn_uuid.in_(told)))


def _close_abandoned(conn: Connection, scope: Scope, turn: ConversationTurn) -> ConversationTurn:
    end = TurnEnd(
        status=TurnStatus.ERROR,
        error_type=INTERRUPTED,
        error_message="the server stopped before the agent had answered",
    )
    return finish(conn, scope, turn.id, end, lease_owner=turn.lease_owner)
