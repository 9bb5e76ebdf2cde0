"""Activity and crossed usage over REST: what the overview and the page of costs draw."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Request, Response
from fastapi import Query as InQuery
from pydantic import BaseModel, Field

from agentrecord.dashboard.cost_tiles import CacheSavings, Outlook, outlook, savings
from agentrecord.dashboard.figures import models_of
from agentrecord.records.activity import Activity
from agentrecord.records.run import Run
from agentrecord.records.usage import UsageBy, UsageRow
from agentrecord.server.fields import Moment
from agentrecord.server.routes.common import PROBLEMS
from agentrecord.server.wire import ItemsOf, Query, answer, described, model_of, store_of
from agentrecord.store.usage_sums import NAMES, TIME

router = APIRouter(prefix="/api", tags=["figures"], responses=PROBLEMS)

SINCE = Field(None, description="From the hour of", examples=["2026-01-31T00:00:00Z"])
UNTIL = Field(None, description="Up to the end of the hour of")


class ActivityQuery(Query):
    """Which stretch of time, in periods of which length."""

    by: UsageBy = Field(UsageBy.DAY, json_schema_extra={"enum": [str(by) for by in TIME]})
    since: Moment | None = SINCE
    until: Moment | None = UNTIL
    subagents: bool = Field(True, description="Count the runs and failed calls of sub-agents")


class SeriesQuery(Query):
    """Which usage, told apart by two things."""

    by: UsageBy = Field(UsageBy.DAY, json_schema_extra={"enum": [str(by) for by in (*TIME, *NAMES)]})
    split: UsageBy = Field(UsageBy.MODEL, json_schema_extra={"enum": [str(by) for by in NAMES]})
    since: Moment | None = SINCE
    until: Moment | None = UNTIL
    subagents: bool = Field(True, description="Count the calls of sub-agents")


class OutlookQuery(Query):
    """Which stretch the savings are of, and whose calls count."""

    since: Moment | None = SINCE
    until: Moment | None = UNTIL
    subagents: bool = Field(True, description="Count the calls of sub-agents")


class CostOutlook(BaseModel):
    """What this month will have cost, and what caches saved in a stretch."""

    month: model_of(Outlook)  # type: ignore[valid-type]
    saved_by_cache: model_of(CacheSavings)  # type: ignore[valid-type]


class BrokenQuery(Query):
    """Which runs that broke their promise."""

    since: Moment | None = SINCE
    until: Moment | None = UNTIL
    limit: int = Field(10, ge=1, le=200)


@router.get("/activity", response_model=None, responses=described(model_of(Activity), "How much went on"))
async def activity(request: Request, query: Annotated[ActivityQuery, InQuery()]) -> Response:
    """Return runs by how they ended, active users and sessions, and how long runs took, by period."""
    return answer(
        await store_of(request).usage.activity(
            query.by, since=query.since, until=query.until, include_subagents=query.subagents
        )
    )


@router.get(
    "/usage/series",
    response_model=None,
    responses=described(ItemsOf[model_of(UsageRow)], "Rows"),  # type: ignore[misc]
)
async def series(request: Request, query: Annotated[SeriesQuery, InQuery()]) -> Response:
    """Return tokens, calls and cost told apart by two things: a period or a name, and a name."""
    rows = await store_of(request).usage.series(
        query.split, by=query.by, since=query.since, until=query.until, include_subagents=query.subagents
    )
    return answer({"items": rows})


@router.get("/usage/outlook", response_model=None, responses=described(CostOutlook, "The month, and the savings"))
async def cost_outlook(request: Request, query: Annotated[OutlookQuery, InQuery()]) -> Response:
    """Return what this month will have cost if its days cost what the last week's did, and what caches saved."""
    store = store_of(request)
    month, uses = await asyncio.gather(
        outlook(store, store.engine.maker.clock.now(), with_subagents=query.subagents),
        store.prices.uses(since=query.since, until=query.until, include_subagents=query.subagents),
    )
    return answer({"month": month, "saved_by_cache": savings(models_of(uses).rows, uses)})


@router.get(
    "/broken-runs",
    response_model=None,
    responses=described(ItemsOf[model_of(Run)], "Runs"),  # type: ignore[misc]
)
async def broken(request: Request, query: Annotated[BrokenQuery, InQuery()]) -> Response:
    """Return runs that broke their promise of a sign of life: that run on, or were ended for it."""
    found = await store_of(request).runs.broken(since=query.since, until=query.until, limit=query.limit)
    return answer({"items": found})
