"""A record with hundreds of everything that has a name: no page shows more of them than a browser likes."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import product

import pytest
from page_fixtures import MOST_NODES, START, nodes, served, signed_in
from starlette.testclient import TestClient

from agentrecord.records.error import NewError
from agentrecord.records.llm_call import CallStatus, NewLLMCall
from agentrecord.records.message import MessageRole, NewMessage
from agentrecord.records.price import NewPrice, Rates
from agentrecord.records.run import NewRun
from agentrecord.records.session import NewSession
from agentrecord.records.tokens import TokenCounts
from agentrecord.records.tool_call import NewToolCall
from agentrecord.store import Store

MANY = 300


@dataclass(frozen=True)
class Named:
    """Where the many names are."""

    client: TestClient
    session: str
    runs: tuple[str, str]
    group: str


def fill(store: Store) -> tuple[str, tuple[str, str], str]:
    """Store a session whose two runs called and used many things, and many versions, agents, prices and errors."""
    session = store.sessions.create(NewSession(session_id="wide", agent_id="wide"), user="ana").id
    runs = []
    for number in ("1", "2"):
        version = store.agents.create_version("wide", number).id
        new = NewRun(run_id=f"wide {number}", session_uuid=session, agent_id="wide", agent_version_uuid=version,
                     objective="Try all", started_at=START)  # fmt: skip
        runs.append(store.runs.start(new, user="ana").id)
    for run in runs:
        store.messages.append(
            session, [NewMessage(role=MessageRole.ASSISTANT, content="All of them.", run_uuid=run)],
            calls=[NewLLMCall(model=f"model {number}", run_uuid=run, timestamp=START, status=CallStatus.ERROR,
                              tokens=TokenCounts(input=1_000, output=1)) for number in range(MANY)],
        )  # fmt: skip
    for number in range(MANY):
        used = NewToolCall(
            tool_name=f"tool {number}", run_uuid=runs[number % 2], session_uuid=session, started_at=START
        )
        store.tool_calls.finish(store.tool_calls.record(used).id, error_message="no")
        store.agents.create_version("wide", f"version {number}", changes='{"prompt": "shorter"}')
        store.runs.start(NewRun(run_id=f"of {number}", agent_id=f"agent {number}", started_at=START), user="ana")
        store.prices.set(NewPrice(model=f"model {number}", rates=Rates(input=1_000_000_000, output=1_000_000_000)))
    store.errors.record(NewError(error_type="E", error_message="broken", run_uuid=runs[0], agent_id="wide"))
    return str(session), (str(runs[0]), str(runs[1])), store.errors.groups().items[0].fingerprint


@pytest.fixture(scope="module")
def named() -> Iterator[Named]:
    with served() as (client, filled):
        assert filled is not None
        session, runs, group = fill(filled.store)
        yield Named(signed_in(client), session, runs, group)


def test_no_page_grows_with_how_many_names_there_are(named: Named) -> None:
    first, second = named.runs
    paths = [
        "/?since=all", "/sessions?since=all", "/runs?since=all", "/agents?since=all", "/users?since=all",
        "/errors?since=all", f"/errors/{named.group}", "/prices", "/agents/wide?since=all", "/u/ana?since=all",
        "/u/ana?since=all&tab=cost", "/u/ana?since=all&tab=errors", f"/s/{named.session}",
        f"/s/{named.session}?tab=runs", f"/r/{first}", f"/runs/compare?a={first}&b={second}",
        "/agents/wide/compare?a=1&b=2", "/imports", "/settings",
        *[f"/cost?since=all&by={by}" for by in ("model", "tool", "version", "agent", "user", "session")],
        "/cost?since=all&by=user&split=model",
    ]  # fmt: skip
    found = {path: nodes(named.client.get(path).text) for path in paths}
    assert all(found.values())
    assert {path: count for path, count in found.items() if count > MOST_NODES} == {}


def test_rows_make_room_for_a_chart_of_many_parts() -> None:
    with served() as (client, filled):
        assert filled is not None
        for day, name in product(range(25), range(9)):
            new = NewLLMCall(model=f"model {name}", timestamp=START - timedelta(days=day), cost_nanos=1_000 + name)
            filled.store.llm_calls.record(new)
        page = signed_in(client).get("/cost?since=all&by=day&split=model").text
    assert nodes(page) <= MOST_NODES
    told = re.search(r"Total of (\d+) rows; (\d+) are shown, CSV and JSON hold all", page)
    assert told is not None
    assert 25 <= int(told[2]) < 100 < 225 < int(told[1])
