"""Clients that leave before they are answered."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar  # `Any`: a coroutine's unused type parameters

from fastapi import Request
from starlette.exceptions import HTTPException

from agentrecord.server.wire import CLIENT_CLOSED_REQUEST

T = TypeVar("T")


async def unless_gone(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Return what `work` gives; cancel it when the client closes its connection."""
    working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
    finally:
        leaving.cancel()
        if not working.done():
            working.cancel()
            await asyncio.wait({working})
    raise HTTPException(CLIENT_CLOSED_REQUEST, "The client closed its connection.")


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
