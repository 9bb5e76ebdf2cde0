"""Runs, events and tool calls: every transition, every idempotent record, the figures they move."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from agentrecord.exceptions import AgentRecordError, Conflict, InvalidTransition, NotFound
from agentrecord.ids import new_id
from agentrecord.records.event import EventType, NewEvent
from agentrecord.records.llm_call import CallStatus, NewLLMCall
from agentrecord.records.run import NewRun, Run, RunFilter, RunStatus
from agentrecord.records.session import NewSession
from agentrecord.records.tool_call import NewToolCall, ToolCallStatus
from faces import Facing, covers

STEPS: dict[RunStatus, Callable[[Facing, Run], Any]] = {
    RunStatus.PENDING: lambda store, run: store.runs.create(NewRun(run_id=run.run_id, id=run.id)),
    RunStatus.RUNNING: lambda store, run: store.runs.start(NewRun(run_id=run.run_id, id=run.id)),
    RunStatus.COMPLETED: lambda store, run: store.runs.finish(run.id, output="out", total_iterations=3),
    RunStatus.ERROR: lambda store, run: store.runs.fail(run.id, "broken"),
    RunStatus.CANCELLED: lambda store, run: store.runs.cancel(run.id, reason="enough"),
}


def run_in(store: Facing, status: RunStatus, name: str) -> Run:
    """Make a run that stands in `status`."""
    run: Run = store.runs.create(NewRun(run_id=name))
    if status in (RunStatus.RUNNING, RunStatus.COMPLETED):
        run = store.runs.start(NewRun(run_id=name))
    if status.is_final:
        run = STEPS[status](store, run)
    assert run.status is status
    return run


@covers("runs.create", "runs.start", "runs.finish", "runs.fail", "runs.cancel", "runs.get")
def test_a_run_takes_every_step_that_its_state_allows_and_no_other(store: Facing) -> None:
    for current in RunStatus:
        for wanted in RunStatus:
            run = run_in(store, current, f"{current}-{wanted}")
            again = wanted is current and not wanted.is_final
            if current.may_become(wanted) or again:
                assert STEPS[wanted](store, run).status is wanted
            else:
                with pytest.raises(InvalidTransition) as refused:
                    STEPS[wanted](store, run)
                assert (refused.value.current, refused.value.wanted) == (current, wanted)
                assert store.runs.get(run.id) == run


@covers("runs.find")
def test_a_run_is_read_back_as_it_was_started(store: Facing) -> None:
    session = store.sessions.create(NewSession(session_id="s", agent_id="bot")).id
    at = datetime(2026, 1, 1, tzinfo=UTC)
    new = NewRun(run_id="r", id=new_id(), objective="o 🙂", additional_context="c", session_uuid=session,
                 trace_id="t", metadata='{"a": 1}', started_at=at)  # fmt: skip
    run = store.runs.start(new)
    assert run == store.runs.get("r") == store.runs.find(run.id) == store.runs.find(str(run.id))
    assert (run.id, run.objective, run.additional_context, run.trace_id, run.metadata, run.started_at) == (
        new.id, "o 🙂", "c", "t", '{"a": 1}', at)  # fmt: skip
    assert (run.agent_id, run.session_id) == ("bot", "s")
    done = store.runs.finish(run.id, output="fine", total_iterations=2)
    assert (done.final_synthesis_output, done.total_iterations) == ("fine", 2)
    assert done.duration_ms == round((done.finished_at - at).total_seconds() * 1000)
    assert store.runs.find("nobody") is None
    assert store.sessions.get("s").run_count == 1


def test_a_run_id_belongs_to_one_run(store: Facing) -> None:
    first = store.runs.start(NewRun(run_id="r"))
    assert store.runs.start(NewRun(run_id="r")) == first
    for other in (NewRun(run_id="r", id=new_id()), NewRun(run_id="q", id=first.id)):
        with pytest.raises(Conflict):
            store.runs.start(other)
    with pytest.raises(NotFound):
        store.runs.start(NewRun(run_id="p", session_uuid=new_id()))
    with pytest.raises(NotFound):
        store.runs.start(NewRun(run_id="p", parent_uuid=new_id()))
    assert store.runs.list().total == 1
    uncounted = store.runs.list(counted=False)
    assert (uncounted.items, uncounted.total) == (store.runs.list().items, None)


@covers("runs.heartbeat")
def test_only_a_running_run_has_a_heartbeat(store: Facing) -> None:
    run = store.runs.start(NewRun(run_id="r"))
    store.runs.heartbeat(run.id)
    assert store.runs.get("r").heartbeat_at > run.heartbeat_at
    store.runs.finish(run.id)
    pending = store.runs.create(NewRun(run_id="p"))
    for resting in (run.id, pending.id):
        with pytest.raises(InvalidTransition):
            store.runs.heartbeat(resting)
    assert store.runs.get("p").started_at is None
    with pytest.raises(NotFound):
        store.runs.heartbeat(new_id())


@covers("runs.tree", "runs.list")
def test_runs_are_listed_filtered_and_walked(store: Facing) -> None:
    top = store.runs.start(NewRun(run_id="top", objective="Mend IT", agent_id="a"), user="anna")
    low = store.runs.start(NewRun(run_id="low", parent_uuid=top.id))
    other = store.runs.start(NewRun(run_id="other"), user="ben")
    store.llm_calls.record(NewLLMCall(model="m", run_uuid=low.id, cost_nanos=5, status=CallStatus.ERROR))
    store.runs.fail(other.id, "x")
    assert [r.run_id for r in store.runs.tree(top.id)] == ["top", "low"]
    assert low.user == "anna"
    assert store.runs.get("top", with_subtree=True).subtree.cost_nanos == 5

    def names(**wanted: Any) -> list[str]:
        return [r.run_id for r in store.runs.list(RunFilter(**wanted), sort="run_id")]

    assert names(words="mend it") == ["top"]
    assert names(user="anna") == ["low", "top"]
    assert names(agent_id="a") == ["low", "top"]
    assert names(status=RunStatus.ERROR) == ["other"]
    assert names(parent_uuid=top.id) == ["low"]
    assert names(include_children=False) == ["other", "top"]
    assert names(has_error=True) == ["low", "other"]
    assert names(has_error=False) == ["top"]
    assert names(since=low.started_at, until=other.started_at) == ["low"]
    assert [r.run_id for r in store.runs.list()] == ["other", "low", "top"]
    for sort in ("finished_at", "-cost", "tokens", "calls"):
        assert len(store.runs.list(sort=sort)) == 3


@covers("events.record", "events.list")
def test_events_count_within_their_session_and_within_their_run(store: Facing) -> None:
    session = store.sessions.create(NewSession(session_id="s")).id
    run = store.runs.start(NewRun(run_id="r", session_uuid=session)).id
    for where in ((session, None), (session, run), (None, run)):
        store.events.record(NewEvent(event_type=EventType.CUSTOM, session_uuid=where[0], run_uuid=where[1]))
    numbered = [(e.session_sequence, e.run_sequence) for e in store.events.list(sort="timestamp")]
    assert numbered == [(1, None), (2, 1), (None, 2)]
    assert [e.run_sequence for e in store.events.list(run=run, sort="run_sequence")] == [1, 2]
    assert [e.session_sequence for e in store.events.list(session=session, sort="-session_sequence")] == [2, 1]


@covers("events.get")
def test_an_event_is_stored_once_and_as_it_was_told(store: Facing) -> None:
    parent = store.events.record(NewEvent(event_type="own.type"))
    new = NewEvent(event_type="own.type", id=new_id(), data=json.dumps({"k": "\u2028"}, ensure_ascii=False),
                   duration_ms=3, agent_id="bot", agent_name="Bot", parent_event_uuid=parent.id, span_id="s",
                   timestamp=datetime(2026, 1, 1, tzinfo=UTC))  # fmt: skip
    first = store.events.record(new)
    assert first == store.events.record(new) == store.events.get(first.id)
    for name in ("data", "duration_ms", "agent_name", "parent_event_uuid", "span_id", "timestamp"):
        assert getattr(first, name) == getattr(new, name)
    with pytest.raises(Conflict):
        store.events.record(NewEvent(event_type="other", id=first.id))
    assert [e.id for e in store.events.list(event_type="own.type")] == [first.id, parent.id]
    with pytest.raises(NotFound):
        store.events.record(NewEvent(event_type="x", session_uuid=new_id()))


def started(store: Facing, **more: Any) -> Any:
    """Record that a tool was called."""
    return store.tool_calls.record(NewToolCall(tool_name="bash", **more))


@covers("tool_calls.record", "tool_calls.finish", "tool_calls.get", "tool_calls.list", "tool_calls.figures")
def test_a_tool_call_ends_once_and_is_counted(store: Facing) -> None:
    session = store.sessions.create(NewSession(session_id="s")).id
    run = store.runs.start(NewRun(run_id="r", session_uuid=session)).id
    at = datetime(2026, 3, 4, 9, tzinfo=UTC)
    good = started(store, session_uuid=session, run_uuid=run, arguments='{"x": 1.0}', call_ref="c", started_at=at)
    bad = started(store, session_uuid=session, started_at=at)
    pending = started(store, started_at=at)
    assert (good.status, good.arguments) == (ToolCallStatus.PENDING, '{"x": 1.0}')
    done = store.tool_calls.finish(good.id, result="r\r\n", finished_at=at + timedelta(milliseconds=250))
    assert (done.status, done.result, done.duration_ms) == (ToolCallStatus.SUCCESS, "r\r\n", 250)
    failed = store.tool_calls.finish(bad.id, error_message="boom", duration_ms=7)
    assert (failed.status, failed.error_message, failed.duration_ms) == (ToolCallStatus.ERROR, "boom", 7)
    for ended in (good, bad):
        with pytest.raises(InvalidTransition):
            store.tool_calls.finish(ended.id, result="again")
    with pytest.raises(NotFound):
        store.tool_calls.finish(new_id())
    assert store.tool_calls.get(good.id) == done
    (figures,) = store.tool_calls.figures()
    assert (figures.calls, figures.errors, figures.duration_ms_sum, figures.duration_count) == (3, 1, 257, 2)
    assert store.tool_calls.figures(since=at + timedelta(days=1)) == ()
    # A day that the range touches counts whole.
    assert store.tool_calls.figures(since=at, until=at + timedelta(hours=1))[0].calls == 3
    assert store.tool_calls.figures(until=at.replace(hour=0)) == ()
    assert store.tool_calls.list(since=at, until=at + timedelta(hours=1)).total == 3
    assert store.tool_calls.list(since=at + timedelta(hours=1)).total == store.tool_calls.list(until=at).total == 0
    assert [t.id for t in store.tool_calls.list(status=ToolCallStatus.PENDING)] == [pending.id]
    assert store.tool_calls.list(session=session).total == 2
    assert store.tool_calls.list(run=run, tool_name="bash").total == 1
    found = store.sessions.get("s")
    assert (found.tool_call_count, found.tool_error_count) == (2, 1)
    assert store.runs.get("r").tool_call_count == 1
    (day,) = store.usage.daily()
    assert day.unique_tools_used == 1


def test_the_same_tool_call_again_is_stored_once(store: Facing) -> None:
    new_call: UUID = new_id()
    first = started(store, id=new_call, arguments="{}")
    assert started(store, id=new_call, arguments="{}") == first
    for other in (NewToolCall(tool_name="edit", id=new_call, arguments="{}"),
                  NewToolCall(tool_name="bash", id=new_call, arguments="[]")):  # fmt: skip
        with pytest.raises(Conflict):
            store.tool_calls.record(other)
    assert store.tool_calls.figures()[0].calls == 1
    with pytest.raises(AgentRecordError):
        started(store, session_uuid=new_id())
