"""Errors: equal ones fall into one group, which is resolved and opened again."""

from datetime import UTC, datetime, timedelta

import pytest

from agentrecord.exceptions import Conflict, InvalidFilter, NotFound
from agentrecord.ids import new_id
from agentrecord.records.audit import Actor
from agentrecord.records.error import ErrorStatus, NewError
from agentrecord.records.llm_call import NewLLMCall
from agentrecord.records.run import NewRun
from agentrecord.records.session import NewSession
from agentrecord.records.tool_call import NewToolCall
from faces import Facing, covers
from held_clock import HeldClock

AT = datetime(2026, 1, 1, tzinfo=UTC)


@covers("errors.record", "errors.get")
def test_an_error_is_stored_once_and_as_it_was_told(store: Facing) -> None:
    session = store.sessions.create(NewSession(session_id="s")).id
    new = NewError(error_type="ValueError", error_message="bad 17\n", id=new_id(), error_code="E1", stack_trace="at x",
                   context='{"a": 1.0}', agent_id="bot", session_uuid=session, created_at=AT)  # fmt: skip
    first = store.errors.record(new)
    assert first == store.errors.record(new) == store.errors.get(first.id)
    for name in ("error_type", "error_message", "error_code", "stack_trace", "context", "created_at"):
        assert getattr(first, name) == getattr(new, name)
    with pytest.raises(Conflict):
        store.errors.record(NewError(error_type="ValueError", error_message="other", id=new.id))
    assert store.sessions.get("s").error_count == 1
    with pytest.raises(NotFound):
        store.errors.get(new_id())


@covers("errors.groups", "errors.list", "errors.resolve")
def test_equal_errors_are_one_group_that_opens_again(store: Facing) -> None:
    for number, message in enumerate(("req_abc1 failed after 30 s", "req_xyz9 failed after 7 s", "other")):
        store.errors.record(
            NewError(error_type="Timeout", error_message=message, created_at=AT + timedelta(hours=number))
        )
    group, other = store.errors.groups(sort="-count")
    assert (group.count, group.first_seen_at, group.last_seen_at) == (2, AT, AT + timedelta(hours=1))
    assert store.errors.list(group=group.id).total == 2
    assert store.errors.list(words="OTHER").total == 1
    assert [g.id for g in store.errors.groups(sort="first_seen_at")] == [group.id, other.id]
    resolved = store.errors.resolve(group.id)
    assert resolved.is_resolved
    assert [g.id for g in store.errors.groups()] == [other.id]
    assert store.errors.groups(include_resolved=True).total == 2
    assert all(e.is_resolved for e in store.errors.list(group=group.id))
    store.errors.record(NewError(error_type="Timeout", error_message="req_new failed after 1 s"))
    again = next(g for g in store.errors.groups() if g.id == group.id)
    assert (again.count, again.is_resolved) == (3, False)
    assert sorted(e.is_resolved for e in store.errors.list(group=group.id)) == [False, True, True]
    with pytest.raises(NotFound):
        store.errors.resolve(new_id())


def test_another_type_or_wording_is_another_group(store: Facing) -> None:
    for kind, message in (("A", "x 1"), ("B", "x 1"), ("A", "y 1"), ("A", "x 2")):
        store.errors.record(NewError(error_type=kind, error_message=message))
    assert sorted(g.count for g in store.errors.groups()) == [1, 1, 2]


def test_a_user_sees_the_groups_that_are_theirs_with_their_own_counts(store: Facing) -> None:
    for user in ("anna", "anna", "ben"):
        store.errors.record(NewError(error_type="A", error_message="x"), user=user)
    store.errors.record(NewError(error_type="B", error_message="only ben's"), user="ben")
    assert [(g.error_type, g.count) for g in store.scoped(user="anna").errors.groups()] == [("A", 2)]
    (bens,) = [g for g in store.errors.groups() if g.error_type == "B"]
    with pytest.raises(NotFound):
        store.scoped(user="anna").errors.resolve(bens.id)


def test_a_user_sees_a_group_in_their_own_words_and_resolves_only_their_own_errors(store: Facing) -> None:
    for user, number in (("alice", 41), ("ben", 7)):
        store.errors.record(NewError(error_type="X", error_message=f"account {number} is locked"), user=user)
    ben = store.scoped(user="ben")
    (group,) = ben.errors.groups().items
    assert (group.error_message, group.count) == ("account 7 is locked", 1)
    assert ben.errors.resolve(group.id).count == 1
    (still_open,) = store.errors.groups().items
    assert (still_open.count, still_open.is_resolved) == (2, False)
    assert store.errors.resolve(group.id).is_resolved
    assert store.errors.groups().items == []


@covers("errors.groups", "errors.group", "errors.resolve", "errors.reopen", "audit.trail")
def test_a_group_is_new_then_ongoing_resolved_and_regressed(store: Facing, clock: HeldClock) -> None:
    def meet() -> None:
        store.errors.record(NewError(error_type="Timeout", error_message="after 3 s"))

    def status() -> ErrorStatus:
        (found,) = store.errors.groups(include_resolved=True)
        assert found == store.errors.group(found.fingerprint) == store.errors.group(str(found.id))
        assert [g.id for g in store.errors.groups(status=found.status)] == [found.id]
        others = set(ErrorStatus) - {found.status}
        assert [store.errors.groups(include_resolved=True, status=other).total for other in others] == [0, 0, 0]
        return found.status

    meet()
    assert status() is ErrorStatus.NEW
    clock.advance(days=2)
    assert status() is ErrorStatus.ONGOING
    found = store.errors.groups().items[0].fingerprint
    assert store.errors.resolve(found, by=Actor(kind="account", name="ana")).status is ErrorStatus.RESOLVED
    assert status() is ErrorStatus.RESOLVED
    meet()
    assert status() is ErrorStatus.REGRESSED
    store.errors.resolve(found)
    assert store.errors.reopen(found).status is ErrorStatus.ONGOING
    assert status() is ErrorStatus.ONGOING
    assert [e.is_resolved for e in store.errors.list()] == [False, False]
    told = [(one.entry.action, one.entry.actor) for one in store.audit.trail("error_group", found)]
    assert told == [("error.reopen", "agentrecord"), ("error.resolve", "agentrecord"), ("error.resolve", "ana")]
    with pytest.raises(NotFound):
        store.errors.reopen("0" * 16)


def test_groups_are_found_by_words_agent_user_and_range(store: Facing) -> None:
    for kind, agent, user, day in (("A", "coder", "anna", 0), ("A", "writer", "ben", 1), ("B", "writer", "ben", 9)):
        store.errors.record(
            NewError(error_type=kind, error_message=f"bad {kind} thing", agent_id=agent,
                     created_at=AT + timedelta(days=day)), user=user,
        )  # fmt: skip

    def types(**wanted: object) -> list[str]:
        return [g.error_type for g in store.errors.groups(sort="first_seen_at", **wanted)]

    assert types() == ["A", "B"]
    assert types(query='"BAD b"') == types(query="type:b* count:1 last:>=2026-01-05") == ["B"]
    assert types(agent_id="coder") == types(user="anna") == types(query="agent:cod* user:anna,nobody") == ["A"]
    assert types(query="-user:ben") == []
    assert types(query="status:resolved") == []
    assert types(agent_id="writer") == ["A", "B"]
    assert types(user="nobody") == []
    assert types(since=AT + timedelta(days=2)) == ["B"]
    assert types(until=AT + timedelta(days=2)) == ["A"]
    group = store.errors.groups(query="type:A").items[0]
    assert (group.users, group.agents, group.count) == (2, ("coder", "writer"), 2)


@covers("errors.breakdown")
def test_a_group_says_where_it_was_met_and_what_the_failed_runs_cost(store: Facing) -> None:
    version = store.agents.create_version("coder", "1.4")
    for number in range(3):
        run = store.runs.start(NewRun(run_id=str(number), agent_id="coder", agent_version_uuid=version.id)).id
        store.llm_calls.record(NewLLMCall(model="m", run_uuid=run, cost_nanos=5))
        tool = store.tool_calls.record(NewToolCall(tool_name="Bash", run_uuid=run))
        store.tool_calls.finish(tool.id, error_message="no")
        if number < 2:
            store.errors.record(NewError(error_type="A", error_message="x", run_uuid=run))
    store.runs.fail(store.runs.get("0").id, "x")
    store.errors.record(NewError(error_type="A", error_message="x"), user="ben")
    group = store.errors.groups().items[0]
    assert [day.count for day in group.days] == [3]
    found = store.errors.breakdown(group.fingerprint)
    assert [(one.name, one.count) for one in found.agents] == [("coder", 2), (None, 1)]
    assert [(one.name, one.count) for one in found.users] == [("unassigned", 2), ("ben", 1)]
    assert [(one.name, one.count) for one in found.versions] == [("1.4", 2)]
    assert [(one.name, one.count) for one in found.models] == [("m", 2)]
    assert [(one.name, one.count) for one in found.tools] == [("Bash", 2)]
    assert (found.looked_at, found.runs, found.failed_runs, found.usage.cost_nanos) == (3, 2, 1, 5)
    assert str(found.prices) == "the providers' own figures"
    assert [(e.user, e.agent_id, e.run_id) for e in store.errors.list(group=group.id)][-1] == (
        "unassigned", "coder", "0"
    )  # fmt: skip


@covers("errors.groups")
def test_pages_of_groups_go_on_while_the_clock_does(store: Facing, clock: HeldClock) -> None:
    for name in ("A", "B", "C"):
        store.errors.record(NewError(error_type=name, error_message="bad"))
    for asked in ({"status": ErrorStatus.NEW}, {"query": "status:new"}, {"query": "-status:ongoing"}):
        found: list[str] = []
        cursor = None
        while len(found) < 3:
            page = store.errors.groups(limit=1, cursor=cursor, **asked)
            found += [group.error_type for group in page]
            cursor = page.next_cursor
            clock.advance(seconds=7)
        assert (sorted(found), cursor) == (["A", "B", "C"], None)
    with pytest.raises(InvalidFilter, match="another filter"):
        store.errors.groups(status=ErrorStatus.ONGOING, cursor=store.errors.groups(limit=1).next_cursor)
