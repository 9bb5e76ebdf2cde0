"""Server-sent events: what a turn tells, as a stream that a client can resume."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

from fastapi import Request
from starlette.responses import StreamingResponse

from agentrecord.codec.jsonable import to_json
from agentrecord.exceptions import AgentRecordError, InvalidFilter
from agentrecord.records.turn import TurnEvent
from agentrecord.server.problems import of_error

EVENT_STREAM = "text/event-stream"
KEEP_ALIVE_S = 15.0
RETRY_MS = 1000


def wants_stream(request: Request) -> bool:
    """Say whether the client asks for events rather than for one answer."""
    return EVENT_STREAM in request.headers.get("accept", "")


def last_seen(request: Request) -> tuple[UUID, int] | None:
    """Return the turn and the number of the last event that the client has seen; None if it has seen none.

    Raises `InvalidFilter` for a `Last-Event-ID` that is no event's id.
    """
    told = request.headers.get("last-event-id")
    if not told:
        return None
    of, _, number = told.rpartition(":")
    try:
        turn = UUID(of)
    except ValueError:
        turn = None
    if turn is None or not (number.isascii() and number.isdigit() and len(number) < 18):
        raise InvalidFilter("Last-Event-ID", told, "is no event's id; leave it out to start over")
    return turn, int(number)


def resumed_after(seen: tuple[UUID, int] | None, turn: UUID) -> int:
    """Return the number of the last event that the client has seen of `turn`; 0 if it has seen none.

    Raises `InvalidFilter` if what it has seen is another turn's.
    """
    if seen is None:
        return 0
    if seen[0] != turn:
        raise InvalidFilter("Last-Event-ID", f"{seen[0]}:{seen[1]}", f"is not an event of turn {turn}; leave it out")
    return seen[1]


def stream(turn: UUID, opening: object, events: AsyncIterator[TurnEvent]) -> StreamingResponse:
    """Return the events of a turn as an answer that goes on until the turn is over.

    Each has the turn and its own number as id; `opening` is the data of a first event, `turn.started`.
    """
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_lines(turn, opening, events), headers=headers, media_type=EVENT_STREAM)


async def _lines(turn: UUID, opening: object, events: AsyncIterator[TurnEvent]) -> AsyncIterator[bytes]:
    yield b"retry: %d\nevent: turn.started\ndata: %s\n\n" % (RETRY_MS, to_json(opening))
    waiting: asyncio.Task[TurnEvent | None] | None = None
    try:
        while True:
            waiting = waiting or asyncio.ensure_future(_next(events))
            done, _ = await asyncio.wait([waiting], timeout=KEEP_ALIVE_S)
            if not done:
                yield b": still here\n\n"
                continue
            try:
                event = waiting.result()
            except AgentRecordError as error:
                # The answer has begun, so that the problem cannot be its status any more.
                yield b"event: problem\ndata: %s\n\n" % to_json(of_error(error)[0])
                return
            if event is None:
                return
            waiting = None
            yield f"id: {turn}:{event.sequence}\nevent: {event.event}\ndata: {event.data}\n\n".encode()
    finally:
        if waiting is not None:
            waiting.cancel()


async def _next(events: AsyncIterator[TurnEvent]) -> TurnEvent | None:
    return await anext(events, None)
