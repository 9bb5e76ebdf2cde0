"""Messages: appended once, numbered without gaps, edited with revisions, deleted; turns with their calls."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from agentrecord.exceptions import Conflict, InvalidValue, NotFound, StaleRevision
from agentrecord.ids import new_id
from agentrecord.records.llm_call import NewLLMCall
from agentrecord.records.message import MessageRole, NewMessage, Part, PartKind
from agentrecord.records.run import NewRun
from agentrecord.records.session import NewSession
from agentrecord.records.tokens import TokenCounts
from agentrecord.records.usage import UsageBy, UsageTotals
from faces import Facing, covers

USER, ASSISTANT = MessageRole.USER, MessageRole.ASSISTANT


def session_of(store: Facing, name: str = "one") -> UUID:
    """Make a session."""
    found: UUID = store.sessions.create(NewSession(session_id=name)).id
    return found


@covers("messages.append", "messages.get")
def test_a_message_is_read_back_byte_for_byte(store: Facing) -> None:
    parts = (
        Part(kind=PartKind.TEXT, text="a\r\n\t b"),
        Part(kind=PartKind.TOOL_CALL, call_ref="c1", name="bash"),
        Part(kind=PartKind.TOOL_RESULT, call_ref="c1", is_error=True),
        Part(kind=PartKind.IMAGE, media_type="image/png", size_bytes=2**40),
    )
    new = NewMessage(
        role=ASSISTANT, content="a\r\n\t b\u2028\ufeff🙂 e\u0301", message_id="m", parts=parts, tool_call_id="c1",
        tool_name="bash", tools_used=("bash", "édit"), extra_data='{"z":1,"a":2.0}', metadata="[]",
        model_used="m1", response_time_ms=12, created_at=datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC),
    )  # fmt: skip
    made = store.messages.append(session_of(store), [new]).messages[0]
    assert made == store.messages.get(made.id)
    for name in ("role", "content", "message_id", "parts", "tool_call_id", "tool_name", "tools_used", "extra_data",
                 "metadata", "model_used", "response_time_ms", "created_at"):  # fmt: skip
        assert getattr(made, name) == getattr(new, name)
    assert (made.sequence, made.revision) == (1, 1)


def test_a_turn_stores_its_calls_with_it_and_charges_the_answer(store: Facing) -> None:
    session = session_of(store)
    turn = store.messages.append(
        session,
        [NewMessage(role=USER, content="q"), NewMessage(role=ASSISTANT, content="a")],
        calls=[NewLLMCall(model="m", tokens=TokenCounts(input=10, output=5), cost_nanos=7),
               NewLLMCall(model="m", tokens=TokenCounts(input=1, output=2))],
    )  # fmt: skip
    answer = turn.messages[1]
    expected = UsageTotals(calls=2, unpriced_calls=1, input_tokens=11, output_tokens=7, cost_nanos=7)
    assert answer.usage == expected == store.messages.get(answer.id).usage == store.sessions.get("one").usage
    assert turn.messages[0].usage == UsageTotals()
    assert {call.message_uuid for call in turn.calls} == {answer.id}
    assert turn.calls[1].cost_usd is None


def test_a_turn_that_fails_in_its_last_part_stores_nothing(store: Facing) -> None:
    session = session_of(store)
    with pytest.raises(NotFound):
        store.messages.append(new_id(), [NewMessage(role=USER, content="a")])
    taken = store.llm_calls.record(NewLLMCall(model="m", id=new_id(), tokens=TokenCounts(input=1)))
    with pytest.raises(Conflict):
        store.messages.append(
            session, [NewMessage(role=USER, content="findme")], calls=[NewLLMCall(model="n", id=taken.id)]
        )
    assert store.messages.list(session).total == 0
    assert len(store.messages.search("findme")) == 0
    assert store.sessions.get("one").message_count == 0
    assert store.messages.append(session, [NewMessage(role=USER, content="b")]).messages[0].sequence == 1


def test_the_same_message_again_is_stored_once_and_another_content_is_a_conflict(store: Facing) -> None:
    session = session_of(store)
    new = NewMessage(role=USER, content="a", id=new_id())
    first = store.messages.append(session, [new])
    again = store.messages.append(session, [new, NewMessage(role=ASSISTANT, content="b")])
    assert again.messages[0] == first.messages[0]
    assert [m.sequence for m in again.messages] == [1, 2]
    with pytest.raises(Conflict):
        store.messages.append(session, [NewMessage(role=USER, content="c", id=new.id)])
    with pytest.raises(Conflict):
        store.messages.append(session_of(store, "two"), [new])
    store.messages.edit(new.id, "edited")
    assert store.messages.append(session, [new]).messages[0].content == "edited"
    assert store.sessions.get("one").message_count == 2


@covers("messages.append")
def test_a_call_of_a_run_belongs_to_that_runs_agent_before_its_sessions(store: Facing) -> None:
    for session_agent in (None, "desk"):
        session = store.sessions.create(NewSession(session_id=f"of {session_agent}", agent_id=session_agent)).id
        run = store.runs.start(NewRun(run_id=f"in {session_agent}", agent_id="explorer", session_uuid=session)).id
        for key in (None, f"key of {session_agent}"):
            call = NewLLMCall(model="m", cost_nanos=5, run_uuid=run, dedup_key=key)
            store.messages.append(session, [NewMessage(role=ASSISTANT, content="a")], calls=[call])
        store.messages.append(session, [], calls=[NewLLMCall(model="m", cost_nanos=1)])
    spent = {row.key: row.totals.cost_nanos for row in store.usage.report(UsageBy.AGENT).rows}
    assert (spent.pop("explorer"), spent.pop("desk"), [*spent.values()]) == (20, 1, [1])


@covers("messages.edit", "messages.revisions")
def test_an_edit_keeps_every_content_that_was(store: Facing) -> None:
    message = store.messages.append(session_of(store), [NewMessage(role=USER, content="first")]).messages[0]
    edited = store.messages.edit(message.id, "second", seen_revision=1, extra_data='{"why":"typo"}')
    assert (edited.content, edited.revision, edited.sequence) == ("second", 2, 1)
    assert edited.extra_data == '{"why":"typo"}'
    with pytest.raises(StaleRevision):
        store.messages.edit(message.id, "third", seen_revision=1)
    store.messages.edit(message.id, "third")
    assert [(r.revision, r.content) for r in store.messages.revisions(message.id)] == [
        (1, "first"), (2, "second"), (3, "third"),
    ]  # fmt: skip
    assert store.messages.revisions(message.id)[0].created_at == message.updated_at


@covers("messages.delete")
def test_a_deleted_message_leaves_its_place_and_its_calls(store: Facing) -> None:
    session = session_of(store)
    turn = store.messages.append(
        session,
        [NewMessage(role=ASSISTANT, content="gone")],
        calls=[NewLLMCall(model="m", cost_nanos=9, response_content="gone")],
    )
    message = turn.messages[0].id
    store.messages.edit(message, "really gone")
    store.messages.delete(message)
    for read in (store.messages.get, store.messages.revisions, store.messages.delete):
        with pytest.raises(NotFound):
            read(message)
    with pytest.raises(NotFound):
        store.messages.edit(message, "back")
    assert store.messages.list(session).total == 0
    assert store.rows_in("ar_message_revisions") == 0
    assert store.sql("SELECT content, sequence FROM ar_messages") == [("", 1)]
    assert store.llm_calls.get(turn.calls[0].id).response_content is None
    assert store.sessions.get("one").usage.cost_nanos == 9
    assert store.sessions.get("one").message_count == 0


@covers("messages.list", "messages.recent")
def test_a_conversation_is_read_from_either_end(store: Facing) -> None:
    session = session_of(store)
    roles = (USER, ASSISTANT, USER, ASSISTANT, USER)
    store.messages.append(session, [NewMessage(role=role, content=str(n)) for n, role in enumerate(roles)])
    assert [m.content for m in store.messages.recent(session, limit=2)] == ["3", "4"]
    assert store.messages.recent(session, limit=0) == ()
    assert [m.content for m in store.messages.list(session, sort="-sequence", limit=2)] == ["4", "3"]
    assert [m.content for m in store.messages.list(session, role=ASSISTANT)] == ["1", "3"]
    assert [m.content for m in store.messages.list(session, offset=3)] == ["3", "4"]
    assert [m.content for m in store.messages.list(session, sort="created_at")] == list("01234")
    with pytest.raises(NotFound):
        store.messages.list(new_id())


def test_sequences_have_no_gaps_after_refused_turns(store: Facing) -> None:
    session = session_of(store)
    taken = store.messages.append(session, [NewMessage(role=USER, content="a", id=new_id())]).messages[0].id
    for content in "bcd":
        with pytest.raises(Conflict):
            store.messages.append(session, [NewMessage(role=USER, content=content, id=taken)])
        store.messages.append(session, [NewMessage(role=USER, content=content)])
    assert [m.sequence for m in store.messages.list(session)] == [1, 2, 3, 4]


def test_a_day_counts_the_messages_of_a_user_and_an_agent(store: Facing) -> None:
    session = store.sessions.create(NewSession(session_id="one", agent_id="bot"), user="anna").id
    at = datetime(2026, 1, 5, 23, 59, tzinfo=UTC)
    store.messages.append(session, [NewMessage(role=USER, content="a", created_at=at)])
    store.messages.append(session, [NewMessage(role=USER, content="b")])
    counted = {(str(d.date), d.user, d.agent_id): (d.session_count, d.message_count) for d in store.usage.daily()}
    assert counted == {("2026-01-05", "anna", "bot"): (0, 1), ("2026-03-04", "anna", "bot"): (1, 1)}


@covers("messages.post", "messages.recent")
def test_a_message_is_posted_to_an_active_session_only(store: Facing) -> None:
    session = session_of(store)
    posted = store.messages.post(session, NewMessage(role=USER, content="hello", extra_data='{"a":1}'))
    assert (posted.sequence, posted.extra_data) == (1, '{"a":1}')
    store.sessions.deactivate(session)
    with pytest.raises(Conflict, match="inactive"):
        store.messages.post(session, NewMessage(role=USER, content="too late"))
    assert [m.content for m in store.messages.recent(session)] == ["hello"]
    with pytest.raises(NotFound):
        store.messages.post(new_id(), NewMessage(role=USER, content="nowhere"))


@covers("messages.clear", "sessions.count_messages")
def test_clearing_a_session_keeps_its_calls_and_its_sequence(store: Facing) -> None:
    session = session_of(store)
    store.messages.append(
        session,
        [NewMessage(role=USER, content="q"), NewMessage(role=ASSISTANT, content="a")],
        calls=[NewLLMCall(model="m", tokens=TokenCounts(input=10, output=5), cost_nanos=7)],
    )
    assert store.messages.clear(session) == 2
    assert store.messages.clear("one") == 0
    assert (store.messages.list(session).total, store.sessions.count_messages(session)) == (0, 0)
    kept = store.sessions.get(session)
    assert (kept.message_count, kept.usage.calls, kept.usage.cost_nanos) == (0, 1, 7)
    assert store.messages.post(session, NewMessage(role=USER, content="again")).sequence == 3
    with pytest.raises(NotFound):
        store.messages.clear(new_id())


def test_what_is_left_out_of_an_edit_stays(store: Facing) -> None:
    session = session_of(store)
    new = NewMessage(role=MessageRole.TOOL, content="42", tool_call_id="c1", tool_name="t", extra_data="[1]")
    message = store.messages.post(session, new).id
    changed = store.messages.edit(message, extra_data='{"edited":true}')
    assert (changed.content, changed.revision, changed.extra_data) == ("42", 1, '{"edited":true}')
    changed = store.messages.edit(message, "43")
    assert (changed.content, changed.revision, changed.extra_data) == ("43", 2, '{"edited":true}')
    changed = store.messages.edit(message, extra_data=None, tool_call_id=None, tool_name="u")
    assert (changed.extra_data, changed.tool_call_id, changed.tool_name) == (None, None, "u")
    with pytest.raises(InvalidValue, match="extra_data"):
        store.messages.edit(message, extra_data="{not json")
