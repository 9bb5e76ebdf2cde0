"""What lists of runs and sessions tell besides their rows: sums over the whole filter, facets, and completion."""

from typing import Annotated

from fastapi import APIRouter, Request, Response
from fastapi import Query as InQuery
from pydantic import BaseModel, Field

from agentrecord.records.facet import Facets, RunBucket, RunSums
from agentrecord.records.query import MAX_CHARS
from agentrecord.records.run import RunFilter, RunStatus
from agentrecord.records.session import SessionFilter, SessionStatus
from agentrecord.server.fields import Moment
from agentrecord.server.routes.common import NAMED, PROBLEMS, Completion, Values
from agentrecord.server.wire import Query, answer, described, model_of, store_of
from agentrecord.store.pages import SessionSums
from agentrecord.store.words import MAX_FACETS, RUN_WORDS, SESSION_WORDS

router = APIRouter(prefix="/api", tags=["lists"], responses=PROBLEMS)
LONGEST_BUCKET_S = 366 * 86_400


class RunWhere(Query):
    """Which runs."""

    q: str | None = Field(
        None,
        max_length=MAX_CHARS,
        description=f"A filter: text in the id or the objective, and words: {', '.join(RUN_WORDS.known)}",
        examples=["status:error cost:>0.05 -user:bob@acme.io"],
    )
    user: str | None = None
    agent: str | None = Field(None, examples=["claude-code"])
    status: RunStatus | None = None
    session: str | None = Field(None, description="A session's own id or row id")
    has_error: bool | None = None
    since: Moment | None = Field(None, description="Started at or after", examples=["2026-01-31T00:00:00Z"])
    until: Moment | None = None
    children: bool = Field(True, description="Also runs of sub-agents")


class SessionWhere(Query):
    """Which sessions."""

    q: str | None = Field(
        None,
        max_length=MAX_CHARS,
        description=f"A filter: text in the id, title or first task, and words: {', '.join(SESSION_WORDS.known)}",
        examples=["model:claude-* cost:>1 has:error"],
    )
    user: str | None = None
    agent: str | None = Field(None, examples=["claude-code"])
    source: str | None = Field(None, examples=["claude-code"])
    status: SessionStatus | None = None
    directory: str | None = None
    since: Moment | None = Field(None, description="Last active at or after", examples=["2026-01-31T00:00:00Z"])
    until: Moment | None = Field(None, description="Last active before")
    children: bool = Field(False, description="Also sessions of sub-agents")


class RunFacetQuery(RunWhere):
    """Which runs, and how many values."""

    top: int = Field(5, ge=1, le=MAX_FACETS, description="Values of each word")


class SessionFacetQuery(SessionWhere):
    """Which sessions, and how many values."""

    top: int = Field(5, ge=1, le=MAX_FACETS, description="Values of each word")


class SeriesQuery(RunWhere):
    """Which runs, and how wide a bucket is."""

    bucket_s: int = Field(86_400, ge=1, le=LONGEST_BUCKET_S, description="Seconds")


class RunValuesQuery(Completion):
    """Which word of a filter of runs."""

    word: str = Field(examples=["user"], json_schema_extra={"enum": list(RUN_WORDS.known)})


class SessionValuesQuery(Completion):
    """Which word of a filter of sessions."""

    word: str = Field(examples=["user"], json_schema_extra={"enum": list(SESSION_WORDS.known)})


class Buckets(BaseModel):
    """Runs by when they started."""

    items: list[model_of(RunBucket)]  # type: ignore[valid-type]


async def run_filter(request: Request, query: RunWhere) -> RunFilter:
    """Return the runs that are asked for; raise `NotFound` for a session that is not there."""
    session = None if query.session is None else (await store_of(request).sessions.get(query.session)).id
    return RunFilter(
        query=query.q,
        user=query.user,
        agent_id=query.agent,
        status=query.status,
        session_uuid=session,
        has_error=query.has_error,
        since=query.since,
        until=query.until,
        include_children=query.children,
    )


def session_filter(query: SessionWhere) -> SessionFilter:
    """Return the sessions that are asked for."""
    return SessionFilter(
        query=query.q,
        user=query.user,
        agent_id=query.agent,
        source=query.source,
        status=query.status,
        directory=query.directory,
        since=query.since,
        until=query.until,
        include_children=query.children,
    )


@router.get("/runs/sums", response_model=None, responses={**described(model_of(RunSums), "Sums"), **NAMED})
async def run_sums(request: Request, query: Annotated[RunWhere, InQuery()]) -> Response:
    """Return the sums over all runs that a filter finds, each with its own calls."""
    return answer(await store_of(request).runs.sums(await run_filter(request, query)))


@router.get("/runs/facets", response_model=None, responses={**described(model_of(Facets), "Facets"), **NAMED})
async def run_facets(request: Request, query: Annotated[RunFacetQuery, InQuery()]) -> Response:
    """Return the most frequent values among the runs that a filter finds, counted over the latest of them."""
    return answer(await store_of(request).runs.facets(await run_filter(request, query), top=query.top))


@router.get("/runs/series", response_model=None, responses={**described(Buckets, "Buckets"), **NAMED})
async def run_series(request: Request, query: Annotated[SeriesQuery, InQuery()]) -> Response:
    """Return the runs that a filter finds by when they started and by status; buckets without runs are left out."""
    found = await store_of(request).runs.series(await run_filter(request, query), bucket_s=query.bucket_s)
    return answer({"items": found})


@router.get("/runs/values", response_model=None, responses=described(Values, "Values"))
async def run_values(request: Request, query: Annotated[RunValuesQuery, InQuery()]) -> Response:
    """Return values that a word of a filter of runs can have, for completion."""
    found = await store_of(request).runs.values(query.word, prefix=query.prefix, limit=query.limit)
    return answer({"items": found})


@router.get("/sessions/sums", response_model=None, responses=described(model_of(SessionSums), "Sums"))
async def session_sums(request: Request, query: Annotated[SessionWhere, InQuery()]) -> Response:
    """Return the sums over all sessions that a filter finds, those below them included."""
    return answer(await store_of(request).sessions.sums(session_filter(query)))


@router.get("/sessions/facets", response_model=None, responses=described(model_of(Facets), "Facets"))
async def session_facets(request: Request, query: Annotated[SessionFacetQuery, InQuery()]) -> Response:
    """Return the most frequent values among the sessions that a filter finds, counted over the latest of them."""
    return answer(await store_of(request).sessions.facets(session_filter(query), top=query.top))


@router.get("/sessions/values", response_model=None, responses=described(Values, "Values"))
async def session_values(request: Request, query: Annotated[SessionValuesQuery, InQuery()]) -> Response:
    """Return values that a word of a filter of sessions can have, for completion."""
    found = await store_of(request).sessions.values(query.word, prefix=query.prefix, limit=query.limit)
    return answer({"items": found})
