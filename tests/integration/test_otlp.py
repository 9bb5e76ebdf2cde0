"""OTLP over HTTP: both encodings, compression, refusals that clients understand, and nothing half-stored."""

import gzip
import json
import sys
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from starlette.testclient import TestClient

from agentrecord.records.scope import Role
from agentrecord.server.app import build_app
from agentrecord.server.routes import otlp as route
from agentrecord.store import AsyncStore, Store
from otlp_requests import AT, TRACE, chat, conversation, event, nanos, request, said, span

JSON, PROTOBUF = "application/json", "application/x-protobuf"


class Clock:
    """Tells a time after the spans of the tests."""

    def now(self) -> datetime:
        """Return it."""
        return AT + timedelta(hours=1)


@dataclass
class Exporter:
    """A client with an API key, and the record that it writes into."""

    client: TestClient
    store: Store
    key: str

    def send(self, body: bytes, kind: str = JSON, *, path: str = "/v1/traces", **headers: str) -> Any:
        """Post a body."""
        told = {"Content-Type": kind, "Authorization": f"Bearer {self.key}", **headers}
        return self.client.post(path, content=body, headers=told)

    def count(self) -> int:
        """Return how many spans are stored."""
        return len(self.store.traces.spans(limit=10_000))


@pytest.fixture
def exporter() -> Iterator[Exporter]:
    store = AsyncStore("memory:", clock=Clock())
    blocking = Store(engine=store.engine)
    key = blocking.keys.create("exporter", role=Role.WRITE).secret
    with TestClient(build_app(store, secret=b"s" * 32), base_url="http://localhost") as client:
        yield Exporter(client, blocking, key)
    store.close()


def as_json(*spans: dict[str, Any]) -> bytes:
    """Return a request's body in JSON."""
    return json.dumps(request(*spans)).encode()


def as_protobuf(*spans: dict[str, Any]) -> bytes:
    """Return a request's body in protobuf."""
    message = ExportTraceServiceRequest()
    for one in spans:
        made = message.resource_spans.add().scope_spans.add().spans.add()
        made.trace_id, made.span_id = bytes.fromhex(one["traceId"]), bytes.fromhex(one["spanId"])
        made.name, made.start_time_unix_nano = one["name"], int(one["startTimeUnixNano"])
        made.end_time_unix_nano = int(one["endTimeUnixNano"])
        for pair in one["attributes"]:
            added = made.attributes.add(key=pair["key"])
            kind, value = next(iter(pair["value"].items()))
            name = {"stringValue": "string_value", "intValue": "int_value"}[kind]
            setattr(added.value, name, int(value) if kind == "intValue" else value)
    return message.SerializeToString()


ONE = chat(1, [said("user", "hi")], said("assistant", "hello"))


def test_json_is_stored_and_answered_in_json(exporter: Exporter) -> None:
    answer = exporter.send(as_json(ONE))
    assert (answer.status_code, answer.json(), answer.headers["content-type"]) == (200, {}, JSON)
    assert exporter.count() == 1
    assert exporter.store.runs.get(TRACE).usage.input_tokens == 10


def test_protobuf_is_stored_and_answered_in_protobuf(exporter: Exporter) -> None:
    answer = exporter.send(as_protobuf(ONE), PROTOBUF)
    assert (answer.status_code, answer.content, answer.headers["content-type"]) == (200, b"", PROTOBUF)
    assert exporter.store.runs.get(TRACE).usage.input_tokens == 10


def test_both_encodings_give_the_same_span(exporter: Exporter) -> None:
    exporter.send(as_json(span(1, "a", {"text": "ü", "n": 2})))
    exporter.send(as_protobuf(span(2, "a", {"text": "ü", "n": 2})), PROTOBUF)
    first, second = (json.loads(one.data) for one in exporter.store.traces.spans())
    assert first["attributes"] == second["attributes"] == {"text": "ü", "n": 2}


@pytest.mark.parametrize("kind", [JSON, PROTOBUF])
def test_gzip_is_taken(exporter: Exporter, kind: str) -> None:
    body = as_json(ONE) if kind == JSON else as_protobuf(ONE)
    answer = exporter.send(gzip.compress(body), kind, **{"Content-Encoding": "gzip"})
    assert answer.status_code == 200
    assert exporter.count() == 1


@pytest.mark.parametrize(("body", "kind"), [(b"{}", JSON), (b'{"resourceSpans":[]}', JSON), (b"", PROTOBUF)])
def test_an_empty_request_is_a_valid_one(exporter: Exporter, body: bytes, kind: str) -> None:
    assert exporter.send(body, kind).status_code == 200


def nested(levels: int) -> dict[str, Any]:
    """Return lists in lists."""
    value: dict[str, Any] = {"intValue": "1"}
    for _ in range(levels):
        value = {"arrayValue": {"values": [value]}}
    return value


def bad(**fields: Any) -> dict[str, Any]:
    """Return a span with something wrong."""
    return {**span(2, "bad"), **fields}


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (bad(traceId="xyz"), "traceId"), (bad(spanId="0" * 16), "spanId"), (bad(startTimeUnixNano="0"), "year 2000"),
        (bad(startTimeUnixNano="1700000000000"), "year 2000"), (bad(startTimeUnixNano="soon"), "64-bit"),
        (bad(startTimeUnixNano=str(nanos(9e9)), endTimeUnixNano=str(nanos(9e9))), "future"),
        (bad(attributes=[{"key": "a", "value": {"intValue": "1e3"}}]), "intValue"),
        (bad(attributes=[{"key": "a", "value": {"doubleValue": "x"}}]), "doubleValue"),
        (bad(events=7), "events"), (bad(attributes=[{"key": "a", "value": nested(40)}]), "deeper"),
    ],
)  # fmt: skip
def test_a_span_that_cannot_be_right_is_refused_alone(exporter: Exporter, wrong: dict[str, Any], reason: str) -> None:
    answer = exporter.send(as_json(ONE, wrong))
    partial = answer.json()["partialSuccess"]
    assert (answer.status_code, partial["rejectedSpans"]) == (200, "1")
    assert reason in partial["errorMessage"]
    assert exporter.count() == 1


def test_a_refusal_in_protobuf_counts_what_was_refused(exporter: Exporter) -> None:
    answer = exporter.send(as_protobuf(ONE, {**span(2, "x"), "startTimeUnixNano": "5"}), PROTOBUF)
    partial = ExportTraceServiceResponse.FromString(answer.content).partial_success
    assert partial.rejected_spans == 1
    assert "year 2000" in partial.error_message


@pytest.mark.parametrize(
    ("body", "kind", "status", "said_so"),
    [
        (b"{", JSON, 400, "JSON"), (b"[]", JSON, 400, "not an object"), (b'{"resourceSpans":7}', JSON, 400, "list"),
        (b'{"resourceSpans":[{"scopeSpans":[7]}]}', JSON, 400, "scopeSpans"), (b"[" * 100_000, JSON, 400, "JSON"),
        (b'{"a":"\xff"}', JSON, 400, "JSON"), (b"\x0a\xff\xff\xff\xff\x0f", PROTOBUF, 400, "protobuf"),
        (b"hello", "text/plain", 415, "text/plain"), (b"hello", "", 415, "application/json"),
    ],
)  # fmt: skip
def test_what_is_no_otlp_is_refused_and_nothing_is_stored(
    exporter: Exporter, body: bytes, kind: str, status: int, said_so: str
) -> None:
    answer = exporter.send(body, kind)
    assert answer.status_code == status
    if kind == PROTOBUF:
        told = Status.FromString(answer.content)
        assert (told.code, said_so in told.message) == (3, True)
    else:
        assert (answer.json()["code"], said_so in answer.json()["message"]) == (3, True)
    assert exporter.count() == 0


def test_a_resource_that_cannot_be_read_refuses_the_request(exporter: Exporter) -> None:
    body = request(ONE)
    body["resourceSpans"][0]["resource"]["attributes"] = [{"key": "a", "value": {"intValue": "many"}}]
    answer = exporter.send(json.dumps(body).encode())
    assert (answer.status_code, "intValue" in answer.json()["message"], exporter.count()) == (400, True, 0)


def test_rings_of_spans_and_spans_without_their_parents_are_stored_and_the_server_goes_on(exporter: Exporter) -> None:
    ring = [span(1, "a", parent=2), span(2, "b", parent=1), span(3, "own", parent=3), span(4, "orphan", parent=99)]
    called = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"}
    ring.append(span(5, "chat", called, parent=97))
    assert (exporter.send(as_json(*ring)).status_code, exporter.count()) == (200, 5)
    run = exporter.store.runs.get(ring[0]["traceId"]).id
    assert "m" in {piece.name for piece in exporter.store.pages.run_tree(run).spans}, "a call whose parent never came"
    assert exporter.store.usage.recount() == ()
    assert exporter.send(as_json(ONE)).status_code == 200
    assert exporter.client.get("/healthz").status_code == 200


def test_text_that_is_no_utf_8_is_refused_in_protobuf(exporter: Exporter) -> None:
    broken = as_protobuf(span(1, "abcdef")).replace(b"abcdef", b"abc\xff\xfef")
    answer = exporter.send(broken, PROTOBUF)
    assert (answer.status_code, exporter.count()) == (400, 0)


def test_truncated_gzip_is_refused(exporter: Exporter) -> None:
    body = gzip.compress(as_json(*conversation()))
    for cut in (5, len(body) // 2, len(body) - 1):
        answer = exporter.send(body[:cut], **{"Content-Encoding": "gzip"})
        assert (answer.status_code, "gzip" in answer.json()["message"]) == (400, True)
    assert exporter.send(b"plain", **{"Content-Encoding": "gzip"}).status_code == 400
    assert exporter.send(body, **{"Content-Encoding": "br"}).status_code == 415
    assert exporter.count() == 0


def test_a_gzip_bomb_is_let_go_at_the_limit(exporter: Exporter) -> None:
    engine = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join([*(engine.compress(b" " * 1_000_000) for _ in range(70)), engine.flush()])
    assert len(bomb) < 100_000
    answer = exporter.send(bomb, **{"Content-Encoding": "gzip"})
    assert (answer.status_code, answer.json()["code"]) == (413, 8)


def test_a_request_of_100_000_spans_is_refused_whole(exporter: Exporter) -> None:
    message = ExportTraceServiceRequest()
    spans = message.resource_spans.add().scope_spans.add().spans
    for number in range(1, 100_001):
        spans.add(trace_id=b"t" * 16, span_id=number.to_bytes(8, "big"), name="s",
                  start_time_unix_nano=nanos(0), end_time_unix_nano=nanos(1))  # fmt: skip
    answer = exporter.send(message.SerializeToString(), PROTOBUF)
    assert (answer.status_code, exporter.count()) == (413, 0)


def test_who_is_not_known_is_told_so_in_the_words_of_the_protocol(exporter: Exporter) -> None:
    exporter.key = "arec_none_none"
    assert (exporter.send(as_json(ONE)).status_code, exporter.send(as_json(ONE)).json()["code"]) == (401, 16)
    reader = exporter.store.keys.create("reader", role=Role.READ).secret
    exporter.key = reader
    answer = exporter.send(as_protobuf(ONE), PROTOBUF)
    assert (answer.status_code, Status.FromString(answer.content).code) == (403, 7)


def test_a_body_that_is_announced_too_large_is_not_read(exporter: Exporter) -> None:
    answer = exporter.send(b"x", **{"Content-Length": str(65 * 1024 * 1024)})
    assert (answer.status_code, answer.json()["code"]) == (413, 8)


def test_more_requests_than_can_wait_are_told_to_come_again(exporter: Exporter) -> None:
    admission = exporter.client.app.state.otlp  # type: ignore[attr-defined]
    entered = 0
    while exporter.send(as_json(ONE)).status_code == 200:
        admission.__enter__()
        entered += 1
    answer = exporter.send(as_json(ONE))
    assert (answer.status_code, answer.headers["retry-after"], answer.json()["code"]) == (503, "1", 14)
    for _ in range(entered):
        admission.__exit__()
    assert exporter.send(as_json(ONE)).status_code == 200


def test_many_spans_are_stored_in_parts_and_are_one_record(exporter: Exporter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(route, "SPANS_AT_ONCE", 2)
    assert exporter.send(as_json(*conversation())).status_code == 200
    assert exporter.store.sessions.get("talk").message_count == 9
    assert exporter.store.usage.recount() == ()


def log(name: str, attributes: dict[str, Any], *, span_number: int = 2, body: Any = None) -> dict[str, Any]:
    """Return a log record in OTLP's JSON."""
    told = event(name, attributes, 15)
    found = {"eventName": name, "timeUnixNano": told["timeUnixNano"], "attributes": told["attributes"],
             "traceId": TRACE, "spanId": f"{span_number:016x}"}  # fmt: skip
    return found if body is None else {**found, "body": body}


def logs(*records: dict[str, Any]) -> bytes:
    """Return an ExportLogsServiceRequest in JSON."""
    return json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": list(records)}]}]}).encode()


BARE = span(2, "chat", {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o",
                        "gen_ai.usage.input_tokens": 3, "gen_ai.usage.output_tokens": 1})  # fmt: skip
CONTENT = log("gen_ai.client.inference.operation.details", {
    "gen_ai.input.messages": [said("user", "hi")], "gen_ai.output.messages": [said("assistant", "hello")],
})  # fmt: skip


@pytest.mark.parametrize("logs_first", [True, False])
def test_content_that_comes_as_a_log_record_is_the_spans(exporter: Exporter, logs_first: bool) -> None:
    steps = [("/v1/traces", as_json(BARE)), ("/v1/logs", logs(CONTENT))]
    for path, body in reversed(steps) if logs_first else steps:
        assert exporter.send(body, path=path).status_code == 200
    session = exporter.store.sessions.get(TRACE)
    assert [m.content for m in exporter.store.messages.list(session.id)] == ["hi", "hello"]
    assert (session.usage.calls, session.run_count) == (1, 1)
    assert exporter.store.usage.recount() == ()


def test_an_evaluation_is_an_event_of_the_span_that_it_judges(exporter: Exporter) -> None:
    judged = log("gen_ai.evaluation.result", {"gen_ai.evaluation.name": "tone", "gen_ai.evaluation.score.value": 0.5})
    exporter.send(as_json(BARE))
    assert exporter.send(logs(judged, judged), path="/v1/logs").json() == {}
    found = {e.event_type: e for e in exporter.store.events.list()}
    assert found["gen_ai.evaluation.result"].parent_event_uuid == found["llm"].id
    told = json.loads(found["gen_ai.evaluation.result"].data or "")
    assert told["attributes"]["gen_ai.evaluation.score.value"] == 0.5
    assert len(exporter.store.events.list()) == 2


def test_other_log_records_are_refused_by_name(exporter: Exporter) -> None:
    answer = exporter.send(logs(log("http.request", {}), {**CONTENT, "traceId": ""}), path="/v1/logs")
    assert answer.json()["partialSuccess"]["rejectedLogRecords"] == "2"
    assert "GenAI" in answer.json()["partialSuccess"]["errorMessage"]
    assert exporter.count() == 0


def test_log_records_come_in_protobuf_too(exporter: Exporter) -> None:
    message = ExportLogsServiceRequest()
    record = message.resource_logs.add().scope_logs.add().log_records.add(
        event_name="gen_ai.evaluation.result", trace_id=bytes.fromhex(TRACE), span_id=(2).to_bytes(8, "big"),
        time_unix_nano=nanos(1),
    )  # fmt: skip
    record.attributes.add(key="gen_ai.evaluation.name").value.string_value = "tone"
    assert exporter.send(message.SerializeToString(), PROTOBUF, path="/v1/logs").content == b""
    assert [e.event_type for e in exporter.store.events.list()] == ["gen_ai.evaluation.result"]


def test_the_clock_of_the_tests_is_after_their_spans() -> None:
    assert datetime.fromtimestamp(nanos(100) / 1e9, UTC) < Clock().now()


def test_a_server_without_protobuf_says_how_to_get_it(exporter: Exporter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "agentrecord.ingest.otlp_protobuf", raising=False)
    monkeypatch.setitem(sys.modules, "google.protobuf.message", None)
    answer = exporter.send(as_protobuf(ONE), PROTOBUF)
    assert answer.status_code == 415
    assert "agentrecord[otlp]" in Status.FromString(answer.content).message
    assert exporter.send(as_json(ONE)).status_code == 200


def test_the_dashboard_shows_a_trace_as_a_session_and_a_run(exporter: Exporter) -> None:
    exporter.send(as_json(*conversation()))
    headers = {"Authorization": f"Bearer {exporter.key}"}
    session, run = exporter.client.get("/s/talk", headers=headers), exporter.client.get(f"/r/{TRACE}", headers=headers)
    assert (session.status_code, run.status_code) == (200, 200)
    assert "Is it sunny?" in session.text
    assert "weather" in run.text


def test_requests_that_part_one_trace_at_the_same_time_leave_one_record(exporter: Exporter) -> None:
    bodies = [as_json(one) for one in conversation()] * 2
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(exporter.send, bodies))
    assert {answer.status_code for answer in answers} == {200}
    session = exporter.store.sessions.get("talk")
    assert (session.message_count, session.usage.calls, exporter.count()) == (9, 4, 7)
    assert exporter.store.usage.recount() == ()
