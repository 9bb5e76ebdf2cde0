"""Signing in with an account: tokens, what ends them, and what nobody learns from a refusal."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import pairwise

import pytest
from page_fixtures import HOME, SECRET, TOKEN, FixedClock, fill
from starlette.testclient import TestClient

from agentrecord.records.account import Account
from agentrecord.records.scope import Role
from agentrecord.records.session import NewSession
from agentrecord.server.app import IdentitySettings, build_app
from agentrecord.server.passwords import PLACES, hashed
from agentrecord.store import AsyncStore, Store
from agentrecord.store.sign_ins import FREE_PER_EMAIL

PASSWORD = "correct horse battery"
HASH = hashed(PASSWORD)
OWN_PAGE = {"sec-fetch-site": "same-origin"}
FORM = {**OWN_PAGE, "content-type": "application/x-www-form-urlencoded"}


class Served:
    """A server with accounts."""

    def __init__(self, client: TestClient, store: Store, clock: FixedClock) -> None:
        self.client = client
        self.store = store
        self.clock = clock

    def account(self, email: str, role: Role = Role.WRITE) -> Account:
        return self.store.accounts.create(email, role=role, password_hash=HASH)

    def tokens(self, email: str, password: str = PASSWORD) -> dict[str, str]:
        answer = self.client.post("/api/auth/sign-in", json={"email": email, "password": password})
        assert answer.status_code == 200, answer.text
        found: dict[str, str] = answer.json()
        return found

    def bearer(self, email: str) -> dict[str, str]:
        return {"authorization": f"Bearer {self.tokens(email)['access_token']}"}

    def actions(self) -> list[str]:
        return [entry.action for entry in self.store.audit.list(limit=200)][::-1]


@contextmanager
def serving(identity: IdentitySettings | None = None) -> Iterator[Served]:
    clock = FixedClock()
    store = AsyncStore("memory:", clock=clock)
    app = build_app(store, secret=SECRET, sign_in_token=TOKEN, identity=identity)
    seen = Store(engine=store.engine)
    fill(seen)
    with TestClient(app, base_url=HOME, follow_redirects=False) as client:
        yield Served(client, seen, clock)
    store.close()


@pytest.fixture
def served() -> Iterator[Served]:
    with serving() as found:
        yield found


def test_an_account_signs_in_and_sees_its_own_rows(served: Served) -> None:
    ana = served.account("ana@example.org")
    served.store.sessions.create(NewSession(session_id="mine"), user="ana@example.org")
    tokens = served.tokens(" ANA@example.org")
    assert (tokens["token_type"], tokens["expires_in"]) == ("Bearer", 900)
    headers = {"authorization": f"Bearer {tokens['access_token']}"}
    me = served.client.get("/api/auth/me", headers=headers).json()
    assert me == {
        "kind": "account", "id": str(ana.id), "name": "ana@example.org", "role": "write",
        "project_id": str(ana.project_id), "user_uuid": str(ana.user_uuid), "user": "ana@example.org",
    }  # fmt: skip
    assert [s["session_id"] for s in served.client.get("/api/sessions", headers=headers).json()["items"]] == ["mine"]
    assert served.client.get("/api/sessions/s-1", headers=headers).status_code == 404
    assert served.client.patch("/api/sessions/mine", json={"title": "x"}, headers=headers).status_code == 200
    assert served.client.get("/api/accounts", headers=headers).status_code == 403


def test_an_administrator_sees_everybodys_rows_and_a_demotion_counts_at_once(served: Served) -> None:
    root = served.account("root@example.org", Role.ADMIN)
    headers = served.bearer("root@example.org")
    assert served.client.get("/api/sessions/s-1", headers=headers).status_code == 200
    assert served.client.get("/api/projects", headers=headers).status_code == 403
    served.store.accounts.set_role(root.id, Role.READ)
    assert served.client.get("/api/sessions/s-1", headers=headers).status_code == 404
    assert served.client.get("/api/accounts", headers=headers).status_code == 403


def test_an_access_token_holds_a_quarter_of_an_hour(served: Served) -> None:
    served.account("ana@example.org")
    headers = served.bearer("ana@example.org")
    served.clock.at += timedelta(minutes=15)
    assert served.client.get("/api/auth/me", headers=headers).status_code == 200
    served.clock.at += timedelta(seconds=30)
    refused = served.client.get("/api/auth/me", headers=headers)
    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")


@pytest.mark.parametrize(
    ("email", "password"),
    [
        ("ana@example.org", "wrong"), ("nobody@example.org", PASSWORD), ("gone@example.org", PASSWORD),
        ("keyless@example.org", PASSWORD), ("no e-mail", PASSWORD), ("ana@example.org", ""),
        ("ana@example.org", PASSWORD + "x" * 1000),
    ],
)  # fmt: skip
def test_every_refusal_to_sign_in_says_the_same(served: Served, email: str, password: str) -> None:
    served.account("ana@example.org")
    served.store.accounts.disable(served.account("gone@example.org").id)
    served.store.accounts.create("keyless@example.org")
    answer = served.client.post("/api/auth/sign-in", json={"email": email, "password": password})
    told = answer.json()
    assert answer.status_code == 401
    assert told["detail"] == "the e-mail or the password is wrong"
    assert told.keys() == {"type", "title", "status", "detail", "instance", "errors"}
    assert answer.headers["www-authenticate"] == "Bearer"


def test_a_refresh_token_works_once_and_its_reuse_ends_the_sign_in(served: Served) -> None:
    served.account("ana@example.org")
    first = served.tokens("ana@example.org")
    answer = served.client.post("/api/auth/refresh", json={"refresh_token": first["refresh_token"]})
    second = answer.json()
    assert second["refresh_token"] != first["refresh_token"]
    headers = {"authorization": f"Bearer {second['access_token']}"}
    assert served.client.get("/api/auth/me", headers=headers).status_code == 200
    assert served.client.post("/api/auth/refresh", json={"refresh_token": first["refresh_token"]}).status_code == 401
    for stolen in (first, second):
        bearer = {"authorization": f"Bearer {stolen['access_token']}"}
        assert served.client.get("/api/auth/me", headers=bearer).status_code == 401
    assert served.client.post("/api/auth/refresh", json={"refresh_token": second["refresh_token"]}).status_code == 401
    for unknown, status in (("arer_x", 401), ("", 401), ("\\ud800", 422), ("x" * 201, 422)):
        content = f'{{"refresh_token": "{unknown}"}}'.encode()
        answer = served.client.post("/api/auth/refresh", content=content, headers={"content-type": "application/json"})
        assert answer.status_code == status
    assert "sign-in.revoked" in served.actions()


def test_signing_out_ends_the_access_token_too(served: Served) -> None:
    served.account("ana@example.org")
    here, there = served.tokens("ana@example.org"), served.bearer("ana@example.org")
    headers = {"authorization": f"Bearer {here['access_token']}"}
    assert served.client.post("/api/auth/sign-out", headers=headers).status_code == 204
    assert served.client.get("/api/auth/me", headers=headers).status_code == 401
    assert served.client.post("/api/auth/refresh", json={"refresh_token": here["refresh_token"]}).status_code == 401
    assert served.client.get("/api/auth/me", headers=there).status_code == 200


def test_nobody_signs_up_unless_the_server_is_open_to_all() -> None:
    given = {"email": "new@example.org", "password": PASSWORD}
    with serving() as served:
        assert served.client.post("/api/auth/sign-up", json=given).status_code == 403
        assert served.store.accounts.find("new@example.org") is None
    with serving(IdentitySettings(sign_up_is_open=True)) as served:
        made = served.client.post("/api/auth/sign-up", json=given)
        assert (made.status_code, made.json()["role"]) == (201, "write")
        assert served.client.post("/api/auth/sign-up", json=given).status_code == 409
        # Rows that are there already are nobody's to claim.
        served.store.users.ensure("ana@example.org")
        assert served.client.post("/api/auth/sign-up", json={**given, "email": "ana@example.org"}).status_code == 409
        assert served.client.get("/api/auth/me", headers=served.bearer("new@example.org")).status_code == 200
        statuses = [
            served.client.post("/api/auth/sign-up", json={**given, "email": "no"}).status_code for _ in range(8)
        ]
        assert statuses == [422] * 7 + [429]


@pytest.mark.parametrize(
    ("password", "status"),
    [("x" * 11, 422), ("x" * 12, 201), ("x" * 1024, 201), ("x" * 1025, 422), ("ä" * 512, 201), ("ä" * 513, 422)],
)
def test_a_password_has_12_characters_or_more_and_1024_bytes_or_less(password: str, status: int) -> None:
    with serving(IdentitySettings(sign_up_is_open=True)) as served:
        answer = served.client.post("/api/auth/sign-up", json={"email": "new@example.org", "password": password})
        assert answer.status_code == status
        assert password not in answer.text
        if status == 201:
            assert served.tokens("new@example.org", password)["access_token"]


def test_many_failures_lock_an_email_out_known_or_not(served: Served) -> None:
    served.account("ana@example.org")
    for email in ("ana@example.org", "nobody@example.org"):
        given = {"email": email, "password": "wrong password"}
        for _ in range(FREE_PER_EMAIL):
            assert served.client.post("/api/auth/sign-in", json=given).status_code == 401
        locked = served.client.post("/api/auth/sign-in", json={**given, "password": PASSWORD})
        assert (locked.status_code, locked.headers["retry-after"]) == (429, "2")
    served.clock.at += timedelta(seconds=3)
    assert served.tokens("ana@example.org")
    assert served.actions().count("sign-in.failed") == 2


def test_no_more_passwords_are_checked_at_once_than_there_are_places(served: Served) -> None:
    served.account("ana@example.org")
    passwords = served.client.app.state.desk.passwords  # type: ignore[attr-defined]

    async def hold() -> int:
        places = [passwords.place() for _ in range(PLACES)]
        for place in places:
            await place.__aenter__()
        given = {"email": "ana@example.org", "password": PASSWORD}
        full = await asyncio.to_thread(served.client.post, "/api/auth/sign-in", json=given)
        assert full.headers["retry-after"]
        await places[0].__aexit__(None, None, None)
        free = await asyncio.to_thread(served.client.post, "/api/auth/sign-in", json=given)
        assert free.status_code == 200
        return int(full.status_code)

    assert asyncio.run(hold()) == 503


def test_a_changed_password_ends_the_other_sign_ins(served: Served) -> None:
    served.account("ana@example.org")
    here, there = served.bearer("ana@example.org"), served.bearer("ana@example.org")
    wrong = {"old_password": "not the password", "new_password": "another good password"}
    assert served.client.post("/api/auth/password", json=wrong, headers=here).status_code == 401
    right = {**wrong, "old_password": PASSWORD}
    assert (
        served.client.post("/api/auth/password", json={**right, "new_password": "x"}, headers=here).status_code == 422
    )
    assert served.client.post("/api/auth/password", json=right, headers=here).status_code == 204
    assert served.client.get("/api/auth/me", headers=here).status_code == 200
    assert served.client.get("/api/auth/me", headers=there).status_code == 401
    assert served.tokens("ana@example.org", "another good password")
    key = served.store.keys.create("k", role=Role.ADMIN).secret
    bearer = {"authorization": f"Bearer {key}"}
    assert served.client.post("/api/auth/password", json=right, headers=bearer).status_code == 403


def test_changing_ones_own_password_is_no_failure_to_sign_in(served: Served) -> None:
    served.account("ana@example.org")
    headers = served.bearer("ana@example.org")
    passwords = [PASSWORD] + [f"{PASSWORD} {number}" for number in range(FREE_PER_EMAIL + 2)]
    for old, new in pairwise(passwords):
        body = {"old_password": old, "new_password": new}
        assert served.client.post("/api/auth/password", json=body, headers=headers).status_code == 204
    assert served.tokens("ana@example.org", passwords[-1])
    wrong = {"old_password": "wrong password", "new_password": PASSWORD}
    tries = [served.client.post("/api/auth/password", json=wrong, headers=headers) for _ in range(FREE_PER_EMAIL + 1)]
    assert [answer.status_code for answer in tries] == [401] * FREE_PER_EMAIL + [429]


def test_an_old_hash_is_made_anew_when_its_password_comes(served: Served) -> None:
    from argon2 import PasswordHasher

    weak = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
    ana = served.store.accounts.create("ana@example.org", password_hash=weak)
    assert served.tokens("ana@example.org")
    strong = served.store.accounts.find_password(ana.id)
    assert strong is not None
    assert strong != weak
    assert "m=19456,t=2,p=1" in strong
    assert served.tokens("ana@example.org")
    assert served.store.accounts.find_password(ana.id) == strong


def test_a_browser_signs_in_by_a_plain_form_and_out_again(served: Served) -> None:
    served.account("ana@example.org")
    asked = served.client.get("/s/mine?from=2")
    assert asked.status_code == 401
    assert 'name="next" value="/s/mine?from=2"' in asked.text
    form = {"email": "ana@example.org", "password": PASSWORD, "next": "/cost"}
    assert served.client.post("/sign-in", data=form).status_code == 403
    assert served.client.post("/sign-in", data=form, headers={"sec-fetch-site": "cross-site"}).status_code == 403
    wrong = served.client.post("/sign-in", data={**form, "password": "wrong"}, headers=OWN_PAGE)
    assert (wrong.status_code, "The e-mail or the password is wrong." in wrong.text) == (401, True)
    assert 'value="ana@example.org"' in wrong.text
    answer = served.client.post("/sign-in", data=form, headers=OWN_PAGE)
    assert (answer.status_code, answer.headers["location"]) == (303, "/cost")
    cookie = answer.headers["set-cookie"]
    assert all(part in cookie for part in ("HttpOnly", "SameSite=strict", "Path=/"))
    page = served.client.get("/sessions")
    assert page.status_code == 200
    assert "Signed in as <strong>ana@example.org</strong>" in page.text
    assert "/settings/people" not in page.text
    assert served.client.get("/settings/people").status_code == 403
    kept = {"cookie": cookie.partition(";")[0]}
    assert served.client.post("/sign-out").status_code == 403
    assert served.client.post("/sign-out", headers=FORM).headers["location"] == "/sign-in"
    assert served.client.get("/sessions").status_code == 401
    # The cookie that was kept is as dead as the one that was dropped.
    assert served.client.get("/sessions", headers=kept).status_code == 401


def test_signing_out_ends_the_cookie_of_the_link_too_and_the_link_goes_on(served: Served) -> None:
    given = served.client.get(f"/sign-in?token={TOKEN}").headers["set-cookie"]
    kept = {"cookie": given.partition(";")[0]}
    assert served.client.get("/sessions").status_code == 200
    assert served.client.post("/sign-out", headers=FORM).headers["location"] == "/sign-in"
    served.client.cookies.clear()
    assert served.client.get("/sessions", headers=kept).status_code == 401
    assert served.client.get("/api/sessions", headers=kept).status_code == 401
    assert served.client.get(f"/sign-in?token={TOKEN}").status_code == 303
    assert served.client.get("/sessions").status_code == 200


@pytest.mark.parametrize("target", ["https://evil.example", "//evil.example", "/\\evil.example"])
def test_signing_in_by_the_form_leads_nowhere_else(served: Served, target: str) -> None:
    served.account("ana@example.org")
    form = {"email": "ana@example.org", "password": PASSWORD, "next": target}
    assert served.client.post("/sign-in", data=form, headers=OWN_PAGE).headers["location"] == "/"
    assert "evil" not in served.client.get("/sign-in", params={"next": target}).text


def test_a_forged_sign_in_cookie_is_refused(served: Served) -> None:
    served.account("ana@example.org")
    form = {"email": "ana@example.org", "password": PASSWORD}
    answer = served.client.post("/sign-in", data=form, headers=OWN_PAGE)
    name, _, value = answer.headers["set-cookie"].partition(";")[0].partition("=")
    served.client.cookies.clear()
    version, sign_in, signature = value.split(".")
    for forged in (
        f"v1.{sign_in}.{signature}", f"{version}.{sign_in}.{'0' * 64}", f"{version}.{sign_in[::-1]}.{signature}",
        f"{version}..{signature}", value[:-1], value + ".x",
    ):  # fmt: skip
        assert served.client.get("/", headers={"cookie": f"{name}={forged}"}).status_code == 401, forged
    assert served.client.get("/", headers={"cookie": f"{name}={value}"}).status_code == 200


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"email=a&email=b&password=x", "application/x-www-form-urlencoded", 422),
        (b"email=a&role=admin", "application/x-www-form-urlencoded", 422),
        (b'{"email": "a"}', "application/json", 415),
        (b"email=%ff", "application/x-www-form-urlencoded", 400),
        (b"password=" + b"x" * 20_000, "application/x-www-form-urlencoded", 413),
        (b"a=1&" * 20, "application/x-www-form-urlencoded", 400),
    ],
)
def test_what_is_no_sign_in_form_is_refused(served: Served, content: bytes, kind: str, status: int) -> None:
    answer = served.client.post("/sign-in", content=content, headers={**OWN_PAGE, "content-type": kind})
    assert answer.status_code == status


@pytest.mark.parametrize("path", ["sign-in", "sign-up", "refresh"])
def test_who_is_not_known_may_send_little_and_gets_little_back(served: Served, path: str) -> None:
    unknown = {str(number): 1 for number in range(1000)}
    refused = served.client.post(f"/api/auth/{path}", json=unknown)
    assert (refused.status_code, len(refused.content) < 5000) == (422, True)
    large = served.client.post(f"/api/auth/{path}", json={**unknown, "x": "x" * 16 * 1024})
    assert (large.status_code, "16,384 bytes" in large.json()["detail"]) == (413, True)
