"""Bulk loading, second half: messages, calls, tool calls, events and errors; what is there already stays."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any  # `Any`: rows hold whatever their columns hold
from uuid import UUID

from sqlalchemy import bindparam, update

from agentrecord.engine import Connection, Prepared
from agentrecord.exceptions import InvalidValue
from agentrecord.ids import UserId
from agentrecord.records.change import ChangeKind
from agentrecord.records.error import NewError
from agentrecord.records.event import NewEvent
from agentrecord.records.llm_call import CallOrigin, NewLLMCall
from agentrecord.records.message import NewMessage
from agentrecord.records.scope import Scope
from agentrecord.records.tool_call import NewToolCall, ToolCallStatus
from agentrecord.records.transcript import (
    CallFact,
    ErrorFact,
    EventFact,
    Identified,
    ImportCounts,
    MessageFact,
    ToolCallFact,
    ToolResultFact,
)
from agentrecord.schema import errors, events, llm_calls, messages, sessions, tool_calls
from agentrecord.store import agents, search
from agentrecord.store._arrivals import note
from agentrecord.store._error_rows import error_row
from agentrecord.store._figures import Figures
from agentrecord.store._load_trees import Known, Trees
from agentrecord.store._lookup import rows_by
from agentrecord.store._rows import TOKEN_COLUMNS, call_row, message_row
from agentrecord.store._turns import ADD_CALL, ADD_MESSAGE
from agentrecord.store.errors import add_rows
from agentrecord.store.events import ADD_EVENT, event_row
from agentrecord.store.llm_calls import merge
from agentrecord.store.tool_calls import ADD_TOOL_CALL, tool_row

_RESULT = ("status", "result", "error_message", "result_message_uuid", "finished_at", "duration_ms")
_FINISH = Prepared(
    update(tool_calls)
    .where(tool_calls.c.project_id == bindparam("key_project"), tool_calls.c.id == bindparam("key_id"))
    .values({name: bindparam(name) for name in _RESULT})
)
_CALL_COLUMNS = tuple(c.name for c in llm_calls.c)


class Rows:
    """Stores the rows of one batch, once `Trees` knows its sessions and runs."""

    def __init__(
        self,
        conn: Connection,
        scope: Scope,
        user: UserId,
        trees: Trees,
        *,
        figures: Figures,
        counts: ImportCounts,
    ) -> None:
        """Take the transaction, whose rows these are, and where to count."""
        self._conn = conn
        self._scope = scope
        self._user = user
        self._trees = trees
        self._figures = figures
        self._counts = counts
        self.conflicts: list[tuple[int, str]] = []

    def _session(self, name: str) -> Known:
        known = self._trees.sessions.get(name)
        if known is None:
            raise InvalidValue("session_id", name, "names a session that this transcript does not tell of")
        return known

    def _agent(self, session: Known, agent_id: str | None) -> UUID | None:
        return agents.agent_uuid(self._conn, self._scope, agent_id, agent_id) or session.agent_uuid

    def _run(self, name: str | None) -> UUID | None:
        return None if name is None else self._trees.runs.get(name)

    def _known_ids(self, table: Any, facts: Sequence[tuple[Identified, Any]]) -> set[UUID]:
        wanted = [identity.row_id for identity, _ in facts]
        found = rows_by(self._conn, self._scope.project, table, "id", wanted, columns=("id",), across_users=True)
        return {row["id"] for row in found}

    def _last(self, column: str, named: set[str]) -> dict[UUID, int]:
        ids = [self._session(name).row_id for name in named]
        rows = rows_by(self._conn, self._scope.project, sessions, "id", ids, columns=("id", column))
        return {row["id"]: row[column] for row in rows}

    # -- messages ------------------------------------------------------------------------------------------------

    def messages(self, facts: Sequence[tuple[Identified, MessageFact]], *, indexed: bool) -> None:
        """Store the messages that are new, in order; the same id with other content is a conflict and stays."""
        wanted = [identity.row_id for identity, _ in facts]
        stored = rows_by(
            self._conn, self._scope.project, messages, "id", wanted,
            columns=("id", "content", "revision", "deleted_at"), across_users=True,
        )  # fmt: skip
        seen: dict[UUID, str | None] = {
            row["id"]: None if row["revision"] > 1 or row["deleted_at"] else row["content"] for row in stored
        }
        last = self._last("last_sequence", {fact.session_id for _, fact in facts})
        rows = []
        for identity, fact in facts:
            if identity.row_id in seen:
                self._seen_message(fact, seen[identity.row_id])
                continue
            session = self._session(fact.session_id)
            last[session.row_id] += 1
            row = self._message(identity.row_id, fact, session, last[session.row_id])
            seen[identity.row_id] = fact.content
            rows.append(row)
            self._figures.session(session.row_id, active_at=fact.created_at, message_count=1, last_sequence=1)
            self._figures.activity(fact.created_at, self._user, session.agent_uuid, message_count=1)
        self._conn.many(ADD_MESSAGE, rows)
        self._counts.messages += len(rows)
        if indexed:
            search.remember(self._conn, self._scope, [(row["id"], row["content"]) for row in rows])

    def _seen_message(self, fact: MessageFact, content: str | None) -> None:
        if content is None or content == fact.content:
            self._counts.unchanged += 1
            return
        self._counts.conflicts += 1
        self.conflicts.append((fact.line, f"message {fact.key} was seen before with other content; the first is kept"))

    def _message(self, row_id: UUID, fact: MessageFact, session: Known, sequence: int) -> dict[str, Any]:
        new = NewMessage(
            role=fact.role,
            content=fact.content,
            message_id=fact.message_id,
            parts=fact.parts,
            tool_call_id=fact.tool_call_id,
            tool_name=fact.tool_name,
            tools_used=fact.tools_used,
            metadata=fact.metadata,
            model_used=fact.model_used,
            run_uuid=self._run(fact.run_id),
            created_at=fact.created_at,
        )
        return message_row(
            self._scope.project, session.row_id, self._user, new,
            message=row_id, sequence=sequence, now=self._conn.now,
        )  # fmt: skip

    # -- calls ---------------------------------------------------------------------------------------------------

    def calls(self, facts: Sequence[tuple[Identified, CallFact]]) -> None:
        """Store the calls that are new; of several reports of one call the largest counts."""
        keyed: dict[str, dict[str, Any]] = {}
        keys = [fact.dedup_key for _, fact in facts if fact.dedup_key is not None]
        stored = rows_by(
            self._conn, self._scope.project, llm_calls, "dedup_key", keys,
            columns=_CALL_COLUMNS, lock=True, across_users=True,
        )  # fmt: skip
        for row in stored:
            keyed[row["dedup_key"]] = row
        old_keys = set(keyed)
        unkeyed = self._known_ids(llm_calls, [(i, f) for i, f in facts if f.dedup_key is None])
        fresh: list[dict[str, Any]] = []
        for identity, fact in facts:
            row = self._call(identity, fact)
            key = fact.dedup_key
            if key is None:
                if row["id"] in unkeyed:
                    self._counts.unchanged += 1
                else:
                    fresh.append(row)
            elif key in old_keys:
                before = keyed[key]
                if self._scope.user not in (None, before["user_uuid"]):
                    self._counts.unchanged += 1
                    continue
                keyed[key] = merge(self._conn, self._scope, before, row, self._figures)
                self._counts.unchanged += keyed[key] is before
            elif key not in keyed:
                keyed[key] = row
                fresh.append(row)
            elif _tokens(row) > _tokens(keyed[key]):
                _grow(keyed[key], row)
        for row in fresh:
            self._figures.call(row)
        self._conn.many(ADD_CALL, fresh)
        self._counts.calls += len(fresh)

    def _call(self, identity: Identified, fact: CallFact) -> dict[str, Any]:
        session = self._session(fact.session_id)
        new = NewLLMCall(
            model=fact.model,
            host=fact.host,
            tokens=fact.tokens,
            timestamp=fact.timestamp,
            dedup_key=fact.dedup_key,
            request_id=fact.request_id,
            session_uuid=session.row_id,
            run_uuid=self._run(fact.run_id),
            message_uuid=identity.message_uuid,
            is_subagent=fact.is_subagent,
            input_params=fact.input_params,
            usage_metrics=fact.usage_metrics,
            status=fact.status,
            error_message=fact.error_message,
            latency_ms=fact.latency_ms,
            cost_nanos=fact.cost_nanos,
            time_to_first_token_ms=fact.time_to_first_token_ms,
            origin=CallOrigin.IMPORT,
        )
        return call_row(
            self._conn, self._scope, new, call=identity.row_id,
            user=self._user, agent=self._agent(session, fact.agent_id), version=self._trees.versions.get(new.run_uuid),
        )  # fmt: skip

    # -- tool calls ----------------------------------------------------------------------------------------------

    def tools(
        self,
        calls: Sequence[tuple[Identified, ToolCallFact]],
        results: Sequence[tuple[Identified, ToolResultFact]],
    ) -> None:
        """Store the tool calls that are new, and the results of those that had none."""
        known = self._known_tools([*[fact for _, fact in calls], *[fact for _, fact in results]])
        fresh = self._new_tools(calls, known)
        for identity, fact in results:
            row = known.get((self._session(fact.session_id).row_id, fact.call_ref))
            if row is None:
                self._counts.orphan_results += 1
            elif row["status"] != ToolCallStatus.PENDING:
                self._counts.unchanged += 1
            else:
                self._finish(row, identity, fact, is_stored=row["id"] not in fresh)
        self._conn.many(ADD_TOOL_CALL, list(fresh.values()))

    def _known_tools(self, facts: Sequence[ToolCallFact | ToolResultFact]) -> dict[tuple[UUID, str], dict[str, Any]]:
        columns = ("id", "session_uuid", "call_ref", "tool_name", "user_uuid", "agent_uuid", "run_uuid", "status",
                   "started_at", "created_at")  # fmt: skip
        refs: dict[str, list[object]] = {}
        for fact in facts:
            refs.setdefault(fact.session_id, []).append(fact.call_ref)
        known: dict[tuple[UUID, str], dict[str, Any]] = {}
        for name in sorted(refs):
            session = self._session(name).row_id
            rows = rows_by(
                self._conn, self._scope.project, tool_calls, "call_ref", refs[name],
                columns=columns, within=("session_uuid", session),
            )  # fmt: skip
            known.update({(session, row["call_ref"]): row for row in rows})
        return known

    def _new_tools(
        self, calls: Sequence[tuple[Identified, ToolCallFact]], known: dict[tuple[UUID, str], dict[str, Any]]
    ) -> dict[UUID, dict[str, Any]]:
        fresh: dict[UUID, dict[str, Any]] = {}
        for identity, fact in calls:
            session = self._session(fact.session_id)
            key = (session.row_id, fact.call_ref)
            if key in known:
                self._counts.unchanged += 1
                continue
            new = NewToolCall(
                tool_name=fact.tool_name,
                call_ref=fact.call_ref,
                arguments=fact.arguments,
                session_uuid=session.row_id,
                run_uuid=self._run(fact.run_id),
                message_uuid=identity.message_uuid,
                started_at=fact.started_at,
            )
            agent = self._agent(session, fact.agent_id)
            row = tool_row(self._conn, self._scope, new, call=identity.row_id, user=self._user, agent=agent)
            known[key] = fresh[row["id"]] = row
            self._figures.tool(row, calls=1, errors=0, duration_ms=None)
            self._counts.tool_calls += 1
        return fresh

    def _finish(self, row: dict[str, Any], identity: Identified, fact: ToolResultFact, *, is_stored: bool) -> None:
        duration = fact.duration_ms
        if duration is None and row["started_at"] is not None:
            duration = max(0, round((fact.finished_at - row["started_at"]).total_seconds() * 1000))
        row.update(
            status=ToolCallStatus.ERROR if fact.is_error else ToolCallStatus.SUCCESS,
            result=None if identity.message_uuid is not None else fact.result,
            error_message=None,
            result_message_uuid=identity.message_uuid,
            finished_at=fact.finished_at,
            duration_ms=duration,
        )
        if is_stored:
            note(self._conn, self._scope.project, ChangeKind.TOOL_CALL, row["id"], row["user_uuid"])
            key = {"key_project": self._scope.project, "key_id": row["id"]}
            self._conn.run(_FINISH, {**key, **{name: row[name] for name in _RESULT}})
        self._figures.tool(row, calls=0, errors=int(fact.is_error), duration_ms=duration)
        self._counts.tool_results += 1

    # -- events and errors ---------------------------------------------------------------------------------------

    def events(
        self,
        facts: Sequence[tuple[Identified, EventFact]],
        *,
        sequences: Mapping[UUID, tuple[UUID | None, int | None]] = MappingProxyType({}),
    ) -> None:
        """Store the events that are new; one that is stored again keeps its number in the session of `sequences`."""
        seen = self._known_ids(events, facts)
        last = self._last("last_event_sequence", {fact.session_id for _, fact in facts})
        rows = []
        for identity, fact in facts:
            if identity.row_id in seen:
                self._counts.unchanged += 1
                continue
            seen.add(identity.row_id)
            session = self._session(fact.session_id)
            kept = sequences.get(identity.row_id, (None, None))
            is_again = kept[0] == session.row_id
            last[session.row_id] += not is_again
            new = NewEvent(
                event_type=fact.event_type,
                timestamp=fact.timestamp,
                data=fact.data,
                duration_ms=fact.duration_ms,
                run_uuid=self._run(fact.run_id),
                session_uuid=session.row_id,
                parent_event_uuid=fact.parent_event_uuid,
                trace_uuid=fact.trace_uuid,
                span_id=fact.span_id,
                piece_uuid=fact.piece_uuid,
                detached_from=fact.detached_from,
            )
            agent = self._agent(session, fact.agent_id)
            row = event_row(self._conn, self._scope, new, event=identity.row_id, user=self._user, agent=agent)
            row["session_sequence"] = kept[1] if is_again else last[session.row_id]
            rows.append(row)
            self._figures.session(session.row_id, active_at=fact.ended_at, last_event_sequence=int(not is_again))
        self._conn.many(ADD_EVENT, rows)
        self._counts.events += len(rows)

    def errors(self, facts: Sequence[tuple[Identified, ErrorFact]]) -> None:
        """Store the errors that are new."""
        seen = self._known_ids(errors, facts)
        rows = []
        for identity, fact in facts:
            if identity.row_id in seen:
                self._counts.unchanged += 1
                continue
            seen.add(identity.row_id)
            session = self._session(fact.session_id)
            new = NewError(
                error_type=fact.error_type,
                error_message=fact.error_message,
                kind=fact.kind,
                tool_name=fact.tool_name,
                tool_call_uuid=identity.tool_call_uuid,
                llm_call_uuid=identity.llm_call_uuid,
                error_code=fact.error_code,
                context=fact.context,
                stack_trace=fact.stack_trace or None,
                session_uuid=session.row_id,
                run_uuid=self._run(fact.run_id),
                created_at=fact.created_at,
            )
            agent = self._agent(session, fact.agent_id)
            rows.append(error_row(self._conn, self._scope, new, error=identity.row_id, user=self._user, agent=agent))
        add_rows(self._conn, self._scope, rows, self._figures)
        self._counts.errors += len(rows)


def _tokens(row: dict[str, Any]) -> int:
    return sum(row[name] or 0 for name in TOKEN_COLUMNS if name != "reasoning_tokens")


def _grow(kept: dict[str, Any], larger: dict[str, Any]) -> None:
    """Take over the larger report's figures; the time and place of the first stay."""
    for name in (*TOKEN_COLUMNS, "usage_metrics", "status", "error_message", "cost_nanos", "cost_source", "price_uuid"):
        kept[name] = larger[name]
