"""Live changes over HTTP: every change once, to whoever may see it, across cuts, servers and slow clients."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from agentrecord.exceptions import TooBusy
from agentrecord.records.change import Changes
from agentrecord.records.error import NewError
from agentrecord.records.llm_call import NewLLMCall
from agentrecord.server.app import build_app
from agentrecord.server.live import MOST_FOLLOWING, MOST_OF_ONE, MOST_WAITING, Hub
from agentrecord.store import AsyncStore, Store
from databases import Databases
from serving import serving

SECRET = b"0123456789abcdef0123456789abcdef"
PATIENCE_S = 30.0


@dataclass(frozen=True)
class Event:
    """A server-sent event."""

    id: str
    event: str
    data: Any

    @property
    def lines(self) -> list[str]:
        return [item["line"] for item in self.data.get("items", [])]


@dataclass(frozen=True)
class Site:
    """A server, and the record behind it."""

    url: str
    app: FastAPI
    store: Store

    def key(self, user: str | None = None) -> str:
        return self.store.keys.create("k", user=user).secret

    def tell(self, line: str, *, user: str | None = None) -> None:
        self.store.errors.record(NewError(error_type="E", error_message=line), user=user)

    @contextmanager
    def events(self, key: str, *, after: str | None = None, query: str = "") -> Iterator[Iterator[Event]]:
        """Yield the events of a stream as they come."""
        headers = {"Accept": "text/event-stream", "Authorization": f"Bearer {key}"}
        if after is not None:
            headers["Last-Event-ID"] = after
        with httpx.stream("GET", f"{self.url}/api/live{query}", headers=headers, timeout=PATIENCE_S) as answer:
            assert answer.status_code == 200
            assert answer.headers["content-type"].startswith("text/event-stream")
            assert "content-encoding" not in answer.headers
            yield parsed(answer.iter_lines())


def parsed(lines: Iterator[str]) -> Iterator[Event]:
    """Yield events; those without data only move the place on."""
    found: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(":")
            found[name] = value.strip()
        elif "data" in found:
            yield Event(found.get("id", ""), found.get("event", ""), json.loads(found["data"]))
            found = {}
        else:
            found = {}


def until(events: Iterator[Event], line: str) -> list[Event]:
    """Return the events up to the one that tells `line`."""
    found = []
    for event in events:
        found.append(event)
        if line in event.lines:
            return found
    raise AssertionError(f"the stream ended before {line!r}")


def told(events: list[Event]) -> list[str]:
    return [line for event in events for line in event.lines]


def wait_for(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not happened():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.01)


@contextmanager
def served(url: str) -> Iterator[Site]:
    store = AsyncStore(url)
    app = build_app(store, secret=SECRET)
    try:
        with serving(app) as home:
            yield Site(home, app, Store(engine=store.engine))
    finally:
        store.close()


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def site(request: pytest.FixtureRequest, databases: Databases) -> Iterator[Site]:
    """Return a server over an empty record."""
    url = databases.create(request.param)
    with served(url) as found:
        yield found
    databases.drop(url)


@pytest.fixture
def file_site(databases: Databases) -> Iterator[Site]:
    """Return a server over an empty record in a file."""
    url = databases.create("sqlite")
    with served(url) as found:
        yield found
    databases.drop(url)


def test_a_client_that_comes_back_gets_what_it_missed_and_nothing_twice(site: Site) -> None:
    key = site.key()
    site.tell("before")
    with site.events(key) as events:
        assert next(events).event == "ready"
        for number in range(3):
            site.tell(f"first {number}")
        seen = until(events, "first 2")
    assert told(seen) == ["first 0", "first 1", "first 2"]
    for number in range(250):
        site.tell(f"missed {number}")
    with site.events(key, after=seen[-1].id) as events:
        missed = until(events, "missed 249")
        site.tell("live again")
        missed += until(events, "live again")
    assert told(missed) == [*(f"missed {number}" for number in range(250)), "live again"]
    # A place in the middle of what was missed is as good as its end.
    with site.events(key, after=missed[0].id) as events:
        assert told(until(events, "live again")) == told(missed[1:])
    wait_for(lambda: site.app.state.hub.is_idle)


def test_a_client_is_told_what_it_may_see_and_asked_for(file_site: Site) -> None:
    site = file_site
    anna, everything = site.key("anna"), site.key()
    with (
        site.events(anna) as of_anna,
        site.events(everything, query="?kinds=llm_call&q=user:ben") as calls,
        site.events(everything) as whole,
    ):
        for events in (of_anna, calls, whole):
            assert next(events).event == "ready"
        assert site.app.state.hub.watchers == 3
        site.tell("ben's", user="ben")
        site.store.llm_calls.record(NewLLMCall(model="ben's model"), user="ben")
        site.tell("anna's", user="anna")
        assert told(until(of_anna, "anna's")) == ["anna's"]
        assert told(until(calls, "ben's model")) == ["ben's model"]
        assert told(until(whole, "anna's")) == ["ben's", "ben's model", "anna's"]
    wait_for(lambda: site.app.state.hub.is_idle)


def test_two_servers_on_one_record_tell_the_same(databases: Databases) -> None:
    url = databases.create("postgresql")
    with ExitStack() as stack:
        one, other = stack.enter_context(served(url)), stack.enter_context(served(url))
        key = one.key()
        streams = [stack.enter_context(site.events(key)) for site in (one, other)]
        assert [next(events).event for events in streams] == ["ready", "ready"]
        expected = [f"{name} {number}" for number in range(5) for name in ("one", "other")]
        for line in expected:
            (one if line.startswith("one") else other).tell(line)
        seen = [until(events, "other 4") for events in streams]
        assert [told(events) for events in seen] == [expected, expected]
        # A place that one server gave is a place at the other.
        with other.events(key, after=seen[0][0].id) as events:
            rest = told(until(events, "other 4")) if seen[0][0] is not seen[0][-1] else []
        assert told(seen[0][:1]) + rest == expected
    databases.drop(url)


def test_pages_of_the_feed_are_answered_as_json_too(file_site: Site) -> None:
    headers = {"Authorization": f"Bearer {file_site.key()}"}
    for number in range(3):
        file_site.tell(str(number))

    def page(query: str = "") -> dict[str, Any]:
        answer = httpx.get(f"{file_site.url}/api/live{query}", headers=headers, timeout=PATIENCE_S)
        assert answer.status_code == 200
        found: dict[str, Any] = answer.json()
        return found

    last = page("?limit=2")
    assert [item["line"] for item in last["items"]] == ["1", "2"]
    assert page(f"?cursor={last['place']}")["items"] == []
    assert [item["line"] for item in page("?q=kind:error 1")["items"]] == ["1"]
    file_site.tell("3")
    assert [(item["kind"], item["status"]) for item in page(f"?cursor={last['place']}")["items"]] == [("error", "E")]


def test_what_is_no_place_is_refused(file_site: Site) -> None:
    key = file_site.key()
    answer = httpx.get(
        f"{file_site.url}/api/live?cursor=yesterday", headers={"Authorization": f"Bearer {key}"}, timeout=PATIENCE_S
    )
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:agentrecord:problem:InvalidFilter")
    with file_site.events(key, after="yesterday") as events:
        problem = next(events)
        assert (problem.event, problem.data["status"]) == ("problem", 422)
        assert next(events, None) is None


def test_a_place_that_is_too_old_sends_the_client_to_the_present(file_site: Site) -> None:
    file_site.tell("old")
    with file_site.events(file_site.key(), after="1~0~1~0~0~~") as events:
        assert next(events).event == "missed"
        file_site.tell("new")
        assert told(until(events, "new")) == ["new"]


def test_a_server_that_ends_lets_its_clients_go(databases: Databases) -> None:
    url = databases.create("sqlite")
    with ExitStack() as stack:
        with served(url) as site:
            events = stack.enter_context(site.events(site.key()))
            assert next(events).event == "ready"
            began = time.monotonic()
        # It does not wait for the grace that open connections have.
        assert time.monotonic() - began < 1.9
        assert next(events, None) is None
    databases.drop(url)


def test_a_client_that_reads_too_slowly_is_let_go_and_resumes() -> None:
    async def slow(store: AsyncStore) -> None:
        hub = Hub(store, poll_s=0.001)
        stream = hub.follow(store, None, keep_alive_s=PATIENCE_S, most_s=PATIENCE_S)
        ready = await anext(stream)
        assert ready is not None
        for number in range(MOST_WAITING + 5):
            await store.errors.record(NewError(error_type="E", error_message=str(number)))
            # Each as a stretch of its own, whatever the poller's pace.
            await next(iter(hub._topics.values())).poll()
        seen = [stretch async for stretch in stream if stretch is not None]
        assert len(seen) == MOST_WAITING
        resumed = hub.follow(store, seen[-1].place, keep_alive_s=PATIENCE_S, most_s=PATIENCE_S)
        missed = await anext(resumed)
        assert missed is not None
        lines = [change.line for stretch in [*seen, missed] for change in stretch.items]
        assert lines == [str(number) for number in range(MOST_WAITING + 5)]
        await resumed.aclose()
        assert hub.watchers == 0
        await hub.close()
        assert hub.is_idle

    async def bounded() -> None:
        async with asyncio.timeout(PATIENCE_S), AsyncStore("memory:") as store:
            await slow(store)

    asyncio.run(bounded())


def test_one_caller_has_so_many_streams_and_others_have_theirs(file_site: Site) -> None:
    site = file_site
    greedy, other = site.key(), site.key()
    headers = {"Accept": "text/event-stream", "Authorization": f"Bearer {greedy}"}
    with ExitStack() as stack:
        followed = [stack.enter_context(site.events(greedy)) for _ in range(MOST_OF_ONE)]
        assert all(next(events).event == "ready" for events in followed)
        refused = httpx.get(f"{site.url}/api/live", headers=headers, timeout=PATIENCE_S)
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "30")
        assert "50 streams of yours are open already" in refused.json()["detail"]
        # Who asks for no events is answered, and another key is let in.
        assert httpx.get(f"{site.url}/api/live", headers={"Authorization": headers["Authorization"]}).is_success
        with site.events(other) as events:
            assert next(events).event == "ready"
    wait_for(lambda: site.app.state.hub.is_idle)
    with site.events(greedy) as events:
        assert next(events).event == "ready"


def test_a_process_serves_so_many_streams_and_lets_others_in_when_some_end() -> None:
    async def crowded(store: AsyncStore) -> None:
        hub = Hub(store, poll_s=PATIENCE_S)

        def stream(number: int) -> AsyncGenerator[Changes | None, None]:
            return hub.follow(store, None, keep_alive_s=PATIENCE_S, most_s=PATIENCE_S, who=str(number // MOST_OF_ONE))

        streams = [stream(number) for number in range(MOST_FOLLOWING)]
        for one in streams:
            await anext(one)
        assert hub.watchers == MOST_FOLLOWING
        with pytest.raises(TooBusy, match="500 streams are open already"):
            hub.admit("late")
        with pytest.raises(TooBusy):
            await anext(stream(-1))
        await streams.pop().aclose()
        hub.admit("late")
        for one in streams:
            await one.aclose()
        await hub.close()
        assert hub.is_idle

    async def bounded() -> None:
        async with asyncio.timeout(PATIENCE_S), AsyncStore("memory:") as store:
            await crowded(store)

    asyncio.run(bounded())


def test_however_many_watch_the_feed_is_read_once_and_only_after_a_change() -> None:
    async def watched(store: AsyncStore) -> None:
        reads: list[str] = []
        store.engine.observer = reads.append
        hub = Hub(store, poll_s=PATIENCE_S)
        streams = [hub.follow(store, None, keep_alive_s=PATIENCE_S, most_s=PATIENCE_S) for _ in range(20)]
        for stream in streams:
            await anext(stream)
        await hub._look()
        assert reads
        reads.clear()
        for _ in range(10):
            await hub._look()
        assert reads == []
        await store.errors.record(NewError(error_type="E", error_message="x"))
        reads.clear()
        await hub._look()
        assert len([sql for sql in reads if "refs FROM ar_arrivals" in sql]) == 1
        told = [await anext(stream) for stream in streams]
        assert [len(stretch.items) if stretch else 0 for stretch in told] == [1] * 20
        for stream in streams:
            await stream.aclose()
        await hub.close()

    async def bounded() -> None:
        async with asyncio.timeout(PATIENCE_S), AsyncStore("memory:") as store:
            await watched(store)

    asyncio.run(bounded())


def test_a_file_shows_cheaply_that_another_process_wrote(databases: Databases) -> None:
    url = databases.create("sqlite")
    with Store(url) as here, Store(url) as there:
        signs = [here.engine.change_sign()]
        signs.append(here.engine.change_sign())
        for store in (here, there):
            store.errors.record(NewError(error_type="E", error_message="x"))
            signs.append(here.engine.change_sign())
        assert signs[0] == signs[1]
        assert len(set(signs)) == 3
    databases.drop(url)
