"""What leaves the record, for another one: sessions and runs whole, fact by fact, whatever door they came through.

What traces tell of is left out: their spans are kept as they were sent, and tell it again (`traces.spans`).
"""

from collections.abc import Sequence
from typing import Any  # `Any`: SQLAlchemy columns are generic over values they do not know
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Table, and_, func, or_, select, union

from agentrecord.codec import values
from agentrecord.engine import Connection
from agentrecord.ids import NIL
from agentrecord.records.exchange import (
    Carried,
    ExportFilter,
    FactKind,
    FactPage,
    Mark,
    Placed,
    Unit,
    UnitKind,
)
from agentrecord.records.llm_call import CallOrigin
from agentrecord.records.scope import Scope
from agentrecord.records.span import traced_run, traced_session
from agentrecord.schema import (
    agents,
    coding_sessions,
    errors,
    events,
    hosts,
    llm_calls,
    message_revisions,
    messages,
    models,
    runs,
    sessions,
    tool_calls,
    users,
)
from agentrecord.store import prompts
from agentrecord.store._carried import KINDS, plain
from agentrecord.store._sql import comes_after, within
from agentrecord.store.runs import subtree_of

MAX_UNITS = 1000
MAX_FACTS = 10_000
_MEMBERS = (messages, llm_calls, tool_calls, events, errors)
_CODING = [c for c in coding_sessions.c if c.name not in ("project_id", "session_uuid")]
_LOOSE_AT = {
    FactKind.LLM_CALL: llm_calls.c.timestamp,
    FactKind.TOOL_CALL: func.coalesce(tool_calls.c.started_at, tool_calls.c.created_at),
    FactKind.EVENT: events.c.timestamp,
    FactKind.ERROR: errors.c.created_at,
}
_RUN_BEGAN = func.coalesce(runs.c.started_at, runs.c.created_at)
_RUN_ENDED = func.coalesce(runs.c.finished_at, runs.c.updated_at)


# -- what there is to send -------------------------------------------------------------------------------------------


def units(
    conn: Connection, scope: Scope, where: ExportFilter | None = None, *, after: Unit | None = None, limit: int = 100
) -> tuple[Unit, ...]:
    """Return what is sent as one each: sessions by when they began, runs without one, what belongs to neither.

    `after` is the last unit of the part before.
    """
    wanted = where or ExportFilter()
    limit = values.integer("limit", limit, minimum=1, maximum=MAX_UNITS)
    if wanted.run is not None:
        return () if after else (Unit(kind=UnitKind.RUN, id=wanted.run, began=conn.now),)
    found: list[Unit] = []
    kinds = list(UnitKind) if wanted.session is None else [UnitKind.SESSION]
    for kind in kinds[0 if after is None else kinds.index(after.kind) :]:
        left = limit - len(found)
        if left == 0:
            break
        begins = after if after is not None and after.kind is kind else None
        if kind is not UnitKind.LOOSE:
            found += [
                Unit(kind=kind, id=row[0], began=row[1])
                for row in conn.rows(_units(scope, kind, wanted, begins).limit(left))
            ]
        elif begins is None:
            found.append(Unit(kind=kind, id=NIL, began=conn.now))
    return tuple(found)


def count(conn: Connection, scope: Scope, where: ExportFilter | None = None) -> int:
    """Return how many sessions, and runs without one, there are to send."""
    wanted = where or ExportFilter()
    if wanted.run is not None:
        return 1
    kinds = [UnitKind.SESSION] if wanted.session is not None else [UnitKind.SESSION, UnitKind.RUN]
    asked = [_units(scope, kind, wanted, None).order_by(None).subquery() for kind in kinds]
    return sum(conn.value(select(func.count()).select_from(one)) for one in asked)


def _units(scope: Scope, kind: UnitKind, wanted: ExportFilter, after: Unit | None) -> Select[Any, Any]:
    """Return a query for the ids of the sessions, or of the uppermost runs without one, and when they began."""
    table: Table
    began: ColumnElement[Any]
    ended: ColumnElement[Any]
    row_id: ColumnElement[Any]
    if kind is UnitKind.SESSION:
        table, began, ended, row_id = sessions, sessions.c.created_at, sessions.c.last_activity_at, sessions.c.id
        conditions = [*within(scope, sessions), sessions.c.deleted_at.is_(None)]
        if wanted.session is not None:
            conditions.append(sessions.c.id.in_(_below(scope, wanted.session)))
    else:
        table, began, ended, row_id = runs, _RUN_BEGAN, _RUN_ENDED, runs.c.id
        conditions = [*within(scope, runs), runs.c.session_uuid.is_(None), runs.c.parent_uuid.is_(None)]
    if wanted.since is not None:
        conditions.append(ended >= values.moment("since", wanted.since))
    if wanted.until is not None:
        conditions.append(began < values.moment("until", wanted.until))
    if wanted.user is not None:
        conditions.append(table.c.user_uuid == _user(scope, wanted.user))
    if after is not None:
        conditions.append(comes_after((began, row_id), (after.began, after.id)))
    return select(row_id, began).where(*conditions).order_by(began, row_id)


def _user(scope: Scope, name: str) -> Any:
    return select(users.c.id).where(users.c.project_id == scope.project, users.c.external_id == name).scalar_subquery()


def _below(scope: Scope, session: UUID) -> Select[Any]:
    mine = (sessions.c.project_id == scope.project, sessions.c.id == session)
    tree = select(sessions.c.id).where(*mine).cte("session_tree", recursive=True)
    below = sessions.alias("sub_session")
    return select(
        tree.union(select(below.c.id).where(below.c.project_id == scope.project, below.c.parent_uuid == tree.c.id)).c.id
    )


# -- the facts of a unit ---------------------------------------------------------------------------------------------


def facts(
    conn: Connection,
    scope: Scope,
    unit: Unit,
    where: ExportFilter | None = None,
    *,
    after: Mark | None = None,
    limit: int = 1000,
) -> FactPage:
    """Return facts of a unit, each kind after those that it may name; `after` is the `following` of the page before."""
    reading = _Unit(conn, scope, unit, where or ExportFilter())
    left = values.integer("limit", limit, minimum=1, maximum=MAX_FACTS)
    kinds = list(FactKind)
    found: list[Placed] = []
    for kind in kinds[0 if after is None else kinds.index(after.kind) :]:
        rows = reading.rows(kind, after if after is not None and after.kind is kind else None, left)
        found += reading.placed(kind, rows)
        left -= len(rows)
        if left == 0:
            last = tuple(rows[-1][column.name] for column in KINDS[kind].order)
            return FactPage(facts=tuple(found), following=Mark(kind=kind, key=last))
    return FactPage(facts=tuple(found), following=None)


class _Unit:
    """Reads the facts of one unit, page by page."""

    def __init__(self, conn: Connection, scope: Scope, unit: Unit, where: ExportFilter) -> None:
        self._conn = conn
        self._scope = scope
        self._unit = unit
        self._where = where
        self._runs: dict[UUID, dict[str, Any]] = {}
        self._tree = self._query()
        if unit.kind is not UnitKind.LOOSE:
            columns = ("id", "run_id", "session_uuid", "parent_uuid", "trace_id", "user_uuid")
            asked = select(*[runs.c[name] for name in columns]).where(*self._mine(runs), runs.c.id.in_(self._tree))
            self._runs = {row["id"]: row for row in conn.maps(asked)}
        self._traced = {
            row["id"] for row in self._runs.values()
            if traced_run(row["id"], row["trace_id"], row["run_id"], str(row["user_uuid"]))
        }  # fmt: skip

    def _mine(self, table: Any) -> list[ColumnElement[bool]]:
        return within(self._scope, table)

    def _query(self) -> Select[Any]:
        """Return a query for the runs of the unit: a session's, and those below them that are in no other."""
        if self._unit.kind is UnitKind.RUN:
            return subtree_of(self._scope, self._unit.id)
        project = runs.c.project_id == self._scope.project
        tree = select(runs.c.id).where(project, runs.c.session_uuid == self._unit.id).cte("unit_runs", recursive=True)
        below = runs.alias("below")
        mine = (below.c.project_id == self._scope.project, below.c.session_uuid.is_(None))
        return select(tree.union(select(below.c.id).where(*mine, below.c.parent_uuid == tree.c.id)).c.id)

    # -- rows ------------------------------------------------------------------------------------------------------

    def rows(self, kind: FactKind, after: Mark | None, limit: int) -> list[dict[str, Any]]:
        """Return the next rows of a kind, with the names that stand for other rows."""
        conditions = self._conditions(kind)
        if conditions is None:
            return []
        if after is not None:
            conditions.append(comes_after(KINDS[kind].order, after.key))
        statement = _named(kind).where(*self._mine(KINDS[kind].table), *conditions)
        return self._conn.maps(statement.order_by(*KINDS[kind].order).limit(limit))

    def _conditions(self, kind: FactKind) -> list[ColumnElement[bool]] | None:
        """Return which rows of a kind belong to the unit; None if none can."""
        table = KINDS[kind].table
        found: list[ColumnElement[bool]] = [events.c.trace_uuid.is_(None)] if table is events else []
        if table is errors:
            # What is derived is derived again where its use or call comes to.
            found.append(~errors.c.is_derived)
        if self._unit.kind is UnitKind.LOOSE:
            return self._loose(kind, found)
        if kind is FactKind.RUN:
            return [runs.c.id.in_(self._tree)]
        if kind is FactKind.SESSION:
            if self._unit.kind is UnitKind.SESSION:
                return [sessions.c.id == self._unit.id]
            return [sessions.c.deleted_at.is_(None), sessions.c.id.in_(self._sessions_of_runs())]
        if self._unit.kind is UnitKind.RUN:
            return [*found, table.c.run_uuid.in_(self._tree)]
        told = table.c.session_uuid == self._unit.id
        if any(row["session_uuid"] is None for row in self._runs.values()):
            told = or_(told, and_(table.c.session_uuid.is_(None), table.c.run_uuid.in_(self._tree)))
        return [*found, told]

    def _loose(self, kind: FactKind, found: list[ColumnElement[bool]]) -> list[ColumnElement[bool]] | None:
        if kind not in _LOOSE_AT:
            return None
        table, at, wanted = KINDS[kind].table, _LOOSE_AT[kind], self._where
        found += [table.c.session_uuid.is_(None), table.c.run_uuid.is_(None)]
        if wanted.since is not None:
            found.append(at >= values.moment("since", wanted.since))
        if wanted.until is not None:
            found.append(at < values.moment("until", wanted.until))
        if wanted.user is not None:
            found.append(table.c.user_uuid == _user(self._scope, wanted.user))
        return found

    def _sessions_of_runs(self) -> Select[Any]:
        of_runs = select(runs.c.session_uuid).where(runs.c.project_id == self._scope.project, runs.c.id.in_(self._tree))
        of_members = [
            select(table.c.session_uuid).where(
                table.c.project_id == self._scope.project, table.c.run_uuid.in_(self._tree)
            )
            for table in _MEMBERS
        ]
        return select(union(of_runs, *of_members).subquery().c.session_uuid)

    # -- facts -----------------------------------------------------------------------------------------------------

    def placed(self, kind: FactKind, rows: Sequence[dict[str, Any]]) -> list[Placed]:
        """Return rows as facts, but for those that a trace tells of."""
        kept = [row for row in rows if not self._is_traced(kind, row)]
        return [self._placed(kind, row, fields) for row, fields in zip(kept, self._fields(kind, kept), strict=True)]

    def _is_traced(self, kind: FactKind, row: dict[str, Any]) -> bool:
        if kind is FactKind.SESSION:
            owners = ("", row["user"], str(row["user_uuid"]))
            return row["source"] == "otlp" and traced_session(row["id"], row["session_id"], owners)
        if kind is FactKind.RUN:
            return row["id"] in self._traced
        if kind is FactKind.EVENT or (kind is FactKind.LLM_CALL and row["origin"] is not CallOrigin.IMPORT):
            return False
        return row["run_uuid"] in self._traced

    def _fields(self, kind: FactKind, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        names = ("user", "agent_id", *(("model", "host") if kind is FactKind.LLM_CALL else ()))
        names = (*KINDS[kind].columns, *names)
        found = [{name: plain(row[name]) for name in names if row.get(name) not in (None, ())} for row in rows]
        for row, fields in zip(rows, found, strict=True):
            if kind is FactKind.MESSAGE:
                fields["content"] = row["content"]
                if row["revision"] > 1:
                    fields["revisions"] = self._revisions(row["id"])
            elif kind is FactKind.LLM_CALL and row["prompt_uuid"] is not None:
                parts = prompts.parts(self._conn, self._scope, row["prompt_uuid"])
                fields["prompt"] = [
                    {"role": plain(p.role), "content": p.content, "message_uuid": plain(p.message_uuid),
                     "revision": p.revision} for p in parts
                ]  # fmt: skip
            elif kind is FactKind.SESSION and row["coding_tool_name"] is not None:
                told = {str(column.name): row[f"coding_{column.name}"] for column in _CODING}
                fields["coding"] = {name: value for name, value in told.items() if value is not None}
        return found

    def _revisions(self, message: UUID) -> list[dict[str, Any]]:
        mine = (message_revisions.c.project_id == self._scope.project, message_revisions.c.message_uuid == message)
        kept = [message_revisions.c[name] for name in ("revision", "content", "parts", "created_at")]
        rows = self._conn.maps(select(*kept).where(*mine).order_by(message_revisions.c.revision))
        return [{str(name): plain(value) for name, value in row.items() if value is not None} for row in rows]

    def _placed(self, kind: FactKind, row: dict[str, Any], fields: dict[str, Any]) -> Placed:
        session, began = row.get("session_uuid"), row[KINDS[kind].began] or row["created_at"]
        ended = row[KINDS[kind].ended or KINDS[kind].began] or began
        if kind is FactKind.SESSION:
            trace, parent = row["id"], None
        elif kind is FactKind.RUN:
            trace, parent = self._trace_of(row["id"]), self._above_run(row)
        else:
            run = row["run_uuid"]
            trace = session or (row["id"] if run is None else self._trace_of(run))
            parent = None if session is None else (FactKind.SESSION, session)
            parent = parent if run is None or self._trace_of(run) != trace else (FactKind.RUN, run)
        return Placed(
            fact=Carried(kind=kind, id=row["id"], fields=fields),
            trace=trace,
            parent=parent,
            session_id=row["session_id"],
            began=began,
            ended=max(began, ended),
        )

    def _trace_of(self, run: UUID) -> UUID:
        """Return what names the trace of a run: its session, or that of the runs above it, or the uppermost run."""
        seen: set[UUID] = set()
        while run not in seen:
            seen.add(run)
            row = self._runs.get(run) or self._outside(run)
            if row is None or row["session_uuid"] is not None or row["parent_uuid"] is None:
                return run if row is None else row["session_uuid"] or run
            run = row["parent_uuid"]
        return run

    def _outside(self, run: UUID) -> dict[str, Any] | None:
        columns = [runs.c[name] for name in ("id", "session_uuid", "parent_uuid")]
        found = self._conn.first_map(select(*columns).where(*self._mine(runs), runs.c.id == run))
        if found is not None:
            self._runs[run] = found
        return found

    def _above_run(self, row: dict[str, Any]) -> tuple[FactKind, UUID] | None:
        trace, above = self._trace_of(row["id"]), row["parent_uuid"]
        if above is not None and self._trace_of(above) == trace:
            return FactKind.RUN, above
        return None if row["session_uuid"] is None else (FactKind.SESSION, row["session_uuid"])


def _named(kind: FactKind) -> Select[Any]:
    """Return a query for whole rows of a kind with the names of their user, agent, session and model."""
    table = KINDS[kind].table
    project = table.c.project_id
    joined = table.join(users, (users.c.project_id == project) & (users.c.id == table.c.user_uuid))
    names: list[ColumnElement[Any]] = [users.c.external_id.label("user")]
    if "agent_uuid" in table.c:
        joined = joined.outerjoin(agents, (agents.c.project_id == project) & (agents.c.id == table.c.agent_uuid))
        names.append(agents.c.agent_id.label("agent_id"))
    if kind is FactKind.SESSION:
        mine = (coding_sessions.c.project_id == project) & (coding_sessions.c.session_uuid == table.c.id)
        joined = joined.outerjoin(coding_sessions, mine)
        names += [column.label(f"coding_{column.name}") for column in _CODING]
    else:
        mine = (sessions.c.project_id == project) & (sessions.c.id == table.c.session_uuid)
        joined = joined.outerjoin(sessions, mine)
        names.append(sessions.c.session_id.label("session_id"))
    if kind is FactKind.LLM_CALL:
        joined = joined.join(models, models.c.id == table.c.model_uuid).join(hosts, hosts.c.id == models.c.host_uuid)
        names += [models.c.name.label("model"), hosts.c.name.label("host")]
    return select(*[c for c in table.c if c.name != "project_id"], *names).select_from(joined)
