"""What waits to be written: taken in a microsecond, written in batches by one thread.

What waits is lost if the process is killed or the power fails before its batch is written: at most what came in the
last `AFTER_S` seconds, or since the database could not be reached.
"""

import atexit
import logging
import threading
from collections.abc import Callable, Sequence
from uuid import UUID

from agentrecord.engine import Connection, Engine
from agentrecord.engine.forks import begin_anew_in_child
from agentrecord.exceptions import AgentRecordError, Conflict, InvalidTransition, StoreUnavailable
from agentrecord.records.event import NewEvent
from agentrecord.records.scope import Scope
from agentrecord.store import events, runs
from agentrecord.store._faces import work_in

BATCH = 200
AFTER_S = 0.2
MOST_WAITING = 10_000
RETRY_S = 1.0
BEAT_S = 15.0
ALIVE_S = 60

Operation = Callable[[Connection, Scope], object]
Write = NewEvent | Operation
_log = logging.getLogger("agentrecord.recorder")


def write_all(conn: Connection, scope: Scope, writes: Sequence[Write]) -> None:
    """Carry out writes in their order, events that follow one another as one batch."""
    waiting: list[NewEvent] = []
    for write in writes:
        if isinstance(write, NewEvent):
            waiting.append(write)
            continue
        events.record_all(conn, scope, waiting)
        waiting = []
        write(conn, scope)
    events.record_all(conn, scope, waiting)


class Buffer:
    """The writes that wait, the runs that are alive, and the thread that sees to both; it starts when first needed."""

    def __init__(self, engine: Engine, scope: Scope) -> None:
        """Take where to write."""
        self.failures = 0
        self._engine = engine
        self._scope = scope
        self._closed = False
        self.is_first = True
        """Whether no run was begun here yet: the first one closes those that dead processes left."""
        self._begin()
        begin_anew_in_child(self._begin)

    def _begin(self) -> None:
        """Start with nothing; in a forked child too: what waits is its parent's to write, as are thread and locks."""
        # Taken by itself where nobody waits: Ctrl-C while a condition is entered would leave it locked for ever.
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._flushing = threading.Lock()
        self._waiting: list[Write] = []
        self._tried = 0
        self._alive: set[UUID] = set()
        self._thread: threading.Thread | None = None

    def put(self, write: Write) -> None:
        """Let `write` wait. Where too much does, the caller writes it; if that cannot be, `write` counts as lost."""
        if self._thread is None:
            self._start()
        size = len(self._waiting)
        if size >= MOST_WAITING:
            try:
                self.flush()
            except StoreUnavailable as error:
                self.failed(error)
                return
        self._waiting.append(write)
        if size in (0, BATCH):
            with self._lock:
                self._changed.notify()

    def is_alive(self, run: UUID) -> None:
        """Give signs of life for a run from now on."""
        if self._thread is None:
            self._start()
        self._alive.add(run)

    def is_over(self, run: UUID) -> None:
        """Give no more signs of life for a run."""
        self._alive.discard(run)

    def flush(self) -> None:
        """Write what waits; raise `StoreUnavailable`, with all of it waiting on, if the database cannot be reached."""
        with self._flushing:
            while self._waiting:
                batch = self._waiting[:BATCH]
                # Where Ctrl-C or a lost connection cut a batch off, it may be recorded all the same.
                known, self._tried = self._tried, len(batch)
                self._write(batch, known)
                # Only now: what is being written must wait on if that fails, and whoever appends meanwhile is behind.
                del self._waiting[: len(batch)]
                self._tried = 0

    def _write(self, batch: list[Write], known: int) -> None:
        """Write a batch, of which the first `known` may be recorded already."""
        try:
            self._engine.write(work_in(self._scope, write_all, batch))
        except StoreUnavailable:
            raise
        except AgentRecordError:
            for place, write in enumerate(batch):
                self._write_alone(write, is_known=place < known)

    def _write_alone(self, write: Write, *, is_known: bool) -> None:
        try:
            self._engine.write(work_in(self._scope, write_all, (write,)))
        except StoreUnavailable:
            raise
        except (Conflict, InvalidTransition) as error:
            # What has an id of its own cannot be written twice, and what ended cannot end again.
            if not is_known:
                self.failed(error)
        except AgentRecordError as error:
            self.failed(error)

    def failed(self, error: Exception) -> None:
        """Count what could not be written, and tell of the first."""
        self.failures += 1
        if self.failures == 1:
            _log.warning("not recorded (further ones are only counted): %s", error)

    def close(self) -> None:
        """Write what waits and stop the thread."""
        with self._lock:
            self._closed = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
            atexit.unregister(self._write_the_rest)
            self._write_the_rest()

    def _start(self) -> None:
        with self._lock:
            if self._closed:
                raise StoreUnavailable("the store is closed")
            if self._thread is None:
                self._thread = threading.Thread(target=self._loop, name="agentrecord-recorder", daemon=True)
                self._thread.start()
                self._engine.before_close.append(self.close)
                atexit.register(self._write_the_rest)

    def _write_the_rest(self) -> None:
        try:
            self.flush()
        except StoreUnavailable as error:
            self.failures += len(self._waiting)
            _log.warning("%d writes are lost: %s", len(self._waiting), error)

    def _loop(self) -> None:
        clock = self._engine.maker.clock
        beaten = clock.now()
        away = False
        while not self._closed:
            self._wait(away)
            try:
                self.flush()
                if (clock.now() - beaten).total_seconds() >= BEAT_S:
                    beaten = clock.now()
                    self.beat()
                away = False
            except StoreUnavailable as error:
                if not away:
                    _log.warning("waiting for the database: %s", error)
                away = True

    def _wait(self, away: bool) -> None:
        """Wait until there is something to do: a moment more, so that what comes together is written together."""
        with self._changed:
            if away:
                self._changed.wait_for(lambda: self._closed, timeout=RETRY_S)
                return
            if not self._waiting and not self._closed:
                self._changed.wait(BEAT_S)
            self._changed.wait_for(lambda: self._closed or len(self._waiting) >= BATCH, timeout=AFTER_S)

    def beat(self) -> None:
        """Give a sign of life for every run that is alive, and close those whose processes gave none."""
        alive = tuple(self._alive)
        for run in alive:
            try:
                self._beat_for(run)
            except StoreUnavailable:
                raise
            except AgentRecordError as error:
                self.is_over(run)
                self.failed(error)
        if alive:
            self._engine.write(work_in(self._scope, runs.close_abandoned))

    def _beat_for(self, run: UUID) -> None:
        self._engine.write(work_in(self._scope, runs.heartbeat, run, alive_s=ALIVE_S))
