"""Agents over REST: what they did and cost, one by one, and two versions side by side."""

from typing import Annotated

from fastapi import APIRouter, Request, Response
from fastapi import Query as InQuery
from pydantic import Field

from agentrecord.records.agent import AgentDetails, AgentFigures
from agentrecord.records.comparison import VersionComparison
from agentrecord.records.facet import Facets, FigureSums
from agentrecord.records.query import MAX_CHARS
from agentrecord.server.fields import Moment, sort_of
from agentrecord.server.routes.common import MISSING, PROBLEMS, Completion, ListQuery, Values
from agentrecord.server.wire import PageOf, Query, answer, described, model_of, store_of
from agentrecord.store.agent_figures import REPORT_SORTS
from agentrecord.store.words import AGENT_WORDS, MAX_FACETS, TOP

router = APIRouter(prefix="/api/agents", tags=["agents"], responses=PROBLEMS)


class StretchQuery(Query):
    """Which days."""

    since: Moment | None = Field(None, description="From the UTC day of", examples=["2026-01-31T00:00:00Z"])
    until: Moment | None = Field(None, description="Up to the end of the UTC day before or around it")


class AgentWhere(Query):
    """Which agents, over which days."""

    q: str | None = Field(
        None,
        max_length=MAX_CHARS,
        description=f"A filter: text in the id or the name, and words: {', '.join(AGENT_WORDS.known)}",
        examples=["has:calls claude"],
    )
    since: Moment | None = Field(None, description="From the UTC day of", examples=["2026-01-31T00:00:00Z"])
    until: Moment | None = Field(None, description="Up to the end of the UTC day before or around it")


class AgentQuery(AgentWhere, ListQuery):
    """Which agents, over which days, and which page of them."""

    sort: str = sort_of(REPORT_SORTS, "-last_active_at")


class AgentFacetQuery(AgentWhere):
    """Which agents, and how many values."""

    top: int = Field(TOP, ge=1, le=MAX_FACETS, description="Values of each word")


class AgentValuesQuery(Completion):
    """Which word of a filter of agents."""

    word: str = Field(examples=["model"], json_schema_extra={"enum": list(AGENT_WORDS.known)})


class VersionsQuery(Query):
    """Which two versions, over which runs; without names, the last two."""

    a: str | None = Field(None, description="A version number")
    b: str | None = Field(None, description="Another one")
    since: Moment | None = Field(None, description="Runs that began at or after")
    until: Moment | None = None
    q: str | None = Field(
        None,
        max_length=MAX_CHARS,
        description="A filter of runs, as their list takes it, that holds for both sides: `-env:staging`",
    )


@router.get("", response_model=None, responses=described(PageOf[model_of(AgentFigures)], "Agents"))  # type: ignore[misc]
async def list_agents(request: Request, query: Annotated[AgentQuery, InQuery()]) -> Response:
    """List agents with what they did and cost on the UTC days of a range, the last active first."""
    return answer(
        await store_of(request).agents.report(
            query=query.q, since=query.since, until=query.until, sort=query.sort, limit=query.limit,
            cursor=query.cursor,
        )
    )  # fmt: skip


# These come before the routes that take an agent's id: one that is called so is found by its row id.
@router.get("/sums", response_model=None, responses=described(model_of(FigureSums), "Sums"))
async def agent_sums(request: Request, query: Annotated[AgentWhere, InQuery()]) -> Response:
    """Return the sums over all agents that a filter finds."""
    return answer(await store_of(request).agents.sums(query=query.q, since=query.since, until=query.until))


@router.get("/facets", response_model=None, responses=described(model_of(Facets), "Facets"))
async def agent_facets(request: Request, query: Annotated[AgentFacetQuery, InQuery()]) -> Response:
    """Return the most frequent values among the agents that a filter finds, counted over the latest of them."""
    return answer(
        await store_of(request).agents.facets(query=query.q, since=query.since, until=query.until, top=query.top)
    )


@router.get("/values", response_model=None, responses=described(Values, "Values"))
async def agent_values(request: Request, query: Annotated[AgentValuesQuery, InQuery()]) -> Response:
    """Return values that a word of a filter of agents can have, for completion."""
    found = await store_of(request).agents.values(query.word, prefix=query.prefix, limit=query.limit)
    return answer({"items": found})


@router.get(
    "/{agent_id:path}/compare",
    response_model=None,
    responses={**described(model_of(VersionComparison), "Both versions, measure by measure"), **MISSING},
)
async def compare_versions(request: Request, agent_id: str, query: Annotated[VersionsQuery, InQuery()]) -> Response:
    """Compare two versions of an agent: each measure's difference with its 95 % interval."""
    return answer(
        await store_of(request).agents.compare(
            agent_id, query.a, query.b, since=query.since, until=query.until, query=query.q
        )
    )


# An id may hold slashes, so this route is the last: it takes whatever the others leave.
@router.get(
    "/{agent_id:path}",
    response_model=None,
    responses={**described(model_of(AgentDetails), "The agent by model, day, tool and version"), **MISSING},
)
async def get_agent(request: Request, agent_id: str, query: Annotated[StretchQuery, InQuery()]) -> Response:
    """Return an agent, by its own id or by its row id, with its figures on the UTC days of a range."""
    return answer(await store_of(request).agents.details(agent_id, since=query.since, until=query.until))
