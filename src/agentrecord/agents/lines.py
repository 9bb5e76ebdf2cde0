"""Standing in line: whoever comes first is served first, and an empty line takes no memory."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class Line:
    """Those who wait for one thing, and the one who has it."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    people: int = 0


@asynccontextmanager
async def in_line(lines: dict[object, Line], key: object) -> AsyncIterator[None]:
    """Wait for one's turn in the line for `key`."""
    line = lines.setdefault(key, Line())
    line.people += 1
    try:
        async with line.lock:
            yield
    finally:
        line.people -= 1
        if not line.people:
            del lines[key]
