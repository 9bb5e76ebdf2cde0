"""Runs in detail over REST: the pieces of one in order of time, its events, and two runs side by side."""

from typing import Annotated

from fastapi import APIRouter, Request, Response
from fastapi import Query as InQuery
from pydantic import BaseModel, Field

from agentrecord.records.event import Event
from agentrecord.records.query import MAX_CHARS
from agentrecord.records.run_comparison import RunComparison, compared
from agentrecord.records.run_tree import RunSpan, only, only_failed
from agentrecord.server.fields import sort_of
from agentrecord.server.routes.common import NAMED, PROBLEMS, ListQuery
from agentrecord.server.wire import PageOf, Query, answer, described, model_of, store_of
from agentrecord.store.events import SORTS as EVENT_SORTS
from agentrecord.store.words import SPAN_WORDS

router = APIRouter(prefix="/api/runs", tags=["runs"], responses=PROBLEMS)

MOST = 5000


class ComparedRuns(Query):
    """Which two runs."""

    a: str = Field(description="A run's own id or row id", examples=["r-1"])
    b: str = Field(description="Another's", examples=["r-2"])


class SpanQuery(Query):
    """Which pieces of a run."""

    offset: int = Field(0, ge=0, le=1_000_000, description="Rows to leave out first")
    limit: int = Field(1000, ge=1, le=MOST)
    errors: bool = Field(False, description="Only what failed, and what that is in")
    q: str | None = Field(
        None,
        max_length=MAX_CHARS,
        description=f"A filter: text in names, errors, arguments, results and answers, and words: "
        f"{', '.join(SPAN_WORDS)}, and attr.KEY for a member of arguments, parameters, usage, metadata or sent spans. "
        "What it finds comes with what that is in",
        examples=["kind:tool status:error"],
    )


class EventQuery(ListQuery):
    """Which events."""

    event_type: str | None = Field(None, examples=["compaction"])
    sort: str = sort_of(EVENT_SORTS, "timestamp")


class SpansOf(BaseModel):
    """Pieces of a run, each before those below it; `total` counts those asked for, `hidden` what cannot be read."""

    items: list[model_of(RunSpan)]  # type: ignore[valid-type]
    total: int
    hidden: int


@router.get(
    "/compare",
    response_model=None,
    responses={**described(model_of(RunComparison), "Both runs, and their sums by model, tool and phase"), **NAMED},
)
async def compare_runs(request: Request, query: Annotated[ComparedRuns, InQuery()]) -> Response:
    """Hold two runs side by side, each with all runs below it."""
    store = store_of(request)
    a = await store.runs.get(query.a, with_subtree=True)
    b = await store.runs.get(query.b, with_subtree=True)
    trees = [await store.pages.run_tree(run.id) for run in (a, b)]
    return answer(compared(a, trees[0], b, trees[1]))


@router.get(
    "/{run_id:path}/spans",
    response_model=None,
    responses={**described(SpansOf, "The run's pieces"), **NAMED},
)
async def list_spans(request: Request, run_id: str, query: Annotated[SpanQuery, InQuery()]) -> Response:
    """List what a run did, as its waterfall shows it: runs below it, phases, calls and uses of tools."""
    store = store_of(request)
    tree = await store.pages.run_tree((await store.runs.get(run_id)).id, query=query.q)
    spans = tree.spans if tree.found is None else only(tree.spans, tree.found)
    spans = only_failed(spans) if query.errors else spans
    shown = list(spans[query.offset : query.offset + query.limit])
    return answer({"items": shown, "total": len(spans), "hidden": tree.hidden})


@router.get(
    "/{run_id:path}/events",
    response_model=None,
    responses={**described(PageOf[model_of(Event)], "Events"), **NAMED},  # type: ignore[misc]
)
async def list_events(request: Request, run_id: str, query: Annotated[EventQuery, InQuery()]) -> Response:
    """List what happened in a run, the oldest first."""
    store = store_of(request)
    run = await store.runs.get(run_id)
    found = await store.events.list(
        run=run.id, event_type=query.event_type, sort=query.sort, limit=query.limit, cursor=query.cursor
    )
    return answer(found)
