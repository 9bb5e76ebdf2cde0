"""The page of a session: its runs, its versions, how long it was at work, and how it is deleted."""

import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
from page_fixtures import NASTY, START, Filled, dead_links, served, signed_in
from starlette.testclient import TestClient

from agentrecord.dashboard import formats
from agentrecord.records.message import MessageRole, NewMessage
from agentrecord.records.run import NewRun
from agentrecord.records.session import NewSession

Site = tuple[TestClient, Filled]
FROM_HERE = {"origin": "http://localhost"}


@pytest.fixture
def site() -> Iterator[Site]:
    with served() as (client, filled):
        assert filled is not None
        yield signed_in(client), filled


def text_of(client: TestClient, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200, (path, answer.text[:500])
    return " ".join(re.sub(r"<[^>]+>", " ", answer.text).split())


def test_the_runs_of_a_session_are_its_turns_with_their_figures(site: Site) -> None:
    client, filled = site
    session = filled.store.sessions.create(NewSession(session_id="three", created_at=START))
    for number in range(3):
        at = START + timedelta(minutes=number)
        run = filled.store.runs.start(
            NewRun(run_id=f"t{number}", session_uuid=session.id, objective=f"Question {number}", started_at=at)
        )
        filled.store.messages.append(session.id, [NewMessage(role=MessageRole.USER, content="x", run_uuid=run.id)])
        if number == 1:
            filled.store.runs.fail(run.id, "it broke")
    text = text_of(client, "/s/three?tab=runs")
    assert "3 runs in this session" in text
    assert [int(turn) for turn in re.findall(r"(\d) Question \d", text)] == [1, 2, 3]
    assert re.search(r"2 Question 1 .{,40} ✕ error 0 0 – – 23 h 59 m it broke", text)
    run = filled.store.runs.get(filled.run)
    whole = formats.cost(
        filled.store.sessions.get(filled.session).usage + filled.store.runs.get(filled.child_run).usage
    )
    costs = f"{formats.cost(run.usage)} · {whole} with sub-agents"
    figures = f"{run.usage.total_tokens:,} {costs} {formats.duration(run.duration_ms)}"
    assert f"✓ completed 1 1 ✕ 1 {figures}" in text_of(client, f"/s/{filled.session}?tab=runs")
    assert NASTY not in client.get(f"/s/{filled.session}?tab=runs").text


def test_a_session_is_shown_as_json_and_a_tab_that_is_none_is_refused(site: Site) -> None:
    client, filled = site
    raw = client.get(f"/s/{filled.session}?tab=json").text.replace("&#34;", '"')
    assert '"session_id": "s-1"' in raw
    assert NASTY not in raw
    assert client.get(f"/s/{filled.session}?tab=odd").status_code == 422


def test_the_versions_that_served_in_a_session_lead_to_their_comparison_and_turns_are_told_with_their_time(
    site: Site,
) -> None:
    client, filled = site
    session = filled.store.sessions.create(NewSession(session_id="both", agent_id="bot", created_at=START))
    assert "in turns" not in text_of(client, "/s/both")
    for number, hours in (("1.0", 2), ("1.1", 1)):
        version = filled.store.agents.create_version("bot", number)
        run = filled.store.runs.start(
            NewRun(run_id=number, session_uuid=session.id, agent_id="bot", agent_version_uuid=version.id,
                   started_at=START + timedelta(hours=24 - hours))
        )  # fmt: skip
        filled.store.messages.append(session.id, [NewMessage(role=MessageRole.USER, content="x", run_uuid=run.id)])
        filled.store.runs.finish(run.id)
    page = client.get("/s/both").text
    assert '<a href="/agents/bot/compare?a=1.0&amp;b=1.1">versions 1.0, 1.1</a>' in page
    # The hour in which both were at work counts once.
    assert "2 h 00 m in turns" in page
    assert re.findall(r'<span class="note">(. h 00 m)</span>', page) == ["2 h 00 m", "1 h 00 m"]


def test_a_session_is_deleted_once_its_id_is_typed_and_that_is_audited(site: Site) -> None:
    client, filled = site
    page = client.get(f"/s/{filled.session}").text
    assert "Type <strong>s-1</strong> to confirm" in page
    address = f"/s/{filled.session}/delete"
    for wrong in ("s-2", ""):
        refused = client.post(address, data={"confirm": wrong}, headers=FROM_HERE)
        assert (refused.status_code, "nothing was deleted" in refused.text) == (422, True)
        assert f'href="/s/{filled.session}?tab=runs"' in refused.text
        assert dead_links(client, refused) == []
    assert filled.store.sessions.find("s-1") is not None
    assert client.post("/s/none/delete", data={"confirm": "none"}, headers=FROM_HERE).status_code == 404
    done = client.post(address, data={"confirm": "s-1"}, headers=FROM_HERE)
    assert (done.status_code, done.headers["location"]) == (303, "/sessions")
    assert filled.store.sessions.find("s-1") is None
    assert filled.store.sessions.find("s-2") is not None
    assert filled.store.usage.recount() == ()
    (written,) = filled.store.audit.trail("session")
    assert (written.entry.action, written.entry.object_id) == ("session.delete", str(filled.session))


def test_who_does_not_administer_is_not_offered_to_delete_a_session_and_cannot(site: Site) -> None:
    client, filled = site
    secret = filled.store.keys.create("reader").secret
    key = {"authorization": f"Bearer {secret}", **FROM_HERE}
    client.cookies.clear()
    assert "Delete this session" not in client.get(f"/s/{filled.session}", headers=key).text
    answer = client.post(f"/s/{filled.session}/delete", data={"confirm": "s-1"}, headers=key)
    assert answer.status_code == 403
    assert filled.store.sessions.find("s-1") is not None
