"""Failed uses of tools and failed calls are errors in groups of their own, each once, and follow what they are of."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agentrecord.exceptions import NotFound
from agentrecord.ids import derived_id, new_id
from agentrecord.ingest.otlp_facts import derive
from agentrecord.records.error import ErrorGroup, ErrorKind, ErrorRecord, ErrorStatus, NewError
from agentrecord.records.event import NewEvent
from agentrecord.records.exchange import Carried, FactKind
from agentrecord.records.llm_call import CallStatus, NewLLMCall
from agentrecord.records.message import MessageRole, NewMessage
from agentrecord.records.run import NewRun, RunContent
from agentrecord.records.session import NewSession
from agentrecord.records.tokens import TokenCounts
from agentrecord.records.tool_call import NewToolCall
from agentrecord.records.transcript import (
    CallFact,
    ErrorFact,
    Identified,
    ImportBatch,
    MessageFact,
    RunFact,
    SessionFact,
    ToolCallFact,
    ToolResultFact,
)
from faces import Facing, covers
from held_clock import HeldClock
from otlp_requests import event, received, span
from rich_record import leaving

AT = datetime(2026, 1, 1, tzinfo=UTC)


def failed_use(store: Facing, words: str = "no such order 17", *, tool: str = "refund", **where: Any) -> Any:
    """Record a use of a tool that failed; return it."""
    use = store.tool_calls.record(NewToolCall(tool_name=tool, **where))
    return store.tool_calls.finish(use.id, error_message=words)


def failed_call(store: Facing, words: str | None = "overloaded 529", **more: Any) -> Any:
    """Record a call that failed; return it."""
    return store.llm_calls.record(NewLLMCall(model="m", status=CallStatus.ERROR, error_message=words, **more))


def occurrences(store: Facing, **asked: Any) -> list[ErrorRecord]:
    """Return every error, derived ones too, the oldest first."""
    return list(store.errors.list(derived=True, sort="created_at", **asked))


def groups(store: Facing) -> list[tuple[ErrorKind, str, str, int]]:
    """Return what the groups of errors are of, and how often they were met."""
    found = [(g.kind, g.error_type, g.error_message, g.count) for g in store.errors.groups(include_resolved=True)]
    assert store.usage.recount() == ()
    return sorted(found)


@covers("errors.groups", "errors.list", "errors.group_facets", "errors.group_values", "errors.group_sums")
def test_what_fails_forms_groups_by_kind_name_and_words_without_numbers(store: Facing) -> None:
    failed_use(store, "no such order 17")
    failed_use(store, "no such order 18")
    failed_use(store, "no such order 18", tool="lookup")
    failed_call(store, "overloaded 529")
    store.errors.record(NewError(error_type="m", error_message="overloaded 1"))
    assert groups(store) == [
        (ErrorKind.AGENT, "m", "overloaded 1", 1),
        (ErrorKind.LLM, "m", "overloaded 529", 1),
        (ErrorKind.TOOL, "lookup", "no such order 18", 1),
        (ErrorKind.TOOL, "refund", "no such order 17", 2),
    ]
    facets = {one.word: {v.value: v.count for v in one.values} for one in store.errors.group_facets().facets}
    assert facets["kind"] == {"tool": 2, "agent": 1, "llm": 1}
    assert store.errors.group_values("kind", prefix="t") == ("tool",)
    assert store.errors.group_values("tool") == ("lookup", "refund")

    def found(query: str) -> list[str]:
        assert store.errors.group_sums(query=query).groups == store.errors.groups(query=query).total
        return sorted(g.error_type for g in store.errors.groups(query=query))

    assert (found("kind:tool"), found("tool:ref*"), found("kind:llm")) == (["lookup", "refund"], ["refund"], ["m"])
    assert found("-kind:tool") == ["m", "m"]
    assert [one.kind for one in store.errors.list(kind=ErrorKind.TOOL)] == []
    assert [one.tool_name for one in store.errors.list(kind=ErrorKind.LLM, derived=True)] == [None]


def test_only_told_errors_are_counted_as_errors_and_listed_unless_all_are_asked_for(store: Facing) -> None:
    session = store.sessions.create(NewSession(session_id="s")).id
    use = failed_use(store, session_uuid=session)
    call = failed_call(store, session_uuid=session)
    told = store.errors.record(NewError(error_type="E", error_message="told", session_uuid=session))
    assert [one.id for one in store.errors.list()] == [told.id]
    assert {(e.kind, e.tool_call_uuid, e.llm_call_uuid, e.is_derived) for e in occurrences(store, session=session)} == {
        (ErrorKind.AGENT, None, None, False), (ErrorKind.TOOL, use.id, None, True), (ErrorKind.LLM, None, call.id, True)
    }  # fmt: skip
    assert (store.sessions.get("s").error_count, store.sessions.get("s").tool_error_count) == (1, 1)
    assert store.usage.recount() == ()


@pytest.mark.parametrize("is_told_first", [False, True])
def test_an_error_that_names_the_failed_use_or_call_stands_for_it(store: Facing, *, is_told_first: bool) -> None:
    use, call = store.tool_calls.record(NewToolCall(tool_name="refund")), new_id()
    errors = (
        NewError(error_type="OrderError", error_message="gone", kind=ErrorKind.TOOL, tool_call_uuid=use.id),
        NewError(error_type="Overloaded", error_message="busy", kind=ErrorKind.LLM, llm_call_uuid=call),
    )
    failed_call(store, id=call)
    for step in ("tell", "fail") if is_told_first else ("fail", "tell"):
        if step == "tell":
            for error in errors:
                store.errors.record(error)
        else:
            store.tool_calls.finish(use.id, error_message="OrderError: gone")
    assert groups(store) == [(ErrorKind.LLM, "Overloaded", "busy", 1), (ErrorKind.TOOL, "OrderError", "gone", 1)]
    assert [e.tool_name for e in store.errors.list(kind=ErrorKind.TOOL)] == ["refund"]
    assert [g.error_type for g in store.errors.groups(query="tool:refund")] == ["OrderError"]
    for wrong in ({"tool_call_uuid": new_id()}, {"llm_call_uuid": new_id()}):
        with pytest.raises(NotFound):
            store.errors.record(NewError(error_type="E", error_message="m", **wrong))


def test_another_users_error_does_not_hide_a_failure(store: Facing) -> None:
    use = store.tool_calls.record(NewToolCall(tool_name="refund"), user="anna")
    store.tool_calls.finish(use.id, error_message="no")
    store.errors.record(NewError(error_type="E", error_message="x", tool_call_uuid=use.id), user="ben")
    assert [g.error_type for g in store.scoped(user="anna").errors.groups()] == ["refund"]
    assert [g.error_type for g in store.scoped(user="ben").errors.groups()] == ["E"]
    assert store.usage.recount() == ()


def test_a_user_sees_their_own_failures_in_their_own_words(store: Facing) -> None:
    for user, number in (("anna", 41), ("ben", 7), ("ben", 8)):
        use = store.tool_calls.record(NewToolCall(tool_name="refund"), user=user)
        store.tool_calls.finish(use.id, error_message=f"order {number} is locked")
    assert groups(store) == [(ErrorKind.TOOL, "refund", "order 41 is locked", 3)]
    (seen,) = store.scoped(user="ben").errors.groups()
    assert (seen.count, seen.kind, seen.tool_name) == (2, ErrorKind.TOOL, "refund")
    assert "41" not in seen.error_message


@pytest.mark.parametrize(
    ("told", "message", "group"),
    [
        ("<tool_use_error>File does not exist.</tool_use_error>", "File does not exist.", "File does not exist."),
        (
            "╭───╮\n  \nExit code 2\nls: no such file  \n",
            "╭───╮\n\nExit code 2\nls: no such file",
            "Exit code 2\nls: no such file",
        ),
        ("x" * 3000, "x" * 2000, "x" * 300),
        ("", "failed without a message", "failed without a message"),
    ],
)
def test_a_failure_says_the_beginning_of_its_words_and_is_grouped_by_the_first_line(
    store: Facing, told: str, message: str, group: str
) -> None:
    failed_use(store, told)
    assert [one.error_message for one in occurrences(store)] == [message]
    assert groups(store) == [(ErrorKind.TOOL, "refund", group, 1)]


def test_a_failure_that_is_met_again_opens_its_group_as_regressed(store: Facing, clock: HeldClock) -> None:
    failed_use(store)
    (group,) = store.errors.groups()
    assert store.errors.resolve(group.fingerprint).is_resolved
    assert [one.is_resolved for one in occurrences(store)] == [True]
    clock.advance(hours=1)
    failed_use(store)
    (again,) = store.errors.groups()
    assert (again.id, again.status, again.count) == (group.id, ErrorStatus.REGRESSED, 2)


def test_what_failed_before_its_group_was_resolved_and_is_told_later_is_resolved_too(
    store: Facing, clock: HeldClock
) -> None:
    failed_use(store)
    told = NewError(error_type="E", error_message="m")
    store.errors.record(told)
    for group in store.errors.groups():
        store.errors.resolve(group.fingerprint)
    clock.advance(hours=1)
    before = clock.at - timedelta(days=9)
    use = store.tool_calls.record(NewToolCall(tool_name="refund", started_at=before))
    store.tool_calls.finish(use.id, error_message="no such order 17", finished_at=before)
    store.errors.record(replace(told, created_at=before))
    found = store.errors.groups(include_resolved=True).items
    assert [(one.status, one.count, one.first_seen_at) for one in found] == [(ErrorStatus.RESOLVED, 2, before)] * 2
    assert {one.is_resolved for one in occurrences(store)} == {True}
    store.errors.record(told)
    assert [(one.error_type, one.status) for one in store.errors.groups()] == [("E", ErrorStatus.REGRESSED)]


def test_a_turn_with_a_failed_call_is_met_too(store: Facing) -> None:
    session = store.sessions.create(NewSession(session_id="s")).id
    answer = NewMessage(role=MessageRole.ASSISTANT, content="…")
    calls = [NewLLMCall(model="m", status=CallStatus.ERROR, error_message=f"busy {n}") for n in range(2)]
    store.messages.append(session, [answer], calls=[*calls, NewLLMCall(model="m")])
    store.messages.append(session, [answer], calls=[NewLLMCall(model="m", dedup_key="k", status=CallStatus.ERROR)])
    assert groups(store) == [(ErrorKind.LLM, "m", "busy 0", 2), (ErrorKind.LLM, "m", "failed without a message", 1)]


def test_a_larger_report_of_a_call_takes_its_failure_away_and_brings_it_back(store: Facing) -> None:
    def report(status: CallStatus, output: int, words: str | None = None) -> None:
        store.llm_calls.record(
            NewLLMCall(model="m", dedup_key="k", tokens=TokenCounts(output=output), status=status, error_message=words)
        )

    report(CallStatus.ERROR, 1, "cut off")
    assert groups(store) == [(ErrorKind.LLM, "m", "cut off", 1)]
    report(CallStatus.ERROR, 2, "cut off again")
    assert groups(store) == [(ErrorKind.LLM, "m", "cut off again", 1)]
    report(CallStatus.SUCCESS, 3)
    assert (groups(store), occurrences(store)) == ([], [])
    report(CallStatus.ERROR, 4, "at last")
    assert groups(store) == [(ErrorKind.LLM, "m", "at last", 1)]


@covers("runs.record", "runs.delete")
def test_a_failure_goes_to_the_run_that_comes_later_and_leaves_with_it(store: Facing) -> None:
    failed_call(store, run_ref="r")
    store.events.record_numbered(
        [NewEvent(event_type="tool_call", run_ref="r", data='{"tool_name": "t", "error": "no"}')]
    )
    assert {one.run_id for one in occurrences(store)} == {None}
    run = store.runs.record("r", RunContent())
    assert {one.run_uuid for one in occurrences(store)} == {run.id}
    told = store.errors.record(
        NewError(error_type="E", error_message="m", run_uuid=run.id, tool_call_uuid=store.tool_calls.list().items[0].id)
    )
    assert [g[:2] for g in groups(store)] == [(ErrorKind.AGENT, "E"), (ErrorKind.LLM, "m")]
    assert store.runs.delete("r")
    assert {(one.error_type, one.run_uuid, one.tool_call_uuid) for one in occurrences(store)} == {
        ("E", None, None), ("m", None, None)
    }  # fmt: skip
    assert store.errors.get(told.id).tool_call_uuid is None
    assert store.usage.recount() == ()


def test_deleting_a_session_empties_its_failures_and_keeps_their_count(store: Facing) -> None:
    session = store.sessions.create(NewSession(session_id="s")).id
    use = store.tool_calls.record(NewToolCall(tool_name="refund", session_uuid=session))
    failed_use(store, "secret", session_uuid=session)
    store.sessions.delete(session)
    assert [(one.error_message, one.is_derived) for one in occurrences(store)] == [("", True)]
    store.tool_calls.finish(use.id, error_message="secret of one that ended later")
    assert [one.error_message for one in occurrences(store)] == [""]
    assert [g.count for g in store.errors.groups()] == [1]
    assert store.usage.recount() == ()


def test_words_that_are_taken_out_of_a_session_are_not_left_in_the_group_which_tells_another_failures(
    store: Facing,
) -> None:
    first, other = (store.sessions.create(NewSession(session_id=name)).id for name in "ab")
    failed_use(store, "secret 17\nmore", session_uuid=first)
    store.errors.record(NewError(error_type="E", error_message="secret told", session_uuid=first))
    failed_use(store, "secret 18\nall of it", session_uuid=other)
    failed_use(store, "secret only here", session_uuid=first)
    store.sessions.delete(first)
    expected = [
        (ErrorKind.AGENT, "E", "", 1), (ErrorKind.TOOL, "refund", "", 1), (ErrorKind.TOOL, "refund", "secret 18", 2)
    ]  # fmt: skip
    assert groups(store) == expected
    store.errors.record(NewError(error_type="E", error_message="secret told"))
    store.messages.clear(other)
    assert groups(store) == [
        (ErrorKind.AGENT, "E", "secret told", 2), (ErrorKind.TOOL, "refund", "", 1), (ErrorKind.TOOL, "refund", "", 2)
    ]  # fmt: skip


# -- imports ---------------------------------------------------------------------------------------------------------


def identified(kind: str, key: str, **more: Any) -> Identified:
    """Return the identity of a fact."""
    return Identified(row_id=derived_id(AT, kind, key), **more)


def batches() -> list[ImportBatch]:
    """Return a transcript in pieces: a use that fails, its result in a message, a call that fails, and its error."""
    more: dict[str, Any] = {
        "source": "pi", "path": "/t.jsonl",
        "sessions": (SessionFact(session_id="s", created_at=AT, tool_name="pi"),),
        "runs": (RunFact(session_id="s", run_id="r", started_at=AT),),
    }  # fmt: skip
    said = MessageFact(
        session_id="s", key="m", role=MessageRole.TOOL, content="Exit code 1\nno such file", created_at=AT, run_id="r"
    )
    use = ToolCallFact(session_id="s", run_id="r", call_ref="t", tool_name="bash", started_at=AT)
    result = ToolResultFact(session_id="s", call_ref="t", finished_at=AT + timedelta(seconds=1), is_error=True)
    call = CallFact(session_id="s", run_id="r", dedup_key="k", timestamp=AT, model="m", host="h", tokens=TokenCounts(),
                    status=CallStatus.ERROR, error_message="busy")  # fmt: skip
    error = ErrorFact(session_id="s", key="e", error_type="api_error", error_message="busy", created_at=AT,
                      kind=ErrorKind.LLM, run_id="r")  # fmt: skip
    message = identified("message", "m")
    return [
        ImportBatch(**more, messages=((message, said),), tool_calls=((identified("tool", "t"), use),)),
        ImportBatch(**more, tool_results=((identified("result", "t", message_uuid=message.row_id), result),)),
        ImportBatch(**more, calls=((identified("call", "k"), call),)),
        ImportBatch(**more, errors=((identified("error", "e", llm_call_uuid=identified("call", "k").row_id), error),)),
    ]


IMPORTED = [(ErrorKind.LLM, "api_error", "busy", 1), (ErrorKind.TOOL, "bash", "Exit code 1\nno such file", 1)]


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 0, 1), (2, 0, 3, 1)])
def test_an_import_in_any_order_and_twice_is_each_failure_once(store: Facing, order: tuple[int, ...]) -> None:
    told = batches()
    for place in (*order, *order):
        store.imports.load(told[place])
    assert groups(store) == IMPORTED
    found = {one.kind: one for one in occurrences(store)}
    assert found[ErrorKind.TOOL].error_message == "Exit code 1\nno such file"
    assert found[ErrorKind.TOOL].created_at == AT + timedelta(seconds=1)
    assert not found[ErrorKind.LLM].is_derived
    assert [one.id for one in store.errors.list()] == [found[ErrorKind.LLM].id]


def test_a_failure_says_what_the_message_of_its_result_says_now(store: Facing) -> None:
    for batch in batches()[:2]:
        store.imports.load(batch)
    (message,) = store.messages.list(store.sessions.get("s").id)
    store.messages.edit(message.id, "Permission denied")
    assert groups(store) == [(ErrorKind.TOOL, "bash", "Permission denied", 1)]
    sent = leaving(store)
    late = [one for one in sent if one.kind is FactKind.MESSAGE]
    other = store.scoped(project="other")
    other.exchange.restore([one for one in sent if one not in late])
    other.exchange.restore(late)
    assert groups(other) == groups(store)
    store.messages.delete(message.id)
    assert [one.error_message for one in occurrences(store)] == [""]
    assert groups(store) == [(ErrorKind.TOOL, "bash", "", 1)]


def failing_trace() -> list[Any]:
    """Return a trace whose tool and request fail: the tool by an error that began below it."""
    boom = event(
        "exception",
        {"exception.type": "OrderError", "exception.message": "order 17 is gone", "exception.stacktrace": "at x"}, 29,
    )  # fmt: skip
    kind, gone = "openinference.span.kind", "order 17 is gone"
    return received(
        span(1, "work", {kind: "AGENT", "session.id": "talk"}, at=(0, 100)),
        span(2, "refund", {kind: "TOOL", "tool.name": "refund"}, parent=1, at=(10, 40), events=[boom], error=gone),
        span(3, "POST", parent=2, at=(12, 30), events=[boom], error=gone),
        span(4, "ask", {kind: "LLM", "llm.model_name": "m"}, parent=1, at=(50, 60), error="busy 529"),
        span(5, "bare", {kind: "TOOL", "tool.name": "bare"}, parent=1, at=(70, 80), error="no"),
        span(6, "step", parent=1, at=(82, 90), events=[event("exception", {"exception.type": "E"}, 85)]),
    )


def test_the_error_of_a_span_is_the_failure_of_its_request_or_tool_in_whatever_order_spans_come(store: Facing) -> None:
    spans = failing_trace()
    expected = [
        (ErrorKind.AGENT, "E", "E", 1),
        (ErrorKind.LLM, "SpanError", "busy 529", 1),
        (ErrorKind.TOOL, "OrderError", "order 17 is gone", 1),
        (ErrorKind.TOOL, "SpanError", "no", 1),
    ]
    for number, seed in enumerate((1, 2, 3)):
        other = store.scoped(project=f"p{number}")
        random.Random(seed).shuffle(spans)
        for one in spans:
            other.traces.record([one], derive)
        other.traces.record(spans, derive)
        assert groups(other) == expected
        assert {e.tool_name for e in other.errors.list(kind=ErrorKind.TOOL)} == {"refund", "bare"}
        assert not any(one.is_derived for one in occurrences(other))


# -- exchange --------------------------------------------------------------------------------------------------------


def test_failures_do_not_leave_as_errors_and_are_derived_again_where_they_come_to(store: Facing) -> None:
    session = store.sessions.create(NewSession(session_id="s")).id
    run = store.runs.start(NewRun(run_id="r", session_uuid=session)).id
    failed_use(store, session_uuid=session, run_uuid=run)
    use = failed_use(store, "another", session_uuid=session, run_uuid=run)
    failed_call(store, session_uuid=session, run_uuid=run)
    error = NewError(error_type="E", error_message="m", kind=ErrorKind.TOOL, tool_call_uuid=use.id)
    store.errors.record(replace(error, session_uuid=session, run_uuid=run))
    sent: list[Carried] = leaving(store)
    assert [one.fields["error_type"] for one in sent if one.kind is FactKind.ERROR] == ["E"]
    other = store.scoped(project="other")
    random.Random(3).shuffle(sent)
    assert other.exchange.restore(sent).refused == 0
    assert groups(other) == groups(store)
    assert leaving(other) == leaving(store)


def test_a_use_that_went_on_when_it_left_and_failed_since_is_met_when_it_comes_again(store: Facing) -> None:
    use = store.tool_calls.record(NewToolCall(tool_name="refund"))
    other = store.scoped(project="other")
    other.exchange.restore(leaving(store))
    assert groups(other) == []
    store.tool_calls.finish(use.id, error_message="no")
    other.exchange.restore(leaving(store))
    assert groups(other) == [(ErrorKind.TOOL, "refund", "no", 1)]


def test_where_failures_were_met_is_told_of_their_groups(store: Facing) -> None:
    version = store.agents.create_version("coder", "1.4")
    run = store.runs.start(NewRun(run_id="r", agent_id="coder", agent_version_uuid=version.id)).id
    store.llm_calls.record(NewLLMCall(model="m", run_uuid=run))
    failed_use(store, run_uuid=run)
    (group,) = store.errors.groups()
    assert isinstance(group, ErrorGroup)
    assert (group.agents, group.users, group.first_version, [day.count for day in group.days]) == (
        ("coder",), 1, "1.4", [1]
    )  # fmt: skip
    found = store.errors.breakdown(group.fingerprint)
    assert [(one.name, one.count) for one in found.versions] == [("1.4", 1)]
    assert [(one.name, one.count) for one in found.tools] == [("refund", 1)]
    assert [(one.name, one.count) for one in found.models] == [("m", 1)]
    assert found.prices is None, "no run that met it failed"
