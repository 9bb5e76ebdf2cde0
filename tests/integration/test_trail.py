"""What administrators did is in the audit trail, reads once a minute each; no answer waited for it; limits hold."""

import asyncio
import json
import logging
from datetime import timedelta
from typing import Any

import pytest
from page_fixtures import TOKEN, signed_in
from test_sign_in import FORM, OWN_PAGE, PASSWORD, Served, serving

from agentrecord.records.audit import AuditEntry
from agentrecord.records.scope import Role
from agentrecord.server.app import IdentitySettings
from agentrecord.server.limits import MAX_BUCKETS, RateLimit

DOORS = ("read", "change")


def entries(served: Served) -> list[AuditEntry]:
    """Return what was kept of requests, the oldest first."""
    return [entry for entry in served.store.audit.list(limit=200) if entry.action in DOORS][::-1]


def told(served: Served) -> list[tuple[str, str, str]]:
    return [(entry.action, entry.object_kind, entry.object_id) for entry in entries(served)]


def asked(method: str, path: str, key: str) -> dict[str, Any]:
    """Return a request as a server hands it to the application."""
    headers = {
        "host": "localhost", "authorization": f"Bearer {key}", "content-type": "application/json",
        "accept": "text/event-stream",
    }  # fmt: skip
    return {
        "type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()], "scheme": "http",
        "client": ("10.0.0.7", 1), "server": ("localhost", 80), "http_version": "1.1", "asgi": {"version": "3.0"},
        "root_path": "",
    }  # fmt: skip


def test_what_an_administrator_reads_and_changes_is_kept_with_who_and_from_where() -> None:
    with serving() as served:
        served.account("root@example.org", Role.ADMIN)
        headers = served.bearer("root@example.org")
        served.client.get("/api/sessions/s-1/messages", headers=headers)
        served.client.patch("/api/sessions/s-1", json={"title": "x"}, headers=headers)
        served.client.get("/api/sessions/unknown", headers=headers)
        found = entries(served)
        assert told(served) == [
            ("read", "/api/sessions/{session_id:path}/messages", "s-1"),
            ("change", "/api/sessions/{session_id:path}", "s-1"),
            ("read", "/api/sessions/{session_id:path}", "unknown"),
        ]
        assert {(e.actor_kind, e.actor, e.origin) for e in found} == {("account", "root@example.org", "testclient")}
        assert [json.loads(e.details or "")["status"] for e in found] == [200, 200, 404]
        assert served.store.audit.verify() == ()


def test_the_link_and_an_administrators_key_are_kept_too_and_members_are_not() -> None:
    with serving() as served:
        key = served.store.keys.create("k", role=Role.ADMIN)
        served.client.get("/api/calls", headers={"authorization": f"Bearer {key.secret}"})
        signed_in(served.client)
        served.client.get("/sessions")
        assert [(e.actor_kind, e.actor, e.object_kind) for e in entries(served)] == [
            ("key", key.key.prefix, "/api/calls"), ("link", "this computer", "/sessions"),
        ]  # fmt: skip
        served.client.cookies.clear()
        served.account("ana@example.org")
        reader = {"authorization": f"Bearer {served.store.keys.create('r').secret}"}
        for headers in (served.bearer("ana@example.org"), reader, {}):
            served.client.get("/api/sessions", headers=headers)
        assert len(entries(served)) == 2


def test_the_same_read_again_within_a_minute_is_kept_once() -> None:
    with serving() as served:
        signed_in(served.client)
        for _ in range(5):
            served.client.get("/api/sessions/s-1")
        served.client.get("/api/sessions/s-2")
        assert len(entries(served)) == 2
        served.clock.at += timedelta(minutes=1)
        served.client.get("/api/sessions/s-1")
        assert len(entries(served)) == 3


def test_every_change_is_kept_whatever_came_before_it_in_the_same_minute() -> None:
    with serving() as served:
        headers = {"authorization": f"Bearer {served.store.keys.create('k', role=Role.ADMIN).secret}"}
        for title in ("", "one", "two", "two"):
            body = {"title": title} if title else {"no_such_field": 1}
            served.client.patch("/api/sessions/s-1", json=body, headers=headers)
        assert [json.loads(entry.details or "")["status"] for entry in entries(served)] == [422, 200, 200, 200]
        assert {entry.action for entry in entries(served)} == {"change"}


def test_a_read_that_was_refused_does_not_hide_one_that_was_answered() -> None:
    with serving() as served:
        headers = {"authorization": f"Bearer {served.store.keys.create('k', role=Role.ADMIN).secret}"}
        for query in ("?limit=0", "?limit=0", "", ""):
            served.client.get(f"/api/calls{query}", headers=headers)
        assert [json.loads(entry.details or "")["status"] for entry in entries(served)] == [422, 200]


def test_what_everybody_may_ask_for_is_not_kept() -> None:
    with serving() as served:
        signed_in(served.client)
        for path in ("/healthz", "/static/style.css", "/sign-in", "/nope"):
            served.client.get(path)
        assert entries(served) == []


def test_an_answer_goes_out_before_it_is_kept() -> None:
    with serving() as served:
        key = served.store.keys.create("k", role=Role.ADMIN).secret
        kept_when_sent: list[tuple[int, Any]] = []

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.body" and not message.get("more_body"):
                kept_when_sent.append((len(entries(served)), served.store.keys.list().items[0].last_used_at))

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        asyncio.run(served.client.app(asked("GET", "/api/calls", key), receive, send))  # type: ignore[arg-type]
        assert kept_when_sent == [(0, None)]
        assert [entry.origin for entry in entries(served)] == ["10.0.0.7"]
        assert served.store.keys.list().items[0].last_used_at == served.clock.at


def test_a_live_answer_is_kept_when_it_begins_and_once() -> None:
    with serving() as served:
        key = served.store.keys.create("k", role=Role.ADMIN).secret
        body = json.dumps({"messages": [{"role": "user", "content": "hello"}]}).encode()
        kept_at: list[int] = []

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.body" and not kept_at:
                # The answer cannot go on before this returns.
                for _ in range(500):
                    if entries(served):
                        break
                    await asyncio.sleep(0.01)
                kept_at.append(len(entries(served)))

        sent = iter([{"type": "http.request", "body": body, "more_body": False}])

        async def receive() -> dict[str, Any]:
            return next(sent, None) or await asyncio.Event().wait()  # type: ignore[return-value]

        path = "/api/agent-sessions/conversation"
        asyncio.run(served.client.app(asked("POST", path, key), receive, send))  # type: ignore[arg-type]
        assert kept_at == [1]
        assert told(served) == [("change", path, "-")]


def test_what_cannot_be_kept_is_logged_and_counted_and_the_answer_is_there(caplog: pytest.LogCaptureFixture) -> None:
    with serving() as served, caplog.at_level(logging.ERROR):
        signed_in(served.client)
        served.store.run(lambda conn, scope: conn.text("ALTER TABLE ar_audit_entries RENAME TO ar_gone"))
        assert served.client.get("/api/sessions/s-1").status_code == 200
        assert served.client.get("/api/sessions/s-2").status_code == 200
        assert served.client.app.state.trail.lost == 2  # type: ignore[attr-defined]
        assert "not written to the audit trail (2 so far)" in caplog.text
        assert "/api/sessions/{session_id:path} by this computer" in caplog.text


def test_the_last_use_of_a_key_is_kept_once_a_minute() -> None:
    with serving() as served:
        made = served.store.keys.create("k")
        headers = {"authorization": f"Bearer {made.secret}"}
        first = served.clock.at
        for _ in range(3):
            served.client.get("/api/calls", headers=headers)
            served.clock.at += timedelta(seconds=15)
        assert served.store.keys.list().items[0].last_used_at == first
        served.clock.at += timedelta(minutes=1)
        served.client.get("/api/calls", headers=headers)
        assert served.store.keys.list().items[0].last_used_at == served.clock.at


def test_signing_in_and_out_and_failing_to_is_always_kept() -> None:
    with serving() as served:
        served.account("ana@example.org")
        served.client.post("/api/auth/sign-in", json={"email": "ana@example.org", "password": "wrong password"})
        served.client.post("/api/auth/sign-out", headers=served.bearer("ana@example.org"))
        form = {"email": "ana@example.org", "password": PASSWORD}
        served.client.post("/sign-in", data=form, headers=OWN_PAGE)
        served.client.post("/sign-out", headers=FORM)
        assert [action for action in served.actions() if action.startswith("sign")] == [
            "sign-in.failed", "sign-in", "sign-out", "sign-in", "sign-out",
        ]  # fmt: skip
        assert TOKEN not in repr(served.store.audit.list(limit=200).items)


def test_a_change_over_rest_names_its_administrator() -> None:
    with serving() as served:
        served.account("root@example.org", Role.ADMIN)
        headers = served.bearer("root@example.org")
        served.client.post("/api/keys", json={"name": "k"}, headers=headers)
        served.client.post("/api/accounts", json={"email": "n@example.org", "password": PASSWORD}, headers=headers)
        found = {e.action: e for e in list(served.store.audit.list())[::-1]}
        for action in ("key.create", "account.create"):
            assert (found[action].actor, found[action].origin) == ("root@example.org", "testclient")


def test_everybody_has_as_many_requests_a_minute_as_are_set_and_no_more() -> None:
    with serving(IdentitySettings(requests_per_minute=5)) as served:
        one, other = ({"authorization": f"Bearer {served.store.keys.create(name).secret}"} for name in ("one", "other"))
        assert [served.client.get("/api/calls", headers=one).status_code for _ in range(6)] == [200] * 5 + [429]
        refused = served.client.get("/api/calls", headers=one)
        assert refused.headers["retry-after"] == "12"
        assert refused.headers["content-type"] == "application/problem+json"
        assert served.client.get("/api/calls", headers=other).status_code == 200
        assert served.client.get("/healthz").status_code == 200
        served.clock.at += timedelta(seconds=12)
        assert [served.client.get("/api/calls", headers=one).status_code for _ in range(2)] == [200, 429]
        served.clock.at += timedelta(hours=1)
        assert [served.client.get("/api/calls", headers=one).status_code for _ in range(6)] == [200] * 5 + [429]
    with serving(IdentitySettings(requests_per_minute=0)) as served:
        headers = {"authorization": f"Bearer {served.store.keys.create('k').secret}"}
        assert {served.client.get("/api/calls", headers=headers).status_code for _ in range(20)} == {200}


def test_a_clock_that_goes_back_gives_nothing_and_takes_nothing() -> None:
    with serving() as served:
        limit, now = RateLimit(2), served.clock.at
    assert [limit.wait_s("a", now), limit.wait_s("a", now - timedelta(hours=1))] == [0, 0]
    assert limit.wait_s("a", now - timedelta(hours=1)) > 0


def test_so_many_callers_are_remembered_and_no_more() -> None:
    with serving() as served:
        limit, now = RateLimit(1), served.clock.at
    for number in range(MAX_BUCKETS + 10):
        assert limit.wait_s(str(number), now) == 0
    assert len(limit._buckets) == MAX_BUCKETS
