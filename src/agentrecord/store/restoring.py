"""Facts of another record into this one: whole rows under the ids that they had, each once, all figures exact.

What is here already stays, but for runs and uses of tools that went on and are over now. What each record counts or
numbers itself is counted and numbered here. Every row is checked as any other, and belongs to the scope that takes it.
"""

from collections.abc import Mapping, Sequence
from typing import Any  # `Any`: rows hold whatever their columns hold
from uuid import UUID

import msgspec
from sqlalchemy import Table, bindparam, func, select, update

from agentrecord.codec import values
from agentrecord.engine import Connection, Prepared
from agentrecord.exceptions import Forbidden, InvalidValue
from agentrecord.records.change import ChangeKind
from agentrecord.records.error import ErrorKind
from agentrecord.records.exchange import Carried, FactKind, Restored
from agentrecord.records.llm_call import CostSource, NewLLMCall, PromptPart
from agentrecord.records.message import MessageRole
from agentrecord.records.run import RunStatus
from agentrecord.records.scope import Scope
from agentrecord.records.session import CodingDetails, SessionStatus
from agentrecord.records.tool_call import ToolCallStatus
from agentrecord.schema import error_groups, message_revisions, messages, runs, sessions
from agentrecord.schema.types import WordList
from agentrecord.store import agents, people, prompts, search
from agentrecord.store._arrivals import note
from agentrecord.store._carried import KINDS, typed
from agentrecord.store._charging import charge, model_uuid
from agentrecord.store._error_rows import count_in_groups, group_of
from agentrecord.store._failures import answered
from agentrecord.store._figures import Figures
from agentrecord.store._lookup import rows_by
from agentrecord.store._rows import tokens_of
from agentrecord.store._sql import insert_into, insert_or_skip, insert_or_skip_telling
from agentrecord.store.runs import count_run
from agentrecord.store.sessions import ADD_CODING, coding_row

_ADD = {kind: insert_or_skip_telling(KINDS[kind].table) for kind in FactKind}
_ADD_REVISION = insert_into(message_revisions)
_ADD_GROUP = insert_or_skip(error_groups)
_ENDS = {
    FactKind.RUN: ("status", "status_reason", "error_message", "total_iterations", "reported", "finished_at",
                   "final_synthesis_output", "execution_history", "heartbeat_at"),
    FactKind.TOOL_CALL: ("status", "result", "error_message", "result_message_uuid", "finished_at", "duration_ms"),
}  # fmt: skip


def _end(kind: FactKind, *more: str) -> Prepared:
    table = KINDS[kind].table
    mine = (table.c.project_id == bindparam("key_project"), table.c.id == bindparam("key_id"))
    return Prepared(update(table).where(*mine).values({name: bindparam(name) for name in (*_ENDS[kind], *more)}))


_END = {FactKind.RUN: _end(FactKind.RUN, "updated_at"), FactKind.TOOL_CALL: _end(FactKind.TOOL_CALL)}
_PLACES = {
    table.name: Prepared(
        update(table)
        .where(
            table.c.project_id == bindparam("key_project"),
            table.c.id == bindparam("key_id"),
            table.c.last_event_sequence < bindparam("place"),
        )
        .values(last_event_sequence=bindparam("place"))
    )
    for table in (sessions, runs)
}


def restore(conn: Connection, scope: Scope, facts: Sequence[Carried]) -> Restored:
    """Store facts that another record sent out, in whatever order: those that can be stored, or nothing on an error.

    A fact whose session or run is neither here nor among `facts` is refused, as is one that no row can hold; of
    sessions that were deleted here nothing comes back.
    """
    people.ensure_scope_project(conn, scope)
    work = _Restoring(conn, scope)
    for kind in FactKind:
        mine = {fact.id: fact for fact in facts if fact.kind is kind}
        work.found.unchanged += sum(fact.kind is kind for fact in facts) - len(mine)
        if mine:
            work.take(kind, list(mine.values()))
    work.finish()
    return work.found


class _Restoring:
    """Stores facts, kind after kind, in one transaction."""

    def __init__(self, conn: Connection, scope: Scope) -> None:
        self._conn = conn
        self._scope = scope
        self._figures = Figures(scope.project, conn.now)
        self._known: dict[str, dict[UUID, dict[str, Any]]] = {"ar_sessions": {}, "ar_runs": {}}
        self._last: dict[UUID, int] = {}
        self._places: dict[tuple[str, UUID], int] = {}
        self._indexed: list[tuple[UUID, str]] = []
        self._answers: dict[UUID, UUID] = {}
        self.found = Restored()

    def take(self, kind: FactKind, facts: Sequence[Carried]) -> None:
        """Store the facts of a kind."""
        told: list[tuple[Carried, dict[str, Any]]] = []
        for fact in facts:
            try:
                told.append((fact, typed(kind, fact.fields)))
            except InvalidValue as error:
                self.found.refuse(str(error))
        self._look_up(sessions, told, "parent_uuid" if kind is FactKind.SESSION else "session_uuid")
        self._look_up(runs, told, "parent_uuid" if kind is FactKind.RUN else "run_uuid")
        stored = self._stored(kind, [fact.id for fact, _ in told])
        for fact, columns in told:
            old = stored.get(fact.id)
            try:
                if old is None:
                    self._add(kind, fact, columns)
                else:
                    self._again(kind, old, columns)
            except (InvalidValue, Forbidden) as error:
                self.found.refuse(str(error))

    def finish(self) -> None:
        """Write what was counted, and what search finds."""
        for use in answered(self._conn, self._scope.project, self._answers):
            self._figures.failed(ErrorKind.TOOL, use)
        self._figures.apply(self._conn)
        search.remember(self._conn, self._scope, self._indexed)
        for (table, row_id), place in sorted(self._places.items()):
            key = {"key_project": self._scope.project, "key_id": row_id, "place": place}
            self._conn.run(_PLACES[table], key)

    # -- what is here ------------------------------------------------------------------------------------------------

    def _look_up(self, table: Table, told: Sequence[tuple[Carried, dict[str, Any]]], name: str) -> None:
        """Learn which of the sessions or runs that facts name are here, for this scope."""
        known = self._known[table.name]
        ids = {row[name] for _, row in told if row.get(name) is not None}
        columns = ("id", "user_uuid", "deleted_at" if table is sessions else "agent_version_uuid")
        wanted = sorted(ids - {*known})
        for row in rows_by(self._conn, self._scope.project, table, "id", wanted, columns=columns, lock=True):
            if self._scope.user in (None, row["user_uuid"]):
                known[row["id"]] = row

    def _stored(self, kind: FactKind, ids: list[UUID]) -> dict[UUID, dict[str, Any]]:
        """Return the rows that are here under the facts' ids, whosever they are."""
        table = KINDS[kind].table
        columns = tuple(column.name for column in table.c) if kind in _ENDS else ("id", "user_uuid")
        rows = rows_by(
            self._conn, self._scope.project, table, "id", ids, columns=columns, lock=kind in _ENDS, across_users=True
        )
        return {row["id"]: row for row in rows}

    def _again(self, kind: FactKind, old: dict[str, Any], columns: dict[str, Any]) -> None:
        """Take over how a run or a use of a tool ended that went on when it came before."""
        is_mine = self._scope.user in (None, old["user_uuid"])
        if kind not in _ENDS or not is_mine or _is_over(kind, old["status"]) or not _is_over(kind, columns["status"]):
            self.found.unchanged += 1
            return
        # What is not told of the end stays as it is.
        new = {**old, **{name: columns[name] for name in _ENDS[kind] if columns[name] is not None}}
        if kind is FactKind.RUN:
            count_run(self._figures, old, -1)
            count_run(self._figures, new)
        else:
            self._figures.untool(old)
            self._count_tool(new)
        key = {"key_project": self._scope.project, "key_id": old["id"], "updated_at": self._conn.now}
        self._conn.run(_END[kind], {**new, **key})
        self._arrived(kind, new)

    def _arrived(self, kind: FactKind, row: dict[str, Any]) -> None:
        """Count a fact, and let live readers know of it."""
        self.found.added += 1
        if kind is not FactKind.EVENT:
            note(self._conn, self._scope.project, ChangeKind(kind), row["id"], row["user_uuid"])

    # -- what is new -------------------------------------------------------------------------------------------------

    def _add(self, kind: FactKind, fact: Carried, columns: dict[str, Any]) -> None:
        if not self._is_wanted(kind, columns):
            return
        row = self._row(kind, fact, columns)
        _FILL[kind](self, row, fact.fields)
        if self._conn.first(_ADD[kind], row) is None:
            name = row.get("session_id") or row.get("run_id") or row.get("dedup_key") or row["id"]
            if kind in (FactKind.SESSION, FactKind.RUN):
                raise InvalidValue(f"{kind}_id", name, f"is another {kind}'s here; delete that one first")
            self.found.unchanged += 1
            return
        self._arrived(kind, row)
        _COUNT[kind](self, row, fact.fields)

    def _is_wanted(self, kind: FactKind, columns: dict[str, Any]) -> bool:
        """Say whether a fact belongs to what is here; raise `InvalidValue` if that is not known."""
        session, run = columns.get("session_uuid"), columns.get("run_uuid")
        known = None if session is None else self._known["ar_sessions"].get(session)
        if known is not None and known["deleted_at"] is not None:
            self.found.deleted += 1
            return False
        if session is not None and known is None:
            raise InvalidValue("session_uuid", str(session), "names a session that is not here; send it first")
        if kind is not FactKind.RUN and run is not None and run not in self._known["ar_runs"]:
            raise InvalidValue("run_uuid", str(run), "names a run that is not here; send it first")
        return True

    def _row(self, kind: FactKind, fact: Carried, columns: dict[str, Any]) -> dict[str, Any]:
        """Return a whole row: what travelled, who it belongs to here, and nothing counted yet."""
        table = KINDS[kind].table
        row: dict[str, Any] = dict.fromkeys((c.name for c in table.c), None)
        row.update({c.name: () if isinstance(c.type, WordList) else 0 for c in table.c if c.server_default is not None})
        row.update({name: value for name, value in columns.items() if value is not None})
        named = None if self._scope.user is not None else fact.fields.get("user")
        row.update(
            project_id=self._scope.project, id=fact.id, user_uuid=people.user_uuid(self._conn, self._scope, named)
        )
        if "agent_uuid" in table.c:
            agent, name = fact.fields.get("agent_id"), columns.get("agent_name")
            row["agent_uuid"] = agents.agent_uuid(self._conn, self._scope, agent, name)
        for name in ("created_at", "updated_at"):
            if name in table.c and row[name] is None:
                row[name] = self._conn.now
        return row

    def _children(self, table: Table, parent: UUID) -> int:
        """Return how many are here of a session's or run's children that came before it."""
        below = (table.c.project_id == self._scope.project, table.c.parent_uuid == parent)
        return int(self._conn.value(select(func.count()).select_from(table).where(*below)))

    def _fill_session(self, row: dict[str, Any], fields: Mapping[str, Any]) -> None:
        row["child_count"] = self._children(sessions, row["id"])
        if "coding" in fields:
            _coding(fields["coding"])

    def _count_session(self, row: dict[str, Any], fields: Mapping[str, Any]) -> None:
        self._known["ar_sessions"][row["id"]] = {**row, "deleted_at": None}
        self._last[row["id"]] = 0
        if "coding" in fields:
            self._conn.run(ADD_CODING, coding_row(self._scope, row["id"], _coding(fields["coding"])))
        failed = int(row["status"] is SessionStatus.FAILED)
        at = row["created_at"]
        self._figures.activity(at, row["user_uuid"], row["agent_uuid"], session_count=1, failed_sessions=failed)
        if row["parent_uuid"] in self._known["ar_sessions"]:
            self._figures.session(row["parent_uuid"], child_count=1)

    def _fill_run(self, row: dict[str, Any], fields: Mapping[str, Any]) -> None:
        row["child_count"] = self._children(runs, row["id"])

    def _count_run(self, row: dict[str, Any], fields: Mapping[str, Any]) -> None:
        self._known["ar_runs"][row["id"]] = row
        count_run(self._figures, row)
        self._figures.session(row["session_uuid"], run_count=1)
        if row["parent_uuid"] in self._known["ar_runs"]:
            self._figures.run(row["parent_uuid"], child_count=1)

    def _fill_message(self, row: dict[str, Any], fields: Mapping[str, Any]) -> None:
        row["revision"] = row["revision"] or 1
        for revision in fields.get("revisions") or ():
            _revision(self._scope, row["id"], revision)
        session = row["session_uuid"]
        if session not in self._last:
            mine = (sessions.c.project_id == self._scope.project, sessions.c.id == session)
            self._last[session] = int(self._conn.value(select(sessions.c.last_sequence).where(*mine)))
        row["sequence"] = self._last[session] + 1

    def _count_message(self, row: dict[str, Any], fields: Mapping[str, Any]) -> None:
        session, at = row["session_uuid"], row["created_at"]
        self._last[session] += 1
        if row["role"] is MessageRole.TOOL:
            self._answers[row["id"]] = session
        live = int(row["deleted_at"] is None)
        self._figures.session(session, active_at=at, message_count=live, last_sequence=1)
        agent = self._agent_of(session)
        self._figures.activity(at, row["user_uuid"], agent, message_count=1)
        if live:
            self._indexed.append((row["id"], row["content"]))
        for revision in fields.get("revisions") or ():
            self._conn.run(_ADD_REVISION, _revision(self._scope, row["id"], revision))

    def _agent_of(self, session: UUID) -> UUID | None:
        known = self._known["ar_sessions"][session]
        if "agent_uuid" not in known:
            mine = (sessions.c.project_id == self._scope.project, sessions.c.id == session)
            known["agent_uuid"] = self._conn.value(select(sessions.c.agent_uuid).where(*mine))
        found: UUID | None = known["agent_uuid"]
        return found

    def _fill_call(self, row: dict[str, Any], fields: Mapping[str, Any]) -> None:
        model, host = fields.get("model") or None, fields.get("host") or None
        row["model_uuid"] = model_uuid(self._conn, model, host)
        if row["run_uuid"] is not None:
            row["agent_version_uuid"] = self._known["ar_runs"][row["run_uuid"]]["agent_version_uuid"]
        if row["cost_source"] is CostSource.PRICE:
            # The price is each record's own row; here it is the one that charges the same.
            tokens = tokens_of(row)
            price = charge(self._conn, self._scope.project, model=model, host=host, tokens=tokens, at=row["timestamp"])
            row["price_uuid"] = price.price_uuid if price.cost_nanos == row["cost_nanos"] else None
        if parts := fields.get("prompt"):
            told = NewLLMCall(prompt=self._prompt(parts), prompt_length=row["prompt_length"])
            row["prompt_uuid"], _ = prompts.remember(self._conn, self._scope, row["user_uuid"], told)

    def _prompt(self, parts: object) -> tuple[PromptPart, ...]:
        """Return a prompt whose parts are the messages that they repeat, where these are here, or else their words."""
        try:
            found = msgspec.convert(parts, tuple[PromptPart, ...])
        except msgspec.ValidationError as error:
            raise InvalidValue("prompt", str(parts)[:80], f"has not the shape that it must have: {error}") from error
        ids = [part.message_uuid for part in found if part.message_uuid is not None]
        columns = ("id", "user_uuid", "revision")
        rows = rows_by(self._conn, self._scope.project, messages, "id", ids, columns=columns)
        here = {row["id"]: row["revision"] for row in rows if self._scope.user in (None, row["user_uuid"])}
        return tuple(
            part if part.message_uuid is None or (part.revision or 1) == here.get(part.message_uuid)
            else PromptPart(role=part.role, content=part.content or "") for part in found
        )  # fmt: skip

    def _count_call(self, row: dict[str, Any], fields: Mapping[str, Any]) -> None:
        self._figures.call(row)

    def _fill_nothing(self, row: dict[str, Any], fields: Mapping[str, Any]) -> None:
        """Leave a row as it is."""

    def _count_tool(self, row: dict[str, Any], fields: Mapping[str, Any] | None = None) -> None:
        errors_of = int(row["status"] is ToolCallStatus.ERROR)
        self._figures.tool(row, calls=1, errors=errors_of, duration_ms=row["duration_ms"])

    def _count_event(self, row: dict[str, Any], fields: Mapping[str, Any]) -> None:
        for table, name in (("ar_sessions", "session"), ("ar_runs", "run")):
            owner, place = row[f"{name}_uuid"], row[f"{name}_sequence"]
            if owner is not None and place is not None:
                self._places[table, owner] = max(place, self._places.get((table, owner), 0))

    def _fill_error(self, row: dict[str, Any], fields: Mapping[str, Any]) -> None:
        row.update(kind=row["kind"] or ErrorKind.AGENT, is_derived=False)
        group = group_of(self._scope.project, row)
        row["group_uuid"] = group["id"]
        self._conn.run(_ADD_GROUP, group)

    def _count_error(self, row: dict[str, Any], fields: Mapping[str, Any]) -> None:
        count_in_groups(self._conn, self._scope.project, [row], as_told=True)
        self._figures.error(row)


_FILL = {
    FactKind.SESSION: _Restoring._fill_session,
    FactKind.RUN: _Restoring._fill_run,
    FactKind.MESSAGE: _Restoring._fill_message,
    FactKind.LLM_CALL: _Restoring._fill_call,
    FactKind.TOOL_CALL: _Restoring._fill_nothing,
    FactKind.EVENT: _Restoring._fill_nothing,
    FactKind.ERROR: _Restoring._fill_error,
}
_COUNT = {
    FactKind.SESSION: _Restoring._count_session,
    FactKind.RUN: _Restoring._count_run,
    FactKind.MESSAGE: _Restoring._count_message,
    FactKind.LLM_CALL: _Restoring._count_call,
    FactKind.TOOL_CALL: _Restoring._count_tool,
    FactKind.EVENT: _Restoring._count_event,
    FactKind.ERROR: _Restoring._count_error,
}


def _is_over(kind: FactKind, status: Any) -> bool:
    return RunStatus(status).is_final if kind is FactKind.RUN else status is not ToolCallStatus.PENDING


def _coding(told: object) -> CodingDetails:
    try:
        return msgspec.convert(told, CodingDetails)
    except msgspec.ValidationError as error:
        raise InvalidValue("coding", str(told)[:80], f"has not the shape that it must have: {error}") from error


def _revision(scope: Scope, message: UUID, told: object) -> dict[str, Any]:
    if not isinstance(told, dict):
        raise InvalidValue("revisions", str(told)[:80], "must be a list of objects")
    columns = typed(
        FactKind.MESSAGE, {**told, "role": "user", "session_uuid": str(message), "updated_at": told.get("created_at")}
    )
    return {
        "project_id": scope.project,
        "message_uuid": message,
        "revision": values.integer("revision", told.get("revision"), minimum=1),
        "content": columns["content"],
        "parts": columns["parts"],
        "created_at": columns["created_at"],
    }
