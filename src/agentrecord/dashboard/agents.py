"""Pages about one agent: its figures, and two versions of it."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from agentrecord.dashboard import formats
from agentrecord.dashboard.charts import series_slots
from agentrecord.dashboard.contexts import Chart, Tile
from agentrecord.dashboard.figures import count, excluded
from agentrecord.dashboard.filters import Asked, Range
from agentrecord.dashboard.portraits import days_of, spend_chart
from agentrecord.records.agent import AgentDetails, AgentFigures
from agentrecord.records.page import Page
from agentrecord.records.run import Run, RunFilter
from agentrecord.records.usage import NANOS_PER_DOLLAR, UsageBy
from agentrecord.store import AsyncStore

LATEST = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentPage:
    """One agent: its figures, what it spent over time, its models, tools and versions, and its latest runs."""

    details: AgentDetails
    stretch: Range
    tiles: Sequence[Tile]
    chart: Chart
    slots: Mapping[str, int]
    runs: Page[Run]


async def agent(store: AsyncStore, name: str, asked: Asked, now: datetime) -> AgentPage:
    """Return the page of one agent."""
    stretch = days_of(asked, now)
    wanted = RunFilter(agent_id=name, since=stretch.since, until=stretch.until)
    details, names, runs = await asyncio.gather(
        store.agents.details(name, since=stretch.since, until=stretch.until), store.usage.names(UsageBy.MODEL),
        store.runs.list(wanted, limit=LATEST),
    )  # fmt: skip
    if details.figures.agent.agent_id != name:
        # It was asked for by its row id, which is no agent's name.
        wanted = replace(wanted, agent_id=details.figures.agent.agent_id)
        runs = await store.runs.list(wanted, limit=LATEST)
    return AgentPage(
        details=details,
        stretch=stretch,
        tiles=tiles(details.figures),
        chart=spend_chart(details.spend, names, stretch, now),
        slots=series_slots(names),
        runs=runs,
    )


def tiles(found: AgentFigures) -> Sequence[Tile]:
    """Return an agent's figures as tiles."""
    usage = found.usage
    per_run = found.cost_per_run_usd
    return (
        Tile(
            name="Runs",
            value=count(found.runs),
            note=formats.counted(found.sessions, "session") if found.sessions else "",
        ),
        Tile(
            name="Error rate",
            value=formats.percent(found.error_rate),
            note=f"{found.failed_runs:,} of {found.failed_runs + found.completed_runs:,} ended runs"
            if found.error_rate is not None
            else "",
        ),
        Tile(name="Spend", value=formats.cost(usage), note=excluded(usage)),
        Tile(
            name="Cost per run",
            value=formats.UNKNOWN if per_run is None else formats.money(round(per_run * NANOS_PER_DOLLAR)),
            note="its own calls" if per_run is not None else "",
        ),
        Tile(
            name="p95 of calls",
            value=formats.duration(found.latency_p95_ms),
            note=f"median {formats.duration(found.latency_p50_ms)}" if found.latency_p50_ms is not None else "",
        ),
        Tile(
            name="Failed tool calls",
            value=formats.percent(found.tool_errors, found.tool_calls),
            note=f"{found.tool_errors:,} of {found.tool_calls:,}" if found.tool_calls else "",
        ),
    )
