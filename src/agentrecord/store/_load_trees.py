"""Bulk loading, first half: sessions and runs, made when first told of and completed by what is told later."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any, TypeVar  # `Any`: rows hold whatever their columns hold
from uuid import UUID

from sqlalchemy import bindparam, update

from agentrecord.engine import Connection, Prepared
from agentrecord.ids import UserId, derived_id
from agentrecord.records.change import ChangeKind
from agentrecord.records.run import NewRun, RunStatus
from agentrecord.records.scope import Scope
from agentrecord.records.session import CodingDetails, NewSession, SessionStatus
from agentrecord.records.transcript import ImportCounts, RunFact, SessionFact
from agentrecord.schema import coding_sessions, runs, sessions
from agentrecord.store import agents as agent_store
from agentrecord.store._arrivals import note
from agentrecord.store._figures import Figures
from agentrecord.store._lookup import rows_by
from agentrecord.store.purging import mark_of
from agentrecord.store.runs import ADD_RUN, count_run, run_row
from agentrecord.store.sessions import ADD_CODING, ADD_SESSION, blank_session, coding_row

F = TypeVar("F", SessionFact, RunFact)
_CODING_TOLD = ("tool_name", "tool_version", "working_directory", "git_branch", "host", "initial_task")
_SESSION_TOLD = ("title", "agent_name", "agent_uuid", "metadata")
_SESSION = ("id", "session_id", "user_uuid", "root_uuid", "created_at", "deleted_at", *_SESSION_TOLD)

_UPDATE_SESSION = Prepared(
    update(sessions)
    .where(sessions.c.project_id == bindparam("key_project"), sessions.c.id == bindparam("key_id"))
    .values({name: bindparam(name) for name in (*_SESSION_TOLD, "created_at")})
)
_UPDATE_CODING = Prepared(
    update(coding_sessions)
    .where(
        coding_sessions.c.project_id == bindparam("key_project"), coding_sessions.c.session_uuid == bindparam("key_id")
    )
    .values({name: bindparam(name) for name in _CODING_TOLD})
)
_RUN_TOLD = ("objective", "status", "error_message", "final_synthesis_output", "finished_at", "heartbeat_at")
_RUN_PLACED = ("user_uuid", "agent_uuid", "agent_name", "session_uuid", "parent_uuid", "started_at")
_REPLACE_RUN = Prepared(
    update(runs)
    .where(runs.c.project_id == bindparam("key_project"), runs.c.id == bindparam("key_id"))
    .values({name: bindparam(name) for name in (*_RUN_PLACED, *_RUN_TOLD, "created_at", "updated_at")})
)
_UPDATE_RUN = Prepared(
    update(runs)
    .where(runs.c.project_id == bindparam("key_project"), runs.c.id == bindparam("key_id"))
    .values({name: bindparam(name) for name in (*_RUN_TOLD, "updated_at")})
)


@dataclass(frozen=True, slots=True)
class Known:
    """What a loaded row's owner is: the session's row, its agent."""

    row_id: UUID
    agent_uuid: UUID | None


def latest_told(facts: Sequence[F], name: str) -> dict[str, F]:
    """Return one fact for each name: later non-empty fields win, the earliest time of start stays."""
    told: dict[str, F] = {}
    start = "created_at" if name == "session_id" else "started_at"
    for fact in facts:
        key = getattr(fact, name)
        old = told.get(key)
        if old is None:
            told[key] = fact
            continue
        given = {f.name: v for f in fields(fact) if (v := getattr(fact, f.name)) not in (None, "")}
        given[start] = min(getattr(old, start), getattr(fact, start))
        if isinstance(fact, RunFact) and fact.status is RunStatus.RUNNING and isinstance(old, RunFact):
            given["status"] = old.status
        told[key] = replace(old, **given)
    return told


def _parents_first(told: dict[str, SessionFact]) -> list[tuple[str, SessionFact]]:
    def depth(fact: SessionFact) -> int:
        steps, seen = 0, {fact.session_id}
        while fact.parent_session_id in told and fact.parent_session_id not in seen:
            fact = told[fact.parent_session_id]
            seen.add(fact.session_id)
            steps += 1
        return steps

    return sorted(told.items(), key=lambda item: depth(item[1]))


class Trees:
    """Resolves the session and run names of a batch to rows."""

    def __init__(
        self,
        conn: Connection,
        scope: Scope,
        user: UserId,
        *,
        owner: str,
        figures: Figures,
        counts: ImportCounts,
    ) -> None:
        """Take the transaction, whose rows these are (`owner` is what the user is called), and where to count."""
        self._owner = owner
        self._conn = conn
        self._scope = scope
        self._user = user
        self._figures = figures
        self._counts = counts
        self.sessions: dict[str, Known] = {}
        self.runs: dict[str, UUID] = {}
        self.versions: dict[UUID | None, UUID | None] = {}
        self.deleted: set[str] = set()

    # -- sessions ------------------------------------------------------------------------------------------------

    def load_sessions(self, facts: Sequence[SessionFact], named: set[str]) -> None:
        """Make or complete the sessions told of, and find those that are only `named`."""
        told = latest_told(facts, "session_id")
        parents = {f.parent_session_id for f in told.values() if f.parent_session_id}
        stored = self._stored_sessions({*told, *named, *parents})
        stored.update(self._erased(told, {*told, *named, *parents} - {*stored}))
        told = self._without_deleted(told, stored)
        # A parent may be told of only later, by a file that is read after its child's.
        missing = {f.parent_session_id: f for f in told.values() if f.parent_session_id in parents - {*told, *stored}}
        for name, child in missing.items():
            stored[str(name)] = self._add_session(
                SessionFact(session_id=str(name), created_at=child.created_at, tool_name=child.tool_name), stored
            )
        for name, fact in _parents_first(told):
            row = stored.get(name)
            if row is None:
                stored[name] = self._add_session(fact, stored)
            else:
                self._complete_session(row, fact)
        self.sessions = {name: Known(row["id"], row["agent_uuid"]) for name, row in stored.items()}

    def _without_deleted(
        self, told: dict[str, SessionFact], stored: dict[str, dict[str, Any]]
    ) -> dict[str, SessionFact]:
        """Leave out sessions that were deleted here, and those below them; their calls go to the tombstone."""
        self.deleted = {name for name, row in stored.items() if row["deleted_at"] is not None}
        for name, fact in _parents_first(told):
            above = fact.parent_session_id
            if name not in stored and above in self.deleted:
                self.deleted.add(name)
                stored[name] = stored[str(above)]
        return {name: fact for name, fact in told.items() if name not in self.deleted}

    def _erased(self, told: dict[str, SessionFact], names: set[str]) -> dict[str, dict[str, Any]]:
        """Return the tombstones of sessions whose user was erased, and is called here as they were called then."""
        marks = {mark_of(self._scope.project, name): name for name in names}
        rows = rows_by(
            self._conn, self._scope.project, sessions, "session_id", sorted(marks), columns=_SESSION, across_users=True
        )
        found: dict[str, dict[str, Any]] = {}
        for row in rows:
            name = marks[row["session_id"]]
            given = told[name].row_id if name in told else None
            began = (row["id"].int >> 80) * 1000
            made = derived_id(began, "session", self._scope.project, self._owner, name)
            if row["id"] == (given or made):
                found[name] = row
        return found

    def _stored_sessions(self, names: set[str]) -> dict[str, dict[str, Any]]:
        rows = rows_by(
            self._conn, self._scope.project, sessions, "session_id", sorted(names), columns=_SESSION, lock=True
        )
        mine = [row for row in rows if row["user_uuid"] == self._user]
        # A tombstone stands for its name only while no live session has it.
        return {row["session_id"]: row for row in sorted(mine, key=lambda row: row["deleted_at"] is None)}

    def _add_session(self, fact: SessionFact, stored: dict[str, dict[str, Any]]) -> dict[str, Any]:
        conn, scope = self._conn, self._scope
        parent = stored.get(fact.parent_session_id) if fact.parent_session_id else None
        session = fact.row_id or derived_id(fact.created_at, "session", scope.project, self._owner, fact.session_id)
        new = NewSession(
            session_id=fact.session_id,
            agent_name=fact.agent_name,
            title=fact.title,
            # It goes on in its own tool, not here.
            is_active=False,
            status=SessionStatus.INACTIVE,
            source=fact.tool_name,
            parent_uuid=None if parent is None else parent["id"],
            metadata=fact.metadata,
        )
        row = blank_session(scope, session, self._user, new)
        row["agent_uuid"] = agent_store.agent_uuid(conn, scope, fact.agent_id, fact.agent_name)
        row.update(created_at=fact.created_at, updated_at=fact.created_at, last_activity_at=fact.created_at)
        if parent is not None:
            row["root_uuid"] = parent["root_uuid"] or parent["id"]
            self._figures.session(parent["id"], child_count=1)
        conn.run(ADD_SESSION, row)
        if fact.is_coding:
            details = CodingDetails(**{name: getattr(fact, name) for name in _CODING_TOLD})
            conn.run(ADD_CODING, coding_row(scope, session, details))
        self._figures.activity(fact.created_at, self._user, row["agent_uuid"], session_count=1)
        self._counts.sessions += 1
        return row

    def _complete_session(self, row: dict[str, Any], fact: SessionFact) -> None:
        conn, project = self._conn, self._scope.project
        key = {"key_project": project, "key_id": row["id"]}
        new = {name: getattr(fact, name, None) or row[name] for name in _SESSION_TOLD}
        new["agent_uuid"] = row["agent_uuid"] or agent_store.agent_uuid(
            conn, self._scope, fact.agent_id, fact.agent_name
        )
        new["created_at"] = min(row["created_at"], fact.created_at)
        if any(new[name] != row[name] for name in (*_SESSION_TOLD, "created_at")):
            conn.run(_UPDATE_SESSION, {**key, **new})
            note(conn, project, ChangeKind.SESSION, row["id"], self._user)
            row.update(new)
        if not fact.is_coding:
            return
        found = rows_by(
            conn, project, coding_sessions, "session_uuid", [row["id"]], columns=("session_uuid", *_CODING_TOLD)
        )
        if found:
            old = found[0]
            details = {name: getattr(fact, name) or old[name] for name in _CODING_TOLD}
            details["initial_task"] = old["initial_task"] or fact.initial_task
            if any(details[name] != old[name] for name in _CODING_TOLD):
                conn.run(_UPDATE_CODING, {**key, **details})

    # -- runs ----------------------------------------------------------------------------------------------------

    def load_runs(self, facts: Sequence[RunFact], named: set[str]) -> None:
        """Make or complete the runs told of, and find those that are only `named`."""
        told = latest_told(facts, "run_id")
        parents = {f.parent_run_id for f in told.values() if f.parent_run_id}
        own = {fact.row_id for fact in told.values() if fact.row_id is not None}
        columns = ("id", "run_id", "agent_version_uuid", "created_at", "total_iterations", *_RUN_PLACED, *_RUN_TOLD)
        rows = rows_by(
            self._conn, self._scope.project, runs, "run_id", sorted({*told, *named, *parents}),
            columns=columns, across_users=True,
        )  # fmt: skip
        stored = {row["run_id"]: row for row in rows if row["user_uuid"] == self._user or row["id"] in own}
        taken = {row["run_id"] for row in rows} - {*stored}
        others = rows_by(
            self._conn, self._scope.project, runs, "run_id", sorted(map(self._own, taken)), columns=columns
        )
        stored.update({name: row for name in taken for row in others if row["run_id"] == self._own(name)})
        for name, given in told.items():
            fact = replace(given, run_id=self._own(name)) if name in taken else given
            row = stored.get(name)
            if row is None:
                stored[name] = self._add_run(fact, stored)
            elif fact.row_id is None:
                self._complete_run(row, fact)
            else:
                self._replace_run(row, fact, stored)
        self.runs = {name: row["id"] for name, row in stored.items()}
        self.versions = {row["id"]: row["agent_version_uuid"] for row in stored.values()}

    def _own(self, run_id: str) -> str:
        """Return what a run is called here when another user has a run of its name: names are unique in a project."""
        return f"{run_id}@{self._owner}"

    def _add_run(self, fact: RunFact, stored: dict[str, dict[str, Any]]) -> dict[str, Any]:
        conn, scope = self._conn, self._scope
        parent = stored.get(fact.parent_run_id) if fact.parent_run_id else None
        session = self.sessions.get(fact.session_id)
        run = fact.row_id or derived_id(fact.started_at, "run", scope.project, self._owner, fact.run_id)
        agent = agent_store.agent_uuid(conn, scope, fact.agent_id, fact.agent_name)
        new = NewRun(
            run_id=fact.run_id,
            agent_name=fact.agent_name,
            objective=fact.objective,
            session_uuid=None if session is None else session.row_id,
            parent_uuid=None if parent is None else parent["id"],
            trace_id=fact.trace_id,
            started_at=fact.started_at,
        )
        row = run_row(conn, scope, new, run=run, user=self._user, agent=agent, status=fact.status)
        row.update(
            started_at=fact.started_at,
            created_at=fact.started_at,
            updated_at=fact.finished_at or fact.started_at,
            finished_at=fact.finished_at,
            heartbeat_at=fact.finished_at or fact.started_at,
            final_synthesis_output=fact.output,
            error_message=fact.error_message,
        )
        conn.run(ADD_RUN, row)
        self._figures.session(new.session_uuid, run_count=1)
        if parent is not None:
            self._figures.run(parent["id"], child_count=1)
        count_run(self._figures, row)
        self._counts.runs += 1
        return row

    def _replace_run(self, row: dict[str, Any], fact: RunFact, stored: dict[str, dict[str, Any]]) -> None:
        """Make a run what its source, which knows all of it, now says."""
        parent = stored.get(fact.parent_run_id) if fact.parent_run_id else None
        session = self.sessions.get(fact.session_id)
        new: dict[str, Any] = {
            "user_uuid": self._user,
            "agent_uuid": agent_store.agent_uuid(self._conn, self._scope, fact.agent_id, fact.agent_name),
            "agent_name": fact.agent_name,
            "session_uuid": None if session is None else session.row_id,
            "parent_uuid": None if parent is None else parent["id"],
            "started_at": fact.started_at,
            "objective": fact.objective,
            "status": fact.status,
            "error_message": fact.error_message,
            "final_synthesis_output": fact.output,
            "finished_at": fact.finished_at,
            "heartbeat_at": fact.finished_at or fact.started_at,
        }
        if all(new[name] == row[name] for name in new):
            return
        key = {"key_project": self._scope.project, "key_id": row["id"]}
        times = {"created_at": fact.started_at, "updated_at": fact.finished_at or fact.started_at}
        self._conn.run(_REPLACE_RUN, {**new, **key, **times})
        note(self._conn, self._scope.project, ChangeKind.RUN, row["id"], self._user)
        for told, sign in ((row, -1), ({**row, **new}, 1)):
            self._figures.session(told["session_uuid"], run_count=sign)
            self._figures.run(told["parent_uuid"], child_count=sign)
            count_run(self._figures, told, sign)
        row.update(new)

    def _complete_run(self, row: dict[str, Any], fact: RunFact) -> None:
        """Take over what a later telling knows better; an older, shorter transcript takes nothing back."""
        new = {name: row[name] for name in _RUN_TOLD}
        new["objective"] = row["objective"] or fact.objective
        if _is_later(fact, RunStatus(row["status"]), row["finished_at"]):
            new.update(
                status=fact.status,
                finished_at=fact.finished_at,
                error_message=fact.error_message,
                final_synthesis_output=fact.output or row["final_synthesis_output"],
                heartbeat_at=fact.finished_at or row["heartbeat_at"],
            )
        if all(new[name] == row[name] for name in _RUN_TOLD):
            return
        self._conn.run(
            _UPDATE_RUN,
            {**new, "key_project": self._scope.project, "key_id": row["id"], "updated_at": self._conn.now},
        )
        note(self._conn, self._scope.project, ChangeKind.RUN, row["id"], row["user_uuid"])
        if new["status"] != row["status"]:
            count_run(self._figures, row, -1)
            count_run(self._figures, {**row, **new})
        row.update(new)


def _is_later(fact: RunFact, status: RunStatus, finished_at: datetime | None) -> bool:
    if not status.is_final:
        return fact.status.is_final
    if fact.finished_at is None or not fact.status.is_final:
        return False
    return finished_at is None or fact.finished_at >= finished_at
