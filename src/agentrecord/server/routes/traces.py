"""Traces out of the record: spans as they were sent, as OTLP in JSON, as JSON lines or as CSV; streamed."""

from collections.abc import AsyncIterator
from typing import Annotated, Any  # `Any`: OpenAPI is JSON

from fastapi import APIRouter, Request, Response
from fastapi import Query as InQuery
from fastapi.responses import StreamingResponse
from pydantic import Field

from agentrecord.ingest.otlp_export import MEDIA, Document, ExportAs
from agentrecord.records.span import Span
from agentrecord.server.fields import Moment
from agentrecord.server.routes.common import MISSING, PROBLEMS
from agentrecord.server.wire import Query, store_of
from agentrecord.store import AsyncStore

router = APIRouter(prefix="/api", tags=["traces"], responses=PROBLEMS)

PAGE_SPANS = 500
SENT: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Spans: as `json` an ExportTraceServiceRequest, as `jsonl` one a line, as `csv` a row a span",
        "content": {"application/json": {"schema": {"type": "object"}}, "application/jsonl": {}, "text/csv": {}},
    }
}


class SpanQuery(Query):
    """Which spans; all of them if nothing is asked for."""

    shape: ExportAs = ExportAs.JSON
    session: str | None = Field(None, description="A session's own id or row id")
    run: str | None = Field(None, description="A run's own id or row id; what is below it comes too")
    since: Moment | None = Field(None, description="Began at or after", examples=["2026-01-31T00:00:00Z"])
    until: Moment | None = None


@router.get("/traces", response_model=None, responses={**SENT, **MISSING})
async def export_traces(request: Request, query: Annotated[SpanQuery, InQuery()]) -> Response:
    """Send spans of a session, a run or a stretch of time; `json` and `jsonl` can be imported again anywhere."""
    store, shape = store_of(request), query.shape
    pages = _pages(store, query)
    # The first page is read before the answer begins, so that what is not there is an answer of its own.
    first = await anext(pages)
    headers = {"Content-Disposition": f'attachment; filename="traces.{shape}"'}
    return StreamingResponse(_written(Document(shape), first, pages), headers=headers, media_type=MEDIA[shape])


async def _pages(store: AsyncStore, query: SpanQuery) -> AsyncIterator[tuple[Span, ...]]:
    session = None if query.session is None else (await store.sessions.get(query.session)).id
    run = None if query.run is None else (await store.runs.get(query.run)).id
    last: Span | None = None
    while True:
        found = await store.traces.spans(
            session=session, run=run, since=query.since, until=query.until, after=last, limit=PAGE_SPANS
        )
        yield found
        if len(found) < PAGE_SPANS:
            return
        last = found[-1]


async def _written(
    document: Document, first: tuple[Span, ...], rest: AsyncIterator[tuple[Span, ...]]
) -> AsyncIterator[bytes]:
    yield document.begin()
    yield document.page(first)
    async for spans in rest:
        yield document.page(spans)
    yield document.end()
