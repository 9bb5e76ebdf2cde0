"""Rows that name a run by its `run_id` before it is there: once it is, they become its own."""

from typing import Any, cast  # `Any`: rows hold whatever their columns hold
from uuid import UUID

from sqlalchemy import bindparam, select, update

from agentrecord.codec import values
from agentrecord.engine import Connection, Prepared
from agentrecord.records.scope import Scope
from agentrecord.records.tool_call import ToolCallStatus
from agentrecord.schema import events, llm_calls, runs, tool_calls
from agentrecord.store._call_counts import call_figures
from agentrecord.store._figures import Figures
from agentrecord.store._sql import bound_within, scope_params
from agentrecord.store._tool_places import PLACED

_RUN = Prepared(select(runs.c.id).where(*bound_within(runs), runs.c.run_id == bindparam("run_id")))
_EVENTS = Prepared(
    select(events.c.id)
    .where(
        events.c.project_id == bindparam("project"),
        events.c.run_ref == bindparam("run_id"),
        events.c.user_uuid == bindparam("user"),
    )
    .order_by(events.c.timestamp, events.c.id)
)
_CALLS = Prepared(
    select(llm_calls)
    .where(
        llm_calls.c.project_id == bindparam("project"),
        llm_calls.c.run_ref == bindparam("run_id"),
        llm_calls.c.user_uuid == bindparam("user"),
    )
    .with_for_update()
)
_USES = select(*[tool_calls.c[name] for name in ("id", *PLACED, "tool_name", "started_at", "created_at", "status")])
_TAKE_EVENT = Prepared(
    update(events)
    .where(events.c.project_id == bindparam("key_project"), events.c.id == bindparam("key_id"))
    .values(run_uuid=bindparam("run"), run_ref=None, run_sequence=bindparam("sequence"))
)
_TAKE_CALL = Prepared(
    update(llm_calls)
    .where(llm_calls.c.project_id == bindparam("key_project"), llm_calls.c.id == bindparam("key_id"))
    .values(run_uuid=bindparam("run"), run_ref=None, agent_version_uuid=bindparam("version"))
)


def ref(run_id: str) -> str:
    """Return the name of a run that need not be known: any text of at most 255 characters, the empty one too."""
    return values.text("run_id", run_id, max_chars=values.MAX_NAME)


def run_named(conn: Connection, scope: Scope, run_id: str) -> UUID | None:
    """Return the id of the run called `run_id`; None if the scope sees none."""
    return cast("UUID | None", conn.value(_RUN, {**scope_params(scope), "run_id": run_id}))


def adopt(conn: Connection, scope: Scope, run: dict[str, Any], figures: Figures) -> None:
    """Tie to a new `run` what its user recorded under its name before, and count it there."""
    wanted = {"project": scope.project, "run_id": run["run_id"], "user": run["user_uuid"]}
    found = [row[0] for row in conn.rows(_EVENTS, wanted)]
    if found:
        _adopt_events(conn, scope, run["id"], found, figures)
    calls = conn.maps(_CALLS, wanted)
    version = run["agent_version_uuid"]
    for call in calls:
        figures.run(run["id"], **call_figures(call))
        figures.moved(call, {**call, "run_uuid": run["id"], "agent_version_uuid": version})
    taken = {"key_project": scope.project, "run": run["id"], "version": version}
    conn.many(_TAKE_CALL, [{**taken, "key_id": call["id"]} for call in calls])


def _adopt_events(conn: Connection, scope: Scope, run: UUID, found: list[UUID], figures: Figures) -> None:
    conn.many(
        _TAKE_EVENT,
        [
            {"key_project": scope.project, "key_id": event, "run": run, "sequence": sequence}
            for sequence, event in enumerate(found, start=1)
        ],
    )
    figures.run(run, last_event_sequence=len(found))
    for start in range(0, len(found), 500):
        # A use of a tool that an event told has the event's id.
        mine = (tool_calls.c.project_id == scope.project, tool_calls.c.id.in_(found[start : start + 500]))
        uses = conn.maps(_USES.where(*mine))
        if uses:
            failed = sum(use["status"] is ToolCallStatus.ERROR for use in uses)
            figures.run(run, tool_call_count=len(uses), tool_error_count=failed)
            conn.run(update(tool_calls).where(*mine).values(run_uuid=run))
        for use in uses:
            figures.moved_use(use, {**use, "run_uuid": run})
