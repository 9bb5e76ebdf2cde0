"""Errors: equal ones fall into one group, which is resolved and opened again."""

from datetime import UTC, datetime, timedelta

import pytest

from agentrecord.exceptions import Conflict, NotFound
from agentrecord.ids import new_id
from agentrecord.records.error import NewError
from agentrecord.records.session import NewSession
from faces import Facing, covers

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
