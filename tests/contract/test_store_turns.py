"""Turns of the conversation endpoint: begun once, one at a time in a session, ended truthfully."""

import json
from typing import Any
from uuid import UUID

import pytest

from agentrecord.exceptions import Conflict, InvalidTransition, InvalidValue, NotFound, SessionBusy
from agentrecord.ids import new_id
from agentrecord.records.llm_call import NewLLMCall
from agentrecord.records.message import MessageRole, NewMessage
from agentrecord.records.run import RunStatus
from agentrecord.records.session import NewSession
from agentrecord.records.tokens import TokenCounts
from agentrecord.records.tool_call import NewToolCall, ToolCallStatus
from agentrecord.records.turn import BegunTurn, NewTurn, TurnEnd, TurnStatus
from faces import Facing, covers
from held_clock import HeldClock

OWNER = "host:1:a"
LEASE = {"lease_owner": OWNER, "lease_s": 15}
HELLO = (NewMessage(role=MessageRole.USER, content="Hello!"),)


def begin(store: Facing, session_id: str = "s", **more: Any) -> BegunTurn:
    """Begin a turn."""
    fields: dict[str, Any] = {"session_id": session_id, "messages": HELLO, **LEASE, **more}
    user = fields.pop("user", None)
    found: BegunTurn = store.turns.begin(NewTurn(**fields), user=user)
    return found


def answer(store: Facing, turn: UUID, text: str = "Hi.") -> Any:
    """Complete a turn."""
    reply = NewMessage(role=MessageRole.ASSISTANT, content=text, model_used="echo")
    end = TurnEnd(status=TurnStatus.COMPLETED, reply=reply, model="echo")
    return store.turns.finish(turn, end, lease_owner=OWNER)


@covers("turns.begin", "turns.finish", "turns.get", "turns.events")
def test_a_turn_makes_its_session_and_stores_what_was_said_before_it_is_answered(store: Facing) -> None:
    begun = begin(store, session_name="Chat", agent_name="Planner", agent_instructions="Plan.", user="ana")
    assert begun.is_new
    assert (begun.session.title, begun.session.agent_id, begun.session.user) == ("Chat", "Planner", "ana")
    assert begun.session.agent_instructions == "Plan."
    assert (begun.run.status, begun.run.objective, begun.run.agent_id) == (RunStatus.RUNNING, "Hello!", "Planner")
    assert [(m.role, m.content, m.run_uuid) for m in begun.messages] == [("user", "Hello!", begun.run.id)]
    assert store.turns.get(begun.turn.id) == begun.turn
    done = answer(store, begun.turn.id)
    assert (done.status, done.finished_at is not None) == (TurnStatus.COMPLETED, True)
    said = json.loads(done.response)
    assert (said["session_id"], said["session_uuid"]) == ("s", str(begun.session.id))
    assert (said["response"], said["messages_count"], said["session_active"]) == ("Hi.", 2, True)
    assert (said["model"], said["run_id"], said["turn_id"]) == ("echo", begun.run.run_id, str(begun.turn.id))
    run = store.runs.get(begun.run.id)
    assert (run.status, run.final_synthesis_output) == (RunStatus.COMPLETED, "Hi.")
    assert [m.run_uuid for m in store.messages.list(begun.session.id)] == [begun.run.id] * 2
    assert [(e.sequence, e.event, e.data) for e in store.turns.events(done.id)] == [
        (1, "turn.completed", done.response)
    ]


@covers("turns.begin", "turns.find")
def test_the_same_key_is_one_turn_for_its_user_and_one_request(store: Facing) -> None:
    key = {"idempotency_key": "k", "request_hash": "h"}
    first = begin(store, user="ana", **key)
    again = begin(store, user="ana", **key)
    assert (again.turn.id, again.is_new) == (first.turn.id, False)
    done = answer(store, first.turn.id)
    assert begin(store, user="ana", **key).turn == done == store.turns.find("k", user="ana")
    with pytest.raises(Conflict, match="another request"):
        begin(store, user="ana", idempotency_key="k", request_hash="other")
    assert begin(store, "t", user="bob", **key).is_new
    assert store.turns.find("k", user="nobody") is None
    assert store.messages.list(first.session.id).total == 2


def test_a_key_is_that_of_whoever_begins_the_turn_in_whosever_session(store: Facing) -> None:
    session = store.sessions.create(NewSession(session_id="s"), user="ana")
    key = {"idempotency_key": "k", "request_hash": "h"}
    first = begin(store, str(session.id), user="admin", **key)
    again = begin(store, str(session.id), user="admin", **key)
    assert (first.session.id, again.turn.id, again.is_new) == (session.id, first.turn.id, False)
    assert (store.turns.find("k", user="admin"), store.turns.find("k", user="ana")) == (first.turn, None)
    answer(store, first.turn.id)
    ana = store.scoped(user="ana")
    assert ana.turns.get(first.turn.id).user_uuid == session.user_uuid
    own = begin(ana, **key)
    assert (own.is_new, own.session.id) == (True, session.id)
    assert store.messages.list(session.id).total == 3


def test_who_sees_everybodys_sessions_goes_on_in_anothers_only_by_its_row_id(store: Facing) -> None:
    anas = store.sessions.create(NewSession(session_id="s"), user="ana")
    mine = begin(store, "s", user="admin")
    assert (mine.session.user, mine.session.id != anas.id) == ("admin", True)
    answer(store, mine.turn.id)
    assert begin(store, "s", user="admin").session.id == mine.session.id
    assert begin(store, str(anas.id), user="admin").session.id == anas.id
    own = begin(store.scoped(user="ben"), str(anas.id))
    assert (own.session.user, own.session.session_id) == ("ben", str(anas.id))


@covers("turns.running")
def test_two_turns_of_a_session_are_never_answered_at_once(store: Facing) -> None:
    first = begin(store)
    with pytest.raises(SessionBusy) as busy:
        begin(store)
    assert busy.value.turn == first.turn.id
    other = begin(store, "another")
    answer(store, first.turn.id)
    second = begin(store)
    assert (second.session.id, second.turn.id != first.turn.id) == (first.session.id, True)
    assert {t.id for t in (other.turn, second.turn)} == {t.id for t in store.turns.running()}
    assert [m.sequence for m in store.messages.list(first.session.id)] == [1, 2, 3]


@covers("turns.begin")
def test_a_turn_is_refused_whole(store: Facing) -> None:
    store.sessions.create(NewSession(session_id="off", is_active=False))
    with pytest.raises(Conflict, match="inactive"):
        begin(store, "off")
    with pytest.raises(InvalidValue, match="messages"):
        begin(store, messages=())
    with pytest.raises(InvalidValue, match="session_id"):
        begin(store, "")
    with pytest.raises(InvalidValue, match="content"):
        begin(store, messages=(NewMessage(role=MessageRole.USER, content="a\0b"),))
    assert (store.turns.running(), store.runs.list().total, store.sessions.list().total) == ((), 0, 1)


@covers("turns.emit", "turns.events", "turns.renew")
def test_what_the_client_is_told_is_numbered_and_read_from_anywhere(store: Facing, clock: HeldClock) -> None:
    turn = begin(store).turn.id
    told = store.turns.emit(turn, [("message.delta", '{"text":"H"}'), ("message.delta", '{"text":"i"}')], **LEASE)
    assert [one.sequence for one in told] == [1, 2]
    clock.advance(seconds=10)
    before = store.turns.get(turn).lease_expires_at
    assert store.turns.emit(turn, [("tool.started", "{}")], **LEASE)[0].sequence == 3
    assert store.turns.get(turn).lease_expires_at > before
    clock.advance(seconds=10)
    assert store.turns.renew(turn, **LEASE).lease_expires_at > store.turns.renew(turn, **LEASE).created_at
    answer(store, turn)
    assert [one.sequence for one in store.turns.events(turn, after=1)] == [2, 3, 4]
    assert [one.event for one in store.turns.events(turn, after=1, limit=1)] == ["message.delta"]
    for late in (
        lambda: store.turns.emit(turn, [("x", "{}")], **LEASE),
        lambda: store.turns.renew(turn, **LEASE),
        lambda: answer(store, turn),
    ):
        with pytest.raises(InvalidTransition):
            late()
    with pytest.raises(NotFound):
        store.turns.renew(new_id(), **LEASE)


def test_another_process_cannot_write_to_a_turn(store: Facing) -> None:
    turn = begin(store).turn.id
    with pytest.raises(InvalidTransition):
        store.turns.emit(turn, [("x", "{}")], lease_owner="host:2:b", lease_s=15)
    with pytest.raises(InvalidValue, match="data"):
        store.turns.emit(turn, [("x", "{")], **LEASE)
    assert store.turns.events(turn) == ()


@covers("turns.watch", "turns.request_cancel")
def test_a_turn_is_watched_and_asked_to_stop(store: Facing) -> None:
    turn = begin(store).turn.id
    assert store.turns.watch(turn).watched_at is not None
    assert store.turns.request_cancel(turn).cancel_requested_at is not None
    end = TurnEnd(status=TurnStatus.CANCELLED, error_type="TurnCancelled", error_message="the client asked")
    done = store.turns.finish(turn, end, lease_owner=OWNER)
    assert (done.status, done.response, done.error_message) == (TurnStatus.CANCELLED, None, "the client asked")
    assert store.runs.get(done.run_uuid).status is RunStatus.CANCELLED
    assert store.turns.watch(turn) == store.turns.request_cancel(turn) == done
    assert store.errors.list().total == 0


def test_a_failed_turn_keeps_the_message_the_error_and_what_was_paid(store: Facing) -> None:
    begun = begin(store)
    run, session = begun.run.id, begun.session.id
    store.llm_calls.record(
        NewLLMCall(model="m", tokens=TokenCounts(input=5, output=1), cost_nanos=9, run_uuid=run, session_uuid=session)
    )
    tool = store.tool_calls.record(NewToolCall(tool_name="t", run_uuid=run, session_uuid=session)).id
    end = TurnEnd(status=TurnStatus.ERROR, error_type="APIError", error_message="upstream said 500")
    done = store.turns.finish(begun.turn.id, end, lease_owner=OWNER)
    assert (done.error_type, done.error_message) == ("APIError", "upstream said 500")
    failed = store.runs.get(run)
    assert (failed.status, failed.error_message, failed.usage.cost_nanos) == ("error", "upstream said 500", 9)
    assert store.tool_calls.get(tool).status is ToolCallStatus.ERROR
    assert [(e.error_type, e.run_uuid) for e in store.errors.list()] == [("APIError", run)]
    assert [m.content for m in store.messages.list(session)] == ["Hello!"]
    assert begin(store).is_new


@covers("turns.close_abandoned")
def test_a_turn_whose_process_died_is_closed_and_the_session_goes_on(store: Facing, clock: HeldClock) -> None:
    dead = begin(store, "one")
    other = begin(store, "two", lease_owner="host:2:b")
    assert store.turns.close_abandoned() == ()
    closed = store.turns.close_abandoned(owners=[OWNER])
    assert [(t.id, t.status, t.error_type) for t in closed] == [(dead.turn.id, TurnStatus.ERROR, "TurnInterrupted")]
    assert store.runs.get(dead.run.id).status is RunStatus.ERROR
    clock.advance(seconds=16)
    # Nobody swept: who wants the session closes the dead turn.
    assert begin(store, "two").is_new
    assert store.turns.get(other.turn.id).error_type == "TurnInterrupted"
    assert store.turns.close_abandoned() == ()


def test_a_session_describes_itself_and_a_turn_fills_what_it_lacks(store: Facing) -> None:
    store.sessions.create(NewSession(session_id="s", title="Mine"))
    begun = begin(store, session_name="Chat", agent_name="Planner")
    assert (begun.session.title, begun.session.agent_name) == ("Mine", "Planner")
    answer(store, begun.turn.id)
    again = begin(store, session_name="Other", agent_name="Somebody else")
    assert (again.session.title, again.session.agent_name) == ("Mine", "Planner")


@covers("agents.find_active")
def test_the_version_in_service_is_noted_on_the_run_and_the_session(store: Facing) -> None:
    assert store.agents.find_active("Planner") is None
    store.agents.create_version("Planner", "1")
    version = store.agents.create_version("Planner", "2")
    assert store.agents.find_active("Planner") == version
    begun = begin(store, agent_name="Planner")
    assert begun.run.agent_version_uuid == begun.session.agent_version_uuid == version.id


def test_a_turn_of_a_deleted_session_ends_as_cancelled_and_says_nothing(store: Facing) -> None:
    begun = begin(store)
    store.turns.emit(begun.turn.id, [("message.delta", '{"text":"secret"}')], **LEASE)
    store.sessions.delete("s")
    done = answer(store, begun.turn.id)
    assert (done.status, done.error_type) == (TurnStatus.CANCELLED, "SessionDeleted")
    assert [one.event for one in store.turns.events(begun.turn.id)] == ["turn.cancelled"]
    assert begin(store).session.id != begun.session.id


def test_events_of_old_turns_go_when_the_session_goes_on(store: Facing, clock: HeldClock) -> None:
    turn = begin(store).turn.id
    answer(store, turn)
    clock.advance(minutes=16)
    begin(store)
    assert store.turns.events(turn) == ()


@covers("turns.close_abandoned")
def test_events_of_turns_that_were_finished_long_ago_are_swept(store: Facing, clock: HeldClock) -> None:
    old, long, new = (begin(store, name).turn.id for name in ("old", "long", "new"))
    answer(store, old)
    store.turns.emit(long, [("message.delta", "{}")], lease_owner=OWNER, lease_s=3600)
    clock.advance(minutes=10)
    for turn in (long, new):
        store.turns.renew(turn, lease_owner=OWNER, lease_s=3600)
    answer(store, new)
    clock.advance(minutes=6)
    assert store.turns.close_abandoned() == ()
    assert [len(store.turns.events(turn)) for turn in (old, long, new)] == [0, 1, 1]
    answer(store, long)
    clock.advance(minutes=10)
    store.turns.close_abandoned()
    assert [len(store.turns.events(turn)) for turn in (old, long, new)] == [0, 2, 0]
    clock.advance(minutes=6)
    store.turns.close_abandoned()
    assert store.rows_in("ar_turn_events") == 0


def test_deleting_a_message_takes_what_its_turn_says_of_it(store: Facing) -> None:
    kept = begin(store)
    answer(store, kept.turn.id, "This stays.")
    begun = begin(store, messages=(NewMessage(role=MessageRole.USER, content="the secret"),))
    store.turns.emit(begun.turn.id, [("message.delta", '{"text":"the secret"}')], lease_owner=OWNER, lease_s=15)
    call = store.llm_calls.record(
        NewLLMCall(model="m", run_uuid=begun.run.id, session_uuid=begun.session.id, cost_nanos=5,
                   response_content="the secret")
    )  # fmt: skip
    done = answer(store, begun.turn.id, "You said: the secret")
    before = store.runs.get(begun.run.id)
    store.messages.delete(begun.messages[0].id)
    run = store.runs.get(begun.run.id)
    assert (run.objective, run.final_synthesis_output, run.status, run.usage) == (
        None,
        None,
        before.status,
        before.usage,
    )
    assert (store.turns.get(done.id).response, store.turns.events(done.id)) == (None, ())
    found = store.llm_calls.get(call.id)
    assert (found.response_content, found.cost_nanos) == (None, 5)
    assert "This stays." in store.turns.get(kept.turn.id).response
    assert (store.runs.get(kept.run.id).objective, len(store.turns.events(kept.turn.id))) == ("Hello!", 1)


def test_clearing_a_session_takes_its_turns_words_too(store: Facing) -> None:
    turn = begin(store).turn.id
    answer(store, turn)
    store.messages.clear("s")
    assert (store.turns.get(turn).response, store.turns.events(turn)) == (None, ())
