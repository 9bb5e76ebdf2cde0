"""Sessions: made once, found, changed, listed, deleted; their tree."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from agentrecord.exceptions import Conflict, InvalidFilter, NotFound
from agentrecord.ids import new_id
from agentrecord.records.llm_call import NewLLMCall
from agentrecord.records.message import MessageRole, NewMessage
from agentrecord.records.session import CodingDetails, NewSession, SessionChanges, SessionFilter, SessionStatus
from agentrecord.records.tokens import TokenCounts
from agentrecord.records.usage import UsageBy
from faces import Facing, covers

AT = datetime(2026, 2, 3, 4, 5, 6, 789, tzinfo=UTC)


def told(store: Facing, name: str, *words: str) -> UUID:
    """Make a session that holds a turn of `words`."""
    session: UUID = store.sessions.create(NewSession(session_id=name)).id
    store.messages.append(session, [NewMessage(role=MessageRole.USER, content=word) for word in words])
    return session


@covers("sessions.create", "sessions.get", "sessions.find")
def test_a_session_is_read_back_as_it_was_created(store: Facing) -> None:
    details = CodingDetails(
        tool_name="claude-code", tool_version="2.1", working_directory="/srv/ä", git_branch="main", host="h",
        username="u", chat_id="c", initial_task="mend it", task_count=3, session_metadata='{"a":1}',
    )  # fmt: skip
    new = NewSession(
        session_id="one", agent_id="coder", agent_name="Coder", agent_instructions="do", title="T 🙂",
        description="d", purpose="p", business_context="b", tags=("x", "y\u0301"), learning_outcomes="l",
        source="claude-code", metadata='{"b": [1, 2.50]}', coding=details, created_at=AT,
    )  # fmt: skip
    made = store.sessions.create(new, user="anna")
    assert made == store.sessions.get("one") == store.sessions.get(made.id) == store.sessions.get(str(made.id))
    assert made.coding == details
    assert (made.user, made.agent_id, made.tags, made.metadata) == ("anna", "coder", new.tags, new.metadata)
    assert (made.created_at, made.status, made.is_active) == (AT, SessionStatus.ACTIVE, True)
    assert store.sessions.find("two") is None
    assert store.sessions.find(new_id()) is None


def test_the_same_id_again_is_the_same_session_and_another_is_a_conflict(store: Facing) -> None:
    new = NewSession(session_id="one", id=new_id())
    first = store.sessions.create(new)
    assert store.sessions.create(new) == first
    with pytest.raises(Conflict):
        store.sessions.create(NewSession(session_id="one"))
    with pytest.raises(Conflict):
        store.sessions.create(NewSession(session_id="two", id=new.id))
    assert store.sessions.list().total == 1


def test_two_users_may_have_a_session_of_the_same_name(store: Facing) -> None:
    first = store.sessions.create(NewSession(session_id="one"), user="anna")
    second = store.sessions.create(NewSession(session_id="one"), user="ben")
    assert first.id != second.id
    with pytest.raises(Conflict):
        store.sessions.get("one")
    assert store.scoped(user="ben").sessions.get("one").id == second.id


@covers("sessions.find")
def test_nobody_hides_anothers_session_by_naming_one_like_its_row_id(store: Facing) -> None:
    hers = store.sessions.create(NewSession(session_id="one"), user="anna")
    his = store.sessions.create(NewSession(session_id=str(hers.id)), user="ben")
    assert store.sessions.find(str(hers.id)).id == hers.id
    assert store.scoped(user="anna").sessions.find(str(hers.id)).id == hers.id
    assert store.scoped(user="ben").sessions.find(str(hers.id)).id == his.id
    alone = store.sessions.create(NewSession(session_id=str(new_id())), user="ben")
    assert store.sessions.find(alone.session_id).id == alone.id
    assert store.sessions.find(str(new_id())) is None


@covers("sessions.update")
def test_a_change_changes_what_it_names_and_nothing_else(store: Facing) -> None:
    made = store.sessions.create(NewSession(session_id="one", title="T", description="d"))
    changed = store.sessions.update(
        "one", SessionChanges(title=None, status=SessionStatus.FAILED, tags=("a",), user_satisfaction=0.25)
    )
    assert (changed.title, changed.description, changed.status, changed.tags) == (
        None, "d", SessionStatus.FAILED, ("a",),
    )  # fmt: skip
    assert changed.user_satisfaction == 0.25
    assert changed.updated_at > made.updated_at
    assert store.sessions.update("one", SessionChanges()) == changed
    (day,) = store.usage.performance()
    assert (day.total_sessions, day.failed_sessions, day.satisfaction_sum, day.satisfaction_count) == (1, 1, 0.25, 1)
    store.sessions.update("one", SessionChanges(status=SessionStatus.COMPLETED, user_satisfaction=None))
    (day,) = store.usage.performance()
    assert (day.failed_sessions, day.satisfaction_sum, day.satisfaction_count) == (0, 0.0, 0)
    assert day.success_rate == 1.0


@covers("sessions.delete", "sessions.count_messages")
def test_a_deleted_session_frees_its_name_and_keeps_the_ledger(store: Facing) -> None:
    session = told(store, "one", "secret words", "more")
    call = store.llm_calls.record(
        NewLLMCall(model="m", tokens=TokenCounts(input=7, output=5), session_uuid=session, cost_nanos=42,
                   prompt="secret words", response_content="secret words"))  # fmt: skip
    before = store.usage.report(UsageBy.DAY).total
    assert store.sessions.count_messages(session) == 2
    assert store.sessions.delete("one") == 2
    for read in (
        lambda: store.sessions.get("one"),
        lambda: store.messages.list(session),
        lambda: store.sessions.delete("one"),
    ):
        with pytest.raises(NotFound):
            read()
    assert store.sessions.count_messages(session) == 0
    assert store.sessions.list().total == 0
    assert store.usage.report(UsageBy.DAY).total == before
    assert store.llm_calls.get(call.id).cost_nanos == 42
    assert store.llm_calls.get(call.id).response_content is None
    assert len(store.messages.search("more")) == 0
    assert told(store, "one", "again") != session


def test_what_was_deleted_is_in_no_table_any_more(store: Facing) -> None:
    session = told(store, "one", "xyzzy plugh")
    message = store.messages.recent(session)[0].id
    store.messages.edit(message, "xyzzy again")
    store.sessions.delete("one")
    found = [
        store.sql(f"SELECT count(*) FROM {table} WHERE {column} LIKE ?", "%xyzzy%")[0][0]
        for table, column in (("ar_messages", "content"), ("ar_message_revisions", "content"))
    ]
    assert found == [0, 0]
    assert store.rows_in("ar_search") == 0


def test_sequences_are_never_used_again(store: Facing) -> None:
    session = told(store, "one", "a", "b", "c")
    last = store.messages.recent(session)[-1]
    store.messages.delete(last.id)
    turn = store.messages.append(session, [NewMessage(role=MessageRole.USER, content="d")])
    assert turn.messages[0].sequence == 4
    assert [m.sequence for m in store.messages.list(session)] == [1, 2, 4]
    assert store.sessions.get("one").message_count == 3


@covers("sessions.children", "sessions.ancestors", "sessions.subtree_usage")
def test_a_tree_is_walked_both_ways_and_summed(store: Facing) -> None:
    top = store.sessions.create(NewSession(session_id="top")).id
    middle = store.sessions.create(NewSession(session_id="middle", parent_uuid=top)).id
    low = store.sessions.create(NewSession(session_id="low", parent_uuid=middle)).id
    for session, nanos in ((top, 1), (middle, 20), (low, 300)):
        store.llm_calls.record(NewLLMCall(model="m", session_uuid=session, cost_nanos=nanos))
    assert [s.id for s in store.sessions.children(top)] == [middle]
    assert [s.id for s in store.sessions.ancestors(low)] == [middle, top]
    assert store.sessions.subtree_usage(top).cost_nanos == 321
    assert store.sessions.get("middle", with_subtree=True).subtree.cost_nanos == 320
    assert store.sessions.get("top").usage.cost_nanos == 1
    assert store.sessions.get("top").child_count == 1
    assert [s.session_id for s in store.sessions.list()] == ["top"]
    assert store.sessions.list(SessionFilter(include_children=True)).total == 3
    assert [s.session_id for s in store.sessions.list(SessionFilter(parent_uuid=middle))] == ["low"]
    with pytest.raises(NotFound):
        store.sessions.create(NewSession(session_id="x", parent_uuid=new_id()))


@covers("sessions.list")
def test_filters_choose_and_sorts_order(store: Facing) -> None:
    for number, (user, title) in enumerate((("anna", "Äpfel kaufen"), ("ben", "pears_100%"), ("anna", None))):
        store.sessions.create(
            NewSession(
                session_id=f"s{number}", title=title, source="pi" if number else "codex", agent_id=f"a{number}",
                created_at=AT + timedelta(days=number),
                coding=CodingDetails(tool_name="t", working_directory=f"/w/{number}", initial_task=f"task {number}"),
            ),
            user=user,
        )  # fmt: skip
    store.sessions.update("s2", SessionChanges(status=SessionStatus.COMPLETED))

    def names(**wanted: object) -> list[str]:
        return [s.session_id for s in store.sessions.list(SessionFilter(**wanted), sort="session_id")]  # type: ignore[arg-type]

    assert names(words="äPFEL") == ["s0"]
    assert names(words="_100%") == ["s1"]
    assert names(words="TASK 2") == ["s2"]
    assert names(user="anna") == ["s0", "s2"]
    assert names(source="pi") == ["s1", "s2"]
    assert names(agent_id="a1") == ["s1"]
    assert names(status=SessionStatus.COMPLETED) == ["s2"]
    assert names(directory="/w/1") == ["s1"]
    assert names(since=AT + timedelta(days=1), until=AT + timedelta(days=2)) == ["s1"]
    assert [s.session_id for s in store.sessions.list(sort="-created_at")] == ["s2", "s1", "s0"]
    assert [s.session_id for s in store.sessions.list(sort="title")] == ["s2", "s1", "s0"]
    for sort in ("last_activity_at", "updated_at", "cost", "messages"):
        assert len(store.sessions.list(sort=sort)) == 3
    with pytest.raises(InvalidFilter) as refused:
        store.sessions.list(sort="colour")
    assert refused.value.field == "sort"


@covers("sessions.activate", "sessions.deactivate")
def test_active_and_inactive_are_one_state_in_two_fields(store: Facing) -> None:
    store.sessions.create(NewSession(session_id="one"))
    off = store.sessions.deactivate("one")
    assert (off.is_active, off.status) == (False, SessionStatus.INACTIVE)
    on = store.sessions.activate("one")
    assert (on.is_active, on.status) == (True, SessionStatus.ACTIVE)
    closed = store.sessions.update("one", SessionChanges(status=SessionStatus.INACTIVE))
    assert (closed.is_active, closed.status) == (False, SessionStatus.INACTIVE)
    done = store.sessions.update("one", SessionChanges(status=SessionStatus.COMPLETED, is_active=True))
    assert store.sessions.deactivate("one").status is done.status is SessionStatus.COMPLETED
    for born in (
        NewSession(session_id="two", is_active=False),
        NewSession(session_id="3", status=SessionStatus.INACTIVE),
    ):
        made = store.sessions.create(born)
        assert (made.is_active, made.status) == (False, SessionStatus.INACTIVE)
    with pytest.raises(NotFound):
        store.sessions.activate("nobody's")


def test_sessions_are_filtered_by_their_own_fields(store: Facing) -> None:
    store.sessions.create(NewSession(session_id="one", description="about Whales", agent_name="Planner"), user="ana")
    other = store.sessions.create(NewSession(session_id="two", agent_name="Helper", is_active=False), user="bob")
    for wanted, names in (
        (SessionFilter(words="whales"), ["one"]),
        (SessionFilter(words="plan"), ["one"]),
        (SessionFilter(session_id="two"), ["two"]),
        (SessionFilter(agent_name="Helper"), ["two"]),
        (SessionFilter(is_active=True), ["one"]),
        (SessionFilter(is_active=False), ["two"]),
        (SessionFilter(user_uuid=other.user_uuid), ["two"]),
        (SessionFilter(is_active=True, agent_name="Helper"), []),
    ):
        assert [found.session_id for found in store.sessions.list(wanted)] == names
