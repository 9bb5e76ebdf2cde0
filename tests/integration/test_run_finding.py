"""Pieces of a run's page: those that are one row, those that are found, and what others wrote in them."""

import html
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from page_fixtures import NASTY, START, Filled, served, signed_in
from starlette.testclient import TestClient

from agentrecord.ingest.otlp_facts import derive
from agentrecord.records.llm_call import NewLLMCall
from agentrecord.records.message import MessageRole, NewMessage
from agentrecord.records.run import NewRun, RunFilter
from agentrecord.records.session import NewSession
from agentrecord.records.tool_call import NewToolCall
from otlp_requests import TRACE, received
from otlp_requests import span as sent

Site = tuple[TestClient, Filled]


@pytest.fixture
def site() -> Iterator[Site]:
    with served() as (client, filled):
        assert filled is not None
        yield signed_in(client), filled


def text_of(client: TestClient, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200, (path, answer.text[:500])
    return " ".join(re.sub(r"<[^>]+>", " ", answer.text).split())


def with_tries(filled: Filled) -> tuple[Any, list[str]]:
    """Record a run that fetches three times, of which two failed, and stores once; return it and the tries."""
    run = filled.store.runs.start(NewRun(run_id="tries", agent_id="bot", started_at=START)).id
    made = []
    for second, name, error in ((0, "fetch", "late"), (2, "fetch", "late"), (4, "fetch", None), (6, "store", None)):
        at = START + timedelta(seconds=second)
        tool = filled.store.tool_calls.record(
            NewToolCall(tool_name=name, run_uuid=run, started_at=at, arguments=f'{{"page": {second}}}')
        )
        filled.store.tool_calls.finish(tool.id, error_message=error, finished_at=at + timedelta(seconds=1))
        made.append(str(tool.id))
    filled.store.runs.finish(run)
    return run, made


def rows_of(client: TestClient, path: str) -> list[str]:
    table = client.get(path).text.partition('<table class="fall"')[2]
    body = table.partition("<tbody>")[2].partition("</tbody>")[0]
    # Without the sign that folds what is below a row.
    return [
        " ".join(re.sub(r'<a class="fold".*?</a>|<[^>]+>', " ", head).split())
        for head in re.findall(r'<th scope="row"[^>]*>(.*?)</th>', body, re.DOTALL)
    ]


def test_tries_are_one_row_that_opens_by_its_link_by_what_is_chosen_in_it_and_for_the_script(site: Site) -> None:
    client, filled = site
    run, (first, second, *_) = with_tries(filled)
    folded = ["run bot", "tool ▸ fetch ×3 2 failed, tried again", "tool store"]
    opened = [
        "run bot", "tool ▾ fetch ×3 2 failed, tried again", "tool ✕ fetch", "tool ✕ fetch", "tool fetch", "tool store",
    ]  # fmt: skip
    assert rows_of(client, f"/r/{run}") == folded
    assert f'href="?open={first}#group-{first}" aria-expanded="false"' in client.get(f"/r/{run}").text
    assert rows_of(client, f"/r/{run}?open={first}") == opened
    chosen = f"/r/{run}?span={second}"
    assert rows_of(client, chosen) == opened
    assert rows_of(client, f"/r/{run}?repeats=apart") == [opened[0], *opened[2:]]
    assert rows_of(client, f"/r/{run}?errors=only") == ["run bot", "tool ✕ fetch", "tool ✕ fetch"]
    told = client.get(f"/runs/rows/{run}").json()
    assert (told["total"], told["rows"][1][0], told["rows"][1][3]) == (3, f"group-{first}", "fetch ×3")
    assert [mark[2] for mark in told["rows"][1][9]] == [1, 1, 0]
    assert told["rows"][1][10] == [0, 2, first]
    assert client.get(f"/runs/rows/{run}?span={second}").json()["total"] == 6
    assert client.get(f"/r/{run}?open=odd").status_code == 422


def test_pieces_are_found_in_a_run_and_what_is_not_understood_shows_none_and_why(site: Site) -> None:
    client, filled = site
    run, (_, second, *_) = with_tries(filled)
    assert rows_of(client, f"/r/{run}?spans=attr.page:2") == ["run bot", "tool ✕ fetch"]
    text = text_of(client, f"/r/{run}?spans=attr.page:2")
    assert "1 piece of 5 matches; what it is in is shown too" in text
    assert f"span={second}" in client.get(f"/r/{run}?spans=attr.page:2").text
    assert "No piece of 5 matches" in text_of(client, f"/r/{run}?spans=nothing+like+it")
    assert rows_of(client, f"/r/{run}?spans=nothing") == []
    refused = client.get(f"/r/{run}?spans=colour:red")
    assert refused.status_code == 422
    assert "cannot be understood" in refused.text
    assert rows_of(client, f"/r/{run}?spans=kind:tool&errors=only") == ["run bot", "tool ✕ fetch", "tool ✕ fetch"]
    told = client.get("/api/runs/tries/spans?q=-status:error+kind:tool").json()
    assert [span["name"] for span in told["items"]] == ["bot", "fetch", "store"]
    assert client.get("/api/runs/tries/spans?q=colour:red").status_code == 422
    assert client.get(f"/runs/rows/{run}?spans=kind:tool").json()["total"] == 5


def test_markdown_is_formatted_and_shown_as_it_was_written_to_who_wants_it(site: Site) -> None:
    client, filled = site
    session = filled.store.sessions.create(NewSession(session_id="formatted"))
    run = filled.store.runs.start(NewRun(run_id="formatted", session_uuid=session.id)).id
    said = f"## A plan\n\n1. **look**\n2. [read](https://example.org/x) {NASTY}\n\n![chart](https://example.org/y.png)"
    filled.store.messages.append(session.id, [NewMessage(role=MessageRole.ASSISTANT, content=said, run_uuid=run)])
    answered = filled.store.llm_calls.record(
        NewLLMCall(model="m", run_uuid=run, prompt="*Hello*", response_content=said)
    )
    paths = ("/s/formatted", "/chat/formatted", f"/r/{run}?tab=conversation", f"/r/{run}?span={answered.id}")
    for path in paths:
        page = client.get(path).text
        assert '<h3 class="m2" dir="auto">A plan</h3>' in page, path
        assert "<strong>look</strong>" in page, path
        assert '<a href="https://example.org/x" rel="noopener noreferrer nofollow">read</a>' in page, path
        assert "<img" not in page, path
        assert NASTY not in page, path
    raw = client.get("/s/formatted?text=raw")
    assert "## A plan" in raw.text
    assert "agentrecord-text=raw" in raw.headers["set-cookie"]
    for path in paths:
        assert "<strong>look</strong>" not in client.get(path).text, path
    assert "<strong>look</strong>" in client.get("/s/formatted?text=marked").text


def test_what_was_sent_of_a_span_is_shown_with_it_and_finds_its_like(site: Site) -> None:
    client, filled = site
    chat = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"}
    filled.store.traces.record(
        received(
            sent(1, "agent", {"openinference.span.kind": "AGENT"}, at=(0, 90)),
            sent(2, "chat", {**chat, "tier": NASTY, "size": 3, "long": "x" * 5000}, parent=1, at=(10, 20)),
            sent(3, "chat", {**chat, "size": 4}, parent=1, at=(30, 40)),
        ),
        derive,
    )
    (run,) = filled.store.runs.list(RunFilter(words=TRACE)).items
    calls = [one for one in filled.store.pages.run_tree(run.id).spans if one.kind == "llm"]
    page = client.get(f"/r/{run.id}?span={calls[0].id}").text
    assert NASTY not in page
    text = " ".join(re.sub(r"<[^>]+>", " ", page).split())
    assert "6 attributes as sent" in text
    assert "service.name shop" in text
    assert "x" * 301 not in re.sub(r"<pre.*?</pre>", "", page, flags=re.DOTALL)
    for query in re.findall(r'href="(\?spans=attr[^"]+)"', page):
        assert str(calls[0].id) in client.get(f"/r/{run.id}{html.unescape(query)}").text, query
    assert rows_of(client, f"/r/{run.id}?spans=attr.size:4") == [f"run {TRACE}", "llm m"]
    assert "as sent" not in client.get(f"/r/{filled.run}?span={filled.call}").text


def test_a_run_leads_to_those_that_another_version_served_on_the_same_input(site: Site) -> None:
    client, filled = site
    ids = []
    for number, objective in (("1", "Refund 17"), ("2", "Refund 17"), ("3", "Refund 18")):
        version = filled.store.agents.create_version("bot", number)
        new = NewRun(run_id=f"v{number}", agent_id="bot", agent_version_uuid=version.id, objective=objective)
        ids.append(filled.store.runs.start(new).id)
    again = filled.store.runs.start(
        NewRun(run_id="again", agent_id="bot", agent_version_uuid=version.id, objective="Refund 18")
    )
    page = client.get(f"/r/{ids[0]}").text
    told = page.partition("Same input, other version:")[2].partition("</p>")[0]
    assert re.findall(r'href="([^"]+)"', told) == [f"/runs/compare?a={ids[1]}&amp;b={ids[0]}"]
    assert "Same input, other version:" not in client.get(f"/r/{again.id}").text
