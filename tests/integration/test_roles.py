"""Who may do what, for every route that the API describes: by role, by owner, and field by field.

A new route fails here until it has an entry: a body if it takes one, an id for each name in its path, and the role
that it needs where that is not the usual one (read to look, write to change).
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
from page_fixtures import HOME, SECRET, FixedClock
from starlette.testclient import TestClient

from agentrecord.ids import new_id
from agentrecord.records.budget import BudgetPeriod, NewBudget
from agentrecord.records.error import NewError
from agentrecord.records.llm_call import NewLLMCall
from agentrecord.records.message import MessageRole, NewMessage
from agentrecord.records.price import NewPrice, Rates
from agentrecord.records.run import NewRun
from agentrecord.records.scope import Role
from agentrecord.records.session import NewSession
from agentrecord.server.app import build_app
from agentrecord.server.passwords import hashed
from agentrecord.store import AsyncStore, Store

Route = tuple[str, str]
PASSWORD = "correct horse battery"
HASH = hashed(PASSWORD)
SAID = {"role": "user", "content": "hello"}

OPEN: frozenset[Route] = frozenset({
    ("GET", "/healthz"), ("POST", "/api/auth/sign-in"), ("POST", "/api/auth/refresh"), ("POST", "/api/auth/sign-up"),
})  # fmt: skip
"""What needs nobody to be known."""

OWN: frozenset[Route] = frozenset({("POST", "/api/auth/sign-out"), ("POST", "/api/auth/password")})
"""What everybody does with their own account, whatever their role."""

NEEDED: dict[Route, Role] = {
    ("GET", "/api/accounts"): Role.ADMIN,
    ("POST", "/api/accounts"): Role.ADMIN,
    ("PATCH", "/api/accounts/{account_id}"): Role.ADMIN,
    ("GET", "/api/keys"): Role.ADMIN,
    ("POST", "/api/keys"): Role.ADMIN,
    ("DELETE", "/api/keys/{key_id}"): Role.ADMIN,
    ("POST", "/api/budgets"): Role.ADMIN,
    ("POST", "/api/prices"): Role.ADMIN,
    ("POST", "/api/prices/preview"): Role.ADMIN,
    ("DELETE", "/api/prices/{price_id}"): Role.ADMIN,
    ("POST", "/api/reprice"): Role.ADMIN,
    ("PATCH", "/api/budgets/{budget_id}"): Role.ADMIN,
    ("DELETE", "/api/budgets/{budget_id}"): Role.ADMIN,
    ("GET", "/api/projects"): Role.OPERATOR,
    ("DELETE", "/api/users/{user_id}"): Role.ADMIN,
    ("GET", "/api/imports/unreadable"): Role.READ,
    ("POST", "/api/sql"): Role.ADMIN,
    ("GET", "/api/sql/tables"): Role.ADMIN,
}
"""Roles beyond the usual ones: read to look, write to change."""

BODIES: dict[Route, dict[str, Any]] = {
    ("POST", "/api/auth/sign-in"): {"email": "a@example.org", "password": PASSWORD},
    ("POST", "/api/auth/refresh"): {"refresh_token": "arer_x"},
    ("POST", "/api/auth/sign-up"): {"email": "new@example.org", "password": PASSWORD},
    ("POST", "/api/auth/password"): {"old_password": PASSWORD, "new_password": PASSWORD + "!"},
    ("POST", "/api/accounts"): {"email": "new@example.org", "password": PASSWORD, "role": "read"},
    ("PATCH", "/api/accounts/{account_id}"): {"role": "read"},
    ("POST", "/api/keys"): {"name": "k", "role": "read"},
    ("POST", "/api/agent-sessions/conversation"): {"messages": [SAID]},
    ("POST", "/api/agent-sessions"): {"session_id": "new"},
    ("POST", "/api/agent-sessions/{session_id}/messages"): SAID,
    ("PATCH", "/api/agent-sessions/{session_id}/messages/{message_id}"): {"content": "changed"},
    ("PATCH", "/api/agent-sessions/{session_id}"): {"description": "changed"},
    ("PATCH", "/api/sessions/{session_id}"): {"title": "changed"},
    ("POST", "/api/budgets"): {"name": "b", "period": "day", "limit_usd": "5"},
    ("PATCH", "/api/budgets/{budget_id}"): {"limit_usd": "6"},
    ("POST", "/api/sql"): {"sql": "SELECT 1"},
    ("POST", "/api/prices"): {"model": "m", "input_usd": "1", "output_usd": "2"},
    ("POST", "/api/prices/preview"): {"model": "m", "input_usd": "1", "output_usd": "2"},
    ("POST", "/api/reprice"): {"apply": True},
}
"""A right body for every route that takes one."""

QUERIES: dict[Route, str] = {
    ("GET", "/api/search"): "?q=hello",
    ("GET", "/api/runs/values"): "?word=user",
    ("GET", "/api/sessions/values"): "?word=user",
    ("GET", "/api/agents/values"): "?word=user",
    ("GET", "/api/users/values"): "?word=user",
    ("GET", "/api/errors/groups/values"): "?word=user",
    ("GET", "/api/find"): "?q=hello",
    ("GET", "/api/runs/compare"): "?a=ana%27s%20run&b=ana%27s%20run",
}
"""What a list cannot do without."""

SERVER_OWNED = ("id", "project_id", "user_id", "user_uuid", "created_at", "cost", "cost_nanos", "sequence", "is_admin",
                "password_hash", "secret_hash", "prefix", "last_used_at", "revoked_at", "spent_nanos")  # fmt: skip
"""What only the server sets."""


@dataclass(frozen=True)
class World:
    """A server; `ids` names one row of the user ana for every name that stands in a path."""

    client: TestClient
    store: Store
    ids: dict[str, str]

    def headers(self, role: Role | None, *, user: str = "ana@example.org", project: str = "default") -> dict[str, str]:
        """Return how an account of `user` with `role` asks; nobody for None."""
        if role is None:
            return {}
        email = user if role is not Role.ADMIN else f"admin-{user}"
        store = self.store if project == "default" else self.store.scoped(project=project)
        account = store.accounts.find(email)
        if account is None:
            account = store.accounts.create(email, role=role, password_hash=HASH)
        elif account.role is not role:
            store.accounts.set_role(account.id, role)
        asked = self.client.post("/api/auth/sign-in", json={"email": email, "password": PASSWORD})
        return {"authorization": f"Bearer {asked.json()['access_token']}"}

    def ask(self, route: Route, headers: dict[str, str], ids: dict[str, str], body: Any = None) -> Any:
        method, path = route
        filled = re.sub(r"\{(\w+)\}", lambda found: ids[found[1]], path)
        return self.client.request(
            method, filled + QUERIES.get(route, ""), headers=headers, json=BODIES.get(route) if body is None else body
        )


@contextmanager
def world() -> Iterator[World]:
    clock = FixedClock()
    store = AsyncStore("memory:", clock=clock)
    app = build_app(store, secret=SECRET)
    seen = Store(engine=store.engine)
    with TestClient(app, base_url=HOME) as client:
        made = World(client, seen, fill(seen))
        turn = client.post(
            "/api/agent-sessions/conversation", json={"messages": [SAID]}, headers=made.headers(Role.WRITE)
        ).json()["turn_id"]
        yield World(client, seen, {**made.ids, "turn_id": str(turn)})
    store.close()


def fill(store: Store) -> dict[str, str]:
    """Store a row of everything that a path can name, all of them ana's."""
    account = store.accounts.create("ana@example.org", role=Role.WRITE, password_hash=HASH)
    own = store.scoped(user="ana@example.org")
    session = own.sessions.create(NewSession(session_id="ana's", agent_id="bot"))
    store.agents.create_version("bot", "1")
    version = store.agents.create_version("bot", "2")
    run = own.runs.start(NewRun(run_id="ana's run", session_uuid=session.id, agent_version_uuid=version.id))
    error = own.errors.record(NewError(error_type="E", error_message="hello from ana", run_uuid=run.id))
    turn = own.messages.append(
        session.id,
        [NewMessage(role=MessageRole.USER, content="hello from ana", run_uuid=run.id)],
        calls=[NewLLMCall(model="m", run_uuid=run.id, session_uuid=session.id)],
    )
    budget = store.budgets.create(
        NewBudget(name="ana's", period=BudgetPeriod.TOTAL, limit_nanos=10**12, user="ana@example.org")
    )
    price = store.prices.set(NewPrice(model="ana's", rates=Rates(input=1, output=1), project_id=store.scope.project))
    return {
        "session_id": str(session.id), "run_id": str(run.id), "message_id": str(turn.messages[0].id),
        "call_id": str(turn.calls[0].id), "budget_id": str(budget.id), "account_id": str(account.id),
        "key_id": str(store.keys.create("ana's", user="ana@example.org").key.id), "user_id": str(session.user_uuid),
        "agent_id": str(session.agent_uuid), "fingerprint": error.fingerprint, "price_id": str(price.id),
    }  # fmt: skip


@pytest.fixture(scope="module")
def described() -> dict[Route, dict[str, Any]]:
    """Return every route that the API describes."""
    with world() as found:
        paths = found.client.get("/api/openapi.json", headers=found.headers(Role.READ)).json()["paths"]
    return {(m.upper(), path): told for path, operations in paths.items() for m, told in operations.items()}


def needed(route: Route) -> Role:
    return NEEDED.get(route, Role.READ if route[0] == "GET" else Role.WRITE)


def test_every_route_has_its_entries(described: dict[Route, dict[str, Any]]) -> None:
    with_body = {route for route, told in described.items() if "requestBody" in told}
    assert with_body == set(BODIES)
    known = {"session_id", "run_id", "message_id", "call_id", "budget_id", "account_id", "key_id", "turn_id",
             "user_id", "agent_id", "fingerprint", "price_id"}  # fmt: skip
    assert {name for _, path in described for name in re.findall(r"\{(\w+)\}", path)} == known
    assert set(NEEDED) | OPEN | OWN | set(QUERIES) <= set(described)
    assert {route for route, told in described.items() if told.get("security") == []} == OPEN
    assert len(described) > 50


@pytest.mark.parametrize("role", [None, Role.READ, Role.WRITE, Role.ADMIN])
def test_a_role_does_what_it_may_and_nothing_else(described: dict[Route, dict[str, Any]], role: Role | None) -> None:
    with world() as shared:
        headers = shared.headers(role)
        for route in sorted(set(described) - OPEN):
            is_allowed = role is not None and (route in OWN or role.includes(needed(route)))
            if not is_allowed or route[0] == "GET":
                check_role(route, shared.ask(route, headers, shared.ids), role=role, is_allowed=is_allowed)
                continue
            # A record of its own: what one route deletes, another could not be asked for.
            with world() as own:
                check_role(route, own.ask(route, own.headers(role), own.ids), role=role, is_allowed=True)


def check_role(route: Route, answer: Any, *, role: Role | None, is_allowed: bool) -> None:
    """Hold an answer against what a role may do."""
    if is_allowed:
        assert answer.status_code < 400 or answer.status_code == 409, (route, answer.text)
        return
    assert answer.status_code == (401 if role is None else 403), (route, answer.text)
    assert answer.headers["content-type"] == "application/problem+json"
    if role is None:
        assert answer.headers["www-authenticate"] == "Bearer"


def plain(answer: Any, ids: dict[str, str]) -> tuple[int, dict[str, Any]]:
    """Return an answer without what tells one request from another."""
    text = answer.text
    for name, value in ids.items():
        text = text.replace(value, name)
    return answer.status_code, {**answer.__class__(answer.status_code, text=text).json(), "instance": None}


@pytest.mark.parametrize("stranger", ["a member", "a reader", "another project's administrator", "a user's key"])
def test_what_is_anothers_is_to_a_stranger_as_if_it_were_not_there(
    described: dict[Route, dict[str, Any]], stranger: str
) -> None:
    with world() as found:
        headers = {
            "a member": lambda: found.headers(Role.WRITE, user="ben@example.org"),
            "a reader": lambda: found.headers(Role.READ, user="ben@example.org"),
            "another project's administrator": lambda: found.headers(
                Role.ADMIN, user="ben@example.org", project="other"
            ),
            "a user's key": lambda: {
                "authorization": f"Bearer {found.store.keys.create('b', role=Role.WRITE, user='ben').secret}"
            },
        }[stranger]()
        unknown = {name: str(new_id()) for name in found.ids}
        administers = stranger == "another project's administrator"
        for route in described:
            if "{" not in route[1]:
                continue
            theirs, nobodys = (found.ask(route, headers, ids) for ids in (found.ids, unknown))
            assert plain(theirs, found.ids) == plain(nobodys, unknown), route
            role = Role.READ if stranger == "a reader" else Role.ADMIN if administers else Role.WRITE
            # Whether the role or the row is looked at first tells nothing, as long as it is the same for every id.
            expected = (404,) if role.includes(needed(route)) else (403, 404)
            assert theirs.status_code in expected, (route, theirs.text)
            for value in ("hello from ana", "ana@example.org", "ana's"):
                assert value not in theirs.text, route
        own = found.headers(Role.WRITE)
        for route in described:
            if route[0] == "GET" and "{" in route[1]:
                assert found.ask(route, own, found.ids).status_code == 200, route


def test_a_list_shows_a_stranger_nothing_of_anothers(described: dict[Route, dict[str, Any]]) -> None:
    with world() as found:
        headers = found.headers(Role.READ, user="ben@example.org")
        for route in described:
            if route[0] != "GET" or "{" in route[1]:
                continue
            text = found.ask(route, headers, found.ids).text
            # A price is everybody's in its project.
            others = [value for name, value in found.ids.items() if name != "price_id"]
            for value in (*others, "ana@example.org", "hello from ana"):
                assert value not in text, (route, value)


def test_fields_that_are_unknown_or_the_servers_own_are_refused() -> None:
    with world() as found:
        admin, before = found.headers(Role.ADMIN), found.store.sessions.get("ana's")
        for route, body in BODIES.items():
            for name in ("surprise", *SERVER_OWNED):
                answer = found.ask(route, admin, found.ids, {**body, name: "0199e0c5-7c1e-7a44-9d1f-4ae1d2f3b5c6"})
                assert answer.status_code == 422, (route, name, answer.text)
                assert name in answer.json()["detail"], (route, name)
        assert found.store.sessions.get("ana's") == before
        assert found.store.accounts.find("new@example.org") is None


def test_no_answer_holds_a_hash_a_password_or_a_secret(described: dict[Route, dict[str, Any]]) -> None:
    with world() as found:
        admin = found.headers(Role.ADMIN)
        secret = found.client.post("/api/keys", json={"name": "k"}, headers=admin).json()["secret"]
        rows = found.store.engine.read(lambda conn: conn.text("SELECT secret_hash FROM ar_api_keys"))
        hashes = [bytes(row[0]).hex() for row in rows]
        for route in described:
            if route[0] != "GET":
                continue
            text = found.ask(route, admin, found.ids).text
            for hidden in ("argon2", PASSWORD, secret, secret[30:], "arer_", *hashes):
                assert hidden not in text, route
        for path in ("/settings/people", "/settings/keys"):
            page = found.client.get(path, headers=admin)
            assert page.status_code == 200
            for hidden in ("argon2", PASSWORD, secret[30:], *hashes):
                assert hidden not in page.text, path
        entries = found.store.audit.list(limit=200)
        assert secret[30:] not in repr(entries)


def test_the_description_names_no_field_that_would_give_a_secret_away() -> None:
    with world() as found:
        schemas = found.client.get("/api/openapi.json", headers=found.headers(Role.READ)).json()["components"][
            "schemas"
        ]
    answered = {name: set(schema.get("properties", ())) for name, schema in schemas.items()}
    telling = {
        (name, field)
        for name, fields in answered.items()
        for field in fields
        if re.search(r"hash|password|secret|pepper|token$", field)
    }
    given = {"Credentials", "NewCredentials", "RefreshToken", "Passwords", "NewAccount", "AccountChanges"}
    assert {pair for pair in telling if pair[0] not in given} == {
        ("NewApiKey", "secret"), ("Tokens", "access_token"), ("Tokens", "refresh_token"),
    }  # fmt: skip


def test_ids_that_are_none_are_refused_like_unknown_ones_or_as_a_wrong_value(
    described: dict[Route, dict[str, Any]],
) -> None:
    with world() as found:
        admin = found.headers(Role.ADMIN)
        for route in described:
            if "{" in route[1]:
                for wrong in ("x", "0", "%00", "' OR 1=1"):
                    answer = found.ask(route, admin, dict.fromkeys(found.ids, wrong))
                    assert answer.status_code in (404, 422), (route, wrong, answer.text)


def test_rows_of_two_users_are_two_peoples() -> None:
    with world() as found:
        found.store.scoped(user="ben@example.org").sessions.create(NewSession(session_id="ben's"))
        for user, own in (("ana@example.org", "ana's"), ("ben@example.org", "ben's")):
            items = found.client.get("/api/sessions", headers=found.headers(Role.READ, user=user)).json()["items"]
            assert own in [item["session_id"] for item in items]
            assert {item["user"] for item in items} == {user}
        everybody = found.client.get("/api/sessions", headers=found.headers(Role.ADMIN)).json()["items"]
        assert {"ana's", "ben's"} <= {item["session_id"] for item in everybody}


def test_what_an_administrator_makes_is_their_own() -> None:
    with world() as found:
        admin = found.headers(Role.ADMIN)
        made = found.client.post("/api/agent-sessions", json={"session_id": "mine"}, headers=admin).json()
        account = found.store.accounts.find("admin-ana@example.org")
        assert account is not None
        assert UUID(made["user_id"]) == account.user_uuid
