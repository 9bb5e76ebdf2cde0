"""Runs, events and calls as their source tells them: numbered, replaced, deleted, named before they are known."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agentrecord.exceptions import AgentRecordError, Conflict, InvalidFilter, InvalidValue, NotFound
from agentrecord.records.error import NewError
from agentrecord.records.event import EventType, NewEvent
from agentrecord.records.llm_call import CallStatus, NewLLMCall, PromptPart
from agentrecord.records.message import MessageRole, NewMessage
from agentrecord.records.relation import RelationKind
from agentrecord.records.run import EXACT_CALLS, NewRun, ReportedTotals, RunContent, RunFigures, RunStatus
from agentrecord.records.session import NewSession
from agentrecord.records.tokens import TokenCounts
from agentrecord.records.tool_call import NewToolCall, ToolCallStatus
from faces import Facing, covers

AT = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
WHOLE = RunContent(
    status=RunStatus.COMPLETED, status_reason="done", agent_name="Agent", objective="ob", additional_context="{}",
    started_at=AT, finished_at=AT + timedelta(minutes=5), total_iterations=4,
    reported=ReportedTotals(llm_calls=1, tool_calls=2, input_tokens=3, output_tokens=4), final_synthesis_output="out",
    execution_history="[]", error_message="none", metadata='{"a": 1}',
)  # fmt: skip


@covers("runs.record", "runs.find")
def test_a_run_is_recorded_whole_in_whatever_state_and_numbered(store: Facing) -> None:
    for number, status in enumerate(RunStatus, 1):
        run = store.runs.record(f"r-{status}", RunContent(status=status), agent_id="a")
        assert (run.status, run.serial, run.agent_id, run.heartbeat_at) == (status, number, "a", None)
    run = store.runs.record("whole", WHOLE, agent_id="a")
    assert {name: getattr(run, name) for name in WHOLE.__slots__} == {
        name: getattr(WHOLE, name) for name in WHOLE.__slots__
    }
    assert store.runs.find("whole") == run


@covers("runs.record")
def test_a_run_id_is_taken_once(store: Facing) -> None:
    store.runs.record("r", RunContent())
    store.runs.start(NewRun(run_id="s"))
    for taken in ("r", "s"):
        with pytest.raises(Conflict):
            store.runs.record(taken, WHOLE)
    assert store.runs.find("r").objective is None
    assert store.rows_in("ar_runs") == 2


@covers("runs.replace")
def test_replacing_a_run_moves_its_figures_with_it(store: Facing) -> None:
    created = store.runs.record("r", RunContent(status=RunStatus.ERROR, total_iterations=9), agent_id="a").created_at
    replaced = store.runs.replace("r", WHOLE)
    assert (replaced.created_at, replaced.serial, replaced.agent_id) == (created, 1, "a")
    assert (replaced.status, replaced.final_synthesis_output) == (RunStatus.COMPLETED, "out")
    assert replaced.updated_at > created
    figures = store.runs.figures(agent_id="a")
    assert (figures.completed_runs, figures.error_runs, figures.total_iterations) == (1, 0, 4)
    days = store.sql("SELECT day, run_count, completed_runs, failed_runs FROM ar_activity_days WHERE run_count <> 0")
    assert days == [((AT - datetime(1970, 1, 1, tzinfo=UTC)).days, 1, 1, 0)]
    with pytest.raises(NotFound):
        store.runs.replace("unknown", WHOLE)


@covers("runs.record", "runs.replace")
@pytest.mark.parametrize(
    ("field", "wrong"),
    [("total_iterations", -1), ("metadata", "{"), ("objective", "\0"), ("started_at", datetime(2026, 1, 1))],
)
def test_what_cannot_be_stored_of_a_run_is_refused_and_nothing_is_kept(store: Facing, field: str, wrong: Any) -> None:
    store.runs.record("r", WHOLE)
    for call in (lambda c: store.runs.record("x", c, agent_id="new"), lambda c: store.runs.replace("r", c)):
        with pytest.raises(InvalidValue) as refused:
            call(RunContent(**{field: wrong}))
        assert refused.value.field == field
    assert store.rows_in("ar_agents") == 0
    assert store.runs.find("r").objective == "ob"


@covers("events.record_numbered", "events.named")
def test_events_are_numbered_and_stand_in_line_in_their_run(store: Facing) -> None:
    run = store.runs.record("r", RunContent())
    news = [
        NewEvent(event_type=f"e{n}", run_ref="r", agent_id="a", timestamp=AT - timedelta(hours=n)) for n in (1, 2, 3)
    ]
    stored = store.events.record_numbered(news)
    assert [(e.serial, e.run_sequence, e.run_uuid) for e in stored] == [(n, n, run.id) for n in (1, 2, 3)]
    assert store.events.record_numbered([NewEvent(event_type="e4", run_ref="r")])[0].run_sequence == 4
    named = store.events.named(run_id="r")
    assert [(n.event.event_type, n.agent_id, n.run_id) for n in named] == [
        ("e3", "a", "r"), ("e2", "a", "r"), ("e1", "a", "r"), ("e4", None, "r")
    ]  # fmt: skip
    assert [n.event.event_type for n in store.events.named(run_id="r", event_type="e2")] == ["e2"]
    assert store.events.record_numbered([]) == ()


@covers("events.record_all")
def test_a_batch_of_events_is_stored_as_one_by_one(store: Facing) -> None:
    session = store.sessions.create(NewSession(session_id="s")).id
    run = store.runs.start(NewRun(run_id="r", session_uuid=session)).id
    first = store.events.record(NewEvent(event_type="a", session_uuid=session, run_uuid=run, id=session))
    again, second, third = store.events.record_all(
        [
            NewEvent(event_type="a", session_uuid=session, run_uuid=run, id=session),
            NewEvent(event_type="b", session_uuid=session, run_uuid=run),
            NewEvent(event_type="c", session_uuid=session),
        ]
    )
    assert again == first
    assert (second.session_sequence, second.run_sequence) == (2, 2)
    assert (third.session_sequence, third.run_sequence) == (3, None)
    for wrong in (
        NewEvent(event_type=""),
        NewEvent(event_type="x", run_uuid=session),
        NewEvent(event_type="y", id=session),
    ):
        with pytest.raises(AgentRecordError):
            store.events.record_all([NewEvent(event_type="d", session_uuid=session), wrong])
    assert store.rows_in("ar_events") == 3
    assert store.events.record(NewEvent(event_type="d", session_uuid=session)).session_sequence == 4


@covers("events.record_numbered")
def test_an_event_that_tells_a_use_of_a_tool_is_one(store: Facing) -> None:
    run = store.runs.record("r", RunContent(), agent_id="a")
    told: list[tuple[str, object]] = [
        ("tool_call", {"tool_name": "t", "latency_ms": 30, "args": {"q": 1}, "result": "ok"}),
        ("tool_call", {"tool_name": "t", "latency_ms": 12.6, "error": "broken"}),
        (EventType.ACTION_EXECUTION_COMPLETED, {"action": "u", "duration_ms": 5, "result": {"status": "error"}}),
        ("tool_call", {"latency_ms": True}),
        ("tool_call", {"tool_name": " ", "latency_ms": "soon"}),
        ("tool_call", ["no object"]),
        ("custom", {"tool_name": "t"}),
    ]
    store.events.record_numbered(
        [
            NewEvent(event_type=kind, run_ref="r", agent_id="a", data=json.dumps(data), timestamp=AT)
            for kind, data in told
        ]
    )
    store.events.record_numbered([NewEvent(event_type="tool_call", run_ref="r", agent_id="a")])
    tools = {t.tool_name: (t.calls, t.errors, t.duration_ms_sum) for t in store.runs.figures(agent_id="a").tools}
    assert tools == {"t": (2, 1, 43), "u": (1, 1, 5), "unknown": (2, 0, 0)}
    uses = {u.tool_name: u for u in store.tool_calls.list(run=run.id, tool_name="t", status=ToolCallStatus.SUCCESS)}
    use = uses["t"]
    assert (use.arguments, use.result, use.duration_ms) == ('{"q":1}', "ok", 30)
    assert (use.started_at, use.finished_at) == (AT - timedelta(milliseconds=30), AT)
    assert store.runs.get("r").tool_error_count == 2


@covers("events.record_numbered", "llm_calls.record_numbered", "events.named", "llm_calls.named", "runs.record")
def test_what_names_an_unknown_run_becomes_its_own_when_it_comes(store: Facing) -> None:
    data = '{"tool_name": "t", "error": "x"}'
    early = store.events.record_numbered([NewEvent(event_type="tool_call", run_ref="r", data=data)])[0]
    store.llm_calls.record_numbered([NewLLMCall(model="m", run_ref="r", tokens=TokenCounts(input=7, output=2))])
    store.llm_calls.record(NewLLMCall(model="m", run_ref="r", tokens=TokenCounts(input=1, output=1)))
    store.events.record(NewEvent(event_type="e", run_ref=""))
    assert (early.run_uuid, early.run_ref) == (None, "r")
    assert [n.run_id for n in store.llm_calls.named(run_id="r")] == ["r", "r"]
    assert [n.event.id for n in store.events.named(run_id="r")] == [early.id]
    assert [n.event.event_type for n in store.events.named(run_id="")] == ["e"]
    run = store.runs.record("r", RunContent())
    found = store.runs.get("r")
    assert (found.usage.calls, found.usage.input_tokens, found.tool_call_count, found.tool_error_count) == (2, 8, 1, 1)
    event = store.events.named(run_id="r")[0].event
    assert (event.run_uuid, event.run_ref, event.run_sequence) == (run.id, None, 1)
    assert {n.call.run_uuid for n in store.llm_calls.named(run_id="r")} == {run.id}
    assert store.events.record(NewEvent(event_type="e", run_uuid=run.id)).run_sequence == 2
    later = store.runs.start(NewRun(run_id="other"))
    assert later.usage.calls == 0


@covers("runs.delete")
def test_deleting_a_run_takes_its_events_and_leaves_the_ledger(store: Facing) -> None:
    session = store.sessions.create(NewSession(session_id="s", agent_id="a")).id
    top = store.runs.start(NewRun(run_id="top", session_uuid=session))
    run = store.runs.start(NewRun(run_id="r", session_uuid=session, parent_uuid=top.id))
    child = store.runs.start(NewRun(run_id="child", parent_uuid=run.id))
    call = NewLLMCall(model="m", run_uuid=run.id, tokens=TokenCounts(input=1, output=1))
    store.messages.append(session, [NewMessage(role=MessageRole.USER, content="x", run_uuid=run.id)], calls=[call])
    use = store.tool_calls.record(NewToolCall(tool_name="t", session_uuid=session, run_uuid=run.id)).id
    store.tool_calls.finish(use, error_message="x", duration_ms=4)
    store.events.record_numbered([NewEvent(event_type="tool_call", run_ref="r", data='{"tool_name": "u"}')])
    store.errors.record(NewError(error_type="E", error_message="x", run_uuid=run.id))
    store.relations.relate(RelationKind.USED, "session", session, to_kind="run", to_uuid=run.id)
    store.runs.fail(run.id, "broken")
    assert store.runs.delete("r") is True
    assert store.runs.find("r") is None
    assert store.events.named(run_id="r") == ()
    kept = store.llm_calls.named(run_id="r")[0]
    assert (kept.run_id, kept.call.run_uuid, kept.call.run_ref) == ("r", None, "r")
    assert store.runs.get(child.id).parent_uuid is None
    assert store.runs.get(top.id).child_count == 0
    assert store.messages.list(session).items[0].run_uuid is None
    assert store.relations.of("session", session) == ()
    assert store.sessions.get("s").run_count == 1
    assert store.runs.figures(agent_id="a").tools == ()
    assert store.runs.delete("r") is False


@covers("runs.delete")
def test_deleting_a_run_that_never_was_takes_the_events_that_name_it(store: Facing) -> None:
    store.events.record_numbered([NewEvent(event_type="tool_call", run_ref="r", data='{"tool_name": "u"}')])
    assert store.runs.delete("r") is False
    assert store.events.named(run_id="r") == ()
    assert store.runs.figures().tools == ()


@covers("runs.latest")
def test_the_last_made_runs_come_first(store: Facing) -> None:
    for number in range(5):
        store.runs.record(f"r{number}", RunContent(), agent_id="ab"[number % 2])
    assert [run.run_id for run in store.runs.latest()] == ["r4", "r3", "r2", "r1", "r0"]
    assert [run.run_id for run in store.runs.latest(agent_id="a", limit=2)] == ["r4", "r2"]
    assert [run.run_id for run in store.runs.latest(limit=10**6, offset=3)] == ["r1", "r0"]
    assert store.runs.latest(agent_id="unknown") == store.runs.latest(limit=0) == ()
    for wrong in ({"limit": -1}, {"offset": -1}):
        with pytest.raises(InvalidFilter):
            store.runs.latest(**wrong)


@covers("llm_calls.record_numbered", "llm_calls.named")
def test_calls_are_numbered_and_read_with_their_prompts(store: Facing) -> None:
    store.runs.record("r", RunContent(), agent_id="runs-agent")
    first, second = store.llm_calls.record_numbered(
        [
            NewLLMCall(model="m", run_ref="r", agent_id="a", prompt="what?"),
            NewLLMCall(model="m", run_ref="r", status=CallStatus.ERROR, error_message="x"),
        ]
    )
    assert (first.serial, second.serial, second.agent_uuid) == (1, 2, None)
    parts = (PromptPart(role=MessageRole.USER, content="hi"), PromptPart(role=MessageRole.ASSISTANT, content="yes"))
    store.llm_calls.record_numbered([NewLLMCall(model="m", agent_id="a", prompt=parts)])
    chained, failed, asked = store.llm_calls.named()
    assert (asked.prompt, asked.agent_id, asked.run_id) == ("what?", "a", "r")
    assert (failed.prompt, failed.agent_id, failed.call.status) == (None, None, CallStatus.ERROR)
    assert json.loads(chained.prompt) == [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yes"}]
    assert [n.call.id for n in store.llm_calls.named(agent_id="a", run_id="r")] == [first.id]
    assert [n.call.serial for n in store.llm_calls.named(limit=1)] == [3]
    assert store.llm_calls.record_numbered([]) == ()
    reports = [NewLLMCall(model="m", dedup_key="k", tokens=TokenCounts(input=n, output=n)) for n in (1, 3, 2)]
    assert {call.serial for call in store.llm_calls.record_numbered(reports)} == {4}
    assert store.llm_calls.named(limit=1)[0].call.tokens.input == 3
    with pytest.raises(InvalidFilter):
        store.llm_calls.named(limit=-1)
    with pytest.raises(InvalidValue):
        store.llm_calls.record_numbered([NewLLMCall(model="m"), NewLLMCall(model="m", latency_ms=-1)])
    assert store.rows_in("ar_llm_calls") == 4


@covers("runs.figures")
def test_figures_of_runs_are_sums_over_all_time(store: Facing) -> None:
    assert store.runs.figures() == RunFigures()
    for number, status in enumerate((RunStatus.COMPLETED, RunStatus.COMPLETED, RunStatus.ERROR, RunStatus.RUNNING)):
        started = AT + timedelta(days=number)
        store.runs.record(
            f"r{number}", RunContent(status=status, total_iterations=number, started_at=started), agent_id="a"
        )
    store.runs.record("other", RunContent(total_iterations=10), agent_id="b")
    latencies = (100, 200, 300, 400, None)
    for latency in latencies:
        store.llm_calls.record_numbered(
            [NewLLMCall(model="m", agent_id="a", latency_ms=latency, tokens=TokenCounts(input=5, output=3))]
        )
    found = store.runs.figures(agent_id="a")
    assert (found.total_runs, found.completed_runs, found.error_runs, found.avg_iterations) == (4, 2, 1, 1.5)
    assert (found.usage.calls, found.usage.input_tokens, found.usage.output_tokens) == (5, 25, 15)
    assert (found.latency_p50_ms, found.latency_p75_ms, found.latency_p99_ms) == (250, 325, pytest.approx(397))
    assert store.runs.figures().total_runs == 5
    assert store.runs.figures(agent_id="unknown") == RunFigures()


@covers("runs.figures")
def test_percentiles_of_very_many_calls_are_near(store: Facing) -> None:
    calls = [NewLLMCall(model="m", agent_id="a", latency_ms=number) for number in range(1, EXACT_CALLS + 2)]
    store.llm_calls.record_numbered(calls)
    whole = store.runs.figures(agent_id="a")
    assert whole.latency_p50_ms == pytest.approx(EXACT_CALLS / 2, rel=0.09)
    assert whole.latency_p99_ms == pytest.approx(EXACT_CALLS * 0.99, rel=0.09)
    mine = store.scoped(user=store.users.list().items[0].external_id)
    assert mine.runs.figures(agent_id="a").latency_p50_ms == EXACT_CALLS / 2 + 1


@covers("runs.create", "runs.start", "runs.finish", "runs.fail")
def test_a_runs_figures_stand_on_the_day_it_started(store: Facing, clock: Any) -> None:
    store.runs.create(NewRun(run_id="r", agent_id="a"))
    failing = store.runs.create(NewRun(run_id="f", agent_id="a"))
    clock.advance(days=1)
    run = store.runs.start(NewRun(run_id="r"))
    clock.advance(days=1)
    store.runs.finish(run.id, total_iterations=3)
    store.runs.fail(failing.id, "never began")
    rows = store.sql(
        "SELECT run_count, completed_runs, failed_runs, run_iterations FROM ar_activity_days"
        " WHERE run_count <> 0 ORDER BY day"
    )
    assert rows == [(1, 0, 1, 0), (1, 1, 0, 3)]


@covers("runs.number", "events.number", "llm_calls.number")
def test_rows_get_their_integer_ids_when_they_are_first_shown(store: Facing) -> None:
    numbered = store.runs.record("numbered", RunContent())
    later = [store.runs.start(NewRun(run_id=name)) for name in ("a", "b")]
    assert [run.serial for run in later] == [None, None]
    ids = [later[1].id, numbered.id, later[0].id]
    assert store.runs.number(ids) == {numbered.id: 1, later[0].id: 2, later[1].id: 3}
    assert store.runs.number(ids) == {numbered.id: 1, later[0].id: 2, later[1].id: 3}
    assert store.runs.get("b").serial == 3
    event = store.events.record(NewEvent(event_type="e"))
    call = store.llm_calls.record(NewLLMCall(model="m"))
    assert store.events.number([event.id, call.id]) == {event.id: 1}
    assert store.llm_calls.number([call.id]) == {call.id: 1}
    assert store.llm_calls.number([]) == {}
    assert store.runs.record("next", RunContent()).serial == 4


@covers("runs.heartbeat", "runs.count_abandoned", "runs.close_abandoned")
def test_a_run_that_breaks_its_promise_to_tell_is_ended_as_an_error(store: Facing, clock: Any) -> None:
    lost = store.runs.start(NewRun(run_id="lost", agent_id="a"))
    quiet = store.runs.start(NewRun(run_id="quiet", agent_id="a"))
    alive = store.runs.start(NewRun(run_id="alive", agent_id="a"))
    store.llm_calls.record(NewLLMCall(model="m", run_uuid=lost.id, cost_nanos=7))
    for run in (lost, alive):
        store.runs.heartbeat(run.id, alive_s=60)
    last = store.runs.get(lost.id).heartbeat_at
    clock.advance(seconds=50)
    assert (store.runs.count_abandoned(), store.runs.close_abandoned()) == (0, ())
    store.runs.heartbeat(alive.id, alive_s=60)
    clock.advance(seconds=50)
    assert store.runs.count_abandoned() == 1
    (closed,) = store.runs.close_abandoned()
    assert (closed.run_id, closed.status, closed.status_reason) == ("lost", RunStatus.ERROR, "abandoned")
    assert (closed.finished_at, closed.usage.cost_nanos) == (last, 7)
    assert store.runs.figures(agent_id="a").error_runs == 1
    assert [store.runs.get(run.id).status for run in (quiet, alive)] == [RunStatus.RUNNING] * 2
    store.runs.finish(alive.id)
    clock.advance(days=1)
    assert store.runs.close_abandoned() == ()
    for wrong in (0, 10**9):
        with pytest.raises(InvalidValue):
            store.runs.heartbeat(quiet.id, alive_s=wrong)
