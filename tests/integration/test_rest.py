"""The REST API: lists, single rows, figures, and problems."""

from collections.abc import Iterator

import pytest
from page_fixtures import Filled, served, signed_in
from starlette.testclient import TestClient

from agentrecord.exceptions import OutcomeUnknown, StorageFull, StoreUnavailable
from agentrecord.records.usage import UsageBy
from agentrecord.server.problems import PROBLEM_JSON, of_error

OURS = {"sec-fetch-site": "same-origin"}


@pytest.fixture
def api() -> Iterator[tuple[TestClient, Filled]]:
    with served() as (client, filled):
        assert filled is not None
        yield signed_in(client), filled


def test_sessions_are_listed_in_pages_without_skips_or_repeats(api: tuple[TestClient, Filled]) -> None:
    client, _ = api
    first = client.get("/api/sessions?limit=1&children=true").json()
    assert (first["limit"], first["total"], len(first["items"])) == (1, 3, 1)
    names, cursor = [first["items"][0]["session_id"]], first["next_cursor"]
    while cursor:
        page = client.get("/api/sessions", params={"limit": 1, "children": True, "cursor": cursor}).json()
        names.append(page["items"][0]["session_id"])
        cursor = page["next_cursor"]
    assert sorted(names) == ["s-1", "s-1/a", "s-2"]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", {"s-1", "s-2"}), ("q=local", {"s-2"}), ("user=ana", {"s-1"}), ("agent=coder", {"s-1"}),
        ("source=claude-code", {"s-1"}), ("directory=/home/ana/work", {"s-1"}), ("status=completed", set()),
        ("since=2026-03-02T10:00:00Z", {"s-1", "s-2"}), ("until=2026-03-01T00:00:00Z", set()), ("offset=2", set()),
    ],
)  # fmt: skip
def test_sessions_are_found_by_what_is_asked_for(api: tuple[TestClient, Filled], query: str, names: set[str]) -> None:
    found = api[0].get(f"/api/sessions?{query}").json()
    assert {one["session_id"] for one in found["items"]} == names


def test_a_session_is_found_by_its_own_id_and_by_its_row_id_with_its_subtree(api: tuple[TestClient, Filled]) -> None:
    client, filled = api
    by_name, by_row = client.get("/api/sessions/s-1").json(), client.get(f"/api/sessions/{filled.session}").json()
    assert by_name == by_row
    assert by_name["subtree"]["calls"] == 2
    assert by_name["usage"]["calls"] == 1
    assert by_name["subtree"]["cost_nanos"] > by_name["usage"]["cost_nanos"]


def test_ids_with_slashes_are_found_as_they_are_and_escaped(api: tuple[TestClient, Filled]) -> None:
    client, filled = api
    for name in ("s-1/a", "s-1%2Fa"):
        assert client.get(f"/api/sessions/{name}").json()["id"] == str(filled.child)
        assert client.get(f"/api/sessions/{name}/messages").json()["total"] == 1
        assert client.patch(f"/api/sessions/{name}", json={"title": "x"}, headers=OURS).json()["title"] == "x"
        assert client.get(f"/s/{name}").status_code == 200
    for name in ("r-1/a", "r-1%2Fa"):
        assert client.get(f"/api/runs/{name}").json()["id"] == str(filled.child_run)
        assert len(client.get(f"/api/runs/{name}/tree").json()["items"]) == 1


def test_what_belongs_to_a_session_is_listed(api: tuple[TestClient, Filled]) -> None:
    client, filled = api
    roles = [one["role"] for one in client.get("/api/sessions/s-1/messages").json()["items"]]
    assert roles == ["user", "assistant"]
    tools = client.get("/api/sessions/s-1/tool-calls?status=error").json()["items"]
    assert [one["id"] for one in tools] == [str(filled.failed_tool)]
    assert client.get("/api/sessions/s-1/events?event_type=compaction").json()["total"] == 1
    children = client.get("/api/sessions/s-1/children").json()["items"]
    assert [one["session_id"] for one in children] == ["s-1/a"]


def test_a_session_is_changed_and_what_is_left_out_stays(api: tuple[TestClient, Filled]) -> None:
    client, filled = api
    answer = client.patch("/api/sessions/s-2", json={"status": "completed", "tags": ["a"]}, headers=OURS)
    assert answer.status_code == 200
    assert (answer.json()["title"], answer.json()["status"]) == ("Local model", "completed")
    assert filled.store.sessions.get("s-2").tags == ("a",)


@pytest.mark.parametrize(
    "body", [{"id": "x"}, {"usage": {}}, {"status": "nonsense"}, {"title": 7}, [], "x", {"tags": "x"}]
)
def test_a_change_that_makes_no_sense_is_refused_and_changes_nothing(
    api: tuple[TestClient, Filled], body: object
) -> None:
    client, filled = api
    before = filled.store.sessions.get("s-2")
    answer = client.patch("/api/sessions/s-2", json=body, headers=OURS)
    assert (answer.status_code, answer.headers["content-type"]) == (422, PROBLEM_JSON)
    assert filled.store.sessions.get("s-2") == before


def test_a_deleted_session_is_gone_and_its_cost_stays(api: tuple[TestClient, Filled]) -> None:
    client, filled = api
    before = filled.store.usage.report(UsageBy.TOTAL).total
    assert client.delete("/api/sessions/s-1", headers=OURS).status_code == 204
    assert client.get("/api/sessions/s-1").status_code == 404
    assert client.delete("/api/sessions/s-1", headers=OURS).status_code == 404
    assert filled.store.usage.report(UsageBy.TOTAL).total == before


def test_runs_are_listed_and_shown_with_their_tree(api: tuple[TestClient, Filled]) -> None:
    client, filled = api
    assert client.get("/api/runs?has_error=true").json()["total"] == 1
    assert client.get("/api/runs?session=s-1").json()["items"][0]["run_id"] == "r-1"
    assert client.get("/api/runs/r-1").json()["subtree"]["calls"] == 2
    tree = client.get(f"/api/runs/{filled.run}/tree").json()["items"]
    assert [one["run_id"] for one in tree] == ["r-1", "r-1/a"]


def test_a_call_is_shown_with_the_price_that_charged_it(api: tuple[TestClient, Filled]) -> None:
    client, filled = api
    priced = client.get(f"/api/calls/{filled.call}").json()
    assert priced["call"]["cost_nanos"] > 0
    assert priced["price"]["source"]
    unpriced = client.get(f"/api/calls/{filled.unpriced}").json()
    assert (unpriced["call"]["cost_usd"], unpriced["price"]) == (None, None)
    assert client.get("/api/calls?only_unpriced=true").json()["total"] == 1


@pytest.mark.parametrize("by", list(UsageBy))
def test_usage_is_what_the_store_reports(api: tuple[TestClient, Filled], by: UsageBy) -> None:
    client, filled = api
    told, report = client.get("/api/usage", params={"by": by}).json(), filled.store.usage.report(by)
    assert told["total"]["cost_nanos"] == report.total.cost_nanos > 0
    assert told["total"]["unpriced_calls"] == 1
    assert told["unpriced_models"] == ["acme-local-70b"]
    assert [row["key"] for row in told["rows"]] == [row.key for row in report.rows]


def test_usage_without_sub_agents_and_in_a_range(api: tuple[TestClient, Filled]) -> None:
    client, _ = api
    assert client.get("/api/usage?by=total&subagents=false").json()["total"]["calls"] == 2
    assert client.get("/api/usage?by=total&since=2026-03-02T10:00:00Z").json()["total"]["calls"] == 1
    assert client.get("/api/usage/blocks").json()["items"][0]["totals"]["calls"] == 3


def test_figures_errors_prices_search_and_projects_are_told(api: tuple[TestClient, Filled]) -> None:
    client, _ = api
    assert client.get("/api/tool-calls/figures").json()["items"][0]["errors"] == 1
    failed = client.get("/api/tool-calls?status=error&run=r-1&sort=-started_at").json()
    assert [(one["tool_name"], one["status"]) for one in failed["items"]] == [("Bash", "error")]
    assert client.get("/api/tool-calls?tool=Read").json()["total"] == 0
    assert client.get("/api/tool-calls?status=odd").status_code == 422
    drivers = client.get("/api/sessions/s-1/drivers").json()
    assert (drivers["model"], drivers["calls"], drivers["call_model"]) == ("claude-opus-4-5", 2, "claude-opus-4-5")
    assert [run["run_id"] for run in client.get("/api/runs/r-1/alike").json()["items"]] == []
    assert client.get("/api/errors?q=object").json()["total"] == 1
    assert client.get("/api/errors/groups").json()["items"][0]["count"] == 1
    assert client.get("/api/prices").json()["models"][0]["model"] == "acme-local-70b"
    hits = client.get("/api/search?q=broken").json()["items"]
    assert [hit["session_id"] for hit in hits] == ["s-1"]
    assert client.get("/api/projects").json()["items"][0]["name"] == "default"
    assert client.get("/api/imports/unreadable").json()["total"] == 0


def test_what_groups_of_errors_count_is_listed_where_a_group_or_a_kind_is_asked_for(
    api: tuple[TestClient, Filled],
) -> None:
    client, filled = api
    (group,) = client.get("/api/errors/groups?q=kind:tool").json()["items"]
    for asked in ("kind=tool", f"group={group['id']}", "derived=true&kind=tool"):
        found = client.get(f"/api/errors?{asked}").json()["items"]
        assert [one["tool_call_uuid"] for one in found] == [str(filled.failed_tool)], asked
    for asked in ("derived=false&kind=tool", f"group={group['id']}&derived=false", "q=fatal"):
        assert client.get(f"/api/errors?{asked}").json()["items"] == [], asked


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/api/sessions?bogus=1", "bogus"), ("/api/sessions?limit=0", "limit"), ("/api/sessions?limit=201", "limit"),
        ("/api/sessions?limit=x", "limit"), ("/api/sessions?since=yesterday", "since"),
        ("/api/sessions?status=odd", "status"), ("/api/sessions?sort=odd", "sort"),
        ("/api/sessions?cursor=odd", "cursor"),
        ("/api/sessions/s-1?x=1", "x"), ("/api/usage?by=odd", "by"), ("/api/search", "q"), ("/api/search?q=", "q"),
        ("/api/calls/odd", "call_id"), ("/api/sessions/s-1/messages?role=odd", "role"), ("/api/prices?x=1", "x"),
    ],
)  # fmt: skip
def test_what_cannot_be_understood_is_a_problem_that_names_the_field(
    api: tuple[TestClient, Filled], path: str, field: str
) -> None:
    answer = api[0].get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (422, PROBLEM_JSON)
    told = answer.json()
    assert set(told) == {"type", "title", "status", "detail", "instance", "errors"}
    assert [one["field"] for one in told["errors"]] == [field]
    assert told["instance"].startswith("urn:uuid:")


@pytest.mark.parametrize("path", ["/api/sessions/none", "/api/runs/none", "/api/sessions/none/messages", "/api/nope"])
def test_what_is_not_there_is_a_problem(api: tuple[TestClient, Filled], path: str) -> None:
    answer = api[0].get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (404, PROBLEM_JSON)


def test_a_method_that_is_not_offered_is_a_problem(api: tuple[TestClient, Filled]) -> None:
    answer = api[0].post("/api/sessions", json={}, headers=OURS)
    assert (answer.status_code, answer.headers["content-type"]) == (405, PROBLEM_JSON)


@pytest.mark.parametrize(
    ("error", "status"), [(StorageFull(), 507), (StoreUnavailable(), 503), (OutcomeUnknown(), 503)]
)
def test_a_database_that_cannot_be_used_says_so(error: StoreUnavailable, status: int) -> None:
    told, headers = of_error(error)
    assert told.status == status
    assert ("Retry-After" in headers) is (status == 503)


def test_something_unexpected_is_told_by_an_id_that_the_log_explains(
    api: tuple[TestClient, Filled], caplog: pytest.LogCaptureFixture
) -> None:
    client, _ = api

    async def broken() -> None:
        raise RuntimeError("a secret detail")

    client.app.add_api_route("/api/broken", broken)  # type: ignore[attr-defined]
    answer = client.get("/api/broken")
    assert (answer.status_code, answer.headers["content-type"]) == (500, PROBLEM_JSON)
    assert "secret detail" not in answer.text
    assert answer.json()["instance"] in caplog.text
    assert "a secret detail" in caplog.text
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_description_names_every_route_with_its_answers(api: tuple[TestClient, Filled]) -> None:
    schema = api[0].get("/api/openapi.json").json()
    assert "/api/sessions/{session_id}/messages" in schema["paths"]
    assert not [path for path in schema["paths"] if not path.startswith("/api/") and path != "/healthz"]
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            answers = operation["responses"]
            good = next(status for status in answers if status.startswith("2"))
            described = answers[good].get("content", {}).get("application/json", {}).get("schema")
            assert described or good == "204", (method, path)
            if path != "/healthz":
                assert PROBLEM_JSON in answers["422"]["content"], (method, path)
    assert schema["components"]["schemas"]["Session"]["properties"]["session_id"]["examples"]
    usage = schema["components"]["schemas"]["UsageTotals"]["properties"]
    assert {"cost_nanos", "cost_usd", "total_tokens", "unpriced_calls"} <= set(usage)
