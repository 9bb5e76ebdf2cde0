"""Failures of uses of tools and of calls to models as errors: each is one, unless an error was told that names it.

What is derived follows what it is derived from. Whatever path stores, changes or deletes a use or a call counts it in
`Figures`, which notes those that failed before or fail now; at the end their rows are read as they are then, and the
errors made equal to what these say. So neither the path nor the order in which things came makes a difference.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any  # `Any`: rows hold whatever their columns hold
from uuid import UUID

from sqlalchemy import Table, bindparam, delete, select, update

from agentrecord.engine import Connection, Prepared
from agentrecord.ids import ProjectId, derived_id
from agentrecord.records.error import ErrorKind
from agentrecord.records.llm_call import CallStatus
from agentrecord.schema import errors, llm_calls, messages, models, sessions, tool_calls
from agentrecord.store._error_rows import MESSAGE_CHARS, count_in_groups, group_of, leave_groups
from agentrecord.store._lookup import rows_by
from agentrecord.store._sql import insert_into

Row = dict[str, Any]
UNTOLD = "failed without a message"
UNKNOWN_MODEL = "unknown model"
_COLUMNS = tuple(column.name for column in errors.c)
_WRAPPED = re.compile(r"<(\w+)>(.*)</\1>", re.DOTALL)
_SHARED = ("id", "user_uuid", "agent_uuid", "session_uuid", "run_uuid", "status", "error_message", "created_at")


@dataclass(frozen=True, slots=True)
class _Source:
    """What fails: its table, what is read of it, and the column by which an error names it."""

    table: Table
    reference: str
    columns: tuple[str, ...]


_SOURCES = {
    ErrorKind.TOOL: _Source(
        tool_calls, "tool_call_uuid",
        (*_SHARED, "tool_name", "result", "result_message_uuid", "started_at", "finished_at"),
    ),
    ErrorKind.LLM: _Source(llm_calls, "llm_call_uuid", (*_SHARED, "model_uuid", "timestamp")),
}  # fmt: skip
_KEY = (errors.c.project_id == bindparam("key_project"), errors.c.id == bindparam("key_id"))
_ADD = insert_into(errors)
_REPLACE = Prepared(
    update(errors).where(*_KEY).values({n: bindparam(n) for n in _COLUMNS if n not in ("project_id", "id", "serial")})
)
_REMOVE = Prepared(delete(errors).where(*_KEY))


@dataclass(slots=True)
class _Changes:
    """What becomes of derived errors: rows to add and to remove, and pairs of what is and what shall be."""

    added: list[Row] = field(default_factory=list)
    removed: list[Row] = field(default_factory=list)
    replaced: list[tuple[Row, Row]] = field(default_factory=list)


def follow(conn: Connection, project: ProjectId, kind: ErrorKind, ids: Iterable[UUID]) -> list[tuple[Row, int]]:
    """Make the errors derived from some uses or calls what these say now; return the rows to count and uncount."""
    source, wanted = _SOURCES[kind], sorted(ids)
    # Locked, so that an error which tells of a failure and the failure itself, stored at once, know of each other.
    rows = rows_by(conn, project, source.table, "id", wanted, columns=source.columns, lock=True)
    known: defaultdict[UUID, list[Row]] = defaultdict(list)
    for row in rows_by(conn, project, errors, source.reference, wanted, columns=_COLUMNS):
        known[row[source.reference]].append(row)
    failed = [row for row in rows if row["status"] == CallStatus.ERROR and not _is_told_of(row, known)]
    derived = {
        one["id"]: _derived(project, kind, one, words) for one, words in _with_words(conn, project, kind, failed)
    }
    deleted = _deleted(conn, project, failed)
    changes = _Changes()
    for one in wanted:
        old, new = next((row for row in known[one] if row["is_derived"]), None), derived.get(one)
        if old is None:
            # Of a deleted session nothing is said anew.
            if new is not None and new["session_uuid"] not in deleted:
                changes.added.append(new)
        elif new is None:
            changes.removed.append(old)
        elif (kept := _kept(old, new)) != old:
            changes.replaced.append((old, kept))
    return _write(conn, project, changes)


def _is_told_of(source: Row, known: Mapping[UUID, Sequence[Row]]) -> bool:
    """Say whether an error of the same user tells of a failure: another user's words do not hide one."""
    return any(not row["is_derived"] and row["user_uuid"] == source["user_uuid"] for row in known[source["id"]])


def _deleted(conn: Connection, project: ProjectId, failed: Sequence[Row]) -> set[UUID]:
    named = {row["session_uuid"] for row in failed if row["session_uuid"] is not None}
    rows = rows_by(conn, project, sessions, "id", sorted(named), columns=("id", "deleted_at"), across_users=True)
    return {row["id"] for row in rows if row["deleted_at"] is not None}


def answered(conn: Connection, project: ProjectId, said: Mapping[UUID, UUID]) -> list[UUID]:
    """Return the failed uses of tools whose results are messages, given by id with their sessions."""
    columns = ("id", "status", "result_message_uuid")
    rows = rows_by(conn, project, tool_calls, "session_uuid", sorted(set(said.values())), columns=columns)
    return [row["id"] for row in rows if row["status"] == CallStatus.ERROR and row["result_message_uuid"] in said]


# -- what a failure says ---------------------------------------------------------------------------------------------


def _with_words(
    conn: Connection, project: ProjectId, kind: ErrorKind, failed: Sequence[Row]
) -> list[tuple[Row, tuple[str, str | None]]]:
    """Return failed uses or calls, each with the name of what failed and the words that tell of it."""
    if kind is ErrorKind.LLM:
        names = _models(conn, failed)
        return [(row, (names.get(row["model_uuid"]) or UNKNOWN_MODEL, row["error_message"])) for row in failed]
    elsewhere = {row["id"]: row["result_message_uuid"] for row in failed if _is_wordless(row)}
    ids = [message for message in elsewhere.values() if message is not None]
    said = {row["id"]: row["content"] for row in rows_by(conn, project, messages, "id", ids, columns=("id", "content"))}
    return [
        (row, (row["tool_name"], row["error_message"] or row["result"] or said.get(elsewhere.get(row["id"]))))
        for row in failed
    ]


def _is_wordless(use: Row) -> bool:
    return not use["error_message"] and not use["result"]


def _models(conn: Connection, failed: Sequence[Row]) -> Mapping[UUID, str]:
    ids = sorted({row["model_uuid"] for row in failed})
    return dict(conn.rows(select(models.c.id, models.c.name).where(models.c.id.in_(ids)))) if ids else {}


def tidy(words: str | None) -> str:
    """Return the beginning of what a failure says, without marks around it and blanks at its ends."""
    told = (words or "").strip()
    wrapped = _WRAPPED.fullmatch(told)
    if wrapped is not None:
        told = wrapped[2]
    lines = [line.rstrip() for line in told.strip()[:MESSAGE_CHARS].splitlines()]
    return "\n".join(lines).strip() or UNTOLD


def _derived(project: ProjectId, kind: ErrorKind, source: Row, told: tuple[str, str | None]) -> Row:
    name, words = told
    is_tool = kind is ErrorKind.TOOL
    at = source["finished_at"] or source["started_at"] or source["created_at"] if is_tool else source["timestamp"]
    row: Row = dict.fromkeys(_COLUMNS)
    row.update(
        project_id=project,
        id=derived_id(0, "failure", project, kind, source["id"]),
        **{column: source[column] for column in ("user_uuid", "agent_uuid", "session_uuid", "run_uuid")},
        kind=kind,
        is_derived=True,
        tool_name=name if is_tool else None,
        error_type=name,
        error_message=tidy(words),
        is_resolved=False,
        created_at=at,
    )
    row[_SOURCES[kind].reference] = source["id"]
    row["group_uuid"] = group_of(project, row)["id"]
    return row


def _kept(old: Row, new: Row) -> Row:
    """Return a derived error as it is to be, where it is there already: words that were taken out stay out."""
    if not old["error_message"]:
        new = {**new, "error_message": "", "group_uuid": old["group_uuid"]}
    is_same_group = old["group_uuid"] == new["group_uuid"]
    kept = ("serial", "error_code", *(("is_resolved", "resolved_at") if is_same_group else ()))
    return {**new, **{name: old[name] for name in kept}}


# -- what changes ----------------------------------------------------------------------------------------------------


def _write(conn: Connection, project: ProjectId, changes: _Changes) -> list[tuple[Row, int]]:
    moved = [(old, new) for old, new in changes.replaced if old["group_uuid"] != new["group_uuid"]]
    count_in_groups(conn, project, [*changes.added, *(new for _, new in moved)])
    conn.many(_ADD, changes.added)
    conn.many(_REPLACE, [{**new, "key_project": project, "key_id": new["id"]} for _, new in changes.replaced])
    conn.many(_REMOVE, [{"key_project": project, "key_id": row["id"]} for row in changes.removed])
    leave_groups(conn, project, [row["group_uuid"] for row in (*changes.removed, *(old for old, _ in moved))])
    return [
        *((row, 1) for row in changes.added),
        *((row, -1) for row in changes.removed),
        *((row, sign) for pair in changes.replaced for row, sign in zip(pair, (-1, 1), strict=True)),
    ]
