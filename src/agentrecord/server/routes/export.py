"""Facts out of the record, whatever door they came through: as OTLP in JSON, as JSON lines or as CSV; streamed."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Request, Response
from fastapi import Query as InQuery
from fastapi.responses import StreamingResponse
from pydantic import Field

from agentrecord.ingest.otlp_export import MEDIA, Document, ExportAs
from agentrecord.ingest.otlp_leaving import Leaving, aleaving
from agentrecord.records.exchange import ExportFilter
from agentrecord.server.fields import Moment
from agentrecord.server.routes.common import MISSING, PROBLEMS
from agentrecord.server.routes.traces import SENT
from agentrecord.server.wire import Query, store_of
from agentrecord.store import AsyncStore

router = APIRouter(prefix="/api", tags=["export"], responses=PROBLEMS)


class ExportQuery(Query):
    """What to send: everything that the key can see, if nothing is asked for."""

    shape: ExportAs = ExportAs.JSON
    session: str | None = Field(None, description="A session's own id or row id; sessions below it come too")
    run: str | None = Field(None, description="A run's own id or row id; what is below it comes too")
    user: str | None = Field(None, description="What belongs to this user")
    since: Moment | None = Field(None, description="At work at or after", examples=["2026-01-31T00:00:00Z"])
    until: Moment | None = Field(None, description="Begun before")


@router.get("/export", response_model=None, responses={**SENT, **MISSING})
async def export(request: Request, query: Annotated[ExportQuery, InQuery()]) -> Response:
    """Send sessions and runs whole, whatever door they came through; `json` and `jsonl` can be imported anywhere."""
    store, shape = store_of(request), query.shape
    pages = aleaving(store, await _filter(store, query))
    # The first page is read before the answer begins, so that what cannot be read is an answer of its own.
    first = await anext(pages, None)
    headers = {"Content-Disposition": f'attachment; filename="record.{shape}"'}
    return StreamingResponse(_written(Document(shape), first, pages), headers=headers, media_type=MEDIA[shape])


async def _filter(store: AsyncStore, query: ExportQuery) -> ExportFilter:
    return ExportFilter(
        session=None if query.session is None else (await store.sessions.get(query.session)).id,
        run=None if query.run is None else (await store.runs.get(query.run)).id,
        user=query.user,
        since=query.since,
        until=query.until,
    )


async def _written(document: Document, first: Leaving | None, rest: AsyncIterator[Leaving]) -> AsyncIterator[bytes]:
    yield document.begin()
    if first is not None:
        yield document.page(first.spans)
    async for page in rest:
        yield document.page(page.spans)
    yield document.end()
