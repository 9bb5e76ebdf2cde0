"""A run of 20,000 pieces, a session of 5,000 messages, and a record with one row: pages say how much there is."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape

import pytest
from page_fixtures import MOST_NODES, SECRET, START, TOKEN, FixedClock, nodes, signed_in
from starlette.testclient import TestClient

from agentrecord.ingest.otlp_facts import derive
from agentrecord.records.llm_call import NewLLMCall
from agentrecord.records.message import MessageRole, NewMessage
from agentrecord.records.run import NewRun
from agentrecord.records.session import NewSession
from agentrecord.records.tokens import TokenCounts
from agentrecord.server.app import build_app
from agentrecord.store import AsyncStore, Store
from otlp_requests import received, span

CALLS, MESSAGES, BATCHES = 20_000, 5_000, 20
COST = "$40.00"


@dataclass(frozen=True)
class Site:
    """A client that is signed in, and the record that it looks at."""

    client: TestClient
    store: Store

    def page(self, path: str) -> str:
        """Return a page, which is no longer than a browser likes."""
        page = self.client.get(path)
        assert page.status_code == 200, path
        assert nodes(page.text) <= MOST_NODES, path
        return page.text

    def text(self, path: str) -> str:
        """Return what a page says, its markup left out."""
        return said(self.page(path))


def said(page: str) -> str:
    """Return what a page says, its markup left out."""
    without = re.sub(r"(?s)<(script|svg)\b.*?</\1>", "", page)
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", "", without)))


def fill(store: Store) -> None:
    """Store a session whose one run made 20,000 calls, of $0.002 each, in 5,000 messages."""
    session = store.sessions.create(NewSession(session_id="long", title="A long talk"), user="ana").id
    run = store.runs.start(NewRun(run_id="long", session_uuid=session, objective="Go on", started_at=START)).id
    for batch in range(BATCHES):
        numbers = range(batch * MESSAGES // BATCHES, (batch + 1) * MESSAGES // BATCHES)
        store.messages.append(
            session,
            [NewMessage(role=MessageRole.USER, content=f"Message number {at}.", run_uuid=run) for at in numbers],
            calls=[NewLLMCall(model="long-model", run_uuid=run, session_uuid=session, timestamp=START,
                              cost_nanos=2_000_000, tokens=TokenCounts(input=1_000, output=1))
                   for _ in range(CALLS // BATCHES)],
        )  # fmt: skip
    store.runs.finish(run, output="done")


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    store = AsyncStore("memory:", clock=FixedClock())
    own = Store(engine=store.engine)
    fill(own)
    app = build_app(store, secret=SECRET, sign_in_token=TOKEN)
    with TestClient(app, base_url="http://localhost", follow_redirects=False) as client:
        yield Site(signed_in(client), own)
    store.close()


def link(page: str, words: str) -> str:
    """Return where the link of these words leads."""
    found = re.search(rf'<a [^>]*href="([^"]*)"[^>]*>{words}', page)
    assert found, words
    return unescape(found[1])


def test_a_run_of_twenty_thousand_pieces_says_which_of_them_it_shows(site: Site) -> None:
    page = site.page("/r/long")
    for told in ("20,000 LLM calls", f"Cost{COST}"):
        assert told in said(page)
    shown = re.search(r"rows 1–(\d+) of 20,001", said(page))
    assert shown
    last = int(shown[1])
    assert f"rows {last + 1}–{2 * last} of 20,001" in site.text(f"/r/long{link(page, 'later')}")


def test_a_session_of_five_thousand_messages_is_read_from_end_to_end(site: Site) -> None:
    page = site.page("/s/long")
    for told in ("Turns15,000 messages", f"Cost{COST}", "5,000 messages would lose their content"):
        assert told in said(page)
    shown = [int(number) for number in re.findall(r"Message number (\d+)\.", page)]
    assert shown == list(range(len(shown)))
    later = link(page, "↓ later messages")
    assert f"Message number {len(shown)}." in site.text(f"/s/long{later.partition('#')[0]}")
    last = site.store.messages.list(site.store.sessions.get("long").id, limit=1, offset=MESSAGES - 1).items[0]
    answer = site.client.get(f"/m/{last.id}")
    assert answer.status_code in (302, 303, 307)
    page = site.text(answer.headers["location"].partition("#")[0])
    assert f"Message number {MESSAGES - 1}." in page
    assert len(site.client.get("/s/long.jsonl").text.splitlines()) == MESSAGES


def test_sums_over_twenty_thousand_calls_are_exact(site: Site) -> None:
    for path in ("/?since=all", "/cost?since=all", "/runs?since=all", "/sessions?since=all", "/users?since=all"):
        assert COST in site.text(path), path
    assert "20,000" in site.text("/cost?since=all")
    for limit in (1, 50):
        told = site.client.get(f"/api/calls?limit={limit}").json()
        assert (told["total"], told["total_is_exact"]) == (10_000, False), "no list is counted further"
    found = site.store.llm_calls.list(run=site.store.runs.get("long").id, limit=1)
    assert (found.total, found.total_is_exact) == (10_000, False)


def test_a_record_with_one_row_speaks_of_one_and_a_long_name_of_a_model_is_told() -> None:
    store = AsyncStore("memory:", clock=FixedClock())
    own = Store(engine=store.engine)
    called = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m" * 300, "gen_ai.usage.input_tokens": 1}
    own.traces.record(received(span(1, "chat", called)), derive)
    app = build_app(store, secret=SECRET, sign_in_token=TOKEN)
    with TestClient(app, base_url="http://localhost", follow_redirects=False) as client:
        signed = Site(signed_in(client), own)
        for path, told in {
            "/?since=all": "1 call", "/runs?since=all": "1 run", "/sessions?since=all": "1 session",
            "/cost?since=all": "1 call", "/users?since=all": "1 user", "/agents?since=all": "No agents",
        }.items():  # fmt: skip
            page = signed.text(path)
            assert told in page, (path, page)
        # A name is told from others that begin alike by what stands for its end.
        assert re.search(r"m{200}~[0-9a-f]{24}", client.get("/cost?since=all").text)
    store.close()
