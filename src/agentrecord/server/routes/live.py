"""The feed over HTTP: what arrives and changes, as pages of JSON or as server-sent events that a client can resume."""

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Annotated, Any  # `Any`: OpenAPI is JSON

from fastapi import APIRouter, Request, Response
from fastapi import Query as InQuery
from pydantic import Field
from starlette.responses import StreamingResponse

from agentrecord.codec.jsonable import to_json
from agentrecord.exceptions import AgentRecordError
from agentrecord.records.change import Change, ChangeKind, Changes
from agentrecord.records.change_filter import CHANGE_WORDS, change_filter
from agentrecord.records.page import MAX_PAGE
from agentrecord.records.query import MAX_CHARS
from agentrecord.server.identity import identity_of
from agentrecord.server.live import Hub
from agentrecord.server.problems import described_problem, of_error
from agentrecord.server.routes.common import PROBLEMS
from agentrecord.server.sse import EVENT_STREAM, RETRY_MS, wants_stream
from agentrecord.server.wire import Query, answer, model_of, store_of
from agentrecord.store import AsyncStore

router = APIRouter(prefix="/api", tags=["live"], responses=PROBLEMS)

KEEP_ALIVE_S = 15.0
MOST_S = 600.0
"""How long one answer goes on: then the client comes again, and it is asked again who it is."""

_STREAMED: dict[int | str, dict[str, Any]] = {
    200: {
        "model": model_of(Changes),
        "description": "What came after the cursor, in the order of arrival; as events to clients that accept them",
        "content": {EVENT_STREAM: {}},
    },
    503: described_problem("Too many streams are open: Retry-After says how long to wait"),
}


class LiveQuery(Query):
    """Where to go on, and what to be told of."""

    cursor: str | None = Field(None, description="The last answer's `place`; without it what came last")
    kinds: list[ChangeKind] = Field([], description="Of these kinds only; all if none is named")
    q: str | None = Field(
        None,
        max_length=MAX_CHARS,
        description=f"A filter: text in the line, and words: {', '.join(CHANGE_WORDS)}",
        examples=["kind:error,run user:bob@acme.io"],
    )
    limit: int = Field(50, ge=1, le=MAX_PAGE, description="Changes in an answer that is not streamed")


def hub_of(request: Request) -> Hub:
    """Return what reads the feed for all clients of this process."""
    found: Hub = request.app.state.hub
    return found


@router.get("/live", response_model=None, responses=_STREAMED)
async def follow_changes(request: Request, query: Annotated[LiveQuery, InQuery()]) -> Response:
    """Return what arrived or changed since the cursor, or, for clients that accept events, follow it.

    Each event, `changes`, has the place after it as its id: a client that was cut off sends the last one as
    `Last-Event-ID` and gets what it missed. `missed` tells that its place is too old: it reads its page anew. A server
    ends each stream after ten minutes, and that of a client that reads too slowly at once. Where too many streams are
    open it is refused, 503, or 429 where they are the caller's own: ask without events meanwhile.
    """
    store, wanted = store_of(request), change_filter(query.q, query.kinds)
    if not wants_stream(request):
        found = await store.feed.changes(query.cursor, kinds=wanted.kinds, limit=query.limit)
        return answer(replace(found, items=tuple(filter(wanted.matches, found.items))))
    cursor = request.headers.get("last-event-id") or query.cursor
    hub, identity = hub_of(request), identity_of(request)
    who = f"{identity.kind}:{identity.id}"
    hub.admit(who)
    lines = _lines(hub, store, cursor, wanted.matches, who)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(lines, headers=headers, media_type=EVENT_STREAM)


async def _lines(
    hub: Hub, store: AsyncStore, cursor: str | None, wanted: Callable[[Change], bool], who: str
) -> AsyncIterator[bytes]:
    yield b"retry: %d\n\n" % RETRY_MS
    told = None
    try:
        followed = hub.follow(store, cursor, keep_alive_s=KEEP_ALIVE_S, most_s=MOST_S, who=who)
        async with aclosing(followed) as stretches:
            async for stretch in stretches:
                if stretch is None:
                    # An id without data is kept by the client, and handed to nobody.
                    yield b": still here\n\n" if told is None else b"id: %s\n\n" % told
                    continue
                told = stretch.place.encode()
                event = _event(stretch, wanted)
                if event is not None:
                    yield b"id: %s\n%s\n\n" % (told, event)
    except AgentRecordError as error:
        # The answer has begun, so that the problem cannot be its status any more.
        yield b"event: problem\ndata: %s\n\n" % to_json(of_error(error)[0])


def _event(stretch: Changes, wanted: Callable[[Change], bool]) -> bytes | None:
    """Return a stretch as an event, without its id; the one that a client begins with tells nothing but its place."""
    if stretch.missed:
        return b"event: missed\ndata: {}"
    items = [change for change in stretch.items if wanted(change)]
    if stretch.items and not items:
        return None
    return b'event: %s\ndata: {"items":%s}' % (b"changes" if items else b"ready", to_json(items))
