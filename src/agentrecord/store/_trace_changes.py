"""What changes in the record when more of a trace is known: the difference of two derivations, row by row."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any  # `Any`: rows and facts of several kinds
from uuid import UUID

from sqlalchemy import Table, bindparam, delete, select

from agentrecord.engine import Connection, Prepared
from agentrecord.ids import UserId
from agentrecord.records.scope import Scope
from agentrecord.records.transcript import ImportBatch, ImportCounts
from agentrecord.schema import errors, events, llm_calls, sessions, tool_calls
from agentrecord.store._error_rows import leave_groups
from agentrecord.store._figures import Figures
from agentrecord.store._load_rows import Rows
from agentrecord.store._load_trees import Trees
from agentrecord.store._lookup import rows_by
from agentrecord.store._trace_messages import Messages
from agentrecord.store._trace_tools import Tools
from agentrecord.store.imports import named, of_live_sessions

Pairs = tuple[tuple[Any, Any], ...]


@dataclass(frozen=True, slots=True)
class Change:
    """What a trace said before, None if nothing, and says now."""

    before: ImportBatch | None
    after: ImportBatch

    @property
    def is_moved(self) -> bool:
        """Say whether the trace is another user's now."""
        return self.before is not None and self.before.user != self.after.user

    def gone(self, kind: str) -> Pairs:
        """Return the facts that it said and no longer says."""
        if self.before is None:
            return ()
        kept = set() if self.is_moved else set(getattr(self.after, kind))
        return tuple(pair for pair in getattr(self.before, kind) if pair not in kept)

    def new(self, kind: str) -> Pairs:
        """Return the facts that it did not say before."""
        if self.before is None:
            return tuple(getattr(self.after, kind))
        known = set() if self.is_moved else set(getattr(self.before, kind))
        return tuple(pair for pair in getattr(self.after, kind) if pair not in known)


def _remove(table: Table) -> Prepared:
    return Prepared(delete(table).where(table.c.project_id == bindparam("project"), table.c.id == bindparam("row")))


_REMOVE = {table.name: _remove(table) for table in (llm_calls, tool_calls, events, errors, sessions)}


class Changes:
    """Carries out changes of traces in one transaction: first what is gone, then what is new."""

    def __init__(
        self,
        conn: Connection,
        scope: Scope,
        figures: Figures,
        derived: Callable[[Iterable[UUID]], list[ImportBatch]],
    ) -> None:
        """Take the transaction, where to count, and what tells what other traces say."""
        self._conn = conn
        self._scope = scope
        self._figures = figures
        self._derived = derived
        self._sequences: dict[UUID, tuple[UUID, int]] = {}
        self._left: set[UUID] = set()
        self.counts = ImportCounts()

    # -- what is gone ----------------------------------------------------------------------------------------------

    def retract(self, changes: Sequence[Change]) -> None:
        """Take away what traces no longer say, or say otherwise now, and what counted it."""
        for row in self._taken(llm_calls, _ids(changes, "calls")):
            self._figures.call(row, -1)
        for row in self._taken(tool_calls, _tools_gone(changes)):
            self._figures.untool(row)
        self._retract_errors(self._taken(errors, _ids(changes, "errors")))
        for row in self._taken(events, _ids(changes, "events")):
            self._sequences[row["id"]] = (row["session_uuid"], row["session_sequence"])
            self._left.add(row["session_uuid"])

    def _taken(self, table: Table, ids: set[UUID]) -> list[dict[str, Any]]:
        columns = tuple(column.name for column in table.c)
        rows = rows_by(self._conn, self._scope.project, table, "id", sorted(ids), columns=columns, lock=True)
        self._delete(table, [row["id"] for row in rows])
        return rows

    def _delete(self, table: Table, ids: Sequence[UUID]) -> None:
        self._conn.many(_REMOVE[table.name], [{"project": self._scope.project, "row": row_id} for row_id in ids])

    def _retract_errors(self, rows: Sequence[dict[str, Any]]) -> None:
        for row in rows:
            self._figures.error(row, -1)
        leave_groups(self._conn, self._scope.project, [row["group_uuid"] for row in rows])

    # -- what is new -----------------------------------------------------------------------------------------------

    def load(self, user: UserId, owner: str, changes: Sequence[Change]) -> None:
        """Store what one user's traces say now and did not before."""
        conn, scope, figures, counts = self._conn, self._scope, self._figures, self.counts
        trees = Trees(conn, scope, user, owner=owner, figures=figures, counts=counts)
        whole = joined([change.after for change in changes])
        trees.load_sessions(whole.sessions, named(whole, "session_id"))
        kinds = ("calls", "errors", "events")
        news: dict[str, Any] = {kind: tuple(p for c in changes for p in c.new(kind)) for kind in kinds}
        fresh = replace(whole, **news)
        fresh, counts.deleted = of_live_sessions(fresh, trees.deleted)
        trees.load_runs(fresh.runs, named(fresh, "run_id"))
        rows = Rows(conn, scope, user, trees, figures=figures, counts=counts)
        before = [change.before for change in changes if change.before is not None]
        Messages(conn, scope, user, trees, figures=figures, others=self._derived).load(before, fresh)
        Tools(conn, scope, user, trees, figures).load(before, fresh)
        rows.calls(fresh.calls)
        rows.events(fresh.events, sequences=self._sequences)
        rows.errors(fresh.errors)

    # -- what is empty ---------------------------------------------------------------------------------------------

    def drop_what_is_empty(self) -> None:
        """Remove the sessions that only stood for traces which now turned out to belong to others."""
        columns = ("id", "user_uuid", "agent_uuid", "created_at", "source", "deleted_at", *_COUNTED)
        figures = Figures(self._scope.project, self._conn.now)
        for row in rows_by(self._conn, self._scope.project, sessions, "id", sorted(self._left), columns=columns):
            if row["source"] != "otlp" or row["deleted_at"] is not None or any(row[name] for name in _COUNTED):
                continue
            told = select(events.c.id).where(
                events.c.project_id == self._scope.project, events.c.session_uuid == row["id"]
            )
            if self._conn.first(told.limit(1)) is None:
                self._delete(sessions, [row["id"]])
                figures.activity(row["created_at"], row["user_uuid"], row["agent_uuid"], session_count=-1)
        figures.apply(self._conn)


_COUNTED = ("message_count", "run_count", "tool_call_count", "error_count", "child_count", "calls")


def _ids(changes: Iterable[Change], kind: str) -> set[UUID]:
    return {identity.row_id for change in changes for identity, _ in change.gone(kind)}


def _tools_gone(changes: Sequence[Change]) -> set[UUID]:
    """Return the tool calls that traces told of and no longer do, or that are another user's now."""
    before = {identity.row_id for c in changes if c.before is not None for identity, _ in c.before.tool_calls}
    return before - {identity.row_id for c in changes for identity, _ in c.after.tool_calls}


def joined(batches: Sequence[ImportBatch]) -> ImportBatch:
    """Return several batches as one."""
    kinds = [field.name for field in fields(ImportBatch) if field.default == ()]
    found: dict[str, Any] = {kind: tuple(f for b in batches for f in getattr(b, kind)) for kind in kinds}
    return replace(batches[0], **found)
