"""OTLP over HTTP: traces, and the log records that belong to them, from any OpenTelemetry client.

What is answered 200 is committed. Where too much work has piled up, more is turned away before its body is read.
"""

from collections.abc import Callable
from datetime import datetime

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from agentrecord.ingest.load import CLOCK_SLACK
from agentrecord.ingest.otlp_facts import derive
from agentrecord.ingest.otlp_logs import logs_of_json
from agentrecord.ingest.otlp_wire import Received, fact_portions, portions, spans_of_json
from agentrecord.server.otlp_wire import JSON, Admission, acknowledged, encoding_of, inflated, protobuf_reader
from agentrecord.server.wire import store_of

# What travels here is described by OpenTelemetry, not by this API.
router = APIRouter(prefix="/v1", include_in_schema=False)

MAX_SPANS = 10_000
"""So many spans, or log records, may one request have: what they become must fit into memory."""

SPANS_AT_ONCE = 256
"""So many of different traces are stored in one transaction: others write in between."""

Read = Callable[..., Received]


@router.post("/traces", response_model=None)
async def take_traces(request: Request) -> Response:
    """Store the spans of an ExportTraceServiceRequest, and the runs, calls and messages that they tell of."""
    return await _take(request, spans_of_json, "spans_of_protobuf", "rejectedSpans")


@router.post("/logs", response_model=None)
async def take_logs(request: Request) -> Response:
    """Store the GenAI events of an ExportLogsServiceRequest with the spans that they belong to."""
    return await _take(request, logs_of_json, "logs_of_protobuf", "rejectedLogRecords")


async def _take(request: Request, read_json: Read, read_protobuf: str, rejected: str) -> Response:
    admission: Admission = request.app.state.otlp
    with admission:
        store, encoding = store_of(request), encoding_of(request.headers)
        read = read_json if encoding == JSON else protobuf_reader(read_protobuf)
        body, headers = await request.body(), request.headers
        latest = store.engine.maker.clock.now() + CLOCK_SLACK
        async with admission.turn:
            received = await run_in_threadpool(lambda: _decoded(read, inflated(body, headers), latest))
            for facts in fact_portions(received.facts, SPANS_AT_ONCE):
                received.add(await store.exchange.restore(facts))
            for spans in portions(received.spans, SPANS_AT_ONCE):
                await store.traces.record(spans, derive)
    return acknowledged(received, encoding, rejected)


def _decoded(read: Read, body: bytes, latest: datetime) -> Received:
    try:
        # An empty request is a valid one, which brings nothing.
        received = read(body, latest=latest) if body else Received()
    except ValueError as error:
        # No OTLP at all, or a resource or scope, which many spans share, that cannot be read.
        raise HTTPException(400, f"{error}.") from error
    if len(received.spans) + len(received.facts) + received.rejected > MAX_SPANS:
        raise HTTPException(413, f"A request may have {MAX_SPANS:,} spans or log records; send smaller batches.")
    return received
