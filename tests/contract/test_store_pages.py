"""Pages: no row is skipped or repeated while others are added; what is no cursor is refused."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from agentrecord.exceptions import InvalidFilter
from agentrecord.records.error import NewError
from agentrecord.records.event import NewEvent
from agentrecord.records.llm_call import NewLLMCall
from agentrecord.records.message import MessageRole, NewMessage
from agentrecord.records.run import NewRun
from agentrecord.records.session import NewSession, SessionFilter
from agentrecord.records.tool_call import NewToolCall
from faces import Facing, covers

Add = Callable[[Facing, int], Any]
LISTS: dict[str, Add] = {
    "sessions.list": lambda s, n: s.sessions.create(NewSession(session_id=f"s{n:03}")),
    "runs.list": lambda s, n: s.runs.start(NewRun(run_id=f"r{n:03}")),
    "events.list": lambda s, n: s.events.record(NewEvent(event_type="e")),
    "llm_calls.list": lambda s, n: s.llm_calls.record(NewLLMCall(model="m")),
    "tool_calls.list": lambda s, n: s.tool_calls.record(NewToolCall(tool_name="t")),
    "errors.list": lambda s, n: s.errors.record(NewError(error_type="E", error_message="m")),
    "errors.groups": lambda s, n: s.errors.record(NewError(error_type=f"E{n}x", error_message="m")),
    "users.list": lambda s, n: s.users.ensure(f"u{n:03}"),
    "agents.list": lambda s, n: s.agents.ensure(f"a{n:03}"),
    "projects.list": lambda s, n: s.projects.ensure(f"p{n:03}"),
    "audit.list": lambda s, n: s.audit.record("a", "session", str(n)),
    "keys.list": lambda s, n: s.keys.create(f"k{n}"),
    "prices.list_models": lambda s, n: s.llm_calls.record(NewLLMCall(model=f"m{n:03}")),
}


def read_all(store: Facing, operation: str, between: Callable[[], Any], **more: Any) -> list[Any]:
    """Read a list page by page, doing something between any two."""
    found: list[Any] = []
    page = store.call(operation, limit=3, **more)
    while True:
        assert len(page) <= 3
        found += [row.id for row in page]
        if page.next_cursor is None:
            return found
        between()
        page = store.call(operation, limit=3, cursor=page.next_cursor, **more)


@covers(*LISTS)
def test_no_list_skips_or_repeats_a_row_while_rows_are_added(store: Facing) -> None:
    for operation, add in LISTS.items():
        for number in range(7):
            add(store, number)
        there = [row.id for row in store.call(operation, limit=200)]
        numbers = iter(range(100, 200))
        found = read_all(store, operation, lambda add=add, n=numbers: add(store, next(n)))  # type: ignore[misc]
        assert len(found) == len(set(found)), operation
        assert set(there) <= set(found), operation
        assert [row for row in found if row in there] == there, operation


def test_every_order_reaches_every_row_once_even_among_equals(store: Facing) -> None:
    for number in range(7):
        store.sessions.create(NewSession(session_id=f"s{number}", title=None if number % 2 else "same"))
    for sort in ("last_activity_at", "created_at", "updated_at", "cost", "messages", "session_id", "title"):
        for order in (sort, f"-{sort}"):
            found = read_all(store, "sessions.list", lambda: None, sort=order)
            assert len(found) == 7 == len(set(found)), order


def test_messages_are_paged_by_sequence(store: Facing) -> None:
    session = store.sessions.create(NewSession(session_id="s")).id
    store.messages.append(session, [NewMessage(role=MessageRole.USER, content=str(n)) for n in range(8)])
    page = store.messages.list(session, limit=5)
    rest = store.messages.list(session, limit=5, cursor=page.next_cursor)
    assert [m.content for m in (*page, *rest)] == list("01234567")
    assert (page.total, page.total_is_exact, rest.next_cursor) == (8, True, None)


def test_a_cursor_of_another_filter_or_order_and_no_cursor_at_all_are_refused(store: Facing) -> None:
    for number in range(5):
        store.sessions.create(NewSession(session_id=f"s{number}"))
    cursor = store.sessions.list(limit=2).next_cursor

    def encoded(value: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()

    for filter_, sort in ((SessionFilter(source="x"), "-last_activity_at"), (None, "last_activity_at")):
        with pytest.raises(InvalidFilter) as refused:
            store.sessions.list(filter_, sort=sort, cursor=cursor)
        assert refused.value.field == "cursor"
    for wrong in ("", "x", "äöü", "!!!!", encoded(5), encoded([1, 2]), encoded([1, 2, "x"]), encoded([{}, "ab", "x"]),
                  encoded([{"at": "x"}, "0" * 32, "x"]), encoded([{"at": 10**30}, "0" * 32, "x"]), "a\0b"):  # fmt: skip
        with pytest.raises(InvalidFilter):
            store.sessions.list(cursor=wrong)


@pytest.mark.parametrize(
    ("sort", "values"),
    [
        ("-last_activity_at", [None, [], [1], {}, {"at": None}, 1, "x", True, 1e308]),
        ("title", [None, [], ["x"], {"at": 0}, 1, True, "a\0b", "\ud800"]),
        ("cost", [None, [], {"at": 0}, "1", True, 1.5, 2**63, -(2**63) - 1, float("nan")]),
        ("-tree_cost", [None, [], {"at": 0}, "1", True]),
    ],
)
def test_a_cursor_whose_value_is_of_another_kind_is_refused(store: Facing, sort: str, values: list[Any]) -> None:
    for number in range(3):
        store.sessions.create(NewSession(session_id=f"s{number}", title=f"t{number}"))
    cursor = store.sessions.list(sort=sort, limit=1).next_cursor
    assert len(store.sessions.list(sort=sort, limit=1, cursor=cursor)) == 1
    _, *rest = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    for value in values:
        forged = base64.urlsafe_b64encode(json.dumps([value, *rest]).encode()).decode()
        with pytest.raises(InvalidFilter) as refused:
            store.sessions.list(sort=sort, limit=1, cursor=forged)
        assert refused.value.field == "cursor"


def test_a_page_has_a_sensible_size_and_start(store: Facing) -> None:
    for limit in (0, -1, 201, 2**63):
        with pytest.raises(InvalidFilter) as refused:
            store.sessions.list(limit=limit)
        assert refused.value.field == "limit"
    for offset in (-1, 2**63):
        with pytest.raises(InvalidFilter):
            store.sessions.list(offset=offset)
        with pytest.raises(InvalidFilter):
            store.messages.search("x", offset=offset)
    assert store.sessions.list(offset=5).items == []
