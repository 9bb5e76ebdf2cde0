"""Sessions: create, find, change, list and delete conversations; walk their tree."""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any  # `Any`: rows hold whatever their columns hold
from uuid import UUID

from sqlalchemy import ColumnElement, Select, bindparam, func, or_, select, update

from agentrecord.codec import values
from agentrecord.engine import Connection, Prepared
from agentrecord.engine.compiled import Row
from agentrecord.exceptions import Conflict, NotFound
from agentrecord.ids import UserId, id_in
from agentrecord.records.change import ChangeKind
from agentrecord.records.page import Page
from agentrecord.records.scope import Scope
from agentrecord.records.session import CodingDetails, NewSession, Session, SessionChanges, SessionFilter, SessionStatus
from agentrecord.records.unset import UNSET
from agentrecord.schema import agents, coding_sessions, llm_calls, messages, sessions, users
from agentrecord.schema.tables import SUBAGENT_COUNTERS
from agentrecord.store import agents as agent_store
from agentrecord.store import people, purging
from agentrecord.store._arrivals import announcing, note
from agentrecord.store._figures import Figures
from agentrecord.store._page import page
from agentrecord.store._price_sources import of_calls
from agentrecord.store._session_words import COST, DURATION, ERRORS, JOINED, LIVE, TOKENS, session_conditions
from agentrecord.store._sql import bound_within, insert_into, insert_or_skip, scope_params, usage_totals, within
from agentrecord.store._trees import with_trees
from agentrecord.store.session_trees import root_of, subtree_of, subtree_usage

_CODING = tuple(field.name for field in fields(CodingDetails))
_SELECT = select(
    *[c for c in sessions.c if c.name not in ("project_id", "root_uuid", "deleted_at", *SUBAGENT_COUNTERS)],
    users.c.external_id.label("user"),
    agents.c.agent_id.label("agent_id"),
    agent_store.version_of(sessions).label("agent_version"),
    *[coding_sessions.c[name].label(f"coding_{name}") for name in _CODING],
).select_from(JOINED)
_BY_NAME = Prepared(_SELECT.where(*bound_within(sessions), LIVE, sessions.c.session_id == bindparam("session_id")))
_LOCK = Prepared(
    select(sessions.c.id)
    .where(sessions.c.project_id == bindparam("project"), sessions.c.id == bindparam("id"))
    .with_for_update()
)
_BY_ID = Prepared(_SELECT.where(*bound_within(sessions), LIVE, sessions.c.id == bindparam("id")))
_IS_THERE = Prepared(
    select(sessions.c.id).where(sessions.c.project_id == bindparam("project"), sessions.c.id == bindparam("id"))
)
ADD_SESSION = announcing(insert_or_skip(sessions), ChangeKind.SESSION)
ADD_CODING = insert_into(coding_sessions)
_FIELDS = {field.name for field in fields(Session)} - {"usage", "subtree", "prices", "coding", "user", "agent_id"}

SORTS: Mapping[str, ColumnElement[Any]] = {
    "last_activity_at": sessions.c.last_activity_at,
    "created_at": sessions.c.created_at,
    "updated_at": sessions.c.updated_at,
    "cost": sessions.c.cost_nanos,
    "tree_cost": COST,
    "tree_tokens": TOKENS,
    "duration": DURATION,
    "errors": ERRORS,
    "messages": sessions.c.message_count,
    "runs": sessions.c.run_count,
    "status": sessions.c.status,
    "session_id": sessions.c.session_id,
    "title": sessions.c.title,
}


def _session(row: Mapping[str, Any]) -> Session:
    coding = None
    if row["coding_tool_name"] is not None:
        coding = CodingDetails(**{name: row[f"coding_{name}"] for name in _CODING})
    return Session(
        **{name: row[name] for name in _FIELDS},
        user=row["user"],
        agent_id=row["agent_id"],
        usage=usage_totals(row),
        coding=coding,
    )


def blank_session(scope: Scope, session: UUID, user: UserId, new: NewSession) -> dict[str, Any]:
    """Return the row of a session that has no figures yet."""
    is_active = new.is_active and new.status is not SessionStatus.INACTIVE
    row: dict[str, Any] = dict.fromkeys((c.name for c in sessions.c), None)
    row.update({c.name: 0 for c in sessions.c if c.server_default is not None})
    row.update(
        project_id=scope.project,
        id=session,
        user_uuid=user,
        session_id=values.name("session_id", new.session_id),
        agent_name=new.agent_name,
        agent_instructions=new.agent_instructions,
        title=new.title,
        description=new.description,
        is_active=is_active,
        status=_status_with(new.status, is_active=is_active),
        purpose=new.purpose,
        business_context=new.business_context,
        tags=values.texts("tags", new.tags),
        learning_outcomes=new.learning_outcomes,
        source=new.source,
        parent_uuid=new.parent_uuid,
        metadata=None if new.metadata is None else values.json_text("metadata", new.metadata),
    )
    for name in ("agent_name", "agent_instructions", "title", "description", "purpose", "business_context", "source"):
        if row[name] is not None:
            values.text(name, row[name])
    return row


def _status_with(status: SessionStatus, *, is_active: bool) -> SessionStatus:
    """Return the status that goes with `is_active`; a session that is completed or failed stays so."""
    if status in (SessionStatus.ACTIVE, SessionStatus.INACTIVE):
        return SessionStatus.ACTIVE if is_active else SessionStatus.INACTIVE
    return status


def coding_row(scope: Scope, session: UUID, coding: CodingDetails) -> dict[str, Any]:
    """Return the row of a coding session's details."""
    row: dict[str, Any] = {name: getattr(coding, name) for name in _CODING}
    for name in _CODING:
        if isinstance(row[name], str):
            values.text(name, row[name])
    values.integer("task_count", coding.task_count, minimum=0)
    return {"project_id": scope.project, "session_uuid": session, **row}


def create(conn: Connection, scope: Scope, new: NewSession, *, user: str | None = None) -> Session:
    """Create a session; sent twice with the same `id` it is created once.

    Raises `Conflict` if the user has another session of that `session_id`, `NotFound` if the parent is not there.
    """
    values.name("session_id", new.session_id)
    owner = people.user_uuid(conn, scope, user)
    session = new.id or conn.new_id()
    taken = _taken(conn, scope, session, owner, new.session_id)
    if taken is not None:
        stored = conn.first_map(_SELECT.where(*within(scope, sessions), sessions.c.id == session))
        if stored is not None and taken == (session, owner, new.session_id):
            return _session(stored)
        raise Conflict("session", new.session_id, f"exists already (id {taken[0]})")
    row = blank_session(scope, session, owner, new)
    created_at = conn.now if new.created_at is None else values.moment("created_at", new.created_at)
    row.update(created_at=created_at, updated_at=conn.now, last_activity_at=created_at)
    row["agent_uuid"] = agent_store.agent_uuid(conn, scope, new.agent_id, new.agent_name)
    figures = Figures(scope.project, conn.now)
    if new.parent_uuid is not None:
        parent = get(conn, scope, new.parent_uuid)
        row["root_uuid"] = root_of(conn, scope, parent)
        figures.session(parent.id, child_count=1)
    conn.run(ADD_SESSION, row)
    if conn.value(_IS_THERE, {"project": scope.project, "id": session}) is None:
        # Another transaction made a session of that name between our look and our row.
        raise Conflict("session", new.session_id, "exists already; read it again")
    if new.coding is not None:
        conn.run(ADD_CODING, coding_row(scope, session, new.coding))
    figures.activity(
        created_at, owner, row["agent_uuid"], session_count=1, failed_sessions=int(new.status == SessionStatus.FAILED)
    )
    figures.apply(conn)
    return get(conn, scope, session)


def _taken(conn: Connection, scope: Scope, session: UUID, owner: UserId, session_id: str) -> Row | None:
    """Return the id, owner and name of the session that has this id or, among its owner's, this name."""
    same_name = (sessions.c.user_uuid == owner) & (sessions.c.session_id == session_id) & LIVE
    statement = select(sessions.c.id, sessions.c.user_uuid, sessions.c.session_id).where(
        sessions.c.project_id == scope.project, or_(sessions.c.id == session, same_name)
    )
    with conn.across_users():
        return conn.first(statement)


def find(conn: Connection, scope: Scope, session: str | UUID) -> Session | None:
    """Return a session by its `session_id` or else its row id; None if it is not there.

    In a scope of everybody's sessions the row id comes first: no name that somebody chose hides another's session.
    """
    if isinstance(session, UUID):
        return _by_id(conn, scope, session)
    if scope.user is None:
        return _by_id(conn, scope, id_in(session)) or _by_name(conn, scope, session)
    return _by_name(conn, scope, session) or _by_id(conn, scope, id_in(session))


def _by_id(conn: Connection, scope: Scope, session: UUID | None) -> Session | None:
    row = None if session is None else conn.first_map(_BY_ID, {**scope_params(scope), "id": session})
    return None if row is None else _session(row)


def _by_name(conn: Connection, scope: Scope, session: str) -> Session | None:
    found = conn.maps(_BY_NAME, {**scope_params(scope), "session_id": session})
    if len(found) > 1:
        raise Conflict("session", session, "is the session_id of several users: name the user, or give the row id")
    return _session(found[0]) if found else None


def get(conn: Connection, scope: Scope, session: str | UUID, *, with_subtree: bool = False) -> Session:
    """Return a session by its `session_id` or else its row id; raise `NotFound` if it is not there.

    `with_subtree` adds the sums over the session and all below it, and the prices behind them.
    """
    found = find(conn, scope, session)
    if found is None:
        raise NotFound("session", session)
    if not with_subtree:
        return found
    charged = of_calls(conn, scope, llm_calls.c.session_uuid.in_(subtree_of(scope, found.id)))
    return replace(found, subtree=subtree_usage(conn, scope, found.id), prices=charged)


def locked(conn: Connection, scope: Scope, session: str | UUID) -> Session:
    """Return a session that nobody else changes until this transaction ends; raise `NotFound` if it is not there."""
    found = get(conn, scope, session)
    conn.first(_LOCK, {"project": scope.project, "id": found.id})
    # Read again: it may have changed, or gone, while this waited for the lock.
    return get(conn, scope, found.id)


def update_(conn: Connection, scope: Scope, session: str | UUID, changes: SessionChanges) -> Session:
    """Change a session's description and state, and return it as it is then.

    Active and inactive are one state in two fields: changing either alone changes the other with it.
    """
    old = locked(conn, scope, session)
    new = {f.name: getattr(changes, f.name) for f in fields(changes) if getattr(changes, f.name) is not UNSET}
    for name, value in new.items():
        if isinstance(value, str):
            values.json_text(name, value) if name == "metadata" else values.text(name, value)
    if "tags" in new:
        values.texts("tags", new["tags"])
    for name in ("quality_score", "user_satisfaction"):
        if new.get(name) is not None:
            new[name] = values.fraction(name, new[name])
    if "is_active" in new and "status" not in new:
        new["status"] = _status_with(old.status, is_active=new["is_active"])
    elif new.get("status") in (SessionStatus.ACTIVE, SessionStatus.INACTIVE) and "is_active" not in new:
        new["is_active"] = new["status"] is SessionStatus.ACTIVE
    if not new:
        return old
    conn.run(
        update(sessions).where(*within(scope, sessions), sessions.c.id == old.id).values(**new, updated_at=conn.now)
    )
    note(conn, scope.project, ChangeKind.SESSION, old.id, old.user_uuid)
    _count_change(conn, scope, old, new)
    return get(conn, scope, old.id)


def activate(conn: Connection, scope: Scope, session: str | UUID) -> Session:
    """Open a session for further messages."""
    return update_(conn, scope, session, SessionChanges(is_active=True))


def deactivate(conn: Connection, scope: Scope, session: str | UUID) -> Session:
    """Close a session for further messages; it can still be read, and activated again."""
    return update_(conn, scope, session, SessionChanges(is_active=False))


def _count_change(conn: Connection, scope: Scope, old: Session, new: Mapping[str, Any]) -> None:
    """Keep the day's figures true to the session's status and rating."""
    failed = int(new.get("status", old.status) == SessionStatus.FAILED) - int(old.status == SessionStatus.FAILED)
    rating = new.get("user_satisfaction", old.user_satisfaction)
    added = {
        "failed_sessions": failed,
        "satisfaction_sum": (rating or 0) - (old.user_satisfaction or 0),
        "satisfaction_count": int(rating is not None) - int(old.user_satisfaction is not None),
    }
    if any(added.values()):
        figures = Figures(scope.project, conn.now)
        figures.activity(old.created_at, old.user_uuid, old.agent_uuid, **added)
        figures.apply(conn)


def delete(conn: Connection, scope: Scope, session: str | UUID) -> int:
    """Delete the content of a session and of all below it; return how many messages went. Calls and figures stay.

    The `session_id` is free again, and the rows become tombstones that nothing shows.
    """
    found = locked(conn, scope, session)
    tree = conn.rows(subtree_of(scope, found.id))
    return sum(delete_alone(conn, scope, row_id) for (row_id,) in tree)


def delete_alone(conn: Connection, scope: Scope, session: UUID) -> int:
    """Delete the content of one session, as `delete` does, and of none below it; return how many messages went."""
    gone = purging.purge_messages(conn, scope, session)
    conn.run(
        update(sessions)
        .where(*within(scope, sessions), sessions.c.id == session, LIVE)
        .values(
            deleted_at=conn.now, title=None, description=None, agent_instructions=None, business_context=None,
            learning_outcomes=None, metadata=None, purpose=None, is_active=False, updated_at=conn.now,
        )
    )  # fmt: skip
    conn.run(
        update(coding_sessions)
        .where(coding_sessions.c.project_id == scope.project, coding_sessions.c.session_uuid == session)
        .values(initial_task=None, session_metadata=None)
    )
    return gone


def list_(
    conn: Connection,
    scope: Scope,
    where: SessionFilter | None = None,
    *,
    sort: str = "-last_activity_at",
    limit: int = 50,
    cursor: str | None = None,
    offset: int = 0,
    counted: bool = True,
) -> Page[Session]:
    """Return sessions, the last active first; without `include_children` only the tops of trees.

    Those with sessions below them have the sums over these too. How many there are in all is not told where they are
    not `counted`.
    """
    statement = _SELECT.where(*session_conditions(scope, where or SessionFilter()))
    found = page(
        conn, statement, _session, sorts=SORTS, sort=sort, row_id=sessions.c.id,
        limit=limit, cursor=cursor, offset=offset,
        counted=counted, whole=_SELECT.where(*within(scope, sessions)),
    )  # fmt: skip
    return replace(found, items=with_trees(conn, scope, sessions, found.items))


def filtered_ids(scope: Scope, wanted: SessionFilter) -> Select[Any]:
    """Return a query for the ids of the sessions that a filter finds."""
    return select(sessions.c.id).select_from(JOINED).where(*session_conditions(scope, wanted))


def children(conn: Connection, scope: Scope, session: UUID) -> tuple[Session, ...]:
    """Return the sessions right below one, oldest first."""
    statement = _SELECT.where(*within(scope, sessions), LIVE, sessions.c.parent_uuid == session)
    return tuple(_session(row) for row in conn.maps(statement.order_by(sessions.c.created_at, sessions.c.id)))


def ancestors(conn: Connection, scope: Scope, session: UUID) -> tuple[Session, ...]:
    """Return the sessions above one, the nearest first."""
    found: list[Session] = []
    above = get(conn, scope, session).parent_uuid
    while above is not None and all(above != seen.id for seen in found):
        parent = find(conn, scope, above)
        if parent is None:
            break
        found.append(parent)
        above = parent.parent_uuid
    return tuple(found)


def count_messages(conn: Connection, scope: Scope, session: UUID) -> int:
    """Return how many messages a session has, counted anew."""
    return int(
        conn.value(
            select(func.count()).where(
                *within(scope, messages), messages.c.session_uuid == session, messages.c.deleted_at.is_(None)
            )
        )
    )
