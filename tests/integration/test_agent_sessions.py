"""The documented sessions API: every endpoint, its fields, its refusals; what it writes, every other door reads."""

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from click.testing import CliRunner
from starlette.testclient import TestClient

from agentrecord.cli.main import program
from agentrecord.records.llm_call import NewLLMCall
from agentrecord.records.message import MessageRole, NewMessage
from agentrecord.records.scope import Role
from agentrecord.records.session import NewSession
from agentrecord.records.tokens import TokenCounts
from agentrecord.server.app import build_app
from agentrecord.store import AsyncStore, Store
from serving import serving

PATH = "/api/agent-sessions"
SECRET = b"0123456789abcdef0123456789abcdef"
MADE: dict[str, Any] = {
    "session_id": "my-session-001",
    "session_name": "Project Planning Chat",
    "description": "AI assistant for project planning tasks",
    "agent_name": "Planning Assistant",
    "agent_instructions": "You are a helpful project planning assistant.",
    "is_active": True,
}
SAID: dict[str, Any] = {
    "role": "user",
    "content": "Hello, how can you help me?",
    "tool_call_id": None,
    "tool_name": None,
    "extra_data": None,
}


@pytest.fixture
def url(tmp_path: Path) -> str:
    return str(tmp_path / "record.db")


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    with Store(url) as found:
        yield found


@pytest.fixture
def api(store: Store) -> Iterator[TestClient]:
    key = store.scoped(user="ana").keys.create("ana's", role=Role.WRITE).secret
    app = build_app(AsyncStore(engine=store.engine), secret=SECRET)
    headers = {"Authorization": f"Bearer {key}"}
    with TestClient(app, base_url="http://localhost", headers=headers) as client:
        yield client


def made(api: TestClient, session_id: str = "my-session-001", **more: Any) -> dict[str, Any]:
    answer = api.post(PATH, json={**MADE, "session_id": session_id, **more})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def said(api: TestClient, session_id: str = "my-session-001", **more: Any) -> dict[str, Any]:
    answer = api.post(f"{PATH}/{session_id}/messages", json={**SAID, **more})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_a_session_has_every_documented_field(api: TestClient, store: Store) -> None:
    session = made(api)
    assert {name: session[name] for name in MADE} == MADE
    user = store.users.get(store.sessions.get("my-session-001").user_uuid)
    assert (UUID(session["id"]).version, session["user_id"], user.external_id) == (7, str(user.id), "ana")
    assert session["created_at"] == session["updated_at"]
    assert api.get(f"{PATH}/my-session-001").json() == api.get(f"{PATH}/{session['id']}").json() == session
    bare = api.post(PATH, json={"session_id": "bare"}).json()
    names = ("session_name", "description", "agent_name", "agent_instructions")
    assert ([bare[name] for name in names], bare["is_active"]) == ([None] * 4, True)


def test_a_session_is_changed_and_what_is_left_out_stays(api: TestClient) -> None:
    session = made(api)
    changes = {"session_name": "Updated Session Name", "description": "Updated description"}
    changed = api.patch(f"{PATH}/my-session-001", json=changes)
    assert changed.status_code == 200
    expected = {**session, **changes, "updated_at": changed.json()["updated_at"]}
    assert changed.json() == expected
    assert changed.json()["updated_at"] > session["updated_at"]
    assert api.patch(f"{PATH}/my-session-001", json={}).json() == expected
    assert api.patch(f"{PATH}/my-session-001", json={"description": None}).json()["description"] is None


def test_a_session_is_switched_off_and_on(api: TestClient) -> None:
    made(api)
    off = api.put(f"{PATH}/my-session-001/deactivate")
    assert (off.status_code, off.json()["is_active"]) == (200, False)
    refused = api.post(f"{PATH}/my-session-001/messages", json=SAID)
    assert (refused.status_code, "inactive" in refused.json()["detail"]) == (409, True)
    on = api.put(f"{PATH}/my-session-001/activate")
    assert (on.status_code, on.json()["is_active"]) == (200, True)
    said(api)


def test_a_deleted_session_is_gone_its_name_is_free_and_the_ledger_stays(api: TestClient, store: Store) -> None:
    session = made(api)
    said(api)
    row = UUID(session["id"])
    store.messages.append(
        row,
        [NewMessage(role=MessageRole.ASSISTANT, content="a")],
        calls=[NewLLMCall(model="m", tokens=TokenCounts(input=1, output=1), cost_nanos=7)],
    )
    answer = api.delete(f"{PATH}/my-session-001")
    assert (answer.status_code, answer.content) == (204, b"")
    for path in ("", "/messages"):
        assert api.get(f"{PATH}/my-session-001{path}").status_code == 404
        assert api.get(f"{PATH}/{row}{path}").status_code == 404
    assert api.delete(f"{PATH}/my-session-001").status_code == 404
    assert made(api)["id"] != session["id"]
    assert (store.usage.report().total.cost_nanos, store.llm_calls.list().total) == (7, 1)
    assert store.messages.search("hello").items == []


def test_sessions_are_listed_in_pages_filtered_sorted_and_searched(api: TestClient) -> None:
    for number in range(5):
        made(api, f"s{number}", session_name=f"Chat {number}", agent_name="Even" if number % 2 == 0 else "Odd")
    api.put(f"{PATH}/s1/deactivate")
    first = api.get(PATH, params={"limit": 2}).json()
    assert (set(first), first["limit"], first["total"]) >= ({"items", "limit", "next_cursor", "total"}, 2, 5)
    names, cursor = [one["session_id"] for one in first["items"]], first["next_cursor"]
    while cursor is not None:
        page = api.get(PATH, params={"limit": 2, "cursor": cursor}).json()
        names += [one["session_id"] for one in page["items"]]
        cursor = page["next_cursor"]
    assert names == ["s1", "s4", "s3", "s2", "s0"]
    for query, expected in (
        ({"agent_name": "Odd"}, {"s1", "s3"}), ({"is_active": "false"}, {"s1"}), ({"q": "chat 3"}, {"s3"}),
        ({"session_id": "s2"}, {"s2"}), ({"q": "nothing like it"}, set()),
        ({"agent_name": "Odd", "is_active": True}, {"s3"}),
        ({"since": "2999-01-01T00:00:00Z"}, set()), ({"until": "2999-01-01T00:00:00Z"}, {f"s{n}" for n in range(5)}),
    ):  # fmt: skip
        found = api.get(PATH, params=query).json()
        assert ({one["session_id"] for one in found["items"]}, found["total"]) == (expected, len(expected)), query
    by_name = api.get(PATH, params={"sort": "session_name", "offset": 3}).json()["items"]
    assert [one["session_id"] for one in by_name] == ["s3", "s4"]


def test_sessions_below_another_are_listed_too(api: TestClient, store: Store) -> None:
    parent = UUID(made(api, "above")["id"])
    store.scoped(user="ana").sessions.create(NewSession(session_id="below", parent_uuid=parent))
    assert {one["session_id"] for one in api.get(PATH).json()["items"]} == {"above", "below"}
    assert [one["session_id"] for one in api.get(PATH, params={"session_id": "below"}).json()["items"]] == ["below"]


def test_a_message_has_every_documented_field_and_extra_data_comes_back_as_it_was_sent(api: TestClient) -> None:
    session = made(api)
    extra = '{"edited": true,  "n": 1.50}'
    message = said(api, role="tool", tool_call_id="call_1", tool_name="search", extra_data=extra)
    assert (message["role"], message["tool_call_id"], message["tool_name"]) == ("tool", "call_1", "search")
    assert (message["extra_data"], message["session_id"], message["sequence"]) == (extra, session["id"], 1)
    path = f"{PATH}/my-session-001/messages"
    assert api.get(f"{path}/{message['id']}").json() == message
    assert api.get(path).json()["items"] == [message]
    for role in ("user", "assistant", "system"):
        assert said(api, role=role)["role"] == role
    assert [m["role"] for m in api.get(path, params={"sort": "-sequence", "limit": 2}).json()["items"]] == [
        "system",
        "assistant",
    ]
    assert api.get(path, params={"role": "tool"}).json()["total"] == 1
    assert api.get(f"{PATH}/my-session-001").json()["message_count"] == 4


def test_a_message_is_changed_deleted_and_cleared(api: TestClient, store: Store) -> None:
    made(api)
    one, two, three = said(api), said(api, content="two"), said(api, content="three")
    path = f"{PATH}/my-session-001/messages"
    changes = {"content": "Updated message content", "extra_data": '{"edited": true}'}
    changed = api.patch(f"{path}/{one['id']}", json=changes)
    assert (changed.status_code, changed.json()) == (
        200,
        {**one, **changes, "updated_at": changed.json()["updated_at"]},
    )
    assert [r.content for r in store.messages.revisions(UUID(one["id"]))] == [SAID["content"], changes["content"]]
    assert api.patch(f"{path}/{one['id']}", json={"extra_data": None}).json()["extra_data"] is None
    assert api.delete(f"{path}/{two['id']}").status_code == 204
    assert api.get(f"{path}/{two['id']}").status_code == 404
    assert [m["id"] for m in api.get(path).json()["items"]] == [one["id"], three["id"]]
    cleared = api.delete(f"{PATH}/my-session-001/clear-messages")
    assert (cleared.status_code, cleared.json()) == (200, {"deleted": 2})
    assert api.get(path).json()["total"] == 0
    assert said(api)["sequence"] == 4


def test_a_message_is_found_in_its_own_session_only(api: TestClient) -> None:
    made(api)
    made(api, "other")
    message = said(api)["id"]
    for method in ("GET", "PATCH", "DELETE"):
        body = {"content": "x"} if method == "PATCH" else None
        assert api.request(method, f"{PATH}/other/messages/{message}", json=body).status_code == 404
        assert api.request(method, f"{PATH}/my-session-001/messages/nonsense", json=body).status_code == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "session_id"), ({"session_id": ""}, "session_id"), ({"session_id": 7}, "session_id"),
        ({"session_id": "x" * 256}, "session_id"), ({"session_id": "conversation"}, "session_id"),
        ({"session_id": "conversation/"}, "session_id"), ({"session_id": "conversation/c/stream"}, "session_id"),
        ({"session_id": "foo/messages"}, "session_id"), ({"session_id": "foo/messages/bar"}, "session_id"),
        ({"session_id": "foo/clear-messages"}, "session_id"), ({"session_id": "/activate"}, "session_id"),
        ({"session_id": "foo/deactivate"}, "session_id"),
        ({"session_id": "a\nb"}, "session_id"), ({"session_id": "x", "is_active": "yes"}, "is_active"),
        ({"session_id": "x", "id": "1"}, "id"), ({"session_id": "x", "user_id": "1"}, "user_id"),
        ({"session_id": "x", "message_count": 7}, "message_count"),
        ({"session_id": "x", "session_name": {}}, "session_name"),
        ({"session_id": "x", "description": "a\0b"}, "body"), ([], "session_id"), ("x", "session_id"),
    ],
)  # fmt: skip
def test_a_session_of_the_wrong_shape_is_refused_by_field(api: TestClient, body: Any, field: str) -> None:
    answer = api.post(PATH, json=body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert [one["reason"] for one in problem["errors"]]
    assert field in problem["errors"][0]["field"] or isinstance(body, (list, str))
    assert api.get(PATH).json()["total"] == 0


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"role": "robot", "content": "x"}, "role"), ({"role": "user"}, "content"),
        ({"role": "user", "content": ""}, "content"),
        ({"role": "user", "content": 7}, "content"), ({"role": "user", "content": "x", "sequence": 1}, "sequence"),
        ({"role": "user", "content": "x", "extra_data": "{not json"}, "extra_data"),
        ({"role": "user", "content": "x", "extra_data": {"a": 1}}, "extra_data"),
        ({"role": "user", "content": "x", "extra_data": '{"a":1,"a":2}'}, "extra_data"),
        ({"role": "user", "content": "x", "extra_data": "[" * 1000 + "]" * 1000}, "extra_data"),
        ({"role": "user", "content": "x", "extra_data": "NaN"}, "extra_data"),
        ({"role": "user", "content": "x", "session_id": "other"}, "session_id"),
        ({"role": "user", "content": "x", "cost": 1}, "cost"),
        ({"role": "user", "content": "x", "created_at": "now"}, "created_at"),
    ],
)  # fmt: skip
def test_a_message_of_the_wrong_shape_is_refused_by_field(api: TestClient, body: Any, field: str) -> None:
    made(api)
    answer = api.post(f"{PATH}/my-session-001/messages", json=body)
    assert (answer.status_code, field in answer.json()["errors"][0]["field"]) == (422, True)
    assert api.get(f"{PATH}/my-session-001/messages").json()["total"] == 0


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b'{"session_id":"x","session_id":"y"}', b'{"session_id":NaN}', b"\xff\xfe", b"[" * 100_000,
     b'{"session_id":"\\ud800"}', b'{"session_id":1e999}', b'{"session_id":' + b"9" * 100_000 + b"}"],
)  # fmt: skip
def test_a_body_that_is_no_storable_json_is_refused_and_nothing_is_stored(api: TestClient, body: bytes) -> None:
    answer = api.post(PATH, content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert answer.json()["errors"][0]["field"] == "body"
    assert api.get(PATH).json()["total"] == 0


def test_bodies_that_are_too_large_or_compressed_are_refused(api: TestClient) -> None:
    made(api)
    path = f"{PATH}/my-session-001/messages"
    large = api.post(path, json={**SAID, "content": "x" * 10 * 1024 * 1024})
    assert (large.status_code, "bytes" in large.json()["detail"]) == (413, True)
    packed = api.post(
        path, content=b"\x1f\x8b", headers={"Content-Encoding": "gzip", "Content-Type": "application/json"}
    )
    assert (packed.status_code, "gzip" in packed.json()["detail"]) == (415, True)
    assert api.get(path).json()["total"] == 0
    assert said(api, content="é" * 1_000_000)["sequence"] == 1


def test_a_refusal_names_the_first_fields_only_and_says_how_many_more_there_are(api: TestClient) -> None:
    told = api.post(PATH, json={**MADE, **{f"{number}-{'x' * 500}": 1 for number in range(900)}})
    assert told.status_code == 422
    assert len(told.content) < 10_000
    errors = told.json()["errors"]
    assert len(errors) == 20
    assert {len(invalid["field"]) for invalid in errors} == {100}
    assert told.json()["detail"].endswith("; and 880 more")


@pytest.mark.parametrize("number", [1001, 10_000])
def test_a_body_of_very_many_fields_is_refused_as_a_whole(api: TestClient, number: int) -> None:
    told = api.post(PATH, json={f"field-{index}": 1 for index in range(number)})
    assert (told.status_code, told.json()["errors"][0]["field"]) == (422, "body")
    assert "may have 1,000 fields" in told.json()["detail"]
    assert api.get(PATH).json()["total"] == 0


def test_a_taken_session_id_is_a_conflict_that_names_the_session_that_has_it(api: TestClient, store: Store) -> None:
    session = made(api)
    again = api.post(PATH, json=MADE)
    assert (again.status_code, session["id"] in again.json()["detail"]) == (409, True)
    store.sessions.create(NewSession(session_id="bob's"), user="bob")
    assert made(api, "bob's")["session_id"] == "bob's"


def test_cursors_and_sorts_of_another_list_are_refused(api: TestClient) -> None:
    made(api)
    made(api, "two")
    cursor = api.get(PATH, params={"limit": 1}).json()["next_cursor"]
    for query, field in (
        ({"cursor": "x"}, "cursor"), ({"cursor": cursor, "q": "chat"}, "cursor"), ({"sort": "nonsense"}, "sort"),
        ({"limit": 0}, "limit"), ({"limit": 201}, "limit"), ({"offset": -1}, "offset"), ({"nonsense": 1}, "nonsense"),
        ({"is_active": "maybe"}, "is_active"), ({"since": "yesterday"}, "since"),
    ):  # fmt: skip
        answer = api.get(PATH, params=query)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field), query


def test_what_this_door_writes_the_store_the_command_line_and_the_views_read(
    api: TestClient, store: Store, url: str
) -> None:
    session, message = made(api), said(api, extra_data='{"a": 1}')
    kept = store.scoped(user="ana").sessions.get("my-session-001")
    assert [kept.title, kept.description, kept.agent_name, kept.agent_instructions, kept.agent_id] == [
        MADE["session_name"], MADE["description"], MADE["agent_name"], MADE["agent_instructions"], MADE["agent_name"],
    ]  # fmt: skip
    stored = store.messages.get(UUID(message["id"]))
    assert (stored.role, stored.content, stored.extra_data, stored.session_uuid) == (
        "user", SAID["content"], '{"a": 1}', UUID(session["id"]),
    )  # fmt: skip
    shown = CliRunner().invoke(program, ["--db", url, "session", "my-session-001", "--json"])
    assert shown.exit_code in (0, None), shown.output
    told = json.loads(shown.output)
    assert SAID["content"] in json.dumps(told)
    assert told["session"]["id"] == session["id"]
    rest = api.get("/api/sessions/my-session-001").json()
    assert (rest["id"], rest["title"], rest["message_count"]) == (session["id"], MADE["session_name"], 1)


def test_what_the_store_writes_this_door_reads(api: TestClient, store: Store) -> None:
    ana = store.scoped(user="ana")
    row = ana.sessions.create(NewSession(session_id="from the store", title="T", agent_id="a", agent_name="A"))
    turn = ana.messages.append(
        row.id,
        [
            NewMessage(role=MessageRole.USER, content="q"),
            NewMessage(role=MessageRole.ASSISTANT, content="a", model_used="m"),
        ],
        calls=[NewLLMCall(model="m", tokens=TokenCounts(input=3, output=2), cost_nanos=5)],
    )
    session = api.get(f"{PATH}/from the store").json()
    assert (session["id"], session["session_name"], session["agent_name"], session["message_count"]) == (
        str(row.id),
        "T",
        "A",
        2,
    )
    assert session["usage"]["cost_nanos"] == 5
    messages = api.get(f"{PATH}/from the store/messages").json()["items"]
    assert [m["id"] for m in messages] == [str(m.id) for m in turn.messages]
    assert (messages[1]["model"], messages[1]["usage"]["output_tokens"]) == ("m", 2)


def test_a_python_client_with_the_documented_bodies_works_as_it_stands(store: Store) -> None:
    token = store.scoped(user="ana").keys.create("ana's", role=Role.WRITE).secret

    async def client(base: str) -> tuple[dict[str, Any], dict[str, Any]]:
        session_data = {"session_id": "example-session", "session_name": "Example Chat", "agent_name": "Helper Bot"}
        headers = {"Authorization": f"Bearer {token}"}
        async with httpx.AsyncClient() as http:
            response = await http.post(f"{base}/api/agent-sessions", json=session_data, headers=headers)
            session = response.json()
            conversation = {"messages": [{"role": "user", "content": "Hello!"}], "session_id": "example-session"}
            response = await http.post(f"{base}/api/agent-sessions/conversation", json=conversation, headers=headers)
            return session, response.json()

    with serving(build_app(AsyncStore(engine=store.engine), secret=SECRET)) as base:
        session, result = asyncio.run(client(base))
    assert result["response"] == "This is a mock response to: Hello!"
    assert (result["session_id"], result["session_uuid"]) == ("example-session", session["id"])
    assert (result["messages_count"], result["session_active"]) == (2, True)


def test_two_who_create_the_same_session_at_once_make_one(api: TestClient) -> None:
    start, answers = threading.Barrier(6), []

    def create() -> None:
        start.wait()
        answers.append(api.post(PATH, json=MADE).status_code)

    threads = [threading.Thread(target=create) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [201, *[409] * 5]
    assert api.get(PATH).json()["total"] == 1
