"""Runs of agents that tell their life through hooks: each becomes a run of the record.

Newer agents of the family write events and calls through their own consumer of hooks, but no runs; this one writes
the runs. It asks of a registry `on(event, handler)`, and of a context its `run_id`, `agent_id`, `state` and `data`.
"""

from datetime import UTC, datetime
from typing import Any  # `Any`: registries, contexts and states of a framework that need not be installed

from agentrecord.adapters.persistence.base import StorePersistence
from agentrecord.adapters.persistence.convert import to_local
from agentrecord.adapters.persistence.models import AgentRun

BEFORE, AFTER, ERROR = "agent.run.before", "agent.run.after", "agent.run.error"
_TOTALS = ("total_llm_calls", "total_tool_calls", "total_input_tokens", "total_output_tokens")


def record_runs(registry: Any, persistence: StorePersistence, *, agent_name: str = "") -> None:
    """Let every run that the hooks of `registry` tell be written to `persistence`, from its start to its end.

    What fails here is the registry's to handle; those of the family log it and let the agent go on.
    """

    async def began(context: Any) -> None:
        run = await persistence.aget_agent_run(context.run_id)
        if run is not None:
            # A run that is resumed goes on.
            run.status, run.finished_at, run.error_message = "running", None, None
            await persistence.aupdate_agent_run(run.run_id, run)
            return
        run = AgentRun(
            agent_id=context.agent_id,
            run_id=context.run_id,
            agent_name=context.data.get("agent_name") or agent_name,
            objective=context.data.get("input") or "",
            started_at=_now(),
            status="running",
        )
        await persistence.acreate_agent_run(run)

    async def ended(context: Any) -> None:
        await _end(persistence, context, status="completed", final_synthesis_output=context.data.get("output"))

    async def failed(context: Any) -> None:
        kind = context.data.get("error_kind") or "error"
        await _end(persistence, context, status=kind, error_message=str(context.data.get("error") or kind))

    registry.on(BEFORE, began)
    registry.on(AFTER, ended)
    registry.on(ERROR, failed)


def _now() -> datetime | None:
    return to_local(datetime.now(UTC))


async def _end(persistence: StorePersistence, context: Any, **changes: Any) -> None:
    run = await persistence.aget_agent_run(context.run_id)
    if run is None:
        return
    state = context.state
    for name, value in {**changes, "finished_at": _now()}.items():
        setattr(run, name, value)
    if state is not None:
        run.total_iterations = state.iteration
        for name in _TOTALS:
            setattr(run, name, getattr(state, name))
    await persistence.aupdate_agent_run(run.run_id, run)
