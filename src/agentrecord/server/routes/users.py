"""Users over REST: what they did and spent."""

from typing import Annotated

from fastapi import APIRouter, Request, Response
from fastapi import Query as InQuery
from pydantic import Field

from agentrecord.records.facet import Facets, FigureSums
from agentrecord.records.people import UserDetails, UserFigures, UserPurge
from agentrecord.records.project import User
from agentrecord.records.query import MAX_CHARS
from agentrecord.server.fields import Moment, sort_of
from agentrecord.server.identity import administrator_of
from agentrecord.server.routes.agents import StretchQuery
from agentrecord.server.routes.common import CONFLICT, MISSING, PROBLEMS, Completion, ListQuery, Values
from agentrecord.server.wire import PageOf, Query, answer, described, model_of, store_of
from agentrecord.store.user_figures import REPORT_SORTS
from agentrecord.store.words import MAX_FACETS, TOP, USER_WORDS

router = APIRouter(prefix="/api/users", tags=["users"], responses=PROBLEMS)


class UserWhere(Query):
    """Which users, over which days."""

    q: str | None = Field(
        None,
        max_length=MAX_CHARS,
        description=f"A filter: text in the user's string, name or e-mail, and words: {', '.join(USER_WORDS.known)}",
        examples=["has:calls example.org"],
    )
    since: Moment | None = Field(None, description="From the UTC day of", examples=["2026-01-31T00:00:00Z"])
    until: Moment | None = Field(None, description="Up to the end of the UTC day before or around it")


class UserQuery(UserWhere, ListQuery):
    """Which users, over which days, and which page of them."""

    sort: str = sort_of(REPORT_SORTS, "-last_seen_at")


class UserFacetQuery(UserWhere):
    """Which users, and how many values."""

    top: int = Field(TOP, ge=1, le=MAX_FACETS, description="Values of each word")


class UserValuesQuery(Completion):
    """Which word of a filter of users."""

    word: str = Field(examples=["model"], json_schema_extra={"enum": list(USER_WORDS.known)})


class PurgeQuery(Query):
    """Where to go on."""

    cursor: str | None = Field(None, description="The last answer's `cursor`; without it the purge begins")


@router.get("", response_model=None, responses=described(PageOf[model_of(UserFigures)], "Users"))  # type: ignore[misc]
async def list_users(request: Request, query: Annotated[UserQuery, InQuery()]) -> Response:
    """List users with what they did and spent on the UTC days of a range, the last seen first."""
    return answer(
        await store_of(request).users.report(
            query=query.q, since=query.since, until=query.until, sort=query.sort, limit=query.limit,
            cursor=query.cursor,
        )
    )  # fmt: skip


# These come before the route that takes a user's string: one that is called so is found by the row id.
@router.get("/sums", response_model=None, responses=described(model_of(FigureSums), "Sums"))
async def user_sums(request: Request, query: Annotated[UserWhere, InQuery()]) -> Response:
    """Return the sums over all users that a filter finds."""
    return answer(await store_of(request).users.sums(query=query.q, since=query.since, until=query.until))


@router.get("/facets", response_model=None, responses=described(model_of(Facets), "Facets"))
async def user_facets(request: Request, query: Annotated[UserFacetQuery, InQuery()]) -> Response:
    """Return the most frequent values among the users that a filter finds, counted over the latest of them."""
    return answer(
        await store_of(request).users.facets(query=query.q, since=query.since, until=query.until, top=query.top)
    )


@router.get("/values", response_model=None, responses=described(Values, "Values"))
async def user_values(request: Request, query: Annotated[UserValuesQuery, InQuery()]) -> Response:
    """Return values that a word of a filter of users can have, for completion."""
    found = await store_of(request).users.values(query.word, prefix=query.prefix, limit=query.limit)
    return answer({"items": found})


@router.get(
    "/{user_id:path}",
    response_model=None,
    responses={**described(model_of(UserDetails), "The user by model, day, tool and agent"), **MISSING},
)
async def get_user(request: Request, user_id: str, query: Annotated[StretchQuery, InQuery()]) -> Response:
    """Return a user, by the string they are known by or by the row id, with the figures on the UTC days of a range."""
    return answer(await store_of(request).users.details(user_id, since=query.since, until=query.until))


@router.delete(
    "/{user_id:path}",
    response_model=None,
    responses={**described(model_of(UserPurge), "How far it has come"), **MISSING, **CONFLICT},
)
async def purge_user(request: Request, user_id: str, query: Annotated[PurgeQuery, InQuery()]) -> Response:
    """Take out the next batch of all that a user said and did; for administrators. There is no way back.

    It is over when `cursor` is null; until then ask again with it, under the row id: the name goes first. Figures
    stay: ids, times, tokens, cost, status.
    """
    who = administrator_of(request)
    known = (await who.store.users.details(user_id)).figures.user
    unnamed(request, known)
    return answer(await who.store.users.purge(str(known.id), cursor=query.cursor, by=who.actor))


def unnamed(request: Request, user: User) -> None:
    """Let the audit trail tell of this request by the user's row id: the name must not come back into it."""
    request.scope["path_params"] = {**request.path_params, "user_id": str(user.id)}
