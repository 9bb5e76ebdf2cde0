"""LLM calls, uses of tools and errors over REST."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from fastapi import Query as InQuery
from pydantic import Field

from agentrecord.records.call_detail import CallDetail
from agentrecord.records.error import ErrorKind, ErrorRecord
from agentrecord.records.llm_call import LLMCall
from agentrecord.records.tool_call import ToolCall, ToolCallStatus, ToolFigures
from agentrecord.server.fields import Moment, sort_of
from agentrecord.server.routes.common import MISSING, NAMED, PROBLEMS, ListQuery
from agentrecord.server.wire import ItemsOf, PageOf, Query, answer, described, model_of, no_query, store_of
from agentrecord.store.errors import SORTS as ERROR_SORTS
from agentrecord.store.llm_calls import SORTS as CALL_SORTS
from agentrecord.store.tool_calls import SORTS as TOOL_SORTS

router = APIRouter(prefix="/api", tags=["calls"], responses=PROBLEMS)


class CallQuery(ListQuery):
    """Which calls."""

    session: str | None = Field(None, description="A session's own id or row id")
    run: str | None = Field(None, description="A run's own id or row id")
    model: str | None = Field(None, examples=["claude-opus-4-5"])
    since: Moment | None = Field(None, examples=["2026-01-31T00:00:00Z"])
    until: Moment | None = None
    only_unpriced: bool = False
    sort: str = sort_of(CALL_SORTS, "-timestamp")


class ToolCallQuery(ListQuery):
    """Which uses of tools."""

    session: str | None = Field(None, description="A session's own id or row id")
    run: str | None = Field(None, description="A run's own id or row id")
    tool: str | None = Field(None, examples=["Bash"])
    status: ToolCallStatus | None = Field(None, examples=["error"])
    since: Moment | None = Field(None, description="Begun at or after", examples=["2026-01-31T00:00:00Z"])
    until: Moment | None = Field(None, description="Begun before")
    sort: str = sort_of(TOOL_SORTS, "-started_at")


class FiguresQuery(Query):
    """Which days."""

    since: Moment | None = Field(None, description="From the UTC day of", examples=["2026-01-31T00:00:00Z"])
    until: Moment | None = Field(None, description="Up to the UTC day of, without it")


class ErrorQuery(ListQuery):
    """Which errors."""

    group: UUID | None = None
    session: str | None = None
    run: str | None = None
    q: str | None = Field(None, description="Words in the message")
    kind: ErrorKind | None = Field(None, description="What failed")
    derived: bool | None = Field(
        None,
        description="Also failures of calls and of uses of tools that nobody told as errors;"
        " if nothing is said, where a group or a kind is asked for",
    )
    sort: str = sort_of(ERROR_SORTS, "-created_at")


async def _ids(request: Request, session: str | None, run: str | None) -> tuple[UUID | None, UUID | None]:
    store = store_of(request)
    return (
        None if session is None else (await store.sessions.get(session)).id,
        None if run is None else (await store.runs.get(run)).id,
    )


@router.get("/calls", response_model=None, responses={**described(PageOf[model_of(LLMCall)], "Calls"), **NAMED})  # type: ignore[misc]
async def list_calls(request: Request, query: Annotated[CallQuery, InQuery()]) -> Response:
    """List calls to models, the newest first."""
    session, run = await _ids(request, query.session, query.run)
    return answer(
        await store_of(request).llm_calls.list(
            session=session,
            run=run,
            model=query.model,
            since=query.since,
            until=query.until,
            only_unpriced=query.only_unpriced,
            sort=query.sort,
            limit=query.limit,
            cursor=query.cursor,
        )
    )


@router.get(
    "/calls/{call_id}",
    response_model=None,
    responses={**described(model_of(CallDetail), "The call, its price and its prompt"), **MISSING},
    dependencies=[Depends(no_query)],
)
async def get_call(request: Request, call_id: UUID) -> Response:
    """Return a call with the price that charged it, what each class of tokens came to, and its prompt as messages."""
    return answer(await store_of(request).llm_calls.detail(call_id))


@router.get(
    "/tool-calls",
    response_model=None,
    responses={**described(PageOf[model_of(ToolCall)], "Uses of tools"), **NAMED},  # type: ignore[misc]
)
async def list_tool_calls(request: Request, query: Annotated[ToolCallQuery, InQuery()]) -> Response:
    """List uses of tools, those that began last first."""
    session, run = await _ids(request, query.session, query.run)
    return answer(
        await store_of(request).tool_calls.list(
            session=session,
            run=run,
            tool_name=query.tool,
            status=query.status,
            since=query.since,
            until=query.until,
            sort=query.sort,
            limit=query.limit,
            cursor=query.cursor,
        )
    )


@router.get(
    "/tool-calls/figures",
    response_model=None,
    responses=described(ItemsOf[model_of(ToolFigures)], "Figures by tool"),  # type: ignore[misc]
)
async def tool_figures(request: Request, query: Annotated[FiguresQuery, InQuery()]) -> Response:
    """Return how often each tool was used and failed, the most used first."""
    found = await store_of(request).tool_calls.figures(since=query.since, until=query.until)
    return answer({"items": found})


@router.get("/errors", response_model=None, responses={**described(PageOf[model_of(ErrorRecord)], "Errors"), **NAMED})  # type: ignore[misc]
async def list_errors(request: Request, query: Annotated[ErrorQuery, InQuery()]) -> Response:
    """List errors that were told, the newest first, and on demand those derived from failed calls and uses of tools."""
    session, run = await _ids(request, query.session, query.run)
    is_of_some = query.group is not None or query.kind is not None
    return answer(
        await store_of(request).errors.list(
            group=query.group,
            session=session,
            run=run,
            words=query.q,
            kind=query.kind,
            derived=is_of_some if query.derived is None else query.derived,
            sort=query.sort,
            limit=query.limit,
            cursor=query.cursor,
        )
    )
