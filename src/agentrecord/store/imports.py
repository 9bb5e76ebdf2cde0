"""Imports: store a batch of a transcript's facts, and keep which files were read and which lines could not be."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any  # `Any`: rows hold whatever their columns hold

from sqlalchemy import Table, false, select

from agentrecord.codec import values
from agentrecord.engine import Connection
from agentrecord.ids import ProjectId, derived_id
from agentrecord.records.imports import ImportedFile, UnreadableLine
from agentrecord.records.page import Page
from agentrecord.records.project import UNASSIGNED
from agentrecord.records.scope import Scope
from agentrecord.records.transcript import ImportBatch, ImportCounts, Unreadable
from agentrecord.schema import (
    errors,
    events,
    imported_files,
    llm_calls,
    messages,
    runs,
    sessions,
    tool_calls,
    unreadable_lines,
)
from agentrecord.store import people
from agentrecord.store._figures import Figures
from agentrecord.store._load_rows import Rows
from agentrecord.store._load_trees import Trees
from agentrecord.store._lookup import rows_by
from agentrecord.store._page import page
from agentrecord.store._sql import insert_or_replace, insert_or_skip

_ADD_LINE = insert_or_skip(unreadable_lines)
_SET_FILE = insert_or_replace(
    imported_files,
    ("project_id", "source", "owner", "path"),
    update=("size_bytes", "modified_ns", "fingerprint", "facts", "unreadable", "imported_at"),
)


def load(conn: Connection, scope: Scope, batch: ImportBatch) -> ImportCounts:
    """Store a batch: all of it or nothing; what is stored already stays as it is. Return what was added."""
    user = people.user_uuid(conn, scope, batch.user)
    figures, counts = Figures(scope.project, conn.now), ImportCounts()
    owner = batch.user or UNASSIGNED
    trees = Trees(conn, scope, user, owner=owner, figures=figures, counts=counts)
    trees.load_sessions(batch.sessions, named(batch, "session_id"))
    batch, counts.deleted = of_live_sessions(batch, trees.deleted)
    trees.load_runs(batch.runs, named(batch, "run_id"))
    rows = Rows(conn, scope, user, trees, figures=figures, counts=counts)
    rows.messages(batch.messages, indexed=batch.indexed)
    rows.calls(batch.calls)
    rows.tools(batch.tool_calls, batch.tool_results)
    rows.events(batch.events)
    rows.errors(batch.errors)
    figures.apply(conn)
    told = [Unreadable(line=line, reason=reason, was_kept=True) for line, reason in rows.conflicts]
    _keep_unreadable(conn, scope, batch, [*batch.unreadable, *told])
    counts.unreadable = sum(not line.was_kept for line in batch.unreadable)
    return counts


def of_live_sessions(batch: ImportBatch, deleted: set[str]) -> tuple[ImportBatch, int]:
    """Leave out what belongs to sessions that were deleted here, but for the calls: the ledger goes on."""
    if not deleted:
        return batch, 0
    kinds = ("messages", "tool_calls", "tool_results", "events", "errors")
    kept: dict[str, Any] = {
        name: tuple(pair for pair in getattr(batch, name) if pair[1].session_id not in deleted) for name in kinds
    }
    gone = sum(len(getattr(batch, name)) - len(kept[name]) for name in kinds)
    runs_kept = tuple(run for run in batch.runs if run.session_id not in deleted)
    return replace(batch, **kept, runs=runs_kept), gone


def preview(conn: Connection, scope: Scope, batch: ImportBatch, seen: set[object]) -> ImportCounts:
    """Count what `load` would add, storing nothing; `seen` holds what earlier batches of the same preview counted."""
    project = scope.project
    counts = ImportCounts(unreadable=sum(not line.was_kept for line in batch.unreadable))
    kinds: dict[str, tuple[Table, str, list[object]]] = {
        "sessions": (sessions, "session_id", [f.session_id for f in batch.sessions]),
        "runs": (runs, "run_id", [f.run_id for f in batch.runs]),
        "messages": (messages, "id", [i.row_id for i, _ in batch.messages]),
        "tool_calls": (tool_calls, "id", [i.row_id for i, _ in batch.tool_calls]),
        "events": (events, "id", [i.row_id for i, _ in batch.events]),
        "errors": (errors, "id", [i.row_id for i, _ in batch.errors]),
    }
    for name, (table, key, wanted) in kinds.items():
        stored = _taken(conn, project, table, key, wanted)
        new = {(name, value) for value in wanted if value not in stored} - seen
        seen.update(new)
        setattr(counts, name, len(new))
    keys = [f.dedup_key for _, f in batch.calls if f.dedup_key]
    ids = [i.row_id for i, f in batch.calls if not f.dedup_key]
    stored = _taken(conn, project, llm_calls, "dedup_key", keys) | _taken(conn, project, llm_calls, "id", ids)
    fresh = {("calls", value) for value in [*keys, *ids] if value not in stored} - seen
    seen.update(fresh)
    counts.calls = len(fresh)
    return counts


def _taken(conn: Connection, project: ProjectId, table: Table, key: str, wanted: Iterable[object]) -> set[object]:
    rows = rows_by(conn, project, table, key, wanted, columns=(key,), across_users=True)
    return {row[key] for row in rows}


def named(batch: ImportBatch, name: str) -> set[str]:
    """Return the sessions or runs that the facts of a batch name."""
    kinds = (batch.messages, batch.calls, batch.tool_calls, batch.tool_results, batch.events, batch.errors)
    found = {getattr(fact, name, None) for facts in kinds for _, fact in facts}
    found.update(getattr(fact, name) for fact in batch.runs)
    return {value for value in found if value is not None}


def _keep_unreadable(conn: Connection, scope: Scope, batch: ImportBatch, lines: list[Unreadable]) -> None:
    if lines:
        people.ensure_scope_project(conn, scope)
    rows = [
        {
            "project_id": scope.project,
            "id": derived_id(0, "line", scope.project, batch.source, batch.path, line.line, line.reason),
            "source": batch.source,
            "path": batch.path,
            "line": line.line,
            "reason": line.reason,
            "excerpt": values.clean_text(line.excerpt),
            "was_kept": line.was_kept,
            "created_at": conn.now,
        }
        for line in lines
    ]
    conn.many(_ADD_LINE, rows)


def finish_file(
    conn: Connection,
    scope: Scope,
    source: str,
    path: str,
    *,
    size_bytes: int,
    modified_ns: int,
    fingerprint: str,
    facts: int,
    unreadable: int,
    user: str | None = None,
) -> None:
    """Note that a file was read to its end for a user, so that it need not be read again while it stays as it is."""
    people.ensure_scope_project(conn, scope)
    conn.run(
        _SET_FILE,
        {
            "project_id": scope.project,
            "id": derived_id(0, "file", scope.project, source, user or UNASSIGNED, path),
            "source": source,
            "owner": user or UNASSIGNED,
            "path": path,
            "size_bytes": size_bytes,
            "modified_ns": modified_ns,
            "fingerprint": fingerprint,
            "facts": facts,
            "unreadable": unreadable,
            "imported_at": conn.now,
        },
    )


def _file(row: Any) -> ImportedFile:
    return ImportedFile(
        **{name: value for name, value in row.items() if name not in ("project_id", "owner", "page_key")}
    )


def files(conn: Connection, scope: Scope, source: str, *, user: str | None = None) -> tuple[ImportedFile, ...]:
    """Return every file of a source that was read to its end for a user, by path.

    A scope of one user sees none of them.
    """
    if scope.user is not None:
        return ()
    rows = conn.maps(
        select(imported_files)
        .where(
            imported_files.c.project_id == scope.project,
            imported_files.c.source == source,
            imported_files.c.owner == (user or UNASSIGNED),
        )
        .order_by(imported_files.c.path)
    )
    return tuple(_file(row) for row in rows)


def unreadable(
    conn: Connection,
    scope: Scope,
    *,
    source: str | None = None,
    path: str | None = None,
    since: datetime | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Page[UnreadableLine]:
    """Return the lines that could not be read (or were kept altered), the newest first.

    They are the project's: a scope of one user, which could see another's there, sees none.
    """
    statement = select(*[c for c in unreadable_lines.c if c.name != "project_id"]).where(
        unreadable_lines.c.project_id == scope.project
    )
    if scope.user is not None:
        statement = statement.where(false())
    for column, value in ((unreadable_lines.c.source, source), (unreadable_lines.c.path, path)):
        if value is not None:
            statement = statement.where(column == value)
    if since is not None:
        statement = statement.where(unreadable_lines.c.created_at >= values.moment("since", since))
    return page(
        conn, statement, lambda row: UnreadableLine(**{k: v for k, v in row.items() if k != "page_key"}),
        sorts={"created_at": unreadable_lines.c.created_at, "path": unreadable_lines.c.path}, sort="-created_at",
        row_id=unreadable_lines.c.id, limit=limit, cursor=cursor,
    )  # fmt: skip
