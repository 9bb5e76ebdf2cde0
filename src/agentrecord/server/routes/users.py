"""Users over REST: what they did and spent."""

from typing import Annotated

from fastapi import APIRouter, Request, Response
from fastapi import Query as InQuery
from pydantic import Field

from agentrecord.records.people import UserDetails, UserFigures
from agentrecord.server.fields import Moment, sort_of
from agentrecord.server.routes.agents import StretchQuery
from agentrecord.server.routes.common import MISSING, PROBLEMS, ListQuery
from agentrecord.server.wire import PageOf, answer, described, model_of, store_of
from agentrecord.store.user_figures import REPORT_SORTS

router = APIRouter(prefix="/api/users", tags=["users"], responses=PROBLEMS)


class UserQuery(ListQuery):
    """Which users, over which days."""

    q: str | None = Field(None, description="A filter, in the words of the page", examples=["has:calls example.org"])
    since: Moment | None = Field(None, description="From the UTC day of", examples=["2026-01-31T00:00:00Z"])
    until: Moment | None = Field(None, description="Up to the end of the UTC day before or around it")
    sort: str = sort_of(REPORT_SORTS, "-last_seen_at")


@router.get("", response_model=None, responses=described(PageOf[model_of(UserFigures)], "Users"))  # type: ignore[misc]
async def list_users(request: Request, query: Annotated[UserQuery, InQuery()]) -> Response:
    """List users with what they did and spent on the UTC days of a range, the last seen first."""
    return answer(
        await store_of(request).users.report(
            query=query.q, since=query.since, until=query.until, sort=query.sort, limit=query.limit,
            cursor=query.cursor,
        )
    )  # fmt: skip


@router.get(
    "/{user_id:path}",
    response_model=None,
    responses={**described(model_of(UserDetails), "The user by model, day, tool and agent"), **MISSING},
)
async def get_user(request: Request, user_id: str, query: Annotated[StretchQuery, InQuery()]) -> Response:
    """Return a user, by the string they are known by or by the row id, with the figures on the UTC days of a range."""
    return answer(await store_of(request).users.details(user_id, since=query.since, until=query.until))
