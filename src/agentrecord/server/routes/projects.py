"""Projects, unreadable lines and health over REST."""

from typing import Annotated

from fastapi import APIRouter, Request, Response
from fastapi import Query as InQuery
from pydantic import BaseModel, Field

from agentrecord.records.imports import UnreadableLine
from agentrecord.records.project import Project
from agentrecord.server.fields import Moment
from agentrecord.server.metrics import CONTENT_TYPE
from agentrecord.server.routes.common import PROBLEMS, ListQuery
from agentrecord.server.wire import PageOf, answer, described, model_of, store_of

router = APIRouter(tags=["record"])


class UnreadableQuery(ListQuery):
    """Which unreadable lines."""

    source: str | None = Field(None, examples=["claude-code"])
    path: str | None = None
    since: Moment | None = None


class Health(BaseModel):
    """That the server is up."""

    status: str


@router.get(
    "/api/projects",
    response_model=None,
    responses={**PROBLEMS, **described(PageOf[model_of(Project)], "Projects")},  # type: ignore[misc]
)
async def list_projects(request: Request, query: Annotated[ListQuery, InQuery()]) -> Response:
    """List the projects by name; for operators."""
    return answer(await store_of(request).projects.list(limit=query.limit, cursor=query.cursor))


@router.get(
    "/api/imports/unreadable",
    response_model=None,
    responses={**PROBLEMS, **described(PageOf[model_of(UnreadableLine)], "Lines")},  # type: ignore[misc]
)
async def list_unreadable(request: Request, query: Annotated[UnreadableQuery, InQuery()]) -> Response:
    """List the lines of imported files that could not be read, or were kept altered."""
    return answer(
        await store_of(request).imports.unreadable(
            source=query.source, path=query.path, since=query.since, limit=query.limit, cursor=query.cursor
        )
    )


@router.get("/healthz", response_model=None, responses=described(Health, "It is up"))
async def health() -> Response:
    """Say that the server is up; needs no key."""
    return answer({"status": "ok"})


@router.get("/metrics", include_in_schema=False)
async def metrics(request: Request) -> Response:
    """Tell monitoring what this process has done since it started; for everybody who is known."""
    state = request.app.state
    told = state.metrics.text(streams=state.hub.watchers, unwritten=state.trail.lost)
    return Response(told, media_type=CONTENT_TYPE)
