"""Groups of equal errors over REST: list them, look at one, resolve it and open it again."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi import Query as InQuery
from pydantic import BaseModel, Field

from agentrecord.records.error import ErrorBreakdown, ErrorGroup, ErrorStatus
from agentrecord.records.facet import Facets, GroupSums
from agentrecord.records.query import MAX_CHARS
from agentrecord.server.fields import Moment, sort_of
from agentrecord.server.identity import identity_of
from agentrecord.server.routes.common import MISSING, PROBLEMS, Completion, ListQuery, Values
from agentrecord.server.wire import PageOf, Query, answer, described, model_of, no_query, store_of
from agentrecord.store.error_groups import GROUP_SORTS
from agentrecord.store.words import GROUP_WORDS, MAX_FACETS, TOP

router = APIRouter(prefix="/api/errors/groups", tags=["calls"], responses=PROBLEMS)


class GroupWhere(Query):
    """Which groups of errors."""

    resolved: bool = Field(False, description="Also those that are resolved")
    q: str | None = Field(
        None,
        max_length=MAX_CHARS,
        description=f"A filter: text in the type or the message, and words: {', '.join(GROUP_WORDS.known)}",
        examples=["type:Timeout* count:>0"],
    )
    since: Moment | None = Field(None, description="Met at or after", examples=["2026-01-31T00:00:00Z"])
    until: Moment | None = Field(None, description="Met before")


class GroupQuery(GroupWhere, ListQuery):
    """Which groups of errors, and which page of them."""

    status: ErrorStatus | None = None
    agent: str | None = Field(None, description="Met in the work of an agent", examples=["claude-code"])
    user: str | None = Field(None, description="Met by a user")
    sort: str = sort_of(GROUP_SORTS, "-last_seen_at")


class GroupFacetQuery(GroupWhere):
    """Which groups of errors, and how many values."""

    top: int = Field(TOP, ge=1, le=MAX_FACETS, description="Values of each word")


class GroupValuesQuery(Completion):
    """Which word of a filter of groups of errors."""

    word: str = Field(examples=["type"], json_schema_extra={"enum": list(GROUP_WORDS.known)})


class GroupDetails(BaseModel):
    """A group and where it was met."""

    group: model_of(ErrorGroup)  # type: ignore[valid-type]
    breakdown: model_of(ErrorBreakdown)  # type: ignore[valid-type]


@router.get("", response_model=None, responses=described(PageOf[model_of(ErrorGroup)], "Groups of equal errors"))  # type: ignore[misc]
async def list_groups(request: Request, query: Annotated[GroupQuery, InQuery()]) -> Response:
    """List groups of equal errors, the last seen first."""
    return answer(
        await store_of(request).errors.groups(
            include_resolved=query.resolved, status=query.status, query=query.q, agent_id=query.agent,
            user=query.user, since=query.since, until=query.until, sort=query.sort, limit=query.limit,
            cursor=query.cursor,
        )
    )  # fmt: skip


@router.get("/sums", response_model=None, responses=described(model_of(GroupSums), "Sums"))
async def group_sums(request: Request, query: Annotated[GroupWhere, InQuery()]) -> Response:
    """Return how many groups a filter finds, how they stand, and how often errors of theirs were ever met."""
    return answer(
        await store_of(request).errors.group_sums(
            include_resolved=query.resolved, query=query.q, since=query.since, until=query.until
        )
    )


@router.get("/facets", response_model=None, responses=described(model_of(Facets), "Facets"))
async def group_facets(request: Request, query: Annotated[GroupFacetQuery, InQuery()]) -> Response:
    """Return the most frequent values among the groups that a filter finds, counted over the latest of them."""
    return answer(
        await store_of(request).errors.group_facets(
            include_resolved=query.resolved, query=query.q, since=query.since, until=query.until, top=query.top
        )
    )


@router.get("/values", response_model=None, responses=described(Values, "Values"))
async def group_values(request: Request, query: Annotated[GroupValuesQuery, InQuery()]) -> Response:
    """Return values that a word of a filter of groups of errors can have, for completion."""
    found = await store_of(request).errors.group_values(query.word, prefix=query.prefix, limit=query.limit)
    return answer({"items": found})


@router.get(
    "/{fingerprint}",
    response_model=None,
    responses={**described(GroupDetails, "The group, and where it was met"), **MISSING},
    dependencies=[Depends(no_query)],
)
async def get_group(request: Request, fingerprint: str) -> Response:
    """Return a group by its fingerprint or its row id, with where it was met and what the failed runs cost."""
    store = store_of(request)
    group = await store.errors.group(fingerprint)
    return answer({"group": group, "breakdown": await store.errors.breakdown(group.fingerprint)})


@router.post(
    "/{fingerprint}/resolve",
    response_model=None,
    responses={**described(model_of(ErrorGroup), "The group, resolved"), **MISSING},
    dependencies=[Depends(no_query)],
)
async def resolve_group(request: Request, fingerprint: str) -> Response:
    """Mark a group as resolved; the next error of its kind opens it again, as regressed."""
    who = identity_of(request)
    return answer(await who.store.errors.resolve(fingerprint, by=who.actor))


@router.post(
    "/{fingerprint}/reopen",
    response_model=None,
    responses={**described(model_of(ErrorGroup), "The group, open"), **MISSING},
    dependencies=[Depends(no_query)],
)
async def reopen_group(request: Request, fingerprint: str) -> Response:
    """Open a resolved group again."""
    who = identity_of(request)
    return answer(await who.store.errors.reopen(fingerprint, by=who.actor))
