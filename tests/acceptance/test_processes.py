"""Many processes and threads on one record: nothing lost, nothing twice, every figure exact."""

import multiprocessing
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import crowd
import pytest

from agentrecord.engine import Connection
from agentrecord.records.budget import BudgetPeriod, NewBudget
from agentrecord.records.llm_call import NewLLMCall
from agentrecord.records.message import MessageRole, NewMessage
from agentrecord.records.price import NewPrice, Rates
from agentrecord.records.scope import Scope
from agentrecord.records.session import NewSession, SessionChanges, SessionStatus
from agentrecord.records.usage import UsageBy
from agentrecord.store import Store
from counts import count
from databases import Databases
from forking import ended, fork

ON_DISK = ("sqlite", "postgresql")


@pytest.fixture(params=ON_DISK)
def url(databases: Databases, request: pytest.FixtureRequest) -> Iterator[str]:
    """Return the address of a migrated database on disk."""
    found = databases.create(request.param)
    yield found
    databases.drop(found)


def sequences(store: Store, session: Any) -> list[int]:
    """Return the sequences of a session's messages."""
    found: list[int] = []
    cursor = None
    while True:
        page = store.messages.list(session, limit=200, cursor=cursor)
        found += [m.sequence for m in page]
        cursor = page.next_cursor
        if cursor is None:
            return found


def test_processes_that_append_at_once_leave_no_gap_and_exact_figures(url: str) -> None:
    members, turns = count(3, 8), count(8, 60)
    with Store(url) as store:
        session = store.sessions.create(NewSession(session_id="s")).id
    spawn = multiprocessing.get_context("spawn")
    barrier, results = spawn.Barrier(members), spawn.Queue()
    crowd_of = [
        spawn.Process(target=crowd.append, args=(url, session, member, turns, barrier, results))
        for member in range(members)
    ]
    for process in crowd_of:
        process.start()
    assert [results.get(timeout=120) for _ in crowd_of] == [""] * members
    for process in crowd_of:
        process.join()
    expected = members * turns * 2 + turns
    with Store(url) as store:
        assert sequences(store, session) == list(range(1, expected + 1))
        assert store.sessions.get("s").message_count == expected
        assert store.usage.recount() == ()
        assert sum(day.message_count for day in store.usage.daily()) == expected
        events = store.events.list(session=session, sort="session_sequence", limit=200)
        assert [e.session_sequence for e in events] == list(range(1, turns + 1))
        total = store.usage.report(UsageBy.TOTAL).total
        assert (total.calls, total.cost_nanos) == (members * turns + turns, members * turns + turns * (9 + members))


def test_readers_of_the_feed_get_what_many_processes_write_each_fact_once(url: str) -> None:
    members, facts, readers = count(2, 6), count(12, 200), count(1, 2)
    with Store(url) as store:
        place = store.feed.place()
    spawn = multiprocessing.get_context("spawn")
    barrier, results, read = spawn.Barrier(members), spawn.Queue(), spawn.Queue()
    expected = {f"{member} {number}" for member in range(members) for number in range(facts)}
    expected |= {f"{member} {number}+" for member in range(members) for number in range(0, facts, 3)}
    crowd_of = [
        spawn.Process(target=crowd.tell, args=(url, member, facts, barrier, results)) for member in range(members)
    ]
    crowd_of += [spawn.Process(target=crowd.read_feed, args=(url, place, len(expected), read)) for _ in range(readers)]
    for process in crowd_of:
        process.start()
    assert [results.get(timeout=120) for _ in range(members)] == [""] * members
    seen = [read.get(timeout=120) for _ in range(readers)]
    for process in crowd_of:
        process.join(60)
    assert [Counter(lines) for lines in seen] == [Counter(expected)] * readers
    # However many read at once, and in whatever strides: those of one member come in the order in which they wrote.
    for lines in seen:
        for member in range(members):
            own = [line for line in lines if line.split()[0] == str(member)]
            assert own == sorted(own, key=lambda line: (int(line.split()[1].rstrip("+")), line))


def test_threads_and_event_loops_share_one_store(url: str) -> None:
    each = count(15, 200)
    with Store(url) as store:
        session = store.sessions.create(NewSession(session_id="s")).id
    crowd.mix(url, session, each)
    with Store(url) as store:
        assert sequences(store, session) == list(range(1, 4 * each + 1))
        assert store.sessions.get("s").usage.calls == 4 * each
        assert store.usage.recount() == ()


def test_however_many_spend_at_once_they_never_cross_the_budget(url: str) -> None:
    members, each, rounds = 3, 25, count(2, 12)
    # Three quarters of what all of them want: ten thousand nano-dollars a call.
    limit = members * each * 2 * rounds * 10_000 * 3 // 4
    with Store(url) as store:
        store.prices.set(NewPrice(model="priced", rates=Rates(input=10**9, output=10**9)))
        budget = store.budgets.create(NewBudget(name="b", period=BudgetPeriod.TOTAL, limit_nanos=limit)).id
        session = store.sessions.create(NewSession(session_id="s")).id
    spawn = multiprocessing.get_context("spawn")
    barrier, results = spawn.Barrier(members + 1), spawn.Queue()
    spenders = [
        spawn.Process(target=crowd.spend, args=(url, session, each, rounds, barrier, results)) for _ in range(members)
    ]
    for process in spenders:
        process.start()
    seen = []
    with Store(url) as store:
        barrier.wait(timeout=60)
        while any(process.is_alive() for process in spenders) and results.qsize() < members:
            standing = store.budgets.status(budget)
            seen.append(standing.spent_nanos + standing.reserved_nanos)
    said = Counter(word for _ in spenders for word in results.get(timeout=120))
    for process in spenders:
        process.join()
    assert set(said) == {"made", "refused"}
    assert seen
    assert max(seen) <= limit
    with Store(url) as store:
        standing = store.budgets.status(budget)
        assert standing.spent_nanos == 10_000 * said["made"] <= limit
        assert (standing.reserved_nanos, standing.open_calls) == (0, 0)
        assert store.usage.recount() == ()


def _race(url: str, what: str, barrier: Any, results: Any) -> None:
    try:
        with Store(url) as store:
            barrier.wait()
            found = {
                "delete": lambda: store.sessions.delete("s"),
                "fail": lambda: store.sessions.update("s", SessionChanges(status=SessionStatus.FAILED)),
                "remove": lambda: store.messages.delete(store.messages.recent(store.sessions.get("s").id)[0].id),
            }[what]()
        results.put(f"ok {type(found).__name__}")
    except Exception as error:  # noqa: BLE001  (whatever it is, the test that waits is told)
        results.put(type(error).__name__)


@pytest.mark.parametrize("what", ["delete", "fail", "remove"])
def test_a_change_that_many_make_at_once_counts_once(url: str, what: str) -> None:
    with Store(url) as store:
        session = store.sessions.create(NewSession(session_id="s")).id
        store.messages.append(session, [NewMessage(role=MessageRole.USER, content="a")], calls=[NewLLMCall(model="m")])
    spawn = multiprocessing.get_context("spawn")
    barrier, results = spawn.Barrier(3), spawn.Queue()
    processes = [spawn.Process(target=_race, args=(url, what, barrier, results)) for _ in range(3)]
    for process in processes:
        process.start()
    said = sorted(results.get(timeout=60) for _ in processes)
    for process in processes:
        process.join()
    assert {s for s in said if not s.startswith("ok")} <= {"NotFound", "IndexError"}
    with Store(url) as store:
        assert store.usage.recount() == ()
        if what == "fail":
            assert said == ["ok Session"] * 3
            assert [d.failed_sessions for d in store.usage.performance() if d.total_sessions] == [1]
        else:
            assert sum(s.startswith("ok") for s in said) == 1


def test_a_fork_waits_for_the_write_that_another_thread_is_at(tmp_path: Path) -> None:
    begun, is_done, never = threading.Event(), threading.Event(), threading.Event()

    def slowly(conn: Connection, scope: Scope) -> None:
        begun.set()
        never.wait(0.3)
        is_done.set()

    with Store(str(tmp_path / "record.db")) as store:

        def write() -> None:
            assert is_done.is_set()
            store.sessions.create(NewSession(session_id="s"))

        writing = threading.Thread(target=store.run, args=(slowly,))
        writing.start()
        assert begun.wait(60)
        assert ended(fork(write)) == 0
        writing.join(60)
        assert store.sessions.get("s").session_id == "s"


def test_a_forked_child_writes_through_the_store_it_inherited(url: str) -> None:
    with Store(url) as store:
        session = store.sessions.create(NewSession(session_id="s")).id

        def write() -> None:
            for _ in range(5):
                store.messages.append(session, [NewMessage(role=MessageRole.USER, content="child")])
            store.close()

        child = fork(write)
        for _ in range(5):
            store.messages.append(session, [NewMessage(role=MessageRole.USER, content="parent")])
        assert ended(child) == 0
        store.messages.append(session, [NewMessage(role=MessageRole.USER, content="after")])
        assert sequences(store, session) == list(range(1, 12))
        assert store.usage.recount() == ()
