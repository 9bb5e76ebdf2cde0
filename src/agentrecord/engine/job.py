"""A write that waits for its turn, and then for its answer."""

import asyncio
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any  # `Any`: a job carries whatever its operation returns
from uuid import UUID

from agentrecord.engine.connection import Connection


class Job:
    """One operation to run in a transaction; its time and its ids stay the same however often it runs."""

    __slots__ = ("error", "future", "loop", "made", "new_id", "now", "parked", "value", "work")

    def __init__(self, work: Callable[[Connection], Any], now: datetime, new_id: Callable[[], UUID]) -> None:
        """Take the `work`, the instant it was asked for, and what makes ids."""
        self.work = work
        self.now = now
        self.new_id = new_id
        self.made: list[UUID] = []
        self.value: Any = None
        self.error: BaseException | None = None
        self.loop: asyncio.AbstractEventLoop | None = None
        self.future: asyncio.Future[Any] | None = None
        self.parked: Any = None

    def ids(self) -> Iterator[UUID]:
        """Yield this job's ids from the first, making new ones only beyond those already made."""
        index = 0
        while True:
            if index == len(self.made):
                self.made.append(self.new_id())
            yield self.made[index]
            index += 1

    def run(self, connection: Connection) -> Any:
        """Run the operation on `connection`."""
        connection.begin_job(self.now, self.ids())
        return self.work(connection)

    def result(self) -> Any:
        """Return what the operation returned, or raise what it raised."""
        if self.error is not None:
            raise self.error
        return self.value
