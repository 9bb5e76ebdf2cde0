"""The search over everything, over REST."""

from typing import Annotated

from fastapi import APIRouter, Request, Response
from fastapi import Query as InQuery
from pydantic import Field

from agentrecord.dashboard import finding
from agentrecord.server.routes.common import PROBLEMS
from agentrecord.server.wire import ItemsOf, Query, answer, described, model_of, store_of
from agentrecord.store.finding import MAX_CHARS

router = APIRouter(tags=["record"])


class FindQuery(Query):
    """What to look for."""

    q: str = Field(
        max_length=MAX_CHARS, description="The beginning of an id or a name, or words of a message", examples=["bea"]
    )
    limit: int = Field(5, ge=1, le=50, description="Of each kind at most")


@router.get(
    "/api/find",
    response_model=None,
    responses={**PROBLEMS, **described(ItemsOf[model_of(finding.Hit)], "What was found")},  # type: ignore[misc]
)
async def find(request: Request, query: Annotated[FindQuery, InQuery()]) -> Response:
    """Find sessions, runs, calls, traces, users, agents, models, errors, pages and messages.

    By how their id or name begins, messages by their words; `path` is the page that shows it.
    """
    return answer({"items": await finding.hits(store_of(request), query.q, limit=query.limit)})
