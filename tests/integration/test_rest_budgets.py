"""Budgets over REST: administrators set them, others see those that apply to them, and a refusal tells all."""

import json
from collections.abc import Iterator

import pytest
from page_fixtures import HOME, Filled, served, signed_in
from starlette.testclient import TestClient

from agentrecord.exceptions import OverBudget
from agentrecord.records.scope import Role
from agentrecord.server.problems import PROBLEM_JSON, answer, of_error
from agentrecord.store import Store

OURS = {"sec-fetch-site": "same-origin"}
TEAM = {"name": "team", "period": "week", "limit_usd": "0.05"}


@pytest.fixture
def api() -> Iterator[tuple[TestClient, Filled]]:
    with served() as (client, filled):
        assert filled is not None
        yield signed_in(client), filled


def with_key(client: TestClient, store: Store, role: Role, user: str | None = None) -> TestClient:
    """Return a client that comes with a key of a role, for one user if named."""
    secret = store.scoped(project="default", user=user).keys.create("k", role=role).secret
    return TestClient(client.app, base_url=HOME, headers={"authorization": f"Bearer {secret}"})


def test_a_budget_is_made_seen_changed_and_deleted(api: tuple[TestClient, Filled]) -> None:
    client, filled = api
    made = client.post("/api/budgets", json=TEAM, headers=OURS)
    assert made.status_code == 201
    told = made.json()
    assert (told["budget"]["name"], told["budget"]["period"], told["budget"]["limit_usd"]) == ("team", "week", 0.05)
    spent = filled.store.usage.report().total
    assert (told["spent_nanos"], told["unpriced_calls"]) == (spent.cost_nanos, 1)
    assert (told["start_at"], told["end_at"]) == ("2026-03-02T00:00:00.000000Z", "2026-03-09T00:00:00.000000Z")
    assert told["remaining_nanos"] == 50_000_000 - spent.cost_nanos
    path = f"/api/budgets/{told['budget']['id']}"
    assert client.get(path).json() == told
    listed = client.get("/api/budgets?limit=10").json()
    assert (listed["items"], listed["total"]) == ([told], 1)
    changed = client.patch(path, json={"limit_usd": 0.001, "allow_unpriced": True}, headers=OURS).json()
    assert (changed["budget"]["limit_nanos"], changed["budget"]["allow_unpriced"], changed["is_over"]) == (
        1_000_000, True, True)  # fmt: skip
    assert (changed["budget"]["name"], changed["budget"]["period"]) == ("team", "week")
    assert client.delete(path, headers=OURS).status_code == 204
    for gone in (client.get(path), client.patch(path, json={}, headers=OURS), client.delete(path, headers=OURS)):
        assert (gone.status_code, gone.headers["content-type"]) == (404, PROBLEM_JSON)


@pytest.mark.parametrize(
    "wrong",
    [{"limit_usd": -1}, {"limit_usd": "1e-10"}, {"limit_usd": "NaN"}, {"limit_usd": None}, {"limit_usd": "x"},
     {"limit_usd": "1e999999"}, {"limit_usd": "1e-999999"}, {"limit_usd": "1e19"}, {"limit_usd": "1" + "0" * 5000},
     {"limit_usd": "1.0000000000000000000000000000000001"},
     {"period": "year"}, {"name": ""}, {"name": 7}, {"spent_nanos": 0}, {"id": "x"}, {"is_active": None}],
)  # fmt: skip
def test_a_budget_that_makes_no_sense_is_refused_and_changes_nothing(
    api: tuple[TestClient, Filled], wrong: dict[str, object]
) -> None:
    client, _ = api
    made = client.post("/api/budgets", json=TEAM, headers=OURS).json()
    for refused in (
        client.post("/api/budgets", json={**TEAM, "name": "other", **wrong}, headers=OURS),
        client.patch(f"/api/budgets/{made['budget']['id']}", json=wrong, headers=OURS),
    ):
        assert (refused.status_code, refused.headers["content-type"]) == (422, PROBLEM_JSON)
        assert refused.json()["errors"]
    assert client.get("/api/budgets").json()["items"] == [made]
    assert client.post("/api/budgets", json=TEAM, headers=OURS).status_code == 409


def test_only_administrators_set_budgets_and_others_see_those_that_apply_to_them(
    api: tuple[TestClient, Filled],
) -> None:
    client, filled = api
    for name, user in (("all", None), ("ana's", "ana"), ("bob's", "bob")):
        assert client.post("/api/budgets", json={**TEAM, "name": name, "user": user}, headers=OURS).status_code == 201
    bob = with_key(client, filled.store, Role.WRITE, "bob")
    shown = {one["budget"]["name"]: one for one in bob.get("/api/budgets").json()["items"]}
    assert set(shown) == {"all", "bob's"}
    assert (shown["bob's"]["unpriced_calls"], shown["bob's"]["spent_nanos"]) == (1, 0)
    anas = filled.store.budgets.find("ana's")
    assert anas is not None
    assert bob.get(f"/api/budgets/{anas.id}").status_code == 404
    own = "/api/budgets/" + shown["bob's"]["budget"]["id"]
    assert bob.get(own).status_code == 200
    for refused in (
        bob.post("/api/budgets", json={**TEAM, "name": "x"}), bob.patch(own, json={"limit_usd": 99}), bob.delete(own),
    ):  # fmt: skip
        assert refused.status_code == 403
    admin = with_key(client, filled.store, Role.ADMIN)
    assert admin.delete(f"/api/budgets/{anas.id}").status_code == 204
    assert client.get("/api/budgets").json()["total"] == 2


def test_a_refusal_tells_the_budget_its_figures_and_when_it_starts_anew(api: tuple[TestClient, Filled]) -> None:
    client, filled = api
    client.post("/api/budgets", json={**TEAM, "limit_usd": 0.02}, headers=OURS)
    with pytest.raises(OverBudget) as refused:
        filled.store.budgets.reserve(
            model="claude-opus-4-5", host="Anthropic", input_tokens=1000, max_output_tokens=1000
        )
    found, _ = of_error(refused.value)
    response = answer("/api/x", found)
    assert (response.status_code, response.media_type) == (402, PROBLEM_JSON)
    told = json.loads(bytes(response.body))
    assert (told["type"], told["budget"], told["period"]) == ("urn:agentrecord:problem:OverBudget", "team", "week")
    spent = filled.store.usage.report().total
    assert (told["limit_usd"], told["spent_nanos"], told["reserved_usd"]) == (0.02, spent.cost_nanos, 0)
    assert (told["asked_usd"], told["resets_at"]) == (0.035, "2026-03-09T00:00:00.000000Z")
    assert told["errors"][0]["field"] == "budget"
    assert "raise the limit" in told["errors"][0]["reason"]
    assert "'team'" in told["detail"]


def test_the_api_describes_budgets(api: tuple[TestClient, Filled]) -> None:
    described = api[0].get("/api/openapi.json").json()
    paths = {path: set(operations) for path, operations in described["paths"].items() if "budgets" in path}
    assert paths == {"/api/budgets": {"get", "post"}, "/api/budgets/{budget_id}": {"get", "patch", "delete"}}
    fields = described["components"]["schemas"]["BudgetStatus"]["properties"]
    assert {"spent_nanos", "reserved_usd", "is_over", "start_at"} <= set(fields)
