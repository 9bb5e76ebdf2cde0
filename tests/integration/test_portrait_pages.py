"""The pages of agents, users and errors: their numbers are the store's, their forms do what they say."""

import csv
import io
import json
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import cast

import pytest
from page_fixtures import NASTY, Filled, FixedClock, dead_links, served, signed_in
from starlette.testclient import TestClient

from agentrecord.dashboard import formats
from agentrecord.records.error import NewError
from agentrecord.records.llm_call import CallStatus, NewLLMCall
from agentrecord.records.run import NewRun
from agentrecord.records.scope import Role
from agentrecord.records.tokens import TokenCounts
from agentrecord.records.tool_call import NewToolCall
from agentrecord.records.usage import UsageBy

Site = tuple[TestClient, Filled]


@pytest.fixture
def site() -> Iterator[Site]:
    with served() as (client, filled):
        assert filled is not None
        yield signed_in(client), filled


def shown(client: TestClient, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200, (path, answer.text[:500])
    return answer.text


def test_the_list_of_agents_shows_the_figures_of_the_store(site: Site) -> None:
    client, filled = site
    page = shown(client, "/agents")
    for one in filled.store.agents.report():
        assert f'href="/agents/{one.agent.agent_id}"' in page
        assert f">{one.usage.total_tokens:,}</td>" in page
    assert shown(client, "/agents?q=expl").count("data-id=") == 1
    assert "No agent matches" in shown(client, "/agents?q=nobody")
    assert client.get("/agents?since=soon").status_code == 422
    missing = client.get("/agents/nobody")
    assert (missing.status_code, "Without filters" in missing.text) == (404, False)
    assert "Without filters" in client.get("/agents?since=soon", headers={"accept": "text/html"}).text


def test_the_list_of_users_adds_up_to_every_call(site: Site) -> None:
    client, filled = site
    total = filled.store.usage.report(UsageBy.TOTAL).total
    page = shown(client, "/users?since=all")
    foot = page[page.index("<tfoot>") : page.index("</tfoot>")]
    assert f">{total.total_tokens:,}</td>" in foot
    assert f">{formats.cost(total)}</td>" in foot
    assert "excludes 1 call without a price" in foot
    assert "excludes" not in shown(client, "/users?since=all&q=user:ana").partition("<tfoot>")[2]


def test_what_is_known_by_the_day_is_not_told_by_the_hour(site: Site) -> None:
    client, filled = site
    filled.store.runs.start(NewRun(run_id="late", agent_id="latecomer"), user="late@example.org")
    for path in ("/agents?since=all", "/users?since=all", "/agents/latecomer", "/u/late@example.org"):
        assert re.search(r'<time datetime="2026-03-03" title="on this UTC day">today</time>', shown(client, path)), path


def test_an_agent_that_is_asked_for_by_its_row_id_has_its_own_runs(site: Site) -> None:
    client, filled = site
    filled.store.runs.start(NewRun(run_id="late", agent_id="latecomer", objective="come late"))
    row_id = filled.store.agents.get("latecomer").id
    assert "come late" in shown(client, f"/agents/{row_id}?since=all")
    assert "come late" in shown(client, "/agents/latecomer?since=all")
    assert "come late" not in shown(client, "/agents/coder?since=all")


def test_the_cost_of_the_runs_that_met_an_error_tells_its_prices(site: Site) -> None:
    client, filled = site
    run = filled.store.runs.start(NewRun(run_id="failing", agent_id="coder")).id
    filled.store.llm_calls.record(
        NewLLMCall(model="claude-sonnet-4-5", host="Anthropic", run_uuid=run, tokens=TokenCounts(input=10, output=1))
    )
    told = filled.store.errors.record(NewError(error_type="Odd", error_message="odd", run_uuid=run))
    filled.store.runs.fail(run, "odd")
    panel = shown(client, f"/errors/{told.fingerprint}").partition("Cost of failed runs")[2].partition("</section>")[0]
    assert '<a href="/prices">genai-prices ' in panel


def test_a_model_without_a_price_has_no_share_of_an_agents_spend(site: Site) -> None:
    client, filled = site
    filled.store.llm_calls.record(
        NewLLMCall(model="acme-local-70b", agent_id="coder", tokens=TokenCounts(input=10, output=1))
    )
    (row,) = re.findall(r"<tr>(?:(?!</tr>).)*acme-local-70b.*?</tr>", shown(client, "/agents/coder"))
    assert 'data-label="cost">no price</td>' in row
    assert f'data-label="share">{formats.UNKNOWN}</td>' in row


def test_an_agents_page_adds_up_and_says_how_versions_are_recorded(site: Site) -> None:
    client, filled = site
    page = shown(client, "/agents/coder")
    details = filled.store.agents.details("coder")
    assert sum(row.totals.calls for row in details.models) == details.figures.usage.calls == 1
    assert "create_version" in page
    assert "claude-opus-4-5" in page
    assert "No version seen." in shown(client, "/agents/coder/compare")
    filled.store.agents.create_version("coder", "1.0")
    assert "Only one version seen." in shown(client, "/agents/coder/compare")
    version = filled.store.agents.create_version("coder", "1.1", changes='{"prompt": "<b>shorter</b>"}')
    filled.store.runs.start(NewRun(run_id="v", agent_id="coder", agent_version_uuid=version.id))
    page = shown(client, "/agents/coder/compare")
    assert (page.count("too few runs (n &lt; 30)"), page.count("too few sessions (n &lt; 30)")) == (8, 1)
    assert "&lt;b&gt;shorter&lt;/b&gt;" in page
    assert client.get("/agents/coder/compare?a=9").status_code == 404


def test_two_versions_are_shown_by_texts_tools_costs_and_the_inputs_that_both_met(site: Site) -> None:
    client, filled = site
    ids = []
    for number, told, tool in (("1.0", {"prompt": "Be kind.", "size": 1}, "mail"),
                               ("1.1", {"prompt": "Be kind.\nBe short.", "size": 2}, "call")):  # fmt: skip
        version = filled.store.agents.create_version("coder", number, changes=json.dumps(told))
        run = filled.store.runs.start(
            NewRun(run_id=number, agent_id="coder", agent_version_uuid=version.id, objective=NASTY)
        )
        filled.store.llm_calls.record(NewLLMCall(model="m", run_uuid=run.id, cost_nanos=10**9 * (1 + len(ids))))
        filled.store.tool_calls.record(NewToolCall(tool_name=tool, run_uuid=run.id))
        ids.append(run.id)
        filled.store.runs.finish(run.id) if tool == "mail" else filled.store.runs.fail(run.id, NASTY)
    page = shown(client, "/agents/coder/compare")
    assert NASTY not in page
    text = " ".join(re.sub(r"<[^>]+>", " ", page).split())
    assert "call 0 1 + only in 1.1" in text
    assert "mail 1 0 − only in 1.0" in text
    assert "Be kind. + only in 1.1 Be short." in text
    assert "− only in 1.0 &#34;size&#34;: 1 + only in 1.1 &#34;size&#34;: 2" in text
    assert "✓ completed ✕ error $1.00 $2.00 +$1.00 (100 %) side by side" in text
    assert f'href="/runs/compare?a={ids[0]}&amp;b={ids[1]}"' in page
    assert "$1.00 to $1.20 1 100 % 0 0.0 %" in text
    failed = shown(client, "/agents/coder/compare?q=status:error&since=all")
    assert "0 runs of 1.0, 1 run of 1.1" in " ".join(failed.split())
    assert "that fit <code>status:error</code>" in failed
    assert client.get("/api/agents/coder/compare?q=status:error").json()["runs_a"] == 0
    assert client.get("/agents/coder/compare?q=shoes:red").status_code == 422
    told_by_api = client.get("/api/agents/coder/compare").json()
    assert [pair["a"]["id"] for pair in told_by_api["pairs"]] == [str(ids[0])]
    assert sum(told_by_api["costs"]["counts_a"]) == 1


def test_the_last_session_of_a_user_and_what_drove_its_cost_is_two_clicks_away(site: Site) -> None:
    client, filled = site
    assert 'href="/u/ana"' in shown(client, "/users")
    page = shown(client, "/u/ana")
    drove = filled.store.pages.session_drivers([filled.session])[filled.session]
    assert f'href="/r/{drove.run_uuid}?span={drove.call}"' in page
    assert f"{drove.model}" in page
    assert NASTY not in page
    for tab in ("cost", "errors", "data"):
        shown(client, f"/u/ana?tab={tab}")
    assert client.get("/u/ana?tab=shoes").status_code == 422
    assert client.get("/u/nobody").status_code == 404


def test_everything_of_a_user_is_exported_and_nothing_of_anybody_elses(site: Site) -> None:
    client, filled = site
    answer = client.get("/u/ana/export.jsonl")
    facts = [json.loads(line) for line in answer.text.splitlines()]
    kinds = [fact["kind"] for fact in facts]
    own = filled.store.scoped(user="ana")
    expected = {"user": 1, "session": 2, "message": 3, "run": 2, "llm_call": 2, "tool_call": 1, "event": 1, "error": 1}
    assert {kind: kinds.count(kind) for kind in set(kinds)} == expected
    assert own.llm_calls.list().total == 2
    assert "bob" not in answer.text


def test_a_users_conversations_are_deleted_once_their_name_is_typed(site: Site) -> None:
    client, filled = site
    assert "2 sessions would lose their content" in shown(client, "/u/ana?tab=data")
    refused = client.post("/u/ana/delete", data={"confirm": "an"}, headers={"origin": "http://localhost"})
    assert (refused.status_code, "nothing was deleted" in refused.text) == (422, True)
    assert filled.store.sessions.find("s-1") is not None
    assert "must be ana" in refused.text
    done = client.post("/u/ana/delete", data={"confirm": "ana"}, headers={"origin": "http://localhost"})
    assert (done.status_code, done.headers["location"]) == (303, "/u/ana?tab=data")
    assert "no conversations to delete" in shown(client, "/u/ana?tab=data")
    assert filled.store.sessions.find("s-1") is None
    assert filled.store.sessions.find("s-2") is not None
    assert filled.store.usage.recount() == ()
    assert filled.store.audit.trail("user")[0].entry.action == "user.delete_sessions"


def test_all_of_a_user_is_deleted_once_their_name_is_typed(site: Site) -> None:
    client, filled = site
    known = filled.store.users.find("ana")
    assert known is not None
    page = shown(client, "/u/ana?tab=data")
    assert "Delete everything" in page
    own = {"origin": "http://localhost"}
    refused = client.post(f"/u/{known.id}/delete", data={"confirm": "an", "what": "all"}, headers=own)
    assert (refused.status_code, "nothing was deleted" in refused.text) == (422, True)
    assert f'href="/u/{known.id}?tab=errors"' in refused.text
    assert dead_links(client, refused) == []
    assert filled.store.users.find("ana") == known
    done = client.post(f"/u/{known.id}/delete", data={"confirm": "ana", "what": "all"}, headers=own)
    assert (done.status_code, done.headers["location"]) == (303, f"/u/{known.id}?tab=data")
    page = shown(client, done.headers["location"])
    assert "All that this user said and did was deleted" in page
    assert f"erased-{known.id.hex}" in page
    # Neither search, nor questions in SQL, nor what leaves the record, nor the feed tells of them any more.
    for word in ("ana", "broken", "Fix", "s-1"):
        assert client.get("/api/find", params={"q": word}).json()["items"] == [], word
    for table in ("ar_messages", "ar_runs", "ar_sessions", "ar_users", "ar_audit_entries", "ar_tool_calls"):
        told = client.get("/sql.csv", params={"q": f"SELECT * FROM {table}"}).text
        assert "broken" not in told
        assert not re.search(r"\bana\b", told), table
    for path in ("/sessions.jsonl?since=all", "/runs.jsonl?since=all", "/users.jsonl", f"/u/{known.id}/export.jsonl"):
        assert not re.search(r"\bana\b|broken|Fix it", client.get(path).text), path
    assert not re.search(r"\bana\b|broken|Fix it", client.get("/api/live").text)
    # What is left can be looked at, on every page that shows it.
    group = filled.store.errors.groups(include_resolved=True).items[0]
    run = f"/r/{filled.run}"
    for path in (run, f"{run}?span={filled.call}", f"{run}?span={filled.failed_tool}",
                 f"/errors/{group.fingerprint}", "/errors", "/", "/runs?since=all", "/sessions?since=all", "/users",
                 "/cost?by=user", f"/u/{known.id}", f"/u/{known.id}?tab=errors", "/agents/coder"):  # fmt: skip
        assert not re.search(r"\bana\b|broken|Fix it", shown(client, path)), path
    assert client.get(f"/s/{filled.session}").status_code == 404
    assert filled.store.usage.recount() == ()
    assert filled.store.audit.verify() == ()
    assert client.get("/u/ana").status_code == 404


def test_a_user_is_deleted_over_rest_batch_by_batch(site: Site) -> None:
    client, filled = site
    known = filled.store.users.find("ana")
    assert known is not None
    headers = {"origin": "http://localhost"}
    told = client.delete("/api/users/ana", headers=headers).json()
    assert told["user"] == str(known.id)
    while told["cursor"]:
        told = client.delete(f"/api/users/{known.id}", params={"cursor": told["cursor"]}, headers=headers).json()
    assert told["steps_done"] == told["steps"]
    named = [(e.action, e.object_kind, e.object_id, e.actor, e.details) for e in filled.store.audit.list(limit=200)]
    assert [entry for entry in named if "ana" in entry] == []
    assert client.get("/api/users/ana").status_code == 404
    filled.store.users.ensure("unassigned")
    assert client.delete("/api/users/unassigned", headers=headers).status_code == 422


def test_a_group_of_errors_is_resolved_and_opened_again_with_buttons(site: Site) -> None:
    client, filled = site
    (group,) = filled.store.errors.groups(query="kind:agent")
    page = shown(client, "/errors")
    assert f'href="/errors/{group.fingerprint}"' in page
    assert "bad object 17" in shown(client, f"/errors/{group.fingerprint}")
    for act, status in (("resolve", "resolved"), ("reopen", "new")):
        foreign = client.post(f"/errors/{group.fingerprint}/{act}", data={}, headers={"origin": "https://evil.example"})
        assert foreign.status_code == 403
        done = client.post(f"/errors/{group.fingerprint}/{act}", content=b"", headers=FORM)
        assert (done.status_code, done.headers["location"]) == (303, f"/errors/{group.fingerprint}")
        assert filled.store.errors.group(group.fingerprint).status == status
    assert [one.entry.action for one in filled.store.audit.trail("error_group")] == ["error.reopen", "error.resolve"]
    assert client.get("/errors/0000000000000000").status_code == 404
    assert "status</code> is none; use new" in client.get("/errors?status=odd").text


FORM = {"origin": "http://localhost", "content-type": "application/x-www-form-urlencoded"}


def test_a_reader_sees_no_buttons_and_cannot_press_them(site: Site) -> None:
    client, filled = site
    (group,) = filled.store.errors.groups(query="kind:agent")
    secret = filled.store.keys.create("r", role=Role.READ).secret
    client.cookies.clear()
    headers = {"authorization": f"Bearer {secret}"}
    assert "Mark as resolved" not in client.get(f"/errors/{group.fingerprint}", headers=headers).text
    assert (
        client.post(f"/errors/{group.fingerprint}/resolve", content=b"", headers={**FORM, **headers}).status_code == 403
    )
    assert client.post("/u/ana/delete", data={"confirm": "ana"}, headers=headers).status_code == 403


def test_failed_tools_and_calls_have_groups_whose_occurrences_lead_to_their_spans(site: Site) -> None:
    client, filled = site
    call = filled.store.llm_calls.record(
        NewLLMCall(model="m-1", run_uuid=filled.run, status=CallStatus.ERROR, error_message=f"busy {NASTY}")
    )
    for query, piece, name in (("kind:tool", filled.failed_tool, "Bash"), ("kind:llm", call.id, "m-1")):
        (group,) = filled.store.errors.groups(query=query)
        page = shown(client, f"/errors?q={query}")
        assert re.findall(r'<tr data-id="[^"]*" data-name="(.*?)">', page) == [group.fingerprint]
        assert f'<span class="kind">{group.kind}</span>' in page
        assert NASTY not in page
        page = shown(client, f"/errors/{group.fingerprint}")
        assert f"?span={piece}" in page
        assert NASTY not in page
        told = " ".join(re.sub(r"<[^>]+>", " ", page).split())
        assert f"{group.kind} {name}" in told
        assert re.search(rf"By {'tool' if name == 'Bash' else 'model'} .*? {name} 1 ", told)
    assert shown(client, "/errors?tool=Bash").count("data-name=") == 1
    exported = client.get("/errors.csv?q=kind:tool").text.splitlines()
    assert [line.split(",")[1] for line in exported] == ["kind", "tool"]


def test_groups_of_tools_want_attention_once_they_are_met_often(site: Site) -> None:
    client, filled = site

    def wanting() -> set[str]:
        return set(re.findall(r'href="/errors/([0-9a-f]+)"', shown(client, "/")))

    for number in range(10):
        use = filled.store.tool_calls.record(NewToolCall(tool_name="often"))
        filled.store.tool_calls.finish(use.id, error_message=f"no {number}")
        often = filled.store.errors.groups(query="tool:often").items[0].fingerprint
        assert (often in wanting()) is (number == 9)
    others = {group.fingerprint for group in filled.store.errors.groups(query="-kind:tool")}
    assert wanting() == {often, *others}


def test_the_page_of_errors_tells_what_share_failed_and_the_failed_runs_that_told_no_error(site: Site) -> None:
    client, filled = site
    told, untold = (filled.store.runs.start(NewRun(run_id=name, objective=name)) for name in ("told", "untold"))
    for run in (told, untold):
        filled.store.runs.fail(run.id, f"it broke {NASTY}")
    filled.store.errors.record(NewError(error_type="E", error_message="it broke", run_uuid=told.id))
    page = shown(client, "/errors")
    assert f'href="/r/{untold.id}"' in page
    assert f'href="/r/{told.id}"' not in page
    assert NASTY not in page
    (bash,) = [tool for tool in filled.store.tool_calls.figures() if tool.tool_name == "Bash"]
    words = " ".join(re.sub(r"<[^>]+>", " ", page).split())
    assert f"Bash ✕ {bash.errors} {bash.calls} " in words
    kinds = re.findall(r'<nav class="choice" aria-label="Groups of which kind">.*?</nav>', page)[0]
    assert re.findall(r"q=kind%3A(\w+)", kinds) == ["agent", "llm", "tool"]


@pytest.mark.parametrize("name", ["agents", "users", "errors"])
def test_a_list_is_exported_whole(site: Site, name: str) -> None:
    client, filled = site
    for number in range(60):
        filled.store.agents.ensure(f"idle {number}")
        filled.store.errors.record(NewError(error_type=f"E{number:02}", error_message="=1+1"), user=f"user {number:02}")
    operation = {"agents": filled.store.agents.report, "users": filled.store.users.report,
                 "errors": filled.store.errors.groups}[name]  # fmt: skip
    total = operation(limit=1).total
    assert len(client.get(f"/{name}.json?since=all").json()["items"]) == total
    assert len(client.get(f"/{name}.jsonl?since=all").text.splitlines()) == total
    rows = list(csv.reader(io.StringIO(client.get(f"/{name}.csv?since=all").text)))
    assert len(rows) == (total or 0) + 1
    assert not [cell for row in rows for cell in row if cell.startswith("=")]
    page = shown(client, f"/{name}?since=all")
    assert "next 50" in page
    assert re.findall(rf'href="/{name}\.([a-z]+)', page) == ["csv", "json", "jsonl"]
    assert client.get(f"/{name}.csv?sort=shoes").status_code == 422


@pytest.mark.parametrize("name", ["agents", "users", "errors"])
def test_a_list_shows_the_last_week_and_everything_where_that_is_empty(site: Site, name: str) -> None:
    client, filled = site
    assert 'since=7d" aria-current="true"' in shown(client, f"/{name}")
    filled.store.engine.maker.clock.at += timedelta(days=30)  # type: ignore[attr-defined]
    assert 'since=all" aria-current="true"' in shown(client, f"/{name}")
    empty = shown(client, f"/{name}?since=7d")
    assert "matches in this range." in empty
    assert re.search(r"There (is|are) \d+ outside of it", empty)


def test_an_empty_record_says_what_fills_the_pages() -> None:
    with served(filled=False) as (client, _):
        signed_in(client)
        assert "store.recorder.run(" in shown(client, "/agents")
        assert "store.scoped(" in shown(client, "/users")
        assert "No open errors" in shown(client, "/errors")


def test_a_group_of_errors_tells_with_which_version_it_began_and_how_often_it_was_met_on_each_day(site: Site) -> None:
    client, filled = site
    clock = cast(FixedClock, filled.store.engine.maker.clock)
    first = clock.at
    for days, number, times in ((0, "1.0", 1), (2, "2.0", 3)):
        clock.at = first + timedelta(days=days)
        version = filled.store.agents.create_version("coder", number).id
        run = filled.store.runs.start(NewRun(run_id=number, agent_id="coder", agent_version_uuid=version)).id
        for _ in range(times):
            filled.store.errors.record(NewError(error_type="Late", error_message="too late", run_uuid=run))
    group = next(one for one in filled.store.errors.groups() if one.error_type == "Late").fingerprint
    page = " ".join(re.sub(r"<[^>]+>", " ", shown(client, f"/errors/{group}")).split())
    assert "4 times · 1 user · first 2 d ago · last just now · started with version 1.0 · group" in page
    told = page.partition("As a table")[2].partition("By agent")[0]
    assert re.findall(r"(2026-03-0\d) (\d+)", told) == [("2026-03-03", "1"), ("2026-03-05", "3")]
    assert "2.0 3" in page.partition("By version")[2]
    row = re.findall(rf'<tr data-id="[^"]*" data-name="{group}">.*?</tr>', shown(client, "/errors"), re.DOTALL)[0]
    assert re.search(r'data-label="since version">1\.0<', row)
    assert "4 errors on 2 days, most on 2026-03-05: 3" in row
    told_by_api = client.get("/api/errors/groups?q=type:Late").json()["items"][0]
    assert (told_by_api["first_version"], told_by_api["days"]) == (
        "1.0", [{"date": "2026-03-03", "count": 1}, {"date": "2026-03-05", "count": 3}]
    )  # fmt: skip


def test_a_table_behind_a_chart_can_be_moved_by_keys(site: Site) -> None:
    client, moved = site[0], r'<div class="scroll" tabindex="0" role="region" aria-label="[^"]+, as a table">'
    group = re.findall(r'href="(/errors/[0-9a-f]+)"', client.get("/errors?since=all").text)[0]
    for path in ("/?since=all", "/cost?since=all", "/runs?since=all", "/agents/coder?since=all", group):
        tables = client.get(path).text.split("<summary>As a table</summary>")[1:]
        assert tables, path
        for told in tables:
            assert re.match(moved, told), path
