"""Runs: start them, see them to their end, read them and the tree below them."""

from collections.abc import Mapping
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any  # `Any`: rows hold whatever their columns hold
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Select, bindparam, func, or_, select, update

from agentrecord.codec import values
from agentrecord.engine import Connection, Prepared
from agentrecord.exceptions import Conflict, InvalidTransition, NotFound
from agentrecord.ids import UserId
from agentrecord.records.change import ChangeKind
from agentrecord.records.page import Page
from agentrecord.records.run import NewRun, ReportedTotals, Run, RunFilter, RunStatus
from agentrecord.records.scope import Scope
from agentrecord.records.usage import UsageTotals
from agentrecord.schema import agents, llm_calls, runs, sessions, users
from agentrecord.schema.tables import USAGE_COUNTERS
from agentrecord.store import agents as agent_store
from agentrecord.store import owners
from agentrecord.store import sessions as session_store
from agentrecord.store._arrivals import announcing, note
from agentrecord.store._figures import Figures
from agentrecord.store._open_calls import close_calls
from agentrecord.store._page import page
from agentrecord.store._price_sources import of_calls
from agentrecord.store._refs import adopt
from agentrecord.store._run_words import DURATION, ERRORS, JOINED, TOKENS, run_conditions
from agentrecord.store._sql import bound_within, by_value, insert_into, scope_params, total, usage_totals, within
from agentrecord.store._trees import with_trees

SELECT_RUN = select(
    *[c for c in runs.c if c.name not in ("project_id", "last_event_sequence")],
    users.c.external_id.label("user"),
    agents.c.agent_id.label("agent_id"),
    agent_store.version_of(runs).label("agent_version"),
    sessions.c.session_id.label("session_id"),
).select_from(JOINED)
_BY_NAME = Prepared(SELECT_RUN.where(*bound_within(runs), runs.c.run_id == bindparam("run_id")))
_BY_ID = Prepared(SELECT_RUN.where(*bound_within(runs), runs.c.id == bindparam("id")))
_TAKEN = Prepared(
    select(runs.c.id).where(
        runs.c.project_id == bindparam("project"),
        or_(runs.c.run_id == bindparam("run_id"), runs.c.id == bindparam("id")),
    )
)
ADD_RUN = announcing(insert_into(runs), ChangeKind.RUN)
_FIELDS = {field.name for field in fields(Run)} - {"usage", "subtree", "prices", "reported"}
_REPORTED = msgspec.json.Decoder(ReportedTotals)
_TEXTS = ("agent_name", "objective", "additional_context", "trace_id", "error_message", "final_synthesis_output")
ABANDONED = "abandoned"
_LONGEST_PROMISE_S = 7 * 86_400
SORTS: Mapping[str, ColumnElement[Any]] = {
    "started_at": runs.c.started_at,
    "finished_at": runs.c.finished_at,
    "duration": DURATION,
    "cost": runs.c.cost_nanos,
    "tokens": TOKENS,
    "calls": runs.c.calls,
    "tools": runs.c.tool_call_count,
    "errors": ERRORS,
    "status": runs.c.status,
    "objective": runs.c.objective,
    "run_id": runs.c.run_id,
}
_SORTS_OF_FEW = {name: by_value(column) for name, column in SORTS.items()}


def run_of(row: Mapping[str, Any]) -> Run:
    """Return a row of `SELECT_RUN` as a run."""
    told = row["reported"]
    return Run(
        **{name: row[name] for name in _FIELDS},
        usage=usage_totals(row),
        reported=None if told is None else _REPORTED.decode(told),
    )


def count_run(figures: Figures, row: Mapping[str, Any], sign: int = 1) -> None:
    """Add a run's row to the day that it counts on, or with `sign` -1 take it away.

    That is the day it started; while it has not, the day it was made.
    """
    figures.activity(
        row["started_at"] or row["created_at"],
        row["user_uuid"],
        row["agent_uuid"],
        run_count=sign,
        failed_runs=sign * (row["status"] == RunStatus.ERROR),
        completed_runs=sign * (row["status"] == RunStatus.COMPLETED),
        run_iterations=sign * row["total_iterations"],
    )


def run_row(
    conn: Connection, scope: Scope, new: NewRun, *, run: UUID, user: UserId, agent: UUID | None, status: RunStatus
) -> dict[str, Any]:
    """Return a new run as a row."""
    row: dict[str, Any] = dict.fromkeys((c.name for c in runs.c), None)
    row.update({c.name: 0 for c in runs.c if c.server_default is not None})
    started = conn.now if new.started_at is None else values.moment("started_at", new.started_at)
    row.update(
        project_id=scope.project,
        id=run,
        run_id=values.name("run_id", new.run_id),
        user_uuid=user,
        agent_uuid=agent,
        agent_name=new.agent_name,
        agent_version_uuid=new.agent_version_uuid,
        objective=new.objective,
        additional_context=new.additional_context,
        status=status,
        session_uuid=new.session_uuid,
        parent_uuid=new.parent_uuid,
        trace_id=new.trace_id,
        metadata=None if new.metadata is None else values.json_text("metadata", new.metadata),
        created_at=conn.now,
        updated_at=conn.now,
        started_at=None if status is RunStatus.PENDING else started,
        heartbeat_at=None if status is RunStatus.PENDING else conn.now,
    )
    for name in _TEXTS:
        if row[name] is not None:
            values.text(name, row[name])
    return row


def start(conn: Connection, scope: Scope, new: NewRun, *, user: str | None = None) -> Run:
    """Start a run, or set a pending one going; a running one of the same `run_id` and `id` is returned as it is.

    Raises `Conflict` if the `run_id` is another run's, `InvalidTransition` if that run is over, `NotFound` for a
    session, a parent or a version that is not there.
    """
    return _open(conn, scope, new, user, RunStatus.RUNNING)


def create(conn: Connection, scope: Scope, new: NewRun, *, user: str | None = None) -> Run:
    """Record a run that is still to start."""
    return _open(conn, scope, new, user, RunStatus.PENDING)


def _open(conn: Connection, scope: Scope, new: NewRun, user: str | None, status: RunStatus) -> Run:
    values.name("run_id", new.run_id)
    with conn.across_users():
        taken = conn.value(_TAKEN, {"project": scope.project, "run_id": new.run_id, "id": new.id})
    if taken is not None:
        return _again(conn, scope, taken, new, status)
    if new.agent_version_uuid is not None:
        agent_store.check_version(conn, scope, new.agent_version_uuid)
    owner, session_agent = owners.of(conn, scope, session=new.session_uuid, run=new.parent_uuid, user=user)
    agent = agent_store.agent_uuid(conn, scope, new.agent_id, new.agent_name) or session_agent
    row = run_row(conn, scope, new, run=new.id or conn.new_id(), user=owner, agent=agent, status=status)
    conn.run(ADD_RUN, row)
    figures = Figures(scope.project, conn.now)
    figures.session(new.session_uuid, active_at=row["started_at"], run_count=1)
    figures.run(new.parent_uuid, child_count=1)
    count_run(figures, row)
    adopt(conn, scope, row, figures)
    figures.apply(conn)
    return get(conn, scope, row["id"])


def _again(conn: Connection, scope: Scope, taken: UUID, new: NewRun, status: RunStatus) -> Run:
    old = conn.first_map(SELECT_RUN.where(*within(scope, runs), runs.c.id == taken))
    if old is None or old["run_id"] != new.run_id or new.id not in (None, taken):
        raise Conflict("run", new.run_id)
    current = RunStatus(old["status"])
    if current is status:
        return run_of(old)
    if not current.may_become(status):
        raise InvalidTransition("run", new.run_id, current, status)
    started = conn.now if new.started_at is None else values.moment("started_at", new.started_at)
    found = _step(conn, scope, old["id"], status, started_at=started, heartbeat_at=conn.now)
    figures = Figures(scope.project, conn.now)
    count_run(figures, old, -1)
    count_run(figures, {**old, "status": status, "started_at": started})
    figures.apply(conn)
    return found


def find(conn: Connection, scope: Scope, run: str | UUID) -> Run | None:
    """Return a run by its `run_id` or else its row id; None if it is not there."""
    if isinstance(run, str):
        row = conn.first_map(_BY_NAME, {**scope_params(scope), "run_id": run})
        if row is not None:
            return run_of(row)
        try:
            run = UUID(run)
        except ValueError:
            return None
    row = conn.first_map(_BY_ID, {**scope_params(scope), "id": run})
    return None if row is None else run_of(row)


def get(conn: Connection, scope: Scope, run: str | UUID, *, with_subtree: bool = False) -> Run:
    """Return a run by its `run_id` or else its row id; raise `NotFound` if it is not there.

    `with_subtree` adds the sums over the run and all sub-agent runs below it, and the prices behind them.
    """
    found = find(conn, scope, run)
    if found is None:
        raise NotFound("run", run)
    if not with_subtree:
        return found
    tree = subtree_of(scope, found.id)
    statement = select(*[total(runs.c[name]).label(name) for name in USAGE_COUNTERS]).where(
        *within(scope, runs), runs.c.id.in_(tree)
    )
    row = conn.first_map(statement)
    return replace(
        found,
        subtree=usage_totals(row) if row else UsageTotals(),
        prices=of_calls(conn, scope, llm_calls.c.run_uuid.in_(tree)),
    )


def subtree_of(scope: Scope, run: UUID) -> Select[Any]:
    """Return a query for the ids of a run and of all below it."""
    tree = select(runs.c.id).where(runs.c.project_id == scope.project, runs.c.id == run).cte("tree", recursive=True)
    below = runs.alias("below")
    tree = tree.union(select(below.c.id).where(below.c.project_id == scope.project, below.c.parent_uuid == tree.c.id))
    return select(tree.c.id)


def tree(conn: Connection, scope: Scope, run: UUID) -> tuple[Run, ...]:
    """Return a run and all below it, each before its children, oldest first."""
    statement = SELECT_RUN.where(*within(scope, runs), runs.c.id.in_(subtree_of(scope, run)))
    return tuple(run_of(row) for row in conn.maps(statement.order_by(by_value(runs.c.started_at), runs.c.id)))


def finish(
    conn: Connection, scope: Scope, run: UUID, *, output: str | None = None, total_iterations: int | None = None
) -> Run:
    """Mark a running run completed; raise `InvalidTransition` if it is not running."""
    changes: dict[str, Any] = {"finished_at": conn.now}
    added = 0
    if output is not None:
        changes["final_synthesis_output"] = values.text("output", output)
    if total_iterations is not None:
        changes["total_iterations"] = values.integer("total_iterations", total_iterations, minimum=0)
        known = select(runs.c.total_iterations).where(*within(scope, runs), runs.c.id == run).with_for_update()
        added = total_iterations - (conn.value(known) or 0)
    return _step(conn, scope, run, RunStatus.COMPLETED, added_iterations=added, **changes)


def fail(conn: Connection, scope: Scope, run: UUID, error_message: str) -> Run:
    """Mark a run failed; raise `InvalidTransition` if it is over."""
    message = values.text("error_message", error_message)
    return _step(conn, scope, run, RunStatus.ERROR, error_message=message, finished_at=conn.now)


def cancel(conn: Connection, scope: Scope, run: UUID, *, reason: str | None = None) -> Run:
    """Mark a run cancelled; raise `InvalidTransition` if it is over."""
    message = None if reason is None else values.text("reason", reason)
    return _step(conn, scope, run, RunStatus.CANCELLED, error_message=message, finished_at=conn.now)


def heartbeat(conn: Connection, scope: Scope, run: UUID, *, alive_s: int | None = None) -> None:
    """Tell that a run is alive; raise `InvalidTransition` if it is over.

    `alive_s` promises another sign of life within so many seconds: `close_abandoned` ends a run that breaks it.
    """
    changes: dict[str, Any] = {"heartbeat_at": conn.now}
    if alive_s is not None:
        values.integer("alive_s", alive_s, minimum=1, maximum=_LONGEST_PROMISE_S)
        changes["alive_until"] = conn.now + timedelta(seconds=alive_s)
    _step(conn, scope, run, RunStatus.RUNNING, **changes)


def _broken(conn: Connection, scope: Scope) -> list[ColumnElement[bool]]:
    return [*within(scope, runs), runs.c.status == RunStatus.RUNNING, runs.c.alive_until < conn.now]


def count_abandoned(conn: Connection, scope: Scope) -> int:
    """Return how many running runs promised a sign of life and did not give it."""
    return int(conn.value(select(func.count()).select_from(runs).where(*_broken(conn, scope))))


def close_abandoned(conn: Connection, scope: Scope) -> tuple[Run, ...]:
    """End as errors the running runs that promised a sign of life and did not give it; what they cost stays counted.

    Each ends when it was last alive, with `abandoned` as the reason of its status. The calls that were reserved in it
    are recorded as failed, at a cost that is not known.
    """
    found = conn.maps(
        update(runs)
        .where(*_broken(conn, scope))
        .values(
            status=RunStatus.ERROR,
            status_reason=ABANDONED,
            error_message="its process gave no sign of life any more",
            finished_at=func.coalesce(runs.c.heartbeat_at, runs.c.started_at),
            updated_at=conn.now,
        )
        .returning(
            *[runs.c[name] for name in ("id", "started_at", "created_at", "user_uuid", "agent_uuid", "session_uuid")]
        )
    )
    figures = Figures(scope.project, conn.now)
    for row in found:
        note(conn, scope.project, ChangeKind.RUN, row["id"], row["user_uuid"])
        figures.activity(row["started_at"] or row["created_at"], row["user_uuid"], row["agent_uuid"], failed_runs=1)
    figures.apply(conn)
    for row in found:
        session = row["session_uuid"]
        is_there = session is not None and session_store.find(conn, scope, session) is not None
        close_calls(conn, scope, row["id"], session=session if is_there else None, ended="the run's process ended")
    return tuple(get(conn, scope, row["id"]) for row in found)


def _step(
    conn: Connection, scope: Scope, run: UUID, status: RunStatus, *, added_iterations: int = 0, **changes: Any
) -> Run:
    allowed = [old for old in RunStatus if old.may_become(status)]
    is_heartbeat = "heartbeat_at" in changes and "started_at" not in changes
    if is_heartbeat:
        allowed = [RunStatus.RUNNING]
    row = conn.first(
        update(runs)
        .where(*within(scope, runs), runs.c.id == run, runs.c.status.in_(allowed))
        .values(status=status, updated_at=conn.now, **changes)
        .returning(runs.c.started_at, runs.c.created_at, runs.c.user_uuid, runs.c.agent_uuid)
    )
    if row is None:
        found = get(conn, scope, run)
        raise InvalidTransition("run", found.run_id, found.status, status)
    if not is_heartbeat:
        note(conn, scope.project, ChangeKind.RUN, run, row[2])
    added = {
        "failed_runs": int(status is RunStatus.ERROR),
        "completed_runs": int(status is RunStatus.COMPLETED),
        "run_iterations": added_iterations,
    }
    if any(added.values()):
        figures = Figures(scope.project, conn.now)
        figures.activity(row[0] or row[1], row[2], row[3], **added)
        figures.apply(conn)
    return get(conn, scope, run)


def list_(
    conn: Connection,
    scope: Scope,
    where: RunFilter | None = None,
    *,
    sort: str = "-started_at",
    limit: int = 50,
    cursor: str | None = None,
    offset: int = 0,
    counted: bool = True,
) -> Page[Run]:
    """Return runs, the last started first; how many there are in all is not told where they are not `counted`.

    Those with runs below them have the sums over these too; a list is ordered, and filtered, by each run's own figures.
    """
    wanted = where or RunFilter()
    of_few = wanted.session_uuid is not None or wanted.parent_uuid is not None
    found = page(
        conn,
        SELECT_RUN.where(*run_conditions(scope, wanted)),
        run_of,
        sorts=_SORTS_OF_FEW if of_few else SORTS,
        sort=sort,
        row_id=runs.c.id,
        limit=limit,
        cursor=cursor,
        offset=offset,
        counted=counted,
        whole=SELECT_RUN.where(*within(scope, runs)),
    )
    return replace(found, items=with_trees(conn, scope, runs, found.items))
