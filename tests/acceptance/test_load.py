"""Many clients at once, who write, read and talk: no errors, nothing lost or doubled, no gap in any session."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from server_processes import serving_process

from agentrecord.records.message import Message, MessageRole
from agentrecord.records.run import RunStatus
from agentrecord.records.scope import Role
from agentrecord.records.session import NewSession
from agentrecord.store import Store
from counts import count
from databases import Databases

CLIENTS, ROUNDS = count(40, 200), count(3, 20)
SHARED = CLIENTS // 5
PATH = "/api/agent-sessions"
MOCK = "This is a mock response to: "
PATIENCE_S = 120.0


@pytest.fixture(params=[("sqlite", 1), ("postgresql", 4)], ids=["sqlite", "postgresql"])
def engine_and_workers(request: pytest.FixtureRequest) -> tuple[str, int]:
    """Return where the record is kept, and how many processes serve it."""
    found: tuple[str, int] = request.param
    return found


@pytest.fixture
def url(engine_and_workers: tuple[str, int], databases: Databases) -> Iterator[str]:
    """Return the address of a record."""
    found = databases.create(engine_and_workers[0])
    yield found
    databases.drop(found)


@dataclass
class Log:
    """What the clients were told, and what they saw that must not be."""

    posted: dict[str, dict[int, str]] = field(default_factory=lambda: defaultdict(dict))
    said: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    wrong: list[Any] = field(default_factory=list)

    def expect(self, status: int, answer: httpx.Response) -> Any:
        """Note an answer that has another status, and return its JSON."""
        if answer.status_code != status:
            self.wrong.append((answer.request.method, answer.url.path, answer.status_code, answer.text[:300]))
            return None
        return answer.json()


async def be_client(number: int, client: httpx.AsyncClient, log: Log) -> None:
    """Write to a session that five clients share, read its end, and talk in one that two clients share."""
    shared, own = f"shared{number % SHARED}", f"talk{number // 2}"
    for turn in range(ROUNDS):
        text = f"client {number} turn {turn}"
        posted = log.expect(201, await client.post(f"{PATH}/{shared}/messages", json={"role": "user", "content": text}))
        page = log.expect(200, await client.get(f"{PATH}/{shared}/messages?sort=-sequence&limit=50"))
        if posted is None or page is None:
            return
        if posted["sequence"] in log.posted[shared]:
            log.wrong.append(("told twice", shared, posted["sequence"]))
        log.posted[shared][posted["sequence"]] = text
        seen = {message["sequence"]: message["content"] for message in page["items"]}
        newest = max(seen)
        if sorted(seen) != list(range(max(1, newest - 49), newest + 1)) or seen.get(posted["sequence"]) != text:
            log.wrong.append(("not seen", shared, posted["sequence"], sorted(seen)))
        asked = {"session_id": own, "messages": [{"role": "user", "content": text}]}
        answered = log.expect(201, await client.post(f"{PATH}/conversation", json=asked))
        if answered is not None and answered["response"] != MOCK + text:
            log.wrong.append(("another's answer", own, answered["response"]))
        log.said[own].append(text)


async def crowd(home: str, key: str, log: Log) -> None:
    """Be all clients at once, each with a connection of its own."""
    limits = httpx.Limits(max_connections=CLIENTS, max_keepalive_connections=CLIENTS)
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(base_url=home, headers=headers, limits=limits, timeout=PATIENCE_S) as client:
        await asyncio.gather(*(be_client(number, client, log) for number in range(CLIENTS)))


def all_messages(store: Store, session: UUID) -> list[Message]:
    """Return a session's messages in order."""
    found: list[Message] = []
    cursor = None
    while True:
        page = store.messages.list(session, limit=200, cursor=cursor)
        found += page.items
        cursor = page.next_cursor
        if cursor is None:
            return found


def check(store: Store, log: Log) -> None:
    """Hold the record against what the clients were told."""
    for name, told in log.posted.items():
        stored = all_messages(store, store.sessions.get(name).id)
        assert [message.sequence for message in stored] == list(range(1, len(stored) + 1)), name
        assert {message.sequence: message.content for message in stored} == told, name
    for name, told_by_two in log.said.items():
        stored = all_messages(store, store.sessions.get(name).id)
        assert [message.sequence for message in stored] == list(range(1, 2 * len(told_by_two) + 1)), name
        questions, answers = stored[::2], stored[1::2]
        assert {message.role for message in questions} == {MessageRole.USER}
        # One turn at a time: each answer stands right after its question.
        assert [message.content for message in answers] == [MOCK + message.content for message in questions], name
        assert Counter(message.content for message in questions) == Counter(told_by_two), name
    assert store.turns.running() == ()
    assert {run.status for run in store.runs.list(limit=200)} == {RunStatus.COMPLETED}
    assert store.usage.recount() == ()


def test_many_clients_at_once_lose_and_double_nothing(
    url: str, engine_and_workers: tuple[str, int], tmp_path: Path
) -> None:
    log = Log()
    with Store(url) as store:
        own = store.scoped(user="ana")
        key = own.keys.create("load", role=Role.WRITE).secret
        for number in range(SHARED):
            own.sessions.create(NewSession(session_id=f"shared{number}"))
    options = ("--workers", str(engine_and_workers[1]))
    environ = {"AGENTRECORD_REQUESTS_PER_MINUTE": "0"}
    with serving_process(url, tmp_path, environ, *options) as server:
        asyncio.run(crowd(f"http://127.0.0.1:{server.port}", key, log))
        assert log.wrong == []
    assert sum(map(len, log.posted.values())) == CLIENTS * ROUNDS == sum(map(len, log.said.values()))
    with Store(url) as store:
        check(store, log)
