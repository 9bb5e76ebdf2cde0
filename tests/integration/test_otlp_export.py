"""Traces out and in again: what is imported elsewhere is the same record, and exports to the same bytes."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from test_otlp import CONTENT, Clock, as_json, logs

from agentrecord.ingest.otlp_dumps import import_dumps
from agentrecord.ingest.otlp_export import json_request
from agentrecord.ingest.otlp_facts import derive
from agentrecord.records.scope import Role
from agentrecord.server.app import build_app
from agentrecord.server.routes import traces as route
from agentrecord.store import AsyncStore, Store
from otlp_requests import AT, SECOND_TRACE, TRACE, chat, conversation, received, said, span

EVERY_KIND = {
    "text": "ü", "number": 7, "small": -(2**62), "half": 0.5, "one": 1.0, "yes": True, "none": None,
    "list": ["a", 1, [2.5]], "object": {"deep": {"er": [True]}}, "bytes": {"bytesValue": "AAEC"}, "nan": "nan",
}  # fmt: skip


@pytest.fixture
def api() -> Iterator[tuple[TestClient, Store]]:
    store = AsyncStore("memory:", clock=Clock())
    blocking = Store(engine=store.engine)
    key = blocking.keys.create("all", role=Role.ADMIN).secret
    with TestClient(build_app(store, secret=b"s" * 32), base_url="http://localhost") as client:
        client.headers["Authorization"] = f"Bearer {key}"
        assert client.post("/v1/traces", content=as_json(*conversation()), headers=JSON).status_code == 200
        yield client, blocking
    store.close()


JSON = {"Content-Type": "application/json"}


def rows(store: Store) -> dict[str, Any]:
    """Return what a record says, without its row ids and its own times."""
    session = store.sessions.get("talk")
    calls = store.llm_calls.list(session=session.id, sort="timestamp").items
    return {
        "session": (session.user, session.created_at, session.usage, session.tool_call_count, session.error_count),
        "messages": [(m.id, m.sequence, m.role, m.content, m.parts, m.usage) for m in store.messages.list(session.id)],
        "runs": [(r.id, r.run_id, r.parent_uuid, r.agent_id, r.status, r.objective, r.usage, r.started_at,
                  r.finished_at) for r in store.runs.list(sort="run_id")],
        "calls": [(c.id, c.tokens, c.cost_nanos, c.model, c.host, c.run_uuid, c.latency_ms) for c in calls],
        "tools": [(t.id, t.tool_name, t.arguments, t.result, t.status) for t in store.tool_calls.list()],
        "events": [(e.id, e.event_type, e.data, e.span_id, e.parent_event_uuid, e.run_uuid)
                   for e in store.events.list(limit=100)],
        "spans": store.traces.spans(),
    }  # fmt: skip


def imported(text: str, folder: Path) -> Store:
    """Return a fresh record with what a document holds."""
    path = folder / "dump.json"
    path.write_text(text)
    store = Store("memory:", clock=Clock())
    summary = import_dumps(store, [path])
    assert (summary.refused, summary.unreadable) == (0, [])
    return store


@pytest.mark.parametrize("shape", ["json", "jsonl"])
def test_a_session_imported_elsewhere_is_the_same(
    api: tuple[TestClient, Store], tmp_path: Path, shape: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, store = api
    monkeypatch.setattr(route, "PAGE_SPANS", 3)
    client.post("/v1/logs", content=logs(CONTENT), headers=JSON)
    answer = client.get(f"/api/traces?shape={shape}&session=talk")
    assert answer.headers["content-disposition"] == f'attachment; filename="traces.{shape}"'
    with imported(answer.text, tmp_path) as other:
        assert rows(other) == rows(store)
        assert other.usage.recount() == ()
        with TestClient(
            build_app(AsyncStore(engine=other.engine), secret=b"s" * 32), base_url="http://localhost"
        ) as two:
            two.headers["Authorization"] = f"Bearer {other.keys.create('two').secret}"
            assert two.get(f"/api/traces?shape={shape}&session=talk").text == answer.text


def test_every_kind_of_value_comes_back_as_it_was_sent(tmp_path: Path) -> None:
    sent = span(1, "all", EVERY_KIND, events=[{"name": "e", "timeUnixNano": "1772614800000000007", "attributes": []}],
                links=[{"traceId": SECOND_TRACE, "spanId": f"{7:016x}", "traceState": "", "attributes": []}],
                traceState="a=b", flags=0x101, kind=3)  # fmt: skip
    with Store("memory:", clock=Clock()) as store:
        store.traces.record(received(sent), derive)
        spans = store.traces.spans()
        with imported(json.dumps(json_request(spans)), tmp_path) as other:
            assert other.traces.spans() == spans
    told = json.loads(spans[0].data)["attributes"]
    assert {**told, "one": float} == {**EVERY_KIND, "one": float}
    assert isinstance(told["one"], float)


def test_a_run_comes_with_all_below_it_and_a_time_with_what_began_in_it(api: tuple[TestClient, Store]) -> None:
    client, _ = api

    def names(query: str) -> list[str]:
        found = client.get(f"/api/traces?shape=csv&{query}").text.splitlines()
        return [row["span_id"][-1] for row in csv.DictReader(found)]

    assert names(f"run={TRACE}") == ["1", "2", "3", "4", "5", "6"]
    assert names(f"run={TRACE}:{4:016x}") == ["4", "5"]
    assert names(f"since={AT.isoformat().replace('+00:00', 'Z')}&until=2026-03-04T09:00:00.003Z") == ["1", "2"]
    assert names("since=2026-03-05T00:00:00Z") == []
    assert client.get("/api/traces?since=2026-03-05T00:00:00Z").json() == {"resourceSpans": []}


def test_a_row_of_csv_tells_the_tokens_and_is_no_formula(api: tuple[TestClient, Store]) -> None:
    client, store = api
    store.traces.record(received(chat(1, [said("user", "x")], said("assistant", "y"), trace="d" * 32,
                                      more={"gen_ai.response.model": "=cmd()"})), derive)  # fmt: skip
    found = list(csv.DictReader(client.get("/api/traces?shape=csv").text.splitlines()))
    (row,) = [one for one in found if one["trace_id"] == "d" * 32]
    assert (row["kind"], row["input_tokens"], row["output_tokens"], row["model"]) == ("llm", "10", "5", "'=cmd()")
    assert row["started_at"] == AT.isoformat()


def test_what_is_not_there_is_said_before_anything_is_sent(api: tuple[TestClient, Store]) -> None:
    client, _ = api
    assert client.get("/api/traces?session=nobody").status_code == 404
    assert client.get("/api/traces?color=red").status_code == 422
    assert client.get("/api/traces?shape=xml").status_code == 422
