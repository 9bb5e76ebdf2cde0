"""Usage and search over REST."""

from typing import Annotated

from fastapi import APIRouter, Request, Response
from fastapi import Query as InQuery
from pydantic import Field

from agentrecord.records.message import MessageRole, SearchHit
from agentrecord.records.page import MAX_OFFSET, MAX_PAGE
from agentrecord.records.usage import UsageBlock, UsageBy, UsageReport
from agentrecord.server.fields import Moment
from agentrecord.server.routes.common import NAMED, PROBLEMS
from agentrecord.server.wire import ItemsOf, PageOf, Query, answer, described, model_of, store_of

router = APIRouter(prefix="/api", tags=["figures"], responses=PROBLEMS)


class UsageQuery(Query):
    """Which usage, and a row for what."""

    by: UsageBy = UsageBy.DAY
    since: Moment | None = Field(None, description="From the hour of", examples=["2026-01-31T00:00:00Z"])
    until: Moment | None = Field(None, description="Up to the end of the hour of")
    subagents: bool = Field(True, description="Count the calls of sub-agents")
    utc_offset_minutes: int = Field(
        0, ge=-24 * 60, le=24 * 60, json_schema_extra={"multipleOf": 60}, description="How far days are ahead of UTC"
    )


class BlockQuery(Query):
    """Which five-hour windows."""

    since: Moment | None = None
    subagents: bool = True


class SearchQuery(Query):
    """What to look for in messages."""

    q: str = Field(min_length=1, max_length=1000, examples=['"unable to read" commit'])
    role: MessageRole | None = None
    session: str | None = Field(None, description="A session's own id or row id")
    since: Moment | None = None
    limit: int = Field(20, ge=1, le=MAX_PAGE)
    cursor: int = Field(0, ge=0, le=MAX_OFFSET, description="The last page's `next_cursor`")


@router.get("/usage", response_model=None, responses=described(model_of(UsageReport), "The report"))
async def usage(request: Request, query: Annotated[UsageQuery, InQuery()]) -> Response:
    """Return tokens, calls and cost, one row for each day, model, session … and their total."""
    return answer(
        await store_of(request).usage.report(
            query.by,
            since=query.since,
            until=query.until,
            include_subagents=query.subagents,
            utc_offset_minutes=query.utc_offset_minutes,
        )
    )


@router.get(
    "/usage/blocks",
    response_model=None,
    responses=described(ItemsOf[model_of(UsageBlock)], "Windows"),  # type: ignore[misc]
)
async def blocks(request: Request, query: Annotated[BlockQuery, InQuery()]) -> Response:
    """Return the five-hour windows of a coding plan, the oldest first."""
    found = await store_of(request).usage.blocks(since=query.since, include_subagents=query.subagents)
    return answer({"items": found})


@router.get("/search", response_model=None, responses={**described(PageOf[model_of(SearchHit)], "Hits"), **NAMED})  # type: ignore[misc]
async def search(request: Request, query: Annotated[SearchQuery, InQuery()]) -> Response:
    """Find messages by their words, the best match first; quote what must stand together."""
    store = store_of(request)
    session = None if query.session is None else (await store.sessions.get(query.session)).id
    return answer(
        await store.messages.search(
            query.q, role=query.role, session=session, since=query.since, limit=query.limit, offset=query.cursor
        )
    )
