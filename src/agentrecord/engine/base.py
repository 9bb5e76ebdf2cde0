"""What every engine offers the store, and the address it was opened with."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar  # `Any`: an engine describes itself in whatever terms it has
from uuid import UUID

from sqlalchemy import Dialect

from agentrecord.clock import Clock
from agentrecord.engine.connection import Connection
from agentrecord.engine.job import Job

T = TypeVar("T")
Work = Callable[[Connection], T]


@dataclass(frozen=True, slots=True)
class Maker:
    """What an engine needs from outside: the time and fresh ids."""

    clock: Clock
    new_id: Callable[[], UUID]

    def job(self, work: Work[Any]) -> Job:
        """Return `work` as a job asked for now."""
        return Job(work, self.clock.now(), self.new_id)


class Engine(ABC):
    """A way to a database: reads, durable writes, and what it can promise."""

    dialect: Dialect
    url: str
    schema: str | None = None

    def __init__(self, maker: Maker) -> None:
        """Take the clock and the id maker."""
        self.maker = maker
        self.memo: dict[object, object] = {}
        self.observer: Callable[[str], None] | None = None
        self.before_close: list[Callable[[], None]] = []
        self._readers_pool: ThreadPoolExecutor | None = None

    @abstractmethod
    def read(self, work: Work[T]) -> T:
        """Run `work` on a connection that cannot write, all of it in one snapshot."""

    @abstractmethod
    def write(self, work: Work[T]) -> T:
        """Run `work` in a transaction and return once it is durable."""

    @abstractmethod
    async def awrite(self, work: Work[T]) -> T:
        """As `write`, awaited: whoever waits at the same time shares one transaction."""

    async def aread(self, work: Work[T]) -> T:
        """As `read`, on a thread of its own."""
        if self._readers_pool is None:
            self._readers_pool = ThreadPoolExecutor(max_workers=4, thread_name_prefix="agentrecord-read")
        return await asyncio.get_running_loop().run_in_executor(self._readers_pool, partial(self.read, work))

    def change_sign(self) -> object | None:
        """Return what differs whenever anybody committed since; None where there is nothing so cheap to ask."""
        return None

    @abstractmethod
    def describe(self) -> Mapping[str, object]:
        """Tell the product, its version, its settings and sizes."""

    @abstractmethod
    def execute_script(self, statements: list[str], *, unless: Callable[[Connection], bool] | None = None) -> None:
        """Run DDL statements in one transaction, alone between processes: all of them or none.

        Nothing is run if `unless`, asked once nobody else can change anything, says yes.
        """

    def close(self) -> None:
        """Finish what waits and close every connection."""
        while self.before_close:
            self.before_close.pop()()
        if self._readers_pool is not None:
            self._readers_pool.shutdown(wait=True)
            self._readers_pool = None
