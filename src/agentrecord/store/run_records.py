"""Runs as a source tells them: stored in whatever state they are, replaced as a whole, deleted, read by name."""

from typing import Any  # `Any`: rows hold whatever their columns hold
from uuid import UUID

import msgspec
from sqlalchemy import Table, bindparam, or_, select, update
from sqlalchemy import delete as delete_from

from agentrecord.codec import values
from agentrecord.engine import Connection, Prepared
from agentrecord.exceptions import Conflict, InvalidFilter, NotFound
from agentrecord.records.change import ChangeKind
from agentrecord.records.run import NewRun, ReportedTotals, Run, RunContent, RunStatus
from agentrecord.records.scope import Scope
from agentrecord.records.tool_call import ToolCallStatus
from agentrecord.schema import errors, events, llm_calls, messages, relations, runs, tool_calls
from agentrecord.store import agents, people
from agentrecord.store._arrivals import note
from agentrecord.store._figures import Figures
from agentrecord.store._page import checked_offset
from agentrecord.store._refs import adopt
from agentrecord.store._serials import next_serial
from agentrecord.store._sql import bound_within, scope_params, within
from agentrecord.store._tool_places import CALL_COLUMNS
from agentrecord.store.runs import ADD_RUN, SELECT_RUN, count_run, get, run_of, run_row

MAX_RUNS = 2**31 - 1
_TEXTS = ("status_reason", "agent_name", "objective", "additional_context", "final_synthesis_output",
          "execution_history", "error_message")  # fmt: skip

_MOMENTS = ("started_at", "finished_at")
_TOLD = ("status", *_TEXTS, *_MOMENTS, "total_iterations", "reported", "metadata")
_COUNTED = ("id", "user_uuid", "agent_uuid", "status", "started_at", "created_at", "total_iterations")
_TAKEN = Prepared(
    select(runs.c.id).where(runs.c.project_id == bindparam("project"), runs.c.run_id == bindparam("run_id"))
)
_OLD = Prepared(
    select(*[runs.c[name] for name in _COUNTED])
    .where(*bound_within(runs), runs.c.run_id == bindparam("run_id"))
    .with_for_update()
)
_REPLACE = Prepared(
    update(runs)
    .where(runs.c.project_id == bindparam("key_project"), runs.c.id == bindparam("key_id"))
    .values({name: bindparam(name) for name in (*_TOLD, "updated_at")})
)


def _columns(content: RunContent) -> dict[str, Any]:
    found: dict[str, Any] = {"status": RunStatus(content.status)}
    for name in _TEXTS:
        given = getattr(content, name)
        found[name] = None if given is None else values.text(name, given)
    for name in _MOMENTS:
        given = getattr(content, name)
        found[name] = None if given is None else values.moment(name, given)
    found["total_iterations"] = values.integer("total_iterations", content.total_iterations, minimum=0)
    found["reported"] = None if content.reported is None else _reported(content.reported)
    found["metadata"] = None if content.metadata is None else values.json_text("metadata", content.metadata)
    return found


def _reported(totals: ReportedTotals) -> str:
    for name in ("llm_calls", "tool_calls", "input_tokens", "output_tokens"):
        values.integer(f"total_{name}", getattr(totals, name), minimum=0)
    return msgspec.json.encode(totals).decode()


def record(conn: Connection, scope: Scope, run_id: str, content: RunContent, *, agent_id: str | None = None) -> Run:
    """Record a run as its source tells it, with an integer id; raise `Conflict` if the `run_id` is taken."""
    new = NewRun(run_id=run_id, agent_id=agent_id)
    values.name("run_id", run_id)
    told = _columns(content)
    if conn.first(_TAKEN, {"project": scope.project, "run_id": run_id}) is not None:
        raise Conflict("run", run_id, "exists already; update it, or choose another run_id")
    owner = people.user_uuid(conn, scope, None)
    agent = agents.agent_uuid(conn, scope, agent_id, content.agent_name)
    row = run_row(conn, scope, new, run=conn.new_id(), user=owner, agent=agent, status=told["status"])
    row.update(told, heartbeat_at=None, serial=next_serial(conn, scope.project, "runs"))
    conn.run(ADD_RUN, row)
    figures = Figures(scope.project, conn.now)
    count_run(figures, row)
    adopt(conn, scope, row, figures)
    figures.apply(conn)
    return get(conn, scope, row["id"])


def replace(conn: Connection, scope: Scope, run_id: str, content: RunContent) -> Run:
    """Put `content` in the place of all that a run's source told before, whatever its state; raise `NotFound`.

    The run keeps its agent, its events and calls, and what the record counts itself.
    """
    told = _columns(content)
    old = conn.first_map(_OLD, {**scope_params(scope), "run_id": run_id})
    if old is None:
        raise NotFound("run", run_id)
    conn.run(_REPLACE, {**told, "updated_at": conn.now, "key_project": scope.project, "key_id": old["id"]})
    figures = Figures(scope.project, conn.now)
    count_run(figures, old, -1)
    count_run(figures, {**old, **told})
    note(conn, scope.project, ChangeKind.RUN, old["id"], old["user_uuid"])
    figures.apply(conn)
    return get(conn, scope, old["id"])


def delete(conn: Connection, scope: Scope, run_id: str) -> bool:
    """Delete the run called `run_id`, its events and uses of tools; say whether there was one.

    Its calls stay in the ledger and keep its name; its messages, errors and sub-agents' runs stay without it.
    """
    _delete_events(conn, scope, events.c.run_ref == run_id)
    row = conn.first_map(
        select(*[c for c in runs.c if c.name != "project_id"])
        .where(*within(scope, runs), runs.c.run_id == run_id)
        .with_for_update()
    )
    if row is None:
        return False
    run = row["id"]
    figures = Figures(scope.project, conn.now)
    _delete_events(conn, scope, events.c.run_uuid == run)
    _forget_uses(conn, scope, tool_calls.c.run_uuid == run)
    _loosen_calls(conn, scope, row, figures)
    for table in (messages, errors):
        _untie(conn, scope, table, run)
    conn.run(update(runs).where(runs.c.project_id == scope.project, runs.c.parent_uuid == run).values(parent_uuid=None))
    conn.run(
        delete_from(relations).where(
            relations.c.project_id == scope.project, or_(relations.c.from_uuid == run, relations.c.to_uuid == run)
        )
    )
    conn.run(delete_from(runs).where(runs.c.project_id == scope.project, runs.c.id == run))
    count_run(figures, row, -1)
    figures.session(row["session_uuid"], run_count=-1)
    figures.run(row["parent_uuid"], child_count=-1)
    figures.apply(conn)
    return True


def _loosen_calls(conn: Connection, scope: Scope, run: dict[str, Any], figures: Figures) -> None:
    """Leave a run's calls with its name alone: they are of no version then."""
    mine = (llm_calls.c.project_id == scope.project, llm_calls.c.run_uuid == run["id"])
    loose = {"run_uuid": None, "agent_version_uuid": None}
    columns = [llm_calls.c[name] for name in CALL_COLUMNS]
    for call in conn.maps(select(*columns).where(*mine).with_for_update()):
        figures.moved(call, {**call, **loose})
    conn.run(update(llm_calls).where(*mine).values(run_ref=run["run_id"], **loose))


def _untie(conn: Connection, scope: Scope, table: Table, run: UUID) -> None:
    conn.run(update(table).where(table.c.project_id == scope.project, table.c.run_uuid == run).values(run_uuid=None))


def _delete_events(conn: Connection, scope: Scope, mine: Any) -> None:
    told = select(events.c.id).where(*within(scope, events), mine)
    _forget_uses(conn, scope, tool_calls.c.id.in_(told))
    conn.run(delete_from(events).where(*within(scope, events), mine))


def _forget_uses(conn: Connection, scope: Scope, mine: Any) -> None:
    """Delete tool calls and take them out of every figure that counts them."""
    found = conn.maps(delete_from(tool_calls).where(*within(scope, tool_calls), mine).returning(*tool_calls.c))
    ids = [row["id"] for row in found]
    for start in range(0, len(ids), 500):
        told = (errors.c.tool_call_uuid.in_(ids[start : start + 500]), ~errors.c.is_derived)
        conn.run(update(errors).where(errors.c.project_id == scope.project, *told).values(tool_call_uuid=None))
    figures = Figures(scope.project, conn.now)
    for row in found:
        failed = int(row["status"] is ToolCallStatus.ERROR)
        figures.tool(row, calls=1, errors=failed, duration_ms=row["duration_ms"], sign=-1)
    figures.apply(conn)


def latest(
    conn: Connection, scope: Scope, *, agent_id: str | None = None, limit: int = 10, offset: int = 0
) -> tuple[Run, ...]:
    """Return the runs of an agent, or of all, the last made first; `limit` may be of any size."""
    checked_offset(offset)
    if not 0 <= limit <= MAX_RUNS:
        raise InvalidFilter("limit", limit, f"must be from 0 to {MAX_RUNS}")
    conditions = within(scope, runs)
    if agent_id is not None:
        conditions.append(runs.c.agent_uuid == agents.row_id(scope, agent_id))
    ordered = SELECT_RUN.where(*conditions).order_by(runs.c.created_at.desc(), runs.c.id.desc())
    return tuple(run_of(row) for row in conn.maps(ordered.limit(limit).offset(offset)))
