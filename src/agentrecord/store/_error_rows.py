"""Rows of errors and of the groups that equal ones fall into: what they share, and how they are counted."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any  # `Any`: rows hold whatever their columns hold
from uuid import UUID

from sqlalchemy import Dialect, Executable, bindparam, case, delete, null, select, update

from agentrecord.codec import values
from agentrecord.engine import Connection, Prepared
from agentrecord.ids import ProjectId, UserId, derived_id
from agentrecord.records.change import ChangeKind
from agentrecord.records.error import ErrorKind, NewError
from agentrecord.records.scope import Scope
from agentrecord.schema import error_groups, errors
from agentrecord.store._arrivals import announcing
from agentrecord.store._sql import PerDialect, insert_for, insert_into

MESSAGE_CHARS = 2000
"""As many characters of a message tell errors apart, and are kept of the words of a failure that nobody told."""

_HEADING_CHARS = 300
_VARYING = re.compile(
    r"[0-9a-fA-F]{8}-[0-9a-fA-F-]{27,}|0x[0-9a-fA-F]+|\b(?:req|msg|toolu|call|run|sess)_\w+|\b[0-9a-fA-F]{12,}\b|\d+"
)
_ONLY_A_CODE = re.compile(r"\W*(?:exit|return|exited)\s*(?:with\s*)?(?:code|status)?\W*\d+\W*", re.IGNORECASE)
_NOW = bindparam("now", type_=errors.c.created_at.type)


def _meeting(*, opens: bool, whenever: bool = False) -> Prepared:
    """Return what counts errors in their group, which is made where it is not there.

    One that `opens` it does so only if it happened after the group was resolved, or `whenever` that was.

    One statement, not two: a group that another transaction takes away as empty must not be missed in between.
    """

    def build(dialect: Dialect) -> Executable:
        statement = insert_for(dialect, error_groups)
        old, new = error_groups.c, statement.excluded
        changes: dict[str, Any] = {
            "count": old["count"] + new["count"],
            "first_seen_at": case((old.first_seen_at > new.first_seen_at, new.first_seen_at), else_=old.first_seen_at),
            "last_seen_at": case((old.last_seen_at < new.last_seen_at, new.last_seen_at), else_=old.last_seen_at),
            # Its words may have been taken out.
            "error_message": case((old.error_message == "", new.error_message), else_=old.error_message),
        }
        if opens:
            # It was thought to be over. What happened before that, and is only told now, says nothing else.
            is_over = old.resolved_at.is_not(None) if whenever else old.resolved_at <= new.last_seen_at
            changes["regressed_at"] = case((is_over, _NOW), else_=old.regressed_at)
            changes["resolved_at"] = case((is_over, null()), else_=old.resolved_at)
        counted = statement.on_conflict_do_update(index_elements=["project_id", "id"], set_=changes)
        told: Executable = counted.returning(error_groups.c.resolved_at)
        return told

    return PerDialect(build)


ADD_ERROR = announcing(insert_into(errors), ChangeKind.ERROR)
_MEET = _meeting(opens=True)
_MEET_AS_TOLD = _meeting(opens=True, whenever=True)
_MEET_RESOLVED = _meeting(opens=False)
_GROUP = (error_groups.c.project_id == bindparam("key_project"), error_groups.c.id == bindparam("key_id"))
_LEAVE = Prepared(
    update(error_groups).where(*_GROUP).values({"count": error_groups.c["count"] - bindparam("times")})
)  # fmt: skip
_WORDS = Prepared(
    select(errors.c.error_message, errors.c.is_derived)
    .where(
        errors.c.project_id == bindparam("project"),
        errors.c.group_uuid == bindparam("group"),
        errors.c.error_message != "",
    )
    .order_by(errors.c.created_at, errors.c.id)
    .limit(1)
)
_RETELL = Prepared(update(error_groups).where(*_GROUP).values(error_message=bindparam("words")))
_DROP_EMPTY = Prepared(delete(error_groups).where(*_GROUP, error_groups.c["count"] == 0))


def fingerprint(
    error_type: str, message: str, *, kind: ErrorKind = ErrorKind.AGENT, tool_name: str | None = None
) -> str:
    """Return what equal errors share: a hash of kind, tool and type, and of the message without numbers and ids."""
    of_kind = () if kind is ErrorKind.AGENT else (str(kind), tool_name or "")
    told = "\x1f".join((*of_kind, error_type, without_numbers(message)))
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def without_numbers(message: str) -> str:
    """Return what messages have in common that differ in numbers and ids only: each of these is a `#`."""
    return _VARYING.sub("#", message[:MESSAGE_CHARS]).strip()


def heading(message: str) -> str:
    """Return the first line of a message that says anything: what tells failures apart that nobody told as errors.

    A tool fails with whatever it printed until then, hardly ever twice the same. The code that a program ended with
    says too little alone: the next line comes with it.
    """
    saying = (line for line in message.splitlines() if any(map(str.isalnum, line)))
    told = next(saying, message)
    if _ONLY_A_CODE.fullmatch(told):
        told = "\n".join([told, *islice(saying, 1)])
    return told[:_HEADING_CHARS]


def error_row(
    conn: Connection,
    scope: Scope,
    new: NewError,
    *,
    error: UUID,
    user: UserId,
    agent: UUID | None,
) -> dict[str, Any]:
    """Return a new error as a row, in the group of its fingerprint."""
    values.name("error_type", new.error_type)
    row: dict[str, Any] = {
        "project_id": scope.project,
        "id": error,
        "serial": None,
        "user_uuid": user,
        "agent_uuid": agent,
        "session_uuid": new.session_uuid,
        "run_uuid": new.run_uuid,
        "tool_call_uuid": new.tool_call_uuid,
        "llm_call_uuid": new.llm_call_uuid,
        "kind": ErrorKind(new.kind),
        "is_derived": False,
        "tool_name": None if new.tool_name is None else values.name("tool_name", new.tool_name),
        "error_type": new.error_type,
        "error_message": values.text("error_message", new.error_message),
        "error_code": new.error_code,
        "stack_trace": new.stack_trace,
        "context": None if new.context is None else values.json_text("context", new.context),
        "is_resolved": False,
        "resolved_at": None,
        "created_at": conn.now if new.created_at is None else values.moment("created_at", new.created_at),
    }
    for name in ("error_code", "stack_trace"):
        if row[name] is not None:
            values.text(name, row[name])
    row["group_uuid"] = group_of(scope.project, row)["id"]
    return row


def group_of(project: ProjectId, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the group of an error's row as a row, with nothing counted in it yet."""
    words = heading(row["error_message"]) if row["is_derived"] else row["error_message"]
    found = fingerprint(row["error_type"], words, kind=row["kind"], tool_name=row["tool_name"])
    return {
        "project_id": project,
        "id": derived_id(0, "error", project, found),
        "fingerprint": found,
        "kind": row["kind"],
        "error_type": row["error_type"],
        "error_message": words,
        "tool_name": row["tool_name"],
        "count": 0,
        "first_seen_at": row["created_at"],
        "last_seen_at": row["created_at"],
        "resolved_at": row["resolved_at"],
        "regressed_at": None,
    }


def count_in_groups(
    conn: Connection, project: ProjectId, rows: Iterable[dict[str, Any]], *, as_told: bool = False
) -> None:
    """Count errors in their groups, which are open again unless the errors are resolved.

    Those that happened before their group was resolved are so too, unless it goes by what is `as_told`: their rows say
    so then.
    """
    met: dict[tuple[UUID, bool], dict[str, Any]] = {}
    unresolved: dict[UUID, list[dict[str, Any]]] = {}
    for row in rows:
        group = group_of(project, row)
        found = met.setdefault((group["id"], row["is_resolved"]), {**group, "now": conn.now})
        found["count"] += 1
        found["first_seen_at"] = min(found["first_seen_at"], row["created_at"])
        found["last_seen_at"] = max(found["last_seen_at"], row["created_at"])
        if not row["is_resolved"]:
            unresolved.setdefault(group["id"], []).append(row)
    # In one order, so that two writers cannot deadlock.
    for (group_id, is_resolved), group in sorted(met.items()):
        opening = _MEET_AS_TOLD if as_told else _MEET
        resolved_at = conn.value(_MEET_RESOLVED if is_resolved else opening, group)
        if resolved_at is not None and not is_resolved:
            for row in unresolved[group_id]:
                row.update(is_resolved=True, resolved_at=resolved_at)


def leave_groups(conn: Connection, project: ProjectId, left: Iterable[UUID]) -> None:
    """Take errors out of the counts of their groups, each named as often as it is left; an empty one goes."""
    times: dict[UUID, int] = {}
    for group in left:
        times[group] = times.get(group, 0) + 1
    keys = [{"key_project": project, "key_id": group, "times": times[group]} for group in sorted(times)]
    conn.many(_LEAVE, keys)
    conn.many(_DROP_EMPTY, keys)


def retell_groups(conn: Connection, project: ProjectId, emptied: Iterable[UUID]) -> None:
    """Let groups whose errors were emptied tell the words of the earliest one that has any, whosever it is, or none."""
    with conn.across_users():
        for group in sorted(set(emptied)):
            found = conn.first(_WORDS, {"project": project, "group": group})
            words = "" if found is None else heading(found[0]) if found[1] else found[0]
            conn.run(_RETELL, {"key_project": project, "key_id": group, "words": words})
