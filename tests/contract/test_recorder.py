"""The recorder: what happens in a block is in the record as it happened, on every engine, blocking and awaited."""

import asyncio
import json
import logging
import multiprocessing
import os
import threading
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agentrecord.engine import Connection
from agentrecord.exceptions import Conflict, Forbidden, InvalidValue, StoreUnavailable
from agentrecord.ids import new_id
from agentrecord.recorder import RunWriter, ToolUse
from agentrecord.recorder.buffer import ALIVE_S, BATCH, MOST_WAITING
from agentrecord.records.event import NewEvent
from agentrecord.records.llm_call import NewLLMCall
from agentrecord.records.run import NewRun, RunFilter, RunStatus
from agentrecord.records.scope import Role, Scope
from agentrecord.records.session import NewSession
from agentrecord.records.tokens import TokenCounts
from agentrecord.records.tool_call import ToolCallStatus
from agentrecord.store import AsyncStore, Store, runs
from faces import Facing
from forking import ended, fork

CALL = NewLLMCall(model="m", cost_nanos=5, tokens=TokenCounts(input=10, output=3))
ROUND = ("iteration_started", "planning_started", "planning_completed", "iteration_completed")
WRITES = ("acknowledged", "buffered")


async def settled(answer: Any) -> Any:
    """Return what a write of either face gave, awaited where it has to be."""
    return await answer if isinstance(answer, Awaitable) else answer


class Entered:
    """Enters a span of either face from an event loop."""

    def __init__(self, span: Any, *, awaited: bool) -> None:
        self._span = span
        self._awaited = awaited

    async def __aenter__(self) -> Any:
        return await self._span.__aenter__() if self._awaited else self._span.__enter__()

    async def __aexit__(self, *error: Any) -> None:
        if self._awaited:
            await self._span.__aexit__(*error)
        else:
            self._span.__exit__(*error)


def entering(store: Facing) -> Callable[[Any], Entered]:
    return lambda span: Entered(span, awaited=store.is_async)


def doing(store: Facing, work: Callable[[Any, Callable[[Any], Entered]], Any]) -> Any:
    """Run `work` with the store's recorder on the loop that the tests have."""
    return store.loop.run(work(store.inner.recorder, entering(store)))


def kinds(store: Facing, run_id: str) -> list[str]:
    run = store.runs.get(run_id).id
    return [event.event_type for event in store.events.list(run=run, sort="run_sequence", limit=200)]


@pytest.mark.parametrize("writes", WRITES)
def test_a_run_is_recorded_whole(store: Facing, writes: str) -> None:
    session = store.sessions.create(NewSession(session_id="s")).id

    async def work(recorder: Any, enter: Callable[[Any], Entered]) -> None:
        async with enter(
            recorder.run(agent_id="a", agent_name="A", objective="o", run_id="r", session=session, writes=writes,
                         metadata='{"k": 1}')
        ) as run:  # fmt: skip
            assert recorder.current is run
            await settled(run.event("note", {"k": [1, None]}))
            for _ in range(2):
                async with enter(run.iteration()), enter(run.phase("planning")):
                    await settled(run.llm_call(CALL))
            async with enter(run.tool("search", {"q": "x"})) as tool:
                tool.result = "found"
            with pytest.raises(KeyError):
                async with enter(run.tool("broken")):
                    raise KeyError("nothing")
            async with enter(run.phase("review")):
                pass
            run.output = "done"
        assert recorder.current is None

    doing(store, work)
    run = store.runs.get("r")
    assert (run.status, run.final_synthesis_output, run.total_iterations) == (RunStatus.COMPLETED, "done", 2)
    assert (run.agent_id, run.agent_name, run.objective, run.session_id, run.metadata) == (
        "a",
        "A",
        "o",
        "s",
        '{"k": 1}',
    )
    assert (run.usage.calls, run.usage.cost_nanos, run.tool_call_count, run.tool_error_count) == (2, 10, 2, 1)
    assert kinds(store, "r") == [
        "run_started", "note", *ROUND, *ROUND,
        "custom", "run_completed",
    ]  # fmt: skip
    events = store.events.list(run=run.id, sort="run_sequence", limit=200).items
    assert json.loads(events[1].data) == {"k": [1, None]}
    assert [json.loads(e.data) for e in events if e.event_type == "iteration_completed"] == [
        {"iteration": 1},
        {"iteration": 2},
    ]
    ended = [event for event in events if event.event_type in (*ROUND[2:], "custom")]
    assert [event.duration_ms is not None for event in ended] == [True] * 5
    assert {event.session_uuid for event in events} == {session}
    tools = {t.tool_name: t for t in store.tool_calls.list(run=run.id)}
    assert (tools["search"].result, tools["search"].arguments) == ("found", '{"q":"x"}')
    assert (tools["broken"].status, tools["broken"].error_message) == (ToolCallStatus.ERROR, "KeyError: 'nothing'")
    assert store.inner.recorder.failures == 0


@pytest.mark.parametrize("writes", WRITES)
def test_runs_nest_by_themselves(store: Facing, writes: str) -> None:
    async def work(recorder: Any, enter: Callable[[Any], Entered]) -> None:
        async with enter(recorder.run(run_id="top", writes=writes)):
            async with enter(recorder.run(run_id="child")) as child:
                assert child.parent.run_id == "top"
                assert child.to.buffered is (writes == "buffered")
                await settled(child.llm_call(CALL))

            async def beside(name: str) -> None:
                async with enter(recorder.run(run_id=name)):
                    await asyncio.sleep(0)

            await asyncio.gather(beside("left"), beside("right"))
        async with enter(recorder.run(run_id="after")) as after:
            assert after.parent is None

    doing(store, work)
    top = store.runs.get("top", with_subtree=True)
    assert {run.run_id for run in store.runs.list(RunFilter(parent_uuid=top.id))} == {"child", "left", "right"}
    assert (top.child_count, top.usage.calls, top.subtree.calls) == (3, 0, 1)
    assert kinds(store, "top").count("subagent_run_started") == kinds(store, "top").count("subagent_run_completed") == 3


@pytest.mark.parametrize("writes", WRITES)
def test_an_exception_ends_a_run_as_an_error_and_flies_on(store: Facing, writes: str) -> None:
    async def work(recorder: Any, enter: Callable[[Any], Entered]) -> None:
        async with enter(recorder.run(run_id="r", agent_id="a", writes=writes)) as run, enter(run.iteration()):
            await settled(run.llm_call(CALL))
            _ = 1 / 0

    with pytest.raises(ZeroDivisionError):
        doing(store, work)
    run = store.runs.get("r")
    assert (run.status, run.error_message) == (RunStatus.ERROR, "ZeroDivisionError: division by zero")
    assert (run.usage.cost_nanos, kinds(store, "r")[-2:]) == (5, ["iteration_completed", "run_error"])
    (error,) = store.errors.list(group=store.errors.groups().items[0].id)
    assert (error.error_type, error.run_uuid) == ("ZeroDivisionError", run.id)
    assert "test_recorder" in error.stack_trace


@pytest.mark.parametrize("writes", WRITES)
def test_a_cancellation_ends_a_run_as_cancelled(store: Facing, writes: str) -> None:
    async def work(recorder: Any, enter: Callable[[Any], Entered]) -> None:
        begun = asyncio.Event()

        async def agent() -> None:
            async with enter(recorder.run(run_id="r", writes=writes)):
                begun.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(agent())
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    doing(store, work)
    assert store.runs.get("r").status is RunStatus.CANCELLED
    assert kinds(store, "r") == ["run_started", "run_error"]


def test_what_is_refused_is_refused_at_once_and_leaves_no_run_behind(store: Facing) -> None:
    async def work(recorder: Any, enter: Callable[[Any], Entered]) -> None:
        for wrong in ({"writes": "sometimes"}, {"run_id": "\0"}):
            with pytest.raises(InvalidValue):
                async with enter(recorder.run(**wrong)):
                    raise AssertionError("entered")
        assert recorder.current is None
        async with enter(recorder.run(run_id="r", writes="buffered")) as run:
            for refused in (lambda: run.event(""), lambda: run.event("e", {"x": float("nan")}), lambda: run.tool(" ")):
                with pytest.raises(InvalidValue):
                    refused()
        with pytest.raises(Conflict):
            async with enter(recorder.run(run_id="r")):
                raise AssertionError("entered")
        assert recorder.current is None

    doing(store, work)
    assert store.rows_in("ar_runs") == 1
    with pytest.raises(Forbidden):
        store.scoped(role=Role.READ).inner.recorder.run()
    with pytest.raises(Forbidden):
        store.scoped(role=Role.READ).inner.recorder.traced(print)


def test_a_buffered_write_that_cannot_be_stored_is_counted_and_harms_no_other(
    store: Facing, caplog: pytest.LogCaptureFixture
) -> None:
    async def work(recorder: Any, enter: Callable[[Any], Entered]) -> None:
        async with enter(recorder.run(run_id="r", writes="buffered")) as run:
            await settled(run.event("before"))
            for _ in range(2):
                await settled(run.llm_call(NewLLMCall(model="m", latency_ms=-1)))
            await settled(run.event("after"))
        assert recorder.failures == 2

    with caplog.at_level(logging.WARNING):
        doing(store, work)
    assert kinds(store, "r") == ["run_started", "before", "after", "run_completed"]
    assert len([r for r in caplog.records if r.name == "agentrecord.recorder"]) == 1


def test_traced_functions_tell_of_every_call(store: Facing) -> None:
    async def work(recorder: Any, enter: Callable[[Any], Entered]) -> None:
        @recorder.traced
        def double(number: int) -> int:
            """Double it."""
            return 2 * number

        @recorder.traced
        async def fail() -> None:
            raise ValueError("no")

        assert (double(4), double.__doc__) == (8, "Double it.")
        async with enter(recorder.run(run_id="r")):
            assert double(number=5) == 10
            with pytest.raises(ValueError, match="no"):
                await fail()
        await settled(recorder.flush())

    doing(store, work)
    inside = [e for e in store.events.list(run=store.runs.get("r").id, limit=200) if e.event_type == "custom"]
    told = [json.loads(event.data) for event in sorted(inside, key=lambda event: event.id)]
    assert [set(one) for one in told] == [{"function"}, {"function", "error"}]
    assert told[0]["function"].endswith("double")
    assert told[1]["error"] == "ValueError: no"
    assert len(store.events.list(event_type="custom").items) == 3


def test_a_run_gives_signs_of_life_until_it_ends(store: Facing, clock: Any) -> None:
    async def work(recorder: Any, enter: Callable[[Any], Entered]) -> None:
        run = recorder.run(run_id="r")
        await Entered(run, awaited=store.is_async).__aenter__()
        clock.advance(seconds=ALIVE_S - 1)
        recorder.buffer.beat()

    doing(store, work)
    clock.advance(seconds=ALIVE_S - 1)
    assert store.runs.close_abandoned() == ()
    clock.advance(seconds=2)
    assert [run.run_id for run in store.runs.close_abandoned()] == ["r"]
    store.inner.recorder.buffer.beat()
    assert store.inner.recorder.failures == 1


def test_an_awaited_store_is_not_entered_without_awaiting() -> None:
    store = AsyncStore("memory:")
    with pytest.raises(TypeError, match="async with"), store.recorder.run():
        raise AssertionError("entered")
    store.close()


def test_closing_the_store_writes_what_waits(tmp_path: Path) -> None:
    path = str(tmp_path / "record.db")
    store = Store(path)
    run: RunWriter[None] = store.recorder.run(run_id="r", writes="buffered")
    scoped = store.scoped(user="anna")
    traced = scoped.recorder.traced(len)
    with run:
        use: ToolUse[None] = run.tool("t")
        with use:
            use.result = 1
    run.event("late")
    assert traced([1]) == 1
    store.close()
    with pytest.raises(StoreUnavailable):
        run.event("too late")
    with Store(path) as again:
        types = {event.event_type for event in again.events.list(limit=200)}
        assert types == {"run_started", "run_completed", "late", "custom"}


def test_what_waits_is_written_within_a_moment_by_itself(tmp_path: Path) -> None:
    with Store(str(tmp_path / "record.db")) as store, store.recorder.run(run_id="r", writes="buffered") as run:
        run.event("e")
        until = time.monotonic() + 30
        while store.events.list(event_type="e").items == [] and time.monotonic() < until:
            os.sched_yield()
        assert len(store.events.list(event_type="e").items) == 1


def away(sql: str) -> None:
    """Be a database that does not answer."""
    raise StoreUnavailable("away")


def test_what_waits_while_the_database_is_away_is_written_once_when_it_is_back() -> None:
    with Store("memory:") as store:
        with store.recorder.run(run_id="r", writes="buffered") as run:
            store.engine.observer = away
            for number in range(BATCH + 50):
                run.event(f"e{number}")
            with pytest.raises(StoreUnavailable):
                store.recorder.flush()
            store.engine.observer = None
        found = store.events.list(run=run.id, sort="run_sequence", limit=200)
        rest = store.events.list(run=run.id, sort="run_sequence", limit=200, cursor=found.next_cursor)
        told = [event.event_type for event in (*found, *rest)]
        assert told == ["run_started", *[f"e{number}" for number in range(BATCH + 50)], "run_completed"]
        assert store.recorder.failures == 0


class CutOff(list[Any]):
    """What waits, where Ctrl-C comes once between the commit of a batch and its end."""

    is_cut = False

    def __delitem__(self, place: Any) -> None:
        if not self.is_cut:
            self.is_cut = True
            raise KeyboardInterrupt
        super().__delitem__(place)


def test_a_batch_that_is_cut_off_once_it_is_recorded_is_no_failure(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING), Store(str(tmp_path / "record.db")) as store:
        buffer, run = store.recorder.buffer, new_id()
        # No thread of its own: what waits is written here.
        buffer._thread = threading.current_thread()
        buffer.put(lambda conn, scope: runs.start(conn, scope, NewRun(run_id="r", id=run)))
        buffer.put(NewEvent(id=new_id(), event_type="work", run_uuid=run))
        buffer.put(lambda conn, scope: runs.finish(conn, scope, run))
        waiting = buffer._waiting = CutOff(buffer._waiting)
        with pytest.raises(KeyboardInterrupt):
            buffer.flush()
        assert len(waiting) == 3, "it waits on"
        assert store.runs.get("r").status is RunStatus.COMPLETED, "though it is recorded"
        buffer.flush()
        assert (buffer.failures, len(waiting)) == (0, 0)
        assert [event.event_type for event in store.events.list(run=run)] == ["work"]
        buffer.put(lambda conn, scope: runs.finish(conn, scope, run))
        buffer.flush()
        assert buffer.failures == 1, "what is refused the first time is told of"
    assert len([record for record in caplog.records if record.name == "agentrecord.recorder"]) == 1


def test_more_than_can_wait_is_counted_as_lost(caplog: pytest.LogCaptureFixture) -> None:
    store = Store("memory:")
    run = store.recorder.run(run_id="r", writes="buffered")

    def overflow() -> None:
        with run:
            store.engine.observer = away
            for _ in range(MOST_WAITING + 3):
                run.event("e")
            assert store.recorder.failures == 3

    with caplog.at_level(logging.WARNING):
        with pytest.raises(StoreUnavailable, match="away"):
            overflow()
        store.close()
    assert store.recorder.failures >= MOST_WAITING
    assert any("are lost" in record.message for record in caplog.records)


def leave_without_closing(path: str) -> None:
    store = Store(path)
    store.recorder.run(run_id="r", writes="buffered").__enter__().event("at exit")


def die(path: str) -> None:
    store = Store(path)
    run = store.recorder.run(run_id="r", writes="acknowledged").__enter__()
    run.llm_call(CALL)
    os._exit(9)


def test_a_process_that_ends_without_closing_writes_what_waits(tmp_path: Path) -> None:
    path = str(tmp_path / "record.db")
    process = multiprocessing.get_context("spawn").Process(target=leave_without_closing, args=(path,))
    process.start()
    process.join(120)
    assert process.exitcode == 0
    with Store(path) as store:
        assert len(store.events.list(event_type="at exit").items) == 1


def test_a_run_whose_process_died_keeps_its_cost_and_is_closed(tmp_path: Path) -> None:
    path = str(tmp_path / "record.db")
    process = multiprocessing.get_context("spawn").Process(target=die, args=(path,))
    process.start()
    process.join(120)
    assert process.exitcode == 9

    class Later:
        def now(self) -> Any:
            from agentrecord.clock import SystemClock

            return SystemClock().now() + timedelta(seconds=ALIVE_S + 1)

    with Store(path, clock=Later()) as store:
        assert store.runs.get("r").status is RunStatus.RUNNING
        (closed,) = store.runs.close_abandoned()
        assert (closed.status_reason, closed.usage.cost_nanos) == ("abandoned", 5)


def test_a_fork_leaves_to_its_parent_what_waits(tmp_path: Path) -> None:
    path = str(tmp_path / "record.db")
    with Store(path) as store:

        def tell() -> None:
            run.event("child")
            store.recorder.flush()

        with store.recorder.run(run_id="r", writes="buffered") as run:
            run.event("parent")
            assert ended(fork(tell)) == 0
        assert sorted(kinds_of(store, "r")) == ["child", "parent", "run_completed", "run_started"]


def test_a_fork_while_a_batch_is_written_leaves_no_lock_behind(tmp_path: Path) -> None:
    """Of a thread that the child does not have, a lock would be held for ever."""
    written, may_end = threading.Event(), threading.Event()

    def slowly(conn: Connection, scope: Scope) -> None:
        written.set()
        may_end.wait(0.5)

    with Store(str(tmp_path / "record.db")) as store:

        def tell() -> None:
            run.event("child")
            store.recorder.flush()

        with store.recorder.run(run_id="r", writes="buffered") as run:
            writing = threading.Thread(target=store.run, args=(slowly,))
            writing.start()
            assert written.wait(60)
            run.event("parent")
            flushing = threading.Thread(target=store.recorder.flush)
            flushing.start()
            assert ended(fork(tell)) == 0
            flushing.join(60)
            writing.join(60)
        assert sorted(kinds_of(store, "r")) == ["child", "parent", "run_completed", "run_started"]


def kinds_of(store: Store, run_id: str) -> list[str]:
    return [event.event_type for event in store.events.list(run=store.runs.get(run_id).id, limit=200)]
