"""Taking everything out that one user said and did, batch by batch: figures stay, under a name that tells nothing.

The name goes first: from then on nobody finds the user by it, and whoever writes under it again makes a new user. Each
batch is a transaction of its own that walks a bounded stretch of one table, so that writers never wait long; sent
twice, it does nothing the second time, so that what was cut off is begun again.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any  # `Any`: what a column is emptied to
from uuid import UUID

from sqlalchemy import ColumnElement, Table, and_, cast, delete, exists, func, or_, select, update

from agentrecord.codec import values
from agentrecord.engine import Connection
from agentrecord.exceptions import Conflict, InvalidFilter, InvalidValue
from agentrecord.ids import NIL
from agentrecord.records.audit import SYSTEM, Actor
from agentrecord.records.people import UserPurge
from agentrecord.records.project import UNASSIGNED, User
from agentrecord.records.scope import Role, Scope
from agentrecord.schema import (
    accounts,
    api_keys,
    audit_entries,
    budgets,
    coding_sessions,
    contents,
    error_days,
    error_groups,
    errors,
    events,
    imported_files,
    llm_calls,
    memberships,
    message_revisions,
    messages,
    prompts,
    relations,
    runs,
    sessions,
    sign_ins,
    tool_calls,
    turn_events,
    turns,
    unreadable_lines,
    users,
)
from agentrecord.schema.types import Words
from agentrecord.store import audit, people, purging
from agentrecord.store import sessions as session_operations
from agentrecord.store._error_rows import retell_groups

WINDOW = 2_000
"""So many rows of a table a batch walks over, whoever's they are."""

SESSIONS_AT_ONCE = 20
ENTRIES_AT_ONCE = 200
IDS_AT_ONCE = 500
ERASED = "erased"
_SPENT: Sequence[tuple[Table, dict[str, Any]]] = (
    (events, {"run_ref": None, "session_ref": None}),
    (llm_calls, {"error_message": None, "session_ref": None, "run_ref": None, "request_id": None}),
    (tool_calls, {"call_ref": None}),
    (errors, {"error_code": None}),
    (turns, {"idempotency_key": None}),
    (runs, {"reported": None}),
)
"""What is emptied beyond what deleting a session empties."""

Batch = tuple[int, UUID | None]
"""How many rows a batch emptied, and the id to go on after; None where the table is through."""


def purge(
    conn: Connection, scope: Scope, user: str, *, cursor: str | None = None, by: Actor | None = None
) -> UserPurge:
    """Take out the next batch of all that a user said and did; go on with `cursor` until there is none.

    `user` is the string that the user is known by or the row id: only the id, once the purge has begun. Ids, times,
    tokens, cost and status stay, for figures to stay true. Raises `NotFound` for a user that the scope does not see,
    `Conflict` for an administrator's own user, `InvalidValue` for the one that stands for nobody, `InvalidFilter` for
    a cursor that is none.
    """
    known = people.named_user(conn, scope, user)
    place, after = _place(cursor)
    if cursor is None:
        _begin(conn, scope, known, by or SYSTEM)
    emptied, last = _STEPS[place](conn, scope, known, after)
    if last is None:
        place += 1
    if place == len(_STEPS):
        _note(conn, scope, known, "user.purged", by or SYSTEM)
    going_on = f"{place}.{(last or NIL).hex}" if place < len(_STEPS) else None
    return UserPurge(user=known.id, rows=emptied, cursor=going_on, steps_done=place, steps=len(_STEPS))


def _place(cursor: str | None) -> tuple[int, UUID]:
    if cursor is None:
        return 0, NIL
    place, _, last = values.text("cursor", cursor, max_chars=40).partition(".")
    try:
        found = int(place), UUID(hex=last)
    except ValueError:
        raise InvalidFilter("cursor", cursor, "is none that a purge gave") from None
    if not 0 <= found[0] < len(_STEPS):
        raise InvalidFilter("cursor", cursor, "is none that a purge gave")
    return found


def _begin(conn: Connection, scope: Scope, user: User, by: Actor) -> None:
    if user.external_id == UNASSIGNED:
        raise InvalidValue("user", user.external_id, "stands for nobody; name one who is a person")
    mine = (memberships.c.project_id == scope.project, memberships.c.user_uuid == user.id)
    roles = [Role(row[0]) for row in conn.rows(select(memberships.c.role).where(*mine))]
    if any(role.may_administer for role in roles):
        raise Conflict("user", user.external_id, "administers this project; give the account another role first")
    _note(conn, scope, user, "user.purge", by)


def _note(conn: Connection, scope: Scope, user: User, action: str, by: Actor) -> None:
    audit.record_by(conn, scope, by, action, "user", str(user.id))


# -- the steps, in their order ---------------------------------------------------------------------------------------


def _trail(conn: Connection, scope: Scope, user: User, after: UUID) -> Batch:
    """Take the user's names, and those of their sessions and runs, out of the audit trail: see `audit.redact`."""
    names = {name for name in (user.external_id, user.name, user.email) if name}
    if user.erased_at is not None:
        return 0, None
    last = _window(conn, scope, audit_entries, after, WINDOW)
    named = [
        or_(
            audit_entries.c.object_id == name,
            audit_entries.c.object_id.startswith(name + "/", autoescape=True),
            audit_entries.c.object_id.endswith("/" + name, autoescape=True),
            audit_entries.c.actor == name,
            audit_entries.c.details.contains(json.dumps(name, ensure_ascii=False), autoescape=True),
        )
        for name in sorted(names)
    ]
    told = and_(audit_entries.c.object_id.in_(_doors(conn, scope, user)), audit_entries.c.details.is_not(None))
    reached = _between(scope, audit_entries, after, last)
    found = {row[0] for row in conn.rows(select(audit_entries.c.id).where(*reached, or_(told, *named)))}
    objects = {
        row[0]: _beginnings(row[1])
        for row in conn.rows(select(audit_entries.c.id, audit_entries.c.object_id).where(*reached, _OF_WORK))
    }
    works = _works(conn, scope, user, {name for names in objects.values() for name in names})
    found.update(entry for entry, names in objects.items() if works.keys() & names)
    ids = sorted(found)[:ENTRIES_AT_ONCE]
    audit.redact(conn, scope, ids, {name: name_of(user.id) for name in names}, works)
    return len(ids), ids[-1] if len(ids) == ENTRIES_AT_ONCE else last


_OF_WORK = or_(audit_entries.c.object_kind.contains("session"), audit_entries.c.object_kind.contains("run"))
"""Entries about sessions and runs: what else is called like one of them is not meant."""


def _beginnings(object_id: str) -> set[str]:
    """Return what may be a name in an entry's object: all of it, or what stands before one of its slashes."""
    parts = object_id.split("/")
    return {"/".join(parts[:end]) for end in range(1, len(parts) + 1)}


def _works(conn: Connection, scope: Scope, user: User, names: set[str]) -> dict[str, str]:
    """Return what sessions and runs of the user will be called, of those that have one of some names alone."""
    found: dict[str, str] = {}
    others: set[str] = set()
    wanted = sorted(names)
    for start in range(0, len(wanted), IDS_AT_ONCE):
        some = wanted[start : start + IDS_AT_ONCE]
        mine, named = sessions.c.project_id == scope.project, sessions.c.session_id.in_(some)
        talks = select(sessions.c.session_id, sessions.c.user_uuid, sessions.c.id, sessions.c.source)
        for name, owner, row_id, source in conn.rows(talks.where(mine, named)):
            if owner == user.id:
                found[name] = _mark_of(scope, name, row_id, source)
            else:
                others.add(name)
        called = select(runs.c.run_id, runs.c.user_uuid, runs.c.id)
        for name, owner, row_id in conn.rows(called.where(runs.c.project_id == scope.project, runs.c.run_id.in_(some))):
            if owner == user.id:
                found[name] = row_id.hex
            else:
                others.add(name)
    return {name: mark for name, mark in found.items() if name not in others}


def _mark_of(scope: Scope, name: str, session: UUID, source: str | None) -> str:
    """Return what a session is called once its user is erased."""
    # What is imported once more must not come back: an import knows these by their marks.
    return session.hex if source is None else purging.mark_of(scope.project, name)


def _doors(conn: Connection, scope: Scope, user: User) -> list[str]:
    """Return the ids of the keys and accounts that a user comes in with: the trail tells what they were called."""
    keys = select(api_keys.c.id).where(api_keys.c.project_id == scope.project, api_keys.c.user_uuid == user.id)
    members = select(memberships.c.account_uuid).where(
        memberships.c.project_id == scope.project, memberships.c.user_uuid == user.id
    )
    return [str(row[0]) for statement in (keys, members) for row in conn.rows(statement)]


def _names(conn: Connection, scope: Scope, user: User, after: UUID) -> Batch:
    """Give the user a name that tells nothing, end what they come in with, forget which files were theirs."""
    files = (imported_files.c.project_id == scope.project, imported_files.c.owner == user.external_id)
    read = exists().where(
        *files, imported_files.c.source == unreadable_lines.c.source, imported_files.c.path == unreadable_lines.c.path
    )
    if user.erased_at is None:
        conn.run(delete(unreadable_lines).where(unreadable_lines.c.project_id == scope.project, read))
        conn.run(delete(imported_files).where(*files))
    keys = (api_keys.c.project_id == scope.project, api_keys.c.user_uuid == user.id)
    conn.run(update(api_keys).where(*keys).values(name=ERASED))
    conn.run(update(api_keys).where(*keys, api_keys.c.revoked_at.is_(None)).values(revoked_at=conn.now))
    limits = (budgets.c.project_id == scope.project, budgets.c.user_uuid == user.id)
    # What a budget is called is unique in a project.
    conn.run(update(budgets).where(*limits).values(name=_hex(conn, budgets.c.id), is_active=False))
    _close_accounts(conn, scope, user)
    conn.run(
        update(users)
        .where(users.c.project_id == scope.project, users.c.id == user.id)
        .values(external_id=name_of(user.id), name=None, email=None, erased_at=conn.now)
    )
    conn.remember(("user", scope.project, user.external_id), None)
    return 1, None


def _close_accounts(conn: Connection, scope: Scope, user: User) -> None:
    mine = (memberships.c.project_id == scope.project, memberships.c.user_uuid == user.id)
    for (account,) in conn.rows(select(memberships.c.account_uuid).where(*mine)):
        elsewhere = (memberships.c.account_uuid == account, memberships.c.project_id != scope.project)
        if conn.first(select(memberships.c.role).where(*elsewhere)) is None:
            told = {"email": f"{name_of(account)}@invalid", "name": None, "password_hash": None}
            conn.run(update(accounts).where(accounts.c.id == account).values(**told, disabled_at=conn.now))
        else:
            # It must not come back in as the user who is gone.
            conn.run(delete(memberships).where(*mine, memberships.c.account_uuid == account))
        ended = (sign_ins.c.project_id == scope.project, sign_ins.c.account_uuid == account)
        conn.run(update(sign_ins).where(*ended).values(address=None))
        conn.run(update(sign_ins).where(*ended, sign_ins.c.ended_at.is_(None)).values(ended_at=conn.now))


def _sessions(conn: Connection, scope: Scope, user: User, after: UUID) -> Batch:
    last = _window(conn, scope, sessions, after, WINDOW)
    found = conn.rows(
        select(sessions.c.id, sessions.c.deleted_at, sessions.c.session_id, sessions.c.source)
        .where(*_between(scope, sessions, after, last), sessions.c.user_uuid == user.id)
        .order_by(sessions.c.id)
        .limit(SESSIONS_AT_ONCE)
    )
    ids = [row[0] for row in found]
    for session, deleted_at, _, _ in found:
        if deleted_at is None and session_operations.find(conn, scope, session) is not None:
            # Alone: what is below it may be somebody else's, and the user's own are walked over too.
            session_operations.locked(conn, scope, session)
            session_operations.delete_alone(conn, scope, session)
    mine = (sessions.c.project_id == scope.project, sessions.c.id.in_(ids))
    conn.run(update(sessions).where(*mine).values(tags=(), agent_name=None))
    for session, _, name, source in found:
        this = (sessions.c.project_id == scope.project, sessions.c.id == session)
        conn.run(update(sessions).where(*this).values(session_id=_mark_of(scope, name, session, source)))
    gone = {c.name: None for c in coding_sessions.c if c.nullable and c.name != "tool_version"}
    coded = (coding_sessions.c.project_id == scope.project, coding_sessions.c.session_uuid.in_(ids))
    conn.run(update(coding_sessions).where(*coded).values(**gone))
    said = (messages.c.project_id == scope.project, messages.c.session_uuid.in_(ids))
    conn.run(update(messages).where(*said).values(message_id=None, tool_call_id=None, tools_used=()))
    told = select(messages.c.id).where(*said)
    revised = (message_revisions.c.project_id == scope.project, message_revisions.c.message_uuid.in_(told))
    conn.run(delete(message_revisions).where(*revised))
    _forget_relations(conn, scope, ids)
    return len(ids), ids[-1] if len(ids) == SESSIONS_AT_ONCE else last


def _emptying(table: Table, more: dict[str, Any]) -> Callable[[Connection, Scope, User, UUID], Batch]:
    """Return the step that empties a table of what belongs to no session that is deleted by now, too."""
    emptied = {**purging.EMPTIED[table], **more}

    def step(conn: Connection, scope: Scope, user: User, after: UUID) -> Batch:
        last = _window(conn, scope, table, after, WINDOW)
        mine = (*_between(scope, table, after, last), table.c.user_uuid == user.id)
        ids = [row[0] for row in conn.rows(select(table.c.id).where(*mine))]
        named = {"run_id": _hex(conn, table.c.id)} if table is runs else {}
        conn.run(update(table).where(*mine).values(**emptied, **named))
        if table is runs:
            _forget_relations(conn, scope, ids)
        if table is turns:
            told = (turn_events.c.project_id == scope.project, turn_events.c.turn_uuid.in_(ids))
            conn.run(delete(turn_events).where(*told))
        return len(ids), last

    return step


def _deleting(table: Table) -> Callable[[Connection, Scope, User, UUID], Batch]:
    def step(conn: Connection, scope: Scope, user: User, after: UUID) -> Batch:
        last = _window(conn, scope, table, after, WINDOW)
        mine = (*_between(scope, table, after, last), table.c.user_uuid == user.id)
        gone = len(conn.rows(select(table.c.id).where(*mine)))
        conn.run(delete(table).where(*mine))
        return gone, last

    return step


def _groups(conn: Connection, scope: Scope, user: User, after: UUID) -> Batch:
    """Let groups of equal errors that this user met first tell another's words, or none."""
    last = _window(conn, scope, error_groups, after, WINDOW)
    met = exists().where(
        error_days.c.project_id == scope.project,
        error_days.c.group_uuid == error_groups.c.id,
        error_days.c.user_uuid == user.id,
    )
    within_reach = _between(scope, error_groups, after, last)
    ids = [row[0] for row in conn.rows(select(error_groups.c.id).where(*within_reach, met))]
    # What the user's own said is taken out by now.
    retell_groups(conn, scope.project, ids)
    return len(ids), last


_STEPS: Sequence[Callable[[Connection, Scope, User, UUID], Batch]] = (
    _trail,
    _names,
    _sessions,
    *[_emptying(table, more) for table, more in _SPENT],
    _deleting(prompts),
    _deleting(contents),
    _groups,
)


# -- parts -----------------------------------------------------------------------------------------------------------


def name_of(row: UUID) -> str:
    """Return what a row whose name is gone is called: the same every time, and nothing about anybody."""
    return f"{ERASED}-{row.hex}"


def _window(conn: Connection, scope: Scope, table: Table, after: UUID, rows: int) -> UUID | None:
    """Return the id at the end of the next stretch of a table; None if that reaches the table's end."""
    following = select(table.c.id).where(table.c.project_id == scope.project, table.c.id > after)
    found: UUID | None = conn.value(following.order_by(table.c.id).offset(rows - 1).limit(1))
    return found


def _between(scope: Scope, table: Table, after: UUID, last: UUID | None) -> list[ColumnElement[bool]]:
    found = [table.c.project_id == scope.project, table.c.id > after]
    return found if last is None else [*found, table.c.id <= last]


def _hex(conn: Connection, column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return a row's id as text, to name it by."""
    if conn.is_sqlite:
        return func.lower(func.hex(column))
    return func.replace(cast(column, Words()), "-", "")


def _forget_relations(conn: Connection, scope: Scope, ids: Sequence[UUID]) -> None:
    told = or_(relations.c.from_uuid.in_(ids), relations.c.to_uuid.in_(ids))
    conn.run(update(relations).where(relations.c.project_id == scope.project, told).values(metadata=None))
