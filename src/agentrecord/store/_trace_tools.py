"""Tool calls that traces tell of: by a span of the tool, or by the messages that ask for it and bring its result.

Several traces of a session may tell of one use of a tool. The earliest that tells of its start says when and where it
was, the earliest that brings a result says what came of it.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar  # `Any`: rows hold whatever their columns hold
from uuid import UUID

from sqlalchemy import bindparam, update

from agentrecord.engine import Connection, Prepared
from agentrecord.ids import UserId
from agentrecord.records.change import ChangeKind
from agentrecord.records.scope import Scope
from agentrecord.records.tool_call import NewToolCall, ToolCallStatus
from agentrecord.records.transcript import Identified, ImportBatch, ToolCallFact, ToolResultFact
from agentrecord.schema import tool_calls
from agentrecord.store import agents
from agentrecord.store._arrivals import note
from agentrecord.store._figures import Figures
from agentrecord.store._load_trees import Trees
from agentrecord.store._lookup import rows_by
from agentrecord.store.tool_calls import ADD_TOOL_CALL, tool_row

F = TypeVar("F", ToolCallFact, ToolResultFact)
_COLUMNS = tuple(column.name for column in tool_calls.c)
_RETELL = Prepared(
    update(tool_calls)
    .where(tool_calls.c.project_id == bindparam("key_project"), tool_calls.c.id == bindparam("key_id"))
    .values({name: bindparam(name) for name in _COLUMNS if name not in ("project_id", "id")})
)


class Tools:
    """Stores the tool calls of one user's traces."""

    def __init__(self, conn: Connection, scope: Scope, user: UserId, trees: Trees, figures: Figures) -> None:
        """Take the transaction, whose tool calls these are, and where to count."""
        self._conn = conn
        self._scope = scope
        self._user = user
        self._trees = trees
        self._figures = figures

    def load(self, before: Sequence[ImportBatch], after: ImportBatch) -> None:
        """Store what is told now, and was not told by the traces as known `before`."""
        old_calls = _earliest((pair for batch in before for pair in batch.tool_calls), _started)
        old_results = _earliest((pair for batch in before for pair in batch.tool_results), _finished)
        calls, results = _earliest(after.tool_calls, _started), _earliest(after.tool_results, _finished)
        told = {row for row, fact in calls.items() if old_calls.get(row) != fact}
        told |= {row for row, fact in results.items() if old_results.get(row) != fact}
        stored = {
            row["id"]: row
            for row in rows_by(self._conn, self._scope.project, tool_calls, "id", sorted(told), columns=_COLUMNS)
        }
        fresh = []
        for row_id in sorted(told):
            call, result, known = calls[row_id], results.get(row_id), stored.get(row_id)
            if known is None:
                row = self._row(row_id, call)
                fresh.append(self._finished(row, result) if result is not None else row)
                self._count(fresh[-1])
            else:
                self._retell(known, call, result, old_calls.get(row_id), old_results.get(row_id))
        self._conn.many(ADD_TOOL_CALL, fresh)

    def _row(self, row_id: UUID, fact: ToolCallFact) -> dict[str, Any]:
        session = self._trees.sessions[fact.session_id]
        new = NewToolCall(
            tool_name=fact.tool_name,
            call_ref=fact.call_ref,
            arguments=fact.arguments,
            session_uuid=session.row_id,
            run_uuid=None if fact.run_id is None else self._trees.runs.get(fact.run_id),
            started_at=fact.started_at,
        )
        agent = agents.agent_uuid(self._conn, self._scope, fact.agent_id, fact.agent_id) or session.agent_uuid
        return tool_row(self._conn, self._scope, new, call=row_id, user=self._user, agent=agent)

    def _finished(self, row: dict[str, Any], fact: ToolResultFact) -> dict[str, Any]:
        return {
            **row,
            "status": ToolCallStatus.ERROR if fact.is_error else ToolCallStatus.SUCCESS,
            "result": fact.result,
            "finished_at": fact.finished_at,
            "duration_ms": max(0, round((fact.finished_at - row["started_at"]).total_seconds() * 1000)),
        }

    def _retell(
        self,
        known: dict[str, Any],
        call: ToolCallFact,
        result: ToolResultFact | None,
        old_call: ToolCallFact | None,
        old_result: ToolResultFact | None,
    ) -> None:
        """Take over from a trace what it knows better than what is stored, or said itself before."""
        row = known
        was_own = old_call is not None and old_call.started_at == known["started_at"]
        if was_own or call.started_at < known["started_at"]:
            told = self._row(known["id"], call)
            kept = ("status", "result", "result_message_uuid", "error_message", "finished_at", "created_at")
            row = {**told, **{name: known[name] for name in kept}}
            if row["finished_at"] is not None:
                row["duration_ms"] = max(0, round((row["finished_at"] - row["started_at"]).total_seconds() * 1000))
        was_own = old_result is not None and old_result.finished_at == known["finished_at"]
        if result is not None and (
            known["finished_at"] is None or was_own or result.finished_at < known["finished_at"]
        ):
            row = self._finished(row, result)
        if row != known:
            self._figures.untool(known)
            self._count(row)
            note(self._conn, row["project_id"], ChangeKind.TOOL_CALL, row["id"], row["user_uuid"])
            self._conn.run(_RETELL, {**row, "key_project": row["project_id"], "key_id": row["id"]})

    def _count(self, row: dict[str, Any]) -> None:
        errors = int(row["status"] == ToolCallStatus.ERROR)
        self._figures.tool(row, calls=1, errors=errors, duration_ms=row["duration_ms"])


def _started(fact: ToolCallFact) -> Any:
    return fact.started_at


def _finished(fact: ToolResultFact) -> Any:
    return fact.finished_at


def _earliest(pairs: Iterable[tuple[Identified, F]], at: Callable[[F], Any]) -> dict[UUID, F]:
    """Return for each row the fact that tells of it first."""
    found: dict[UUID, F] = {}
    for identity, fact in pairs:
        known = found.get(identity.row_id)
        if known is None or at(fact) < at(known):
            found[identity.row_id] = fact
    return found
