"""Who is let in: the link, the cookie, API keys; and what other sites' pages cannot do."""

import time

import pytest
from page_fixtures import SECRET, TOKEN, Filled, served, signed_in
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from agentrecord.records.scope import Role
from agentrecord.server.auth import OPEN_FOLDER, OPEN_PATHS
from agentrecord.server.cookies import cookie_name, is_cookie, local_path, make_cookie

COOKIE = cookie_name(SECRET)
OPEN_STATUS = {
    ("GET", "/healthz"): 200,
    ("GET", "/sign-in"): 200,
    ("POST", "/sign-in"): 403,
    ("POST", "/api/auth/sign-in"): 422,
    ("POST", "/api/auth/refresh"): 422,
    ("POST", "/api/auth/sign-up"): 422,
}
"""What a stranger's bare request for an open path is answered; for any other path it is 401."""


def _routes(client: TestClient) -> list[tuple[str, str]]:
    found = []
    for route in _flat(client.app.routes):  # type: ignore[attr-defined]
        path = route.path.replace("{shape}", "csv").replace("{", "").replace("}", "").replace(":path", "")
        found.extend((method, path) for method in sorted(route.methods or {"GET"}) if method != "HEAD")
    return found


def _flat(routes: list[object]) -> list[Route]:
    found: list[Route] = []
    for route in routes:
        if isinstance(route, Mount):
            continue
        inner = getattr(getattr(route, "original_router", None), "routes", None)
        if inner is not None:
            found.extend(_flat(inner))
        elif hasattr(route, "path"):
            found.append(route)  # type: ignore[arg-type]
    return found


def test_every_route_but_the_named_open_ones_needs_an_identity() -> None:
    assert sorted(OPEN_PATHS) == [
        "/api/auth/refresh", "/api/auth/sign-in", "/api/auth/sign-up", "/healthz", "/sign-in",
    ]  # fmt: skip
    assert OPEN_FOLDER == "/static/"
    with served() as (client, _):
        routes = _routes(client)
        assert len(routes) > 30
        for method, path in routes:
            status = client.request(method, path).status_code
            assert status == OPEN_STATUS.get((method, path), 401), (method, path, status)


def test_the_link_sets_a_cookie_that_lets_the_browser_in() -> None:
    with served() as (client, _):
        answer = client.get(f"/sign-in?token={TOKEN}&next=/sessions")
        assert (answer.status_code, answer.headers["location"]) == (303, "/sessions")
        cookie = answer.headers["set-cookie"]
        assert all(part in cookie for part in ("HttpOnly", "SameSite=strict", "Path=/", "Max-Age=2592000"))
        assert "Secure" not in cookie
        assert client.get("/sessions").status_code == 200
        assert client.get("/api/sessions").status_code == 200


def test_over_https_the_cookie_is_secure() -> None:
    with served() as (client, _):
        answer = client.get(f"https://localhost/sign-in?token={TOKEN}")
        assert "Secure" in answer.headers["set-cookie"]
        assert answer.headers["set-cookie"].startswith("__Host-agentrecord-")
        assert client.get("https://localhost/sessions").status_code == 200


def test_the_token_on_any_page_signs_in_and_goes_from_the_address() -> None:
    with served() as (client, _):
        answer = client.get(f"/cost?by=day&token={TOKEN}&since=all")
        assert (answer.status_code, answer.headers["location"]) == (303, "/cost?by=day&since=all")
        assert client.get(answer.headers["location"]).status_code == 200


@pytest.mark.parametrize("token", ["", "x", TOKEN + "x", TOKEN[:-1], "ä"])
def test_another_token_is_refused(token: str) -> None:
    with served() as (client, _):
        assert client.get("/sign-in", params={"token": token}).status_code == 401
        assert client.get("/", params={"token": token}).status_code == 401
        assert COOKIE not in client.cookies


@pytest.mark.parametrize("cookie", ["", "v1", "v1.99999999999.00", "v2.99999999999." + "0" * 64, "v1.²." + "0" * 64])
def test_a_forged_cookie_is_refused(cookie: str) -> None:
    assert not is_cookie(cookie, SECRET, now=0)


def test_a_cookie_of_another_secret_or_a_past_time_is_refused() -> None:
    soon = int(time.time()) + 100
    good = make_cookie(SECRET, expires_at=soon)
    assert is_cookie(good, SECRET, now=time.time())
    assert not is_cookie(good, b"another secret", now=time.time())
    assert not is_cookie(good, SECRET, now=soon)
    assert not is_cookie(good.replace(str(soon), str(soon + 1)), SECRET, now=time.time())
    with served() as (client, _):
        past = make_cookie(SECRET, expires_at=int(time.time()) - 1)
        assert client.get("/", headers={"cookie": f"{COOKIE}={past}"}).status_code == 401


def test_cookies_of_other_servers_on_this_computer_are_no_obstacle() -> None:
    with served() as (client, _):
        ours = make_cookie(SECRET, expires_at=int(time.time()) + 100)
        others = 'a={"x": [1, "y"]}; b=[; ;; =; c@d=ü'
        header = f"{others}; {COOKIE}={ours}; z={{".encode()
        assert client.get("/", headers={"cookie": header}).status_code == 200


def test_two_servers_on_one_computer_do_not_sign_each_other_out() -> None:
    assert cookie_name(SECRET) != cookie_name(b"another record's")


def test_the_token_does_not_sign_in_where_programs_ask() -> None:
    with served() as (client, _):
        assert client.get(f"/api/sessions?token={TOKEN}").status_code == 401


@pytest.mark.parametrize("target", ["https://evil.example", "//evil.example", "/\\evil.example", "evil", "/a\r\nb", ""])
def test_signing_in_leads_nowhere_but_to_this_server(target: str) -> None:
    assert local_path(target) == "/"


def test_a_local_target_is_kept_with_its_query() -> None:
    assert local_path("/s/a?from=2") == "/s/a?from=2"


def _key(filled: Filled, role: Role) -> dict[str, str]:
    return {"authorization": f"Bearer {filled.store.keys.create('test', role=role).secret}"}


def test_a_key_reads_and_its_role_bounds_what_it_writes() -> None:
    with served() as (client, filled):
        assert filled is not None
        read, write = _key(filled, Role.READ), _key(filled, Role.WRITE)
        assert client.get("/api/sessions", headers=read).status_code == 200
        assert client.patch("/api/sessions/s-1", json={"title": "x"}, headers=read).status_code == 403
        assert client.patch("/api/sessions/s-1", json={"title": "x"}, headers=write).json()["title"] == "x"
        assert client.get("/api/projects", headers=write).status_code == 403


def test_a_key_of_one_user_sees_nothing_of_another() -> None:
    with served() as (client, filled):
        assert filled is not None
        key = filled.store.scoped(user="bob").keys.create("bob's", role=Role.READ)
        headers = {"authorization": f"Bearer {key.secret}"}
        assert [one["session_id"] for one in client.get("/api/sessions", headers=headers).json()["items"]] == ["s-2"]
        for path in ("", "/messages", "/tool-calls", "/events", "/children"):
            assert client.get(f"/api/sessions/{filled.session}{path}", headers=headers).status_code == 404
        for path in (
            f"/api/runs/{filled.run}",
            f"/api/calls/{filled.call}",
            f"/s/{filled.session}",
            f"/r/{filled.run}",
        ):
            assert client.get(path, headers=headers).status_code == 404
        assert "s-1" not in client.get("/sessions", headers=headers).text
        assert client.get("/api/search?q=broken", headers=headers).json()["items"] == []


def test_a_revoked_or_unknown_key_is_refused_even_with_a_cookie() -> None:
    with served() as (client, filled):
        assert filled is not None
        made = filled.store.keys.create("gone", role=Role.READ)
        filled.store.keys.revoke(made.key.id)
        signed_in(client)
        for secret in (made.secret, "arec_x_y", "", "nonsense"):
            assert client.get("/api/sessions", headers={"authorization": f"Bearer {secret}"}).status_code == 401
        assert client.get("/api/sessions", headers={"authorization": "Basic eDp5"}).status_code == 401


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"sec-fetch-site": "same-origin"}, 200),
        ({"origin": "http://localhost"}, 200),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "none"}, 403),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "http://localhost:1"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "cross-site", "origin": "http://localhost"}, 403),
        ({}, 403),
    ],
)
def test_with_a_cookie_only_our_own_pages_may_change_anything(headers: dict[str, str], status: int) -> None:
    with served() as (client, filled):
        signed_in(client)
        answer = client.patch("/api/sessions/s-1", json={"title": "changed"}, headers=headers)
        assert answer.status_code == status
        assert filled is not None
        assert (filled.store.sessions.get("s-1").title == "changed") is (status == 200)
