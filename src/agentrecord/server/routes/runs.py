"""Runs over REST: the list, one, and the tree below it."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi import Query as InQuery
from pydantic import Field

from agentrecord.records.page import MAX_OFFSET
from agentrecord.records.run import Run
from agentrecord.server.fields import sort_of
from agentrecord.server.routes.common import NAMED, PROBLEMS, ListQuery
from agentrecord.server.routes.lists import RunWhere, run_filter
from agentrecord.server.wire import ItemsOf, PageOf, answer, described, model_of, no_query, store_of
from agentrecord.store.runs import SORTS as RUN_SORTS

router = APIRouter(prefix="/api/runs", tags=["runs"], responses=PROBLEMS)


class RunQuery(RunWhere, ListQuery):
    """Which runs, in which order."""

    offset: int = Field(0, ge=0, le=MAX_OFFSET)
    sort: str = sort_of(RUN_SORTS, "-started_at")


@router.get("", response_model=None, responses={**described(PageOf[model_of(Run)], "Runs"), **NAMED})  # type: ignore[misc]
async def list_runs(request: Request, query: Annotated[RunQuery, InQuery()]) -> Response:
    """List runs, the last started first."""
    return answer(
        await store_of(request).runs.list(
            await run_filter(request, query),
            sort=query.sort,
            limit=query.limit,
            cursor=query.cursor,
            offset=query.offset,
        )
    )


@router.get(
    "/{run_id:path}/tree",
    response_model=None,
    responses={**described(ItemsOf[model_of(Run)], "The run and all below it"), **NAMED},  # type: ignore[misc]
    dependencies=[Depends(no_query)],
)
async def get_tree(request: Request, run_id: str) -> Response:
    """Return a run and all runs below it, each before those below it."""
    store = store_of(request)
    return answer({"items": await store.runs.tree((await store.runs.get(run_id)).id)})


@router.get(
    "/{run_id:path}/alike",
    response_model=None,
    responses={**described(ItemsOf[model_of(Run)], "Other runs of its agent"), **NAMED},  # type: ignore[misc]
    dependencies=[Depends(no_query)],
)
async def list_alike(request: Request, run_id: str) -> Response:
    """List ten other runs of a run's agent to compare it with: those with the same objective first."""
    store = store_of(request)
    return answer({"items": await store.runs.alike((await store.runs.get(run_id)).id)})


# An id may hold slashes, so this route is the last: it takes whatever the others leave.
@router.get(
    "/{run_id:path}",
    response_model=None,
    responses={**described(model_of(Run), "The run, with the sums over its sub-agents"), **NAMED},
    dependencies=[Depends(no_query)],
)
async def get_run(request: Request, run_id: str) -> Response:
    """Return a run, by its own id or by its row id."""
    return answer(await store_of(request).runs.get(run_id, with_subtree=True))
