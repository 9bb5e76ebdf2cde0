"""What came in by any door leaves by the command line and over REST, and is the same record where it is imported."""

import csv
import json
from collections.abc import Iterator
from decimal import Decimal
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from starlette.testclient import TestClient

from agentrecord.adapters.persistence import SQLitePersistence
from agentrecord.adapters.persistence.models import AgentLLMUsage, AgentRun, AgentRunEvent
from agentrecord.cli.main import program
from agentrecord.ingest.load import import_sample
from agentrecord.ingest.otlp_dumps import import_dumps
from agentrecord.ingest.otlp_facts import derive
from agentrecord.ingest.registry import SOURCES
from agentrecord.records.scope import Role
from agentrecord.server.app import build_app
from agentrecord.store import AsyncStore, Store
from otlp_requests import TRACE, conversation, received
from rich_record import fill, leaving, says

JSON = {"Content-Type": "application/json"}


def told_by_the_conversation(path: Path) -> None:
    with TestClient(build_app(AsyncStore(str(path)), secret=b"s" * 32), base_url="http://localhost") as client:
        with Store(str(path)) as store:
            key = store.keys.create("ana", role=Role.WRITE).secret
        client.headers["Authorization"] = f"Bearer {key}"
        said = {"session_id": "chat", "messages": [{"role": "user", "content": "hello there"}]}
        assert client.post("/api/agent-sessions/conversation", json=said).status_code == 201


def told_by_the_recorder(path: Path) -> None:
    with Store(str(path)) as store, store.recorder.run(agent_id="coder", objective="Divide") as run:
        with run.phase("planning"), run.tool("divide", {"by": 2}) as use:
            use.result = "soon"
        run.output = "half"


def told_by_the_persistence_module(path: Path) -> None:
    persistence = SQLitePersistence(str(path))
    persistence.create_agent_run(AgentRun(agent_id="a", run_id="run-1", agent_name="A", objective="Find"))
    persistence.log_agent_run_event(
        AgentRunEvent(agent_id="a", run_id="run-1", agent_name="A", event_type="custom", data='{"n": 1}')
    )
    persistence.log_llm_usage(
        AgentLLMUsage(agent_id="a", run_id="run-1", provider="openai", model="gpt-4o", prompt="Find it",
                      input_tokens=900, output_tokens=100, response_content="There")
    )  # fmt: skip
    persistence.close()


def told_by_an_import(path: Path) -> None:
    with Store(str(path)) as store:
        import_sample(store, Path(str(files("agentrecord") / "samples")), SOURCES)


def told_by_traces(path: Path) -> None:
    with Store(str(path)) as store:
        store.traces.record(received(*conversation()), derive)


DOORS = (told_by_the_conversation, told_by_the_recorder, told_by_the_persistence_module, told_by_an_import,
         told_by_traces)  # fmt: skip


def run(*words: object) -> Result:
    done = CliRunner().invoke(program, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    return done


@pytest.mark.parametrize("shape", ["json", "jsonl"])
def test_every_door_s_record_is_the_same_where_it_is_imported(tmp_path: Path, shape: str) -> None:
    one, two = tmp_path / "one.db", tmp_path / "two.db"
    for door in DOORS:
        door(one)
    out = tmp_path / "out.json"
    out.write_text(run("--db", one, "export", "--as", shape).stdout)
    run("--db", two, "import", "otlp", out)
    assert run("--db", two, "export", "--as", shape).stdout == out.read_text()
    with Store(str(one)) as left, Store(str(two)) as right:
        assert says(right) == says(left)
        assert right.usage.recount() == ()
    assert "0 spans" in run("--db", two, "import", "otlp", out, "--plain").stdout


@pytest.fixture
def api() -> Iterator[tuple[TestClient, Store]]:
    store = AsyncStore("memory:")
    blocking = Store(engine=store.engine)
    fill(blocking)
    blocking.traces.record(received(*conversation()), derive)
    with TestClient(build_app(store, secret=b"s" * 32), base_url="http://localhost") as client:
        client.headers["Authorization"] = f"Bearer {blocking.keys.create('all', role=Role.ADMIN).secret}"
        yield client, blocking
    store.close()


def test_a_run_that_is_sent_to_another_server_is_the_same_there(api: tuple[TestClient, Store]) -> None:
    client, _ = api
    sent = client.get("/api/export?run=turn")
    assert sent.headers["content-disposition"] == 'attachment; filename="record.json"'
    other = AsyncStore("memory:")
    with TestClient(build_app(other, secret=b"s" * 32), base_url="http://localhost") as two:
        there = Store(engine=other.engine)
        two.headers["Authorization"] = f"Bearer {there.keys.create('two', role=Role.ADMIN).secret}"
        for _ in range(2):
            answer = two.post("/v1/traces", content=sent.content, headers=JSON)
            assert (answer.status_code, answer.json()) == (200, {})
        assert two.get("/api/export?run=turn").text == sent.text
        assert two.get("/api/runs/turn").json()["usage"] == client.get("/api/runs/turn").json()["usage"]
    other.close()


def test_other_backends_read_the_usual_words(api: tuple[TestClient, Store]) -> None:
    client, _ = api
    spans = [span for resource in client.get("/api/export?session=visit").json()["resourceSpans"]
             for scope in resource["scopeSpans"] for span in scope["spans"]]  # fmt: skip
    (call,) = [span for span in spans if span["name"] == "chat gpt-4o" and _told(span).get("agentrecord.dedup_key")]
    told = _told(call)
    assert (told["gen_ai.usage.input_tokens"], told["gen_ai.usage.cache_read.input_tokens"]) == ("950", "50")
    assert json.loads(told["gen_ai.input.messages"])[0] == {
        "role": "system", "parts": [{"type": "text", "content": "Be brief."}]}  # fmt: skip
    by_id = {span["spanId"]: span for span in spans}
    assert by_id[call["parentSpanId"]]["name"] == "invoke_agent guide"


def _told(span: dict[str, Any]) -> dict[str, Any]:
    return {one["key"]: next(iter(one["value"].values()), None) for one in span["attributes"]}


def test_csv_has_a_row_for_every_fact(api: tuple[TestClient, Store]) -> None:
    client, store = api
    rows = list(csv.DictReader(client.get("/api/export?shape=csv").text.splitlines()))
    assert len(rows) == len(leaving(store)) + len(conversation())
    (row,) = [row for row in rows if row["name"] == "chat gpt-4o" and row["cache_read_tokens"] == "50"]
    assert (row["session"], row["input_tokens"], row["output_tokens"], row["agent"]) == ("visit", "900", "100", "guide")
    (call,) = [call for call in store.llm_calls.list() if call.dedup_key == "one"]
    assert Decimal(row["cost_usd"]) == call.cost_usd


def test_what_traces_told_leaves_as_it_was_sent(api: tuple[TestClient, Store], tmp_path: Path) -> None:
    client, store = api
    found = client.get(f"/api/export?shape=jsonl&run={TRACE}").text
    assert "agentrecord.kind" not in found
    (tmp_path / "out.jsonl").write_text(found)
    with Store("memory:") as other:
        import_dumps(other, [tmp_path / "out.jsonl"])
        assert other.traces.spans() == store.traces.spans(run=store.runs.get(TRACE).id)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"agentrecord.kind": "king"}, "of a record, which is none"),
        ({"agentrecord.id": "x"}, "of a record, which is none"),
        ({"agentrecord.role": "king"}, "role: must be one of"),
        ({"agentrecord.session_uuid": TRACE}, "names a session that is not here"),
    ],
)
def test_a_fact_that_cannot_be_taken_is_told_and_the_rest_is_stored(
    api: tuple[TestClient, Store], change: dict[str, str], reason: str
) -> None:
    client, store = api
    sent = client.get("/api/export?session=below").json()
    (message,) = [span for span in sent["resourceSpans"][0]["scopeSpans"][0]["spans"] if span["name"] == "message user"]
    change = {"agentrecord.id": TRACE, **change}
    kept = [one for one in message["attributes"] if one["key"] not in change]
    message["attributes"] = kept + [{"key": key, "value": {"stringValue": value}} for key, value in change.items()]
    answer = client.post("/v1/traces", content=json.dumps(sent), headers=JSON).json()["partialSuccess"]
    assert (answer["rejectedSpans"], reason in answer["errorMessage"]) == ("1", True)
    assert store.sessions.get("below").message_count == 1


def test_what_is_not_there_is_said_before_anything_is_sent(api: tuple[TestClient, Store]) -> None:
    client, _ = api
    assert client.get("/api/export?session=nobody").status_code == 404
    assert client.get("/api/export?run=none").status_code == 404
    assert client.get("/api/export?color=red").status_code == 422
    assert client.get("/api/export?since=2090-01-01T00:00:00Z").json() == {"resourceSpans": []}
