"""The documented interface, and the one implementation of it: over a store."""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, TypeVar  # `Any`: models of any class that says what the documented ones say
from uuid import UUID

from agentrecord.adapters.persistence import convert, trail
from agentrecord.adapters.persistence.models import AgentLLMUsage, AgentRun, AgentRunEvent
from agentrecord.exceptions import AgentRecordError, NotFound
from agentrecord.records.run import Run, RunFigures
from agentrecord.store import AsyncStore, Store
from agentrecord.store.audit import MAX_ENTRIES

M = TypeVar("M", AgentRun, AgentRunEvent, AgentLLMUsage)
_log = logging.getLogger("agentrecord.adapters.persistence")


class BasePersistence(ABC):
    """What every back end offers: runs, their events, calls to models, and how all of that went."""

    @abstractmethod
    def create_agent_run(self, run: AgentRun) -> None:
        """Store a new run and set its `id`; raise `Conflict` if its `run_id` is taken."""

    @abstractmethod
    def update_agent_run(self, run_id: str, run: AgentRun) -> None:
        """Replace what is stored of a run, but for its `run_id` and `agent_id`; an unknown run stays unknown."""

    @abstractmethod
    def get_agent_run(self, run_id: str) -> AgentRun | None:
        """Return a run; None if there is none."""

    @abstractmethod
    def get_agent_runs(self, agent_id: str | None = None, limit: int = 10, offset: int = 0) -> list[AgentRun]:
        """Return the runs of an agent, or of all, the last created first."""

    @abstractmethod
    def delete_agent_run(self, run_id: str) -> bool:
        """Delete a run and its events, not its calls; say whether there was one."""

    @abstractmethod
    def log_agent_run_event(self, event: AgentRunEvent) -> None:
        """Store an event and set its `id`."""

    @abstractmethod
    def get_agent_run_events(self, run_id: str, event_type: str | None = None) -> list[AgentRunEvent]:
        """Return the events of a run by their timestamps."""

    @abstractmethod
    def log_llm_usage(self, usage: AgentLLMUsage) -> None:
        """Store a call to a model and set its `id`."""

    @abstractmethod
    def get_llm_usage(
        self, agent_id: str | None = None, run_id: str | None = None, limit: int = 100
    ) -> list[AgentLLMUsage]:
        """Return calls of an agent, of a run, or of all, the newest first."""

    @abstractmethod
    def get_agent_run_stats(self, agent_id: str | None = None) -> dict[str, Any]:
        """Return how the runs of an agent, or of all, went."""

    def log_agent_run_events(self, events: Sequence[AgentRunEvent]) -> None:
        """Store many events."""
        for event in events:
            self.log_agent_run_event(event)

    def log_llm_usages(self, usages: Sequence[AgentLLMUsage]) -> None:
        """Store many calls."""
        for usage in usages:
            self.log_llm_usage(usage)

    def log_audit_event(self, event: Any) -> None:  # noqa: B027 (a back end may keep none)
        """Keep an audit event, a mapping of `agent_id`, `run_id`, `action` and so on."""

    def get_audit_events(
        self, run_id: str | None = None, agent_id: str | None = None, limit: int = 100
    ) -> list[dict[str, Any]]:
        """Return the audit events that are kept of a run, of an agent, or of all, the newest first."""
        return []

    def initialize_schema(self) -> None:  # noqa: B027 (a back end without tables has nothing to do)
        """Make the tables where they are missing."""

    def close(self) -> None:  # noqa: B027 (nor one without connections)
        """Close the connections."""

    def health_check(self) -> bool:
        """Say whether the database answers."""
        return True

    async def acreate_agent_run(self, run: AgentRun) -> None:
        """As `create_agent_run`, awaited."""
        await asyncio.to_thread(self.create_agent_run, run)

    async def aupdate_agent_run(self, run_id: str, run: AgentRun) -> None:
        """As `update_agent_run`, awaited."""
        await asyncio.to_thread(self.update_agent_run, run_id, run)

    async def aget_agent_run(self, run_id: str) -> AgentRun | None:
        """As `get_agent_run`, awaited."""
        return await asyncio.to_thread(self.get_agent_run, run_id)

    async def alog_agent_run_event(self, event: AgentRunEvent) -> None:
        """As `log_agent_run_event`, awaited."""
        await asyncio.to_thread(self.log_agent_run_event, event)

    async def alog_llm_usage(self, usage: AgentLLMUsage) -> None:
        """As `log_llm_usage`, awaited."""
        await asyncio.to_thread(self.log_llm_usage, usage)

    async def alog_audit_event(self, event: Any) -> None:
        """As `log_audit_event`, awaited."""
        await asyncio.to_thread(self.log_audit_event, event)

    async def startup(self) -> None:
        """As `initialize_schema`, awaited."""
        await asyncio.to_thread(self.initialize_schema)

    async def shutdown(self) -> None:
        """As `close`, awaited."""
        await asyncio.to_thread(self.close)


class StorePersistence(BasePersistence):
    """The documented interface over an open store; the three documented back ends are this one, opened differently.

    Values that cannot be stored raise `InvalidValue`, a database that cannot be used `StoreUnavailable`: whoever must
    not be stopped by either catches `AgentRecordError`.
    """

    def __init__(self, store: Store) -> None:
        """Take the store, which `close` closes."""
        self.store = store
        self._awaited = AsyncStore(engine=store.engine, scope=store.scope)
        self._has_looked = False

    def _look(self) -> bool:
        """Say whether this is the first run here: those that dead processes left are closed before it."""
        is_first, self._has_looked = not self._has_looked, True
        return is_first

    # -- runs ---------------------------------------------------------------------------------------------------------

    def create_agent_run(self, run: AgentRun) -> None:
        """Store a new run and set its `id`; raise `Conflict` if its `run_id` is taken."""
        content = convert.run_content(run)
        if self._look():
            self.store.runs.close_abandoned()
        _created(run, self.store.runs.record(run.run_id, content, agent_id=convert.agent_of(run)))

    async def acreate_agent_run(self, run: AgentRun) -> None:
        """As `create_agent_run`, awaited."""
        content = convert.run_content(run)
        if self._look():
            await self._awaited.runs.close_abandoned()
        _created(run, await self._awaited.runs.record(run.run_id, content, agent_id=convert.agent_of(run)))

    def update_agent_run(self, run_id: str, run: AgentRun) -> None:
        """Replace what is stored of a run, but for its `run_id` and `agent_id`; an unknown run stays unknown."""
        content = convert.run_content(run)
        try:
            self.store.runs.replace(run_id, content)
        except NotFound:
            _log.warning("no run %r to update", run_id)

    async def aupdate_agent_run(self, run_id: str, run: AgentRun) -> None:
        """As `update_agent_run`, awaited."""
        content = convert.run_content(run)
        try:
            await self._awaited.runs.replace(run_id, content)
        except NotFound:
            _log.warning("no run %r to update", run_id)

    def get_agent_run(self, run_id: str) -> AgentRun | None:
        """Return a run; None if there is none."""
        found = _named(self.store.runs.find(run_id), run_id)
        return None if found is None else self._shown([convert.run_model(found)], [found], self.store.runs.number)[0]

    async def aget_agent_run(self, run_id: str) -> AgentRun | None:
        """As `get_agent_run`, awaited."""
        found = _named(await self._awaited.runs.find(run_id), run_id)
        return None if found is None else convert.run_model(found)

    def get_agent_runs(self, agent_id: str | None = None, limit: int = 10, offset: int = 0) -> list[AgentRun]:
        """Return the runs of an agent, or of all, the last created first."""
        found = self.store.runs.latest(agent_id=agent_id or None, limit=limit, offset=offset)
        return self._shown([convert.run_model(run) for run in found], found, self.store.runs.number)

    def delete_agent_run(self, run_id: str) -> bool:
        """Delete a run and its events, not its calls; say whether there was one."""
        return self.store.runs.delete(run_id)

    # -- events -------------------------------------------------------------------------------------------------------

    def log_agent_run_event(self, event: AgentRunEvent) -> None:
        """Store an event and set its `id`; it may name a run that is not there (yet)."""
        self.log_agent_run_events((event,))

    def log_agent_run_events(self, events: Sequence[AgentRunEvent]) -> None:
        """Store many events: all of them or, if one cannot be stored, none."""
        _numbered(events, self.store.events.record_numbered([convert.new_event(event) for event in events]))

    async def alog_agent_run_event(self, event: AgentRunEvent) -> None:
        """As `log_agent_run_event`, awaited."""
        _numbered((event,), await self._awaited.events.record_numbered([convert.new_event(event)]))

    def get_agent_run_events(self, run_id: str, event_type: str | None = None) -> list[AgentRunEvent]:
        """Return the events of a run by their timestamps."""
        found = self.store.events.named(run_id=run_id, event_type=event_type or None)
        rows = [named.event for named in found]
        return self._shown([convert.event_model(named) for named in found], rows, self.store.events.number)

    # -- calls --------------------------------------------------------------------------------------------------------

    def log_llm_usage(self, usage: AgentLLMUsage) -> None:
        """Store a call to a model, priced, and set its `id`; it may name a run that is not there (yet), or none."""
        self.log_llm_usages((usage,))

    def log_llm_usages(self, usages: Sequence[AgentLLMUsage]) -> None:
        """Store many calls: all of them or, if one cannot be stored, none."""
        _numbered(usages, self.store.llm_calls.record_numbered([convert.new_call(usage) for usage in usages]))

    async def alog_llm_usage(self, usage: AgentLLMUsage) -> None:
        """As `log_llm_usage`, awaited."""
        _numbered((usage,), await self._awaited.llm_calls.record_numbered([convert.new_call(usage)]))

    def get_llm_usage(
        self, agent_id: str | None = None, run_id: str | None = None, limit: int = 100
    ) -> list[AgentLLMUsage]:
        """Return calls of an agent, of a run, or of all, the newest first."""
        found = self.store.llm_calls.named(agent_id=agent_id or None, run_id=run_id or None, limit=limit)
        rows = [named.call for named in found]
        return self._shown([convert.usage_model(named) for named in found], rows, self.store.llm_calls.number)

    def _shown(self, models: list[M], rows: Sequence[Any], number: Callable[[list[UUID]], dict[UUID, int]]) -> list[M]:
        """Return models whose rows have integer ids: what another door wrote gets one when it is first shown here."""
        missing = [row.id for row in rows if row.serial is None]
        if missing and self.store.scope.role.may_write:
            numbers = number(missing)
            for model, row in zip(models, rows, strict=True):
                model.id = numbers.get(row.id, model.id)
        return models

    # -- figures ------------------------------------------------------------------------------------------------------

    def get_agent_run_stats(self, agent_id: str | None = None) -> dict[str, Any]:
        """Return how the runs of an agent, or of all, went: counts, means, tokens, tools, latencies."""
        return stats(self.store.runs.figures(agent_id=agent_id or None))

    # -- audit --------------------------------------------------------------------------------------------------------

    def log_audit_event(self, event: Any) -> None:
        """Add an audit event, a mapping, to the record's chain; raise `InvalidValue` if it names no `action`."""
        self.store.audit.record(**trail.entry_of(event))

    async def alog_audit_event(self, event: Any) -> None:
        """As `log_audit_event`, awaited."""
        await self._awaited.audit.record(**trail.entry_of(event))

    def get_audit_events(
        self, run_id: str | None = None, agent_id: str | None = None, limit: int = 100
    ) -> list[dict[str, Any]]:
        """Return audit events of a run, of an agent, or of all, the newest first, each with its hash and the last."""
        most = limit if not agent_id else MAX_ENTRIES
        found = map(trail.event_of, self.store.audit.trail(trail.RUN, run_id or None, limit=most))
        return [event for event in found if not agent_id or event["agent_id"] == agent_id][:limit]

    # -- life ---------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Finish what waits and close the store."""
        self.store.close()

    def health_check(self) -> bool:
        """Say whether the database answers."""
        try:
            self.store.runs.latest(limit=0)
        except AgentRecordError as error:
            _log.warning("the record does not answer: %s", error)
            return False
        return True


def _named(found: Run | None, run_id: str) -> Run | None:
    # The store finds a run by the id of its row too, which is no name at this door.
    return found if found is not None and found.run_id == run_id else None


def _created(model: Any, stored: Any) -> None:
    _numbered((model,), (stored,))
    model.updated_at = convert.to_local(stored.updated_at)


def _numbered(models: Sequence[Any], stored: Sequence[Any]) -> None:
    for model, row in zip(models, stored, strict=True):
        model.id = row.serial
        model.created_at = convert.to_local(row.created_at)


def stats(figures: RunFigures) -> dict[str, Any]:
    """Return the figures of runs under their documented names, and under those that newer agents add."""
    usage = figures.usage
    given = usage.input_tokens + usage.cache_read_tokens + usage.cache_write_5m_tokens + usage.cache_write_1h_tokens
    made, calls = usage.output_tokens, usage.calls
    shares = {name: getattr(figures, f"latency_{name}_ms") for name in ("p50", "p75", "p90", "p95", "p99")}
    return {
        "total_runs": figures.total_runs,
        "completed_runs": figures.completed_runs,
        "error_runs": figures.error_runs,
        "avg_iterations": round(figures.avg_iterations or 0, 2),
        "total_llm_calls": calls,
        "total_input_tokens": given,
        "total_output_tokens": made,
        "tool_metrics": {
            tool.tool_name: {
                "call_count": tool.calls,
                "total_latency_ms": tool.duration_ms_sum,
                "error_count": tool.errors,
                "avg_latency_ms": round(tool.duration_ms_sum / tool.calls, 2),
            }
            for tool in figures.tools
        },
        "latency_percentiles": {name: round(value, 2) for name, value in shares.items() if value is not None},
        "token_efficiency": round(made / given, 4) if given else 0,
        "avg_input_tokens_per_call": round(given / calls, 2) if calls else 0,
        "avg_output_tokens_per_call": round(made / calls, 2) if calls else 0,
    }
