"""F12: PostgreSQL dies, restarts, or ends connections while threads and event loops write."""

import asyncio
import random
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
from faults_postgres import Server
from faults_processes import wait_for
from faults_record import Turn, faults_of, turns_in

from agentrecord.exceptions import AgentRecordError, StoreUnavailable
from agentrecord.records.session import NewSession
from agentrecord.store import AsyncStore, Store
from counts import count

PATIENCE_S = 30.0
PAUSE_S = 0.02


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """Return a server of this module's own; its user may not look into the folders that pytest makes."""
    with tempfile.TemporaryDirectory(prefix="agentrecord-faults-", ignore_cleanup_errors=True) as folder:
        found = Server(Path(folder) / "pg")
        yield found
        found.close()


@dataclass
class Crowd:
    """Threads and callers on an event loop that append turns, and send again what was not acknowledged."""

    store: Store
    session: UUID
    stop: threading.Event = field(default_factory=threading.Event)
    acked: list[Turn] = field(default_factory=list)
    unlike: list[BaseException] = field(default_factory=list)
    resent: int = 0
    by_threads: int = 0
    longest_s: float = 0.0
    threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> "Crowd":
        """Start writing."""
        self.threads = [threading.Thread(target=self._thread) for _ in range(4)]
        self.threads.append(threading.Thread(target=lambda: asyncio.run(self._loop())))
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Let everybody finish the turn at hand."""
        self.stop.set()
        for thread in self.threads:
            thread.join(timeout=PATIENCE_S * 2)

    def _thread(self) -> None:
        while not self.stop.is_set():
            turn, began = Turn.fresh(), time.monotonic()
            while not self._note(turn, began, self._send(turn)):
                self.resent += 1
                time.sleep(PAUSE_S)
            self.by_threads += 1

    def _send(self, turn: Turn) -> BaseException | None:
        try:
            self.store.messages.append(self.session, turn.messages(), calls=turn.calls())
        except (AgentRecordError, psycopg.Error) as error:
            return error
        return None

    async def _loop(self) -> None:
        store = AsyncStore(engine=self.store.engine)
        await asyncio.gather(*[self._caller(store) for _ in range(8)])

    async def _caller(self, store: AsyncStore) -> None:
        while not self.stop.is_set():
            turn, began = Turn.fresh(), time.monotonic()
            error: BaseException | None = None
            while True:
                try:
                    await store.messages.append(self.session, turn.messages(), calls=turn.calls())
                    error = None
                except (AgentRecordError, psycopg.Error) as raised:
                    error = raised
                if self._note(turn, began, error):
                    break
                self.resent += 1
                await asyncio.sleep(PAUSE_S)

    def _note(self, turn: Turn, began: float, error: BaseException | None) -> bool:
        """Say whether a turn is done with; one that nobody stored in time is the server's fault."""
        if error is None:
            self.acked.append(turn)
            self.longest_s = max(self.longest_s, time.monotonic() - began)
            return True
        if not isinstance(error, StoreUnavailable) or time.monotonic() - began > PATIENCE_S:
            self.unlike.append(error)
            return True
        return False

    def goes_on(self) -> None:
        """Wait until the threads and the event loop have both had more acknowledged."""
        wanted, threads = len(self.acked) + 20, self.by_threads + 4
        wait_for(lambda: len(self.acked) >= wanted and self.by_threads >= threads, patience_s=PATIENCE_S)


def _drill(server: Server, fault: Callable[[], None], times: int) -> None:
    chance, gaps = random.Random(5), []
    with Store(server.url) as store:
        session = store.sessions.create(NewSession(session_id=f"s{time.monotonic_ns()}")).id
        before = turns_in(store)
        with Crowd(store, session) as crowd:
            for _ in range(times):
                crowd.goes_on()
                crowd.stop.wait(chance.uniform(0, 0.2))
                began = time.monotonic()
                fault()
                crowd.goes_on()
                gaps.append(time.monotonic() - began)
        print(f"{len(crowd.acked)} turns, {crowd.resent} resent, {max(gaps):.2f} s, longest {crowd.longest_s:.2f} s")
        assert crowd.unlike == []
        assert faults_of(store, crowd.acked) == []
        assert turns_in(store) - before == len(crowd.acked)
        assert max(gaps) < 20.0


def test_a_killed_postmaster_costs_no_acknowledged_turn(server: Server) -> None:
    _drill(server, server.kill_and_start, count(2, 10))


def test_an_immediate_restart_costs_no_acknowledged_turn(server: Server) -> None:
    _drill(server, server.restart_at_once, count(2, 10))


def test_a_storm_of_ended_connections_costs_no_acknowledged_turn(server: Server) -> None:
    _drill(server, server.end_all_connections, count(8, 100))


def test_a_server_that_is_not_there_is_named_at_once(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(StoreUnavailable, match="PostgreSQL"):
        Store(f"postgresql://postgres@/postgres?host={tmp_path}")
    assert time.monotonic() - began < 15.0
