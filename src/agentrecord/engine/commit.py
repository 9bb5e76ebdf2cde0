"""Group commit: a lone caller commits inline; whoever waits shares one transaction and one sync.

The acknowledgement comes after COMMIT, never before. One bad operation fails alone: an error before any write
costs nothing, an error after a write undoes the batch, and each operation then runs in a transaction of its own.
"""

import asyncio
import queue
import threading
from collections import defaultdict
from collections.abc import Callable
from typing import Any, Protocol  # `Any`: jobs carry whatever their operations return

from agentrecord.engine.connection import Connection
from agentrecord.engine.errors import translate
from agentrecord.engine.forks import at_work
from agentrecord.engine.job import Job
from agentrecord.exceptions import OutcomeUnknown, StoreUnavailable

MAX_BATCH = 1000


class Channel(Protocol):
    """The one connection that writes: its transactions, and the lock between processes around them."""

    connection: Connection

    def enter(self) -> None:
        """Take the lock between processes."""
        ...

    def leave(self) -> None:
        """Give the lock back."""
        ...

    def begin(self) -> None:
        """Start a transaction."""
        ...

    def commit(self) -> None:
        """Make it durable."""
        ...

    def rollback(self) -> None:
        """Undo whatever is open; never raises for want of a transaction."""
        ...

    def changes(self) -> int:
        """Return a number that grows with every row written in this connection."""
        ...

    def in_transaction(self) -> bool:
        """Say whether a transaction is open."""
        ...


class _Undone(Exception):
    """An operation raised after it had written: the batch was rolled back."""


class Writer:
    """Runs jobs on one channel, many at a time."""

    def __init__(self, channel: Channel, name: str) -> None:
        """Take the channel; the thread starts with the first job that has to wait."""
        self._channel = channel
        self._name = name
        self._gate = threading.Lock()
        self._queue: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._closed = False

    def call(self, job: Job) -> Any:
        """Run `job`, inline if nobody waits, else together with all that do; return after COMMIT."""
        if self._closed:
            raise StoreUnavailable("the store is closed")
        if self._queue.empty() and not self._gate.locked():
            # Not `acquire(blocking=False)`: Ctrl-C right after it would leave the gate shut for ever.
            with self._gate:
                self._commit([job])
            return job.result()
        job.parked = parked = threading.Lock()
        parked.acquire()
        self._submit(job)
        parked.acquire()
        return job.result()

    async def acall(self, job: Job) -> Any:
        """Run `job` with all that wait; a cancelled caller does not undo the write."""
        if self._closed:
            raise StoreUnavailable("the store is closed")
        job.loop = asyncio.get_running_loop()
        job.future = job.loop.create_future()
        self._submit(job)
        # Cancelling this future cancels the waiting only: the job is in the queue, and `_answer` finds it done with.
        return await job.future

    def exclusively(self, work: Callable[[Channel], Any]) -> Any:
        """Run `work` alone on the channel, outside any transaction, under the lock between processes."""
        with self._gate, at_work:
            self._channel.enter()
            try:
                return work(self._channel)
            finally:
                self._channel.leave()

    def close(self) -> None:
        """Finish what waits and stop the thread."""
        self._closed = True
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
            self._thread = None

    def _submit(self, job: Job) -> None:
        if self._thread is None:
            self._start()
        self._queue.put(job)

    def _start(self) -> None:
        with self._gate:
            if self._thread is None:
                self._thread = threading.Thread(target=self._loop, name=self._name, daemon=True)
                self._thread.start()

    def _loop(self) -> None:
        job = self._queue.get()
        while job is not None:
            # The gate is kept until nobody waits: a commit for one in between would keep all others waiting.
            with self._gate:
                while job is not None:
                    jobs, stop = self._waiting(job)
                    self._commit(jobs)
                    _wake(jobs)
                    if stop:
                        return
                    job = self._next_or_none()
            job = self._queue.get()

    def _waiting(self, first: Job) -> tuple[list[Job], bool]:
        jobs = [first]
        try:
            while len(jobs) < MAX_BATCH:
                job = self._queue.get_nowait()
                if job is None:
                    return jobs, True
                jobs.append(job)
        except queue.Empty:
            return jobs, False
        return jobs, False

    def _next_or_none(self) -> Job | None:
        try:
            job = self._queue.get_nowait()
        except queue.Empty:
            return None
        if job is None:
            self._queue.put(None)
        return job

    def _commit(self, jobs: list[Job]) -> None:
        """Run `jobs`; never raises: every job ends with a result or an error."""
        try:
            with at_work:
                self._under_the_lock(jobs)
        except BaseException as error:  # the lock, BEGIN or COMMIT failed: nobody's write is there
            if not isinstance(error, Exception) and jobs[0].parked is None and jobs[0].future is None:
                # Not kept in the job: the error leads back to it, and both would hold on to what was broken off.
                raise
            failure = _ours(error) if isinstance(error, Exception) else error
            for job in jobs:
                job.error, job.value = failure, None

    def _under_the_lock(self, jobs: list[Job]) -> None:
        self._channel.enter()
        try:
            self._together(jobs)
        except _Undone:
            for job in jobs:
                self._alone(job)
        finally:
            self._channel.leave()

    def _together(self, jobs: list[Job]) -> None:
        channel = self._channel
        connection = channel.connection
        channel.begin()
        try:
            for job in jobs:
                before, postponed = channel.changes(), connection.postponed
                job.error = None
                try:
                    job.value = job.run(connection)
                except Exception as error:
                    wrote = channel.changes() != before or connection.postponed != postponed
                    if wrote or not channel.in_transaction():
                        raise _Undone from error
                    job.error = _ours(error)
            self._commit_together()
        except BaseException:
            connection.forget()
            channel.rollback()
            raise
        self._keep_learned()

    def _commit_together(self) -> None:
        try:
            self._channel.connection.conclude()
            self._channel.commit()
        except OutcomeUnknown:
            raise
        except Exception as error:
            # What was postponed, or sent in a pipeline, fails only here: find out whose it was.
            raise _Undone from error

    def _alone(self, job: Job) -> None:
        channel = self._channel
        job.error = None
        try:
            channel.begin()
            job.value = job.run(channel.connection)
            channel.connection.conclude()
            channel.commit()
        except BaseException as error:
            channel.connection.forget()
            channel.rollback()
            if not isinstance(error, Exception):
                raise
            job.error, job.value = _ours(error), None
        else:
            self._keep_learned()

    def _keep_learned(self) -> None:
        connection = self._channel.connection
        if connection.learned:
            connection.memo.update(connection.learned)
            connection.learned.clear()


def _ours(error: Exception) -> Exception:
    translated = translate(error)
    if translated is not error:
        translated.__cause__ = error
    return translated


def _wake(jobs: list[Job]) -> None:
    """Tell every waiting caller: threads one by one, each event loop once for all its callers."""
    loops: defaultdict[asyncio.AbstractEventLoop, list[Job]] = defaultdict(list)
    for job in jobs:
        if job.loop is not None:
            loops[job.loop].append(job)
        elif job.parked is not None:
            job.parked.release()
    for loop, waiting in loops.items():
        if not loop.is_closed():
            loop.call_soon_threadsafe(_answer, waiting)


def _answer(jobs: list[Job]) -> None:
    for job in jobs:
        if job.future is None or job.future.done():
            continue
        if job.error is not None:
            job.future.set_exception(job.error)
        else:
            job.future.set_result(job.value)
