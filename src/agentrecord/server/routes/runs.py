"""Runs over REST: the list, one, and the tree below it."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi import Query as InQuery
from pydantic import Field

from agentrecord.records.page import MAX_OFFSET
from agentrecord.records.run import Run, RunFilter, RunStatus
from agentrecord.server.fields import Moment, sort_of
from agentrecord.server.routes.common import NAMED, PROBLEMS, ListQuery
from agentrecord.server.wire import ItemsOf, PageOf, answer, described, model_of, no_query, store_of
from agentrecord.store.runs import SORTS as RUN_SORTS

router = APIRouter(prefix="/api/runs", tags=["runs"], responses=PROBLEMS)


class RunQuery(ListQuery):
    """Which runs."""

    offset: int = Field(0, ge=0, le=MAX_OFFSET)
    q: str | None = Field(None, description="Words in the id or the objective")
    user: str | None = None
    agent: str | None = Field(None, examples=["claude-code"])
    status: RunStatus | None = None
    session: str | None = Field(None, description="A session's own id or row id")
    has_error: bool | None = None
    since: Moment | None = Field(None, description="Started at or after", examples=["2026-01-31T00:00:00Z"])
    until: Moment | None = None
    children: bool = Field(True, description="Also runs of sub-agents")
    sort: str = sort_of(RUN_SORTS, "-started_at")


@router.get("", response_model=None, responses={**described(PageOf[model_of(Run)], "Runs"), **NAMED})  # type: ignore[misc]
async def list_runs(request: Request, query: Annotated[RunQuery, InQuery()]) -> Response:
    """List runs, the last started first."""
    store = store_of(request)
    session = None if query.session is None else (await store.sessions.get(query.session)).id
    wanted = RunFilter(
        words=query.q,
        user=query.user,
        agent_id=query.agent,
        status=query.status,
        session_uuid=session,
        has_error=query.has_error,
        since=query.since,
        until=query.until,
        include_children=query.children,
    )
    return answer(
        await store.runs.list(wanted, sort=query.sort, limit=query.limit, cursor=query.cursor, offset=query.offset)
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
