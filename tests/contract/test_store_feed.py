"""The feed: every fact that arrives or changes, once, in the order of arrival, whatever time it names itself."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from agentrecord.exceptions import InvalidFilter, InvalidTransition
from agentrecord.records.change import ChangeKind, Changes
from agentrecord.records.change_filter import change_filter
from agentrecord.records.error import NewError
from agentrecord.records.llm_call import NewLLMCall
from agentrecord.records.message import MessageRole, NewMessage
from agentrecord.records.run import NewRun, RunFilter
from agentrecord.records.session import NewSession, SessionFilter
from agentrecord.records.tool_call import NewToolCall
from agentrecord.store import feed
from agentrecord.store._arrivals import ADD_ARRIVAL
from faces import Facing, covers
from held_clock import HeldClock


def told(changes: Changes) -> list[tuple[str, str, str | None]]:
    """Return what a stretch of the feed tells, in its order."""
    return [(change.kind.value, change.line, change.status) for change in changes.items]


def follow(store: Facing, place: str, **asked: Any) -> tuple[list[tuple[str, str, str | None]], str]:
    """Return all that came after a place, and the place after it."""
    found: list[tuple[str, str, str | None]] = []
    for _ in range(100):
        stretch = store.feed.changes(place, **asked)
        found += told(stretch)
        place = stretch.place
        if not stretch.more:
            return found, place
    raise AssertionError("the feed does not end")


@covers("feed.changes", "feed.place")
def test_the_feed_tells_facts_as_they_arrive_and_again_when_they_change(store: Facing, clock: HeldClock) -> None:
    begin = store.feed.place()
    session = store.sessions.create(NewSession(session_id="s", title="talk", agent_id="coder"))
    store.messages.append(
        session.id, [NewMessage(role=MessageRole.USER, content="hello  there\nyou")],
        calls=[NewLLMCall(model="m", cost_nanos=5)],
    )  # fmt: skip
    run = store.runs.start(NewRun(run_id="r", objective="mend it", session_uuid=session.id))
    tool = store.tool_calls.record(NewToolCall(tool_name="bash", run_uuid=run.id))
    found, place = follow(store, begin)
    assert found == [
        ("session", "talk", "active"),
        ("message", "hello there you", "user"),
        ("llm_call", "m", "success"),
        ("run", "mend it", "running"),
        ("tool_call", "bash", "pending"),
    ]
    clock.advance(seconds=5)
    store.runs.heartbeat(run.id)
    assert follow(store, place)[0] == []
    store.tool_calls.finish(tool.id, error_message="no")
    store.errors.record(NewError(error_type="E", error_message="bad", run_uuid=run.id))
    store.runs.fail(run.id, error_message="bad")
    store.sessions.deactivate(session.id)
    found, place = follow(store, place)
    assert found == [
        ("tool_call", "bash", "error"),
        ("error", "bad", "E"),
        ("run", "mend it", "error"),
        ("session", "talk", "inactive"),
    ]
    last = store.feed.changes(limit=3)
    assert told(last) == found[1:]
    assert (last.items[1].run_id, last.items[1].session_id, last.items[1].run_uuid) == ("r", "s", run.id)
    assert (last.items[2].agent, last.items[2].session_uuid) == ("coder", session.id)
    assert follow(store, last.place)[0] == []


@covers("feed.changes")
def test_what_is_dated_long_ago_is_told_when_it_arrives(store: Facing, clock: HeldClock) -> None:
    store.errors.record(NewError(error_type="E", error_message="now"))
    place = store.feed.place()
    long_ago = clock.now() - timedelta(days=300)
    store.errors.record(NewError(error_type="E", error_message="late", created_at=long_ago))
    store.llm_calls.record(NewLLMCall(model="old", timestamp=long_ago))
    found, _ = follow(store, place)
    assert [line for _, line, _ in found] == ["late", "old"]


@covers("feed.changes")
@pytest.mark.parametrize("limit", [1, 2, 3, 200])
def test_a_reader_of_any_stride_gets_each_fact_once(store: Facing, limit: int) -> None:
    place = store.feed.place()
    session = store.sessions.create(NewSession(session_id="s"))
    many = [NewMessage(role=MessageRole.USER, content=str(number)) for number in range(5)]
    store.messages.append(session.id, many)
    first = store.feed.changes(place, limit=limit)
    for number in range(5, 8):
        store.messages.append(session.id, [NewMessage(role=MessageRole.USER, content=str(number))])
    rest, _ = follow(store, first.place, limit=limit, kinds=[ChangeKind.MESSAGE])
    lines = [line for kind, line, _ in told(first) + rest if kind == "message"]
    assert lines == [str(number) for number in range(8)]


@covers("feed.changes")
def test_more_than_one_row_of_the_log_holds_is_told_whole(store: Facing) -> None:
    place = store.feed.place()
    session = store.sessions.create(NewSession(session_id="s"))
    store.messages.append(session.id, [NewMessage(role=MessageRole.USER, content=str(n)) for n in range(1203)])
    found, _ = follow(store, place, limit=400, kinds=[ChangeKind.MESSAGE])
    assert [line for _, line, _ in found] == [str(number) for number in range(1203)]
    assert len(store.feed.changes(limit=700, kinds=[ChangeKind.MESSAGE]).items) == 700


@covers("feed.changes", "feed.place")
def test_a_stretch_reads_only_so_much_however_few_of_it_are_wanted(
    store: Facing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "_ROWS", 3)
    monkeypatch.setattr(feed, "_ROWS_ON", 6)
    begin = store.feed.place()
    for number in range(40):
        store.sessions.create(NewSession(session_id=f"s{number}"))
    store.errors.record(NewError(error_type="Timeout", error_message="it took too long"))
    first = store.feed.changes(begin, kinds=[ChangeKind.ERROR])
    assert (first.items, first.more) == ((), True)
    found, place = follow(store, begin, kinds=[ChangeKind.ERROR])
    assert [kind for kind, _, _ in found] == ["error"]
    assert follow(store, place)[0] == []


@covers("feed.changes")
def test_until_leaves_what_came_later_for_another_time(store: Facing) -> None:
    begin = store.feed.place()
    for name in ("a", "b"):
        store.errors.record(NewError(error_type="E", error_message=name))
    middle = store.feed.changes(begin).place
    store.errors.record(NewError(error_type="E", error_message="c"))
    first = store.feed.changes(begin, until=middle, limit=1)
    assert (told(first), first.more) == ([("error", "a", "E")], True)
    second, place = follow(store, first.place, until=middle)
    assert second == [("error", "b", "E")]
    assert follow(store, place)[0] == [("error", "c", "E")]


@covers("feed.changes")
def test_what_was_undone_or_deleted_is_not_told(store: Facing) -> None:
    place = store.feed.place()
    session = store.sessions.create(NewSession(session_id="s"))
    turn = store.messages.append(session.id, [NewMessage(role=MessageRole.USER, content="secret")])
    store.messages.delete(turn.messages[0].id)
    done = store.runs.start(NewRun(run_id="r"))
    store.runs.finish(done.id)
    with pytest.raises(InvalidTransition):
        store.runs.finish(done.id)

    def half(conn: Any, scope: Any) -> None:
        from agentrecord.store import errors

        errors.record(conn, scope, NewError(error_type="E", error_message="undone"))
        raise InvalidFilter("x", 1, "stop")

    with pytest.raises(InvalidFilter):
        store.run(half)
    assert [kind for kind, _, _ in follow(store, place)[0]] == ["session", "run"]


@covers("feed.changes")
def test_a_reader_sees_its_own_scope_only(store: Facing) -> None:
    anna, ben = store.scoped(user="anna"), store.scoped(user="ben")
    other = store.scoped(project="p")
    places = {name: one.feed.place() for name, one in (("anna", anna), ("all", store), ("other", other))}
    for number in range(3):
        anna.errors.record(NewError(error_type="E", error_message=f"anna {number}"))
        ben.errors.record(NewError(error_type="E", error_message=f"ben {number}"))
    seen = {name: [line for _, line, _ in follow(one, places[name], limit=2)[0]]
            for name, one in (("anna", anna), ("all", store), ("other", other))}  # fmt: skip
    assert seen["anna"] == ["anna 0", "anna 1", "anna 2"]
    assert sorted(seen["all"]) == sorted(seen["anna"] + ["ben 0", "ben 1", "ben 2"])
    assert seen["other"] == []
    assert [change.user for change in anna.feed.changes(limit=9).items] == ["anna"] * 3


@covers("feed.changes")
def test_a_reader_that_was_away_too_long_is_told_that_it_missed_something(store: Facing, clock: HeldClock) -> None:
    store.errors.record(NewError(error_type="E", error_message="old"))
    place = store.feed.place()
    clock.advance(days=8)
    store.errors.record(NewError(error_type="E", error_message="new"))
    late = store.feed.changes(place)
    assert late.missed
    assert [change.line for change in late.items] == ["old", "new"]
    assert not store.feed.changes(late.place).missed


@covers("feed.changes")
@pytest.mark.parametrize("place", ["", "x", "1~2~3", "1~0~9~0~0~~", "1~0~9~0~0~5:4:~", "1~0~a~0~0~1:1:~", "~" * 30000,
                                   "1~0~9~0~0~1:9:8,3~", "1~0~1~0~0~1:1:~'; DROP"])  # fmt: skip
def test_what_is_no_place_is_refused(store: Facing, place: str) -> None:
    if place == "1~0~9~0~0~~" and store.engine.dialect.name == "sqlite":
        place += "~"
    with pytest.raises(InvalidFilter, match="after"):
        store.feed.changes(place)
    with pytest.raises(InvalidFilter, match="limit"):
        store.feed.changes(limit=0)


def test_the_log_is_swept_of_what_is_old_but_keeps_its_last_rows(store: Facing, clock: HeldClock) -> None:
    session = store.sessions.create(NewSession(session_id="s"))

    def fill(conn: Any, scope: Any) -> None:
        row = {"project_id": scope.project, "user_uuid": session.user_uuid, "at": conn.now, "refs": b"r" + bytes(16)}
        conn.many(ADD_ARRIVAL, [{**row, "part": part} for part in range(300)])

    def count(conn: Any, scope: Any) -> int:
        table = "ar_arrivals" if conn.is_sqlite else "agentrecord.ar_arrivals"
        mark = "?" if conn.is_sqlite else "%s"
        return int(conn.text(f"SELECT count(*) FROM {table} WHERE project_id = {mark}", (scope.project,))[0][0])

    for _ in range(5):
        store.run(fill)
    assert store.run(count) == 1501
    clock.advance(days=8)
    for _ in range(150):
        store.sessions.activate(session.id)
    assert 1000 < store.run(count) <= 1350


def test_what_another_server_numbered_neither_stops_a_write_nor_stays(open_store: Callable[[str, str], Facing]) -> None:
    """A record that was restored elsewhere holds ids of transactions that this server has yet to reach."""
    store = open_store("postgresql", "sync")
    session = store.sessions.create(NewSession(session_id="s"))

    def restore(conn: Any, scope: Any) -> None:
        conn.text(
            "INSERT INTO agentrecord.ar_arrivals (project_id, place, part, user_uuid, at, refs)"
            " SELECT %s, pg_snapshot_xmax(pg_current_snapshot())::text::bigint + ahead, 0, %s, 1, ''::bytea"
            " FROM generate_series(1, 300) AS ahead",
            (scope.project, session.user_uuid),
        )

    def ahead(conn: Any, scope: Any) -> int:
        unreached = "place >= pg_snapshot_xmax(pg_current_snapshot())::text::bigint"
        return int(conn.text(f"SELECT count(*) FROM agentrecord.ar_arrivals WHERE {unreached}")[0][0])

    place = store.feed.place()
    store.run(restore)
    assert store.run(ahead) > 200
    for number in range(130):
        store.sessions.create(NewSession(session_id=f"s{number}", title=str(number)))
    assert store.run(ahead) == 0
    assert [line for _, line, _ in follow(store, place)[0]] == [str(number) for number in range(130)]


@covers("feed.changes", "runs.list", "sessions.list")
def test_a_word_finds_the_same_in_the_feed_as_in_the_lists(store: Facing) -> None:
    for user in ("bob", "Bob", "bob@acme.io", "bob*"):
        session = store.sessions.create(NewSession(session_id=f"s of {user}", agent_id="bot"), user=user)
        store.runs.start(NewRun(run_id=f"r of {user}", agent_id="bot", session_uuid=session.id))
    every = store.feed.changes(limit=100).items
    for text in ("user:bob", "user:BOB", "user:bob*", 'user:"bob*"', "-user:bob", "user:bob,*acme.io", "agent:B*"):
        fits = [change for change in every if change_filter(text).matches(change)]
        found = {run.id for run in store.runs.list(RunFilter(query=text))}
        assert {change.id for change in fits if change.kind is ChangeKind.RUN} == found, text
        found = {session.id for session in store.sessions.list(SessionFilter(query=text))}
        assert {change.id for change in fits if change.kind is ChangeKind.SESSION} == found, text
