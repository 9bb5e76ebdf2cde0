"""Several projects in one record: whoever runs the server chooses between them, everybody else sees their own alone."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape
from uuid import UUID

import pytest
from page_fixtures import START, TOKEN, Filled, served, signed_in
from starlette.testclient import TestClient

from agentrecord.dashboard import formats
from agentrecord.records.error import NewError
from agentrecord.records.llm_call import NewLLMCall
from agentrecord.records.message import MessageRole, NewMessage
from agentrecord.records.scope import Role
from agentrecord.records.session import NewSession
from agentrecord.records.usage import UsageBy
from agentrecord.store import Store

OTHER = "Ärger & Söhne"
IN_OTHER = "project=%C3%84rger%20%26%20S%C3%B6hne"


@dataclass(frozen=True)
class Two:
    """A record of two projects, and what the second one holds."""

    client: TestClient
    filled: Filled
    other: Store
    session: UUID
    fingerprint: str


@pytest.fixture
def two() -> Iterator[Two]:
    with served() as (client, filled):
        assert filled is not None
        other = filled.store.scoped(project=OTHER)
        session = other.sessions.create(NewSession(session_id="theirs", title="Their secret"), user="eve")
        other.messages.append(session.id, [NewMessage(role=MessageRole.USER, content="a marmot whistles")])
        error = other.errors.record(NewError(error_type="OtherError", error_message="x", session_uuid=session.id))
        yield Two(
            client=signed_in(client), filled=filled, other=other, session=session.id, fingerprint=error.fingerprint
        )


def chosen_on(page: str) -> list[str]:
    return re.findall(
        r'<option value="([^"]*)" selected>', page.split('id="project"')[1].split("</select>", maxsplit=1)[0]
    )


def test_there_is_nothing_to_choose_in_a_record_of_one_project() -> None:
    with served() as (client, _):
        page = signed_in(client).get("/sessions").text
        assert 'id="project"' not in page
        assert "project=" not in page


def test_an_address_chooses_the_project_and_the_browser_remembers_it(two: Two) -> None:
    page = two.client.get("/sessions?since=all").text
    assert chosen_on(page) == ["default"]
    assert "Their secret" not in page
    answer = two.client.get("/sessions", params={"since": "all", "project": OTHER})
    assert chosen_on(answer.text) == ["Ärger &amp; Söhne"]
    assert "Their secret" in answer.text
    assert "s-1" not in answer.text
    assert "httponly" in answer.headers["set-cookie"].lower()
    # What was not asked anew is as it was chosen last, over REST too; an address goes before what is remembered.
    assert "Their secret" in two.client.get("/sessions?since=all").text
    assert two.client.get("/api/sessions").json()["items"][0]["session_id"] == "theirs"
    assert "s-1" in two.client.get("/api/sessions?project=default").text
    assert "Their secret" in two.client.get("/sessions?since=all").text
    assert "s-1" in two.client.get("/runs?since=all&project=default").text
    assert "Their secret" not in two.client.get("/sessions?since=all").text


def test_every_link_and_form_of_a_page_stays_in_its_project(two: Two) -> None:
    for path in ("/", "/sessions?since=all", f"/s/{two.session}", "/u/eve?tab=data", "/errors", "/settings/keys",
                 f"/errors/{two.fingerprint}", "/chat", "/cost", "/prices", "/search?q=marmot"):  # fmt: skip
        joint = "&" if "?" in path else "?"
        page = two.client.get(f"{path}{joint}{IN_OTHER}")
        assert page.status_code == 200, path
        two.client.get("/runs?project=default")
        for address in re.findall(r'<a\b[^>]*\bhref="([/?][^"]*)"', page.text):
            assert address.count(IN_OTHER) == 1, (path, address)
        for form in re.findall(r"<form\b[^>]*>(?:<input[^>]*>)?", page.text):
            if 'method="post"' in form:
                assert IN_OTHER in form, (path, form)
            elif "dialog" not in form and "data-chooses" not in form:
                assert 'name="project" value="Ärger &amp; Söhne"' in form, (path, form)


def test_who_sees_several_projects_is_told_what_each_cost_and_led_into_each(two: Two) -> None:
    for store, nanos in ((two.other, 7_000_000_000), (two.other, None), (two.filled.store, 5_000_000_000)):
        store.llm_calls.record(NewLLMCall(model="m", cost_nanos=nanos, timestamp=START))
    page = two.client.get(f"/cost?since=all&by=project&{IN_OTHER}").text
    panel = page.partition('id="projects"')[2].partition("</section>")[0]
    shown = " ".join(unescape(re.sub("<[^>]*>", " ", panel.replace("⚠", "!"))).split())
    own = formats.cost(two.filled.store.usage.report(UsageBy.TOTAL).total)
    assert shown.endswith(
        f"{OTHER} 2 – $7.00 ! default 4 {two.filled.store.usage.report().total.total_tokens:,} {own} !"
    )
    for link, spent in zip(re.findall(r'href="([^"]*)"', panel), ("$7.00", own), strict=True):
        assert f"Spend {spent}" in " ".join(re.sub("<[^>]*>", " ", two.client.get(unescape(link)).text).split())
    # All else on the page is of the chosen project, and nobody else is told of others.
    assert page.count('data-nanos="7000000000"') == 3
    assert 'id="projects"' not in two.client.get(f"/cost?since=all&by=model&{IN_OTHER}").text


def test_a_form_changes_the_project_of_its_page_though_another_was_chosen_since(two: Two) -> None:
    page = two.client.get(f"/errors/{two.fingerprint}?{IN_OTHER}").text
    action = re.findall(r'method="post" action="([^"]*resolve[^"]*)"', page)[0]
    assert 'id="project"' in two.client.get("/sessions?project=default").text
    headers = {"sec-fetch-site": "same-origin", "content-type": "application/x-www-form-urlencoded"}
    answer = two.client.post(action, headers=headers)
    assert answer.status_code == 303
    assert answer.headers["location"] == f"/errors/{two.fingerprint}?{IN_OTHER}"
    assert two.other.errors.groups(include_resolved=True).items[0].is_resolved
    actions = [entry.action for entry in two.other.audit.list().items]
    assert "change" in actions


def test_search_sql_exports_the_feed_and_the_chat_follow_the_chosen_project(two: Two) -> None:
    get = two.client.get
    assert "theirs" in get("/sessions.csv", params={"since": "all", "project": OTHER}).text
    assert [hit["kind"] for hit in get("/api/find", params={"q": "marmot", "project": OTHER}).json()["items"]] == [
        "message"
    ]
    assert get("/api/find", params={"q": "marmot", "project": "default"}).json()["items"] == []
    counted = {"q": "SELECT count(*) FROM ar_messages"}
    assert get("/sql.csv", params={**counted, "project": OTHER}).text.split() == ["count(*)", "1"]
    told = get("/api/live", params={"project": OTHER}).json()["items"]
    assert {change["session_uuid"] for change in told} <= {str(two.session)}
    assert told
    headers = {"sec-fetch-site": "same-origin"}
    body = {"messages": [{"role": "user", "content": "hello"}]}
    said = two.client.post("/api/agent-sessions/conversation", params={"project": OTHER}, json=body, headers=headers)
    assert said.status_code == 201, said.text
    assert len(two.other.sessions.list().items) == 2


def test_what_is_no_project_is_not_found_and_what_was_remembered_of_one_is_forgotten(two: Two) -> None:
    for path in ("/sessions", "/api/sessions", "/sessions.csv"):
        answer = two.client.get(path, params={"project": "nowhere"})
        assert answer.status_code == 404, path
        assert "nowhere" in answer.text
    assert two.client.get("/sessions", params={"project": "a\0b"}).status_code == 422
    two.client.get("/sessions", params={"project": OTHER})
    remembered = next(name for name in two.client.cookies if name.endswith("-project"))
    for forged in ("gone", "a%00b", "%"):
        two.client.cookies.set(remembered, forged)
        assert two.client.get("/sessions").status_code == 200, forged


def test_a_name_with_odd_spaces_is_chosen_and_remembered_as_it_is(two: Two) -> None:
    odd = " A\u00a0\u202eB "
    two.filled.store.scoped(project=odd).sessions.create(NewSession(session_id="odd", title="Oddly called"))
    assert "Oddly called" in two.client.get("/sessions", params={"since": "all", "project": odd}).text
    assert "Oddly called" in two.client.get("/sessions?since=all").text


def test_a_key_and_an_account_see_their_own_project_and_of_another_not_even_that_it_is_there(two: Two) -> None:
    client, store = two.client, two.filled.store
    client.get("/sessions", params={"project": OTHER})
    # What the browser remembers for whoever runs the server is nothing to others on it.
    keys = {role: store.keys.create(f"k-{role}", role=role).secret for role in (Role.READ, Role.WRITE, Role.ADMIN)}
    for secret in keys.values():
        headers = {"authorization": f"Bearer {secret}"}
        page = client.get("/sessions?since=all", headers=headers).text
        assert "s-1" in page
        for hidden in ("Their secret", 'id="project"', "Söhne"):
            assert hidden not in page
        own = client.get("/api/sessions", params={"project": "default"}, headers=headers)
        assert own.status_code == 200
        there, nowhere = (
            client.get("/api/sessions", params={"project": name}, headers=headers) for name in (OTHER, "Nowhere & Co")
        )
        assert (there.status_code, nowhere.status_code) == (404, 404)
        assert there.json()["detail"].replace(OTHER, "…") == nowhere.json()["detail"].replace("Nowhere & Co", "…")
    theirs = {"authorization": f"Bearer {two.other.keys.create('k', role=Role.ADMIN).secret}"}
    assert "theirs" in client.get("/api/sessions", headers=theirs).text
    assert client.get("/api/sessions", params={"project": "default"}, headers=theirs).status_code == 404


def test_the_link_leads_into_the_project_that_its_address_names(two: Two) -> None:
    two.client.cookies.clear()
    answer = two.client.get("/sessions", params={"token": TOKEN, "since": "all", "project": OTHER})
    assert answer.status_code == 303
    assert "Their secret" in two.client.get(answer.headers["location"]).text
