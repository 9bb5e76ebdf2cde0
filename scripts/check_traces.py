"""Hold a folder of real traces against figures that were counted without the importer: `make check-traces DIR=…`.

The folder holds dumps of OpenInference's own test suites, a span store of Copilot, and traces of many frameworks in
Langfuse's export with the chat messages expected of each (see tests/data/otlp/ORIGIN.md for where they are from).
"""

import hashlib
import json
import sqlite3
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agentrecord.ingest.otlp_dumps import import_dumps
from agentrecord.ingest.otlp_export import json_attributes
from agentrecord.ingest.otlp_facts import derive
from agentrecord.ingest.otlp_messages import messages_of
from agentrecord.ingest.otlp_protobuf import spans_of_protobuf
from agentrecord.ingest.otlp_wire import spans_of_json
from agentrecord.ingest.otlp_words import seen
from agentrecord.records.span import Span
from agentrecord.records.usage import UsageBy
from agentrecord.store import Store

LATEST = datetime(2100, 1, 1, tzinfo=UTC)
EXPECTED = {
    "openai": {"spans": 881, "traces": 441, "calls": 441, "input": 78_207, "output": 58_137},
    "anthropic": {"spans": 37, "traces": 37, "calls": 37, "input": 14_499, "output": 2_259},
    # The attributes sum to 825 and 324: under two names on each request, and once more on the agent above it.
    "pydantic-ai": {"spans": 11, "traces": 4, "calls": 5, "input": 275, "output": 108},
    # 69,591 input tokens are those of the two agents' requests, which the agents' own spans repeat; 2,080 are others'.
    "copilot": {"spans": 24, "traces": 8, "calls": 9, "input": 69_591 + 2_080, "output": 1_696},
}
ROLES = {"developer": "system", "human": "user", "ai": "assistant", "model": "assistant"}


def figures(store: Store) -> dict[str, int]:
    """Return the figures of a record of traces."""
    spans = store.traces.spans(limit=10_000)
    total = store.usage.report(UsageBy.TOTAL).total
    return {
        "spans": len(spans),
        "traces": len({span.trace_id for span in spans}),
        "calls": total.calls,
        "input": total.input_tokens + total.cache_read_tokens + total.cache_write_5m_tokens,
        "output": total.output_tokens,
    }


def dumped(path: Path) -> dict[str, int]:
    """Return the figures of a dump, imported alone."""
    with Store("memory:") as store:
        summary = import_dumps(store, [path])
        assert not summary.refused, summary.reasons
        assert not summary.unreadable, summary.unreadable
        wrong = store.usage.recount()
        assert wrong == (), wrong
        return figures(store)


def spans_of_pb(path: Path) -> list[Span]:
    """Return the spans of a file of requests in protobuf, each after its length in four bytes."""
    body, found = path.read_bytes(), []
    while body:
        size = int.from_bytes(body[:4], "big")
        found += spans_of_protobuf(body[4 : 4 + size], latest=LATEST).spans
        body = body[4 + size :]
    return found


def _millis(value: float) -> str:
    return str(int(value * 1000) * 1000)


def copilot_spans(path: Path, *, longest: int | None = None) -> dict[str, Any]:
    """Return Copilot's span store as a request; attributes longer than `longest` characters are left out."""
    connection = sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)
    connection.row_factory = sqlite3.Row
    spans = []
    for row in connection.execute("select * from spans order by start_time_ms, span_id"):
        attributes: dict[str, Any] = {}
        query = "select key, value from span_attributes where span_id = ? order by key"
        for key, value in connection.execute(query, (row["span_id"],)):
            if value is not None and (longest is None or len(value) <= longest):
                attributes[key] = int(value) if ".usage." in key else value
        spans.append({
            "traceId": row["trace_id"], "spanId": row["span_id"], "parentSpanId": row["parent_span_id"] or "",
            "name": row["name"], "kind": 1, "startTimeUnixNano": _millis(row["start_time_ms"]),
            "endTimeUnixNano": _millis(row["end_time_ms"]), "attributes": json_attributes(attributes),
            "status": {"code": row["status_code"]},
        })  # fmt: skip
    connection.close()
    scope = {"scope": {"name": "copilot-chat"}, "spans": spans}
    return {"resourceSpans": [{"resource": {}, "scopeSpans": [scope]}]}


def recorded(request: dict[str, Any]) -> dict[str, int]:
    """Return the figures of one request."""
    received = spans_of_json(json.dumps(request).encode(), latest=LATEST)
    assert not received.rejected, received.reasons
    with Store("memory:") as store:
        store.traces.record(received.spans, derive)
        return figures(store)


# -- Langfuse's export -------------------------------------------------------------------------------------------


def _opened(value: Any) -> Any:
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _nanos(text: str) -> str:
    return str(int(datetime.fromisoformat(text).timestamp() * 1000) * 1_000_000)


def observed(observation: dict[str, Any]) -> dict[str, Any]:
    """Return an observation as the span that Langfuse's SDK sends for it."""
    told = _opened(observation.get("metadata")) or {}
    attributes = dict(told.get("attributes") or {}) if isinstance(told, dict) else {}
    for side in ("input", "output"):
        if (value := observation.get(side)) is not None:
            attributes[f"langfuse.observation.{side}"] = value if isinstance(value, str) else json.dumps(value)
    attributes["langfuse.observation.type"] = observation["type"].lower()
    return {
        "traceId": "1".zfill(32),
        "spanId": hashlib.sha256(observation["id"].encode()).hexdigest()[:16],
        "name": observation["name"],
        "startTimeUnixNano": _nanos(observation["startTime"]),
        "endTimeUnixNano": _nanos(observation.get("endTime") or observation["startTime"]),
        "attributes": json_attributes(attributes),
    }


def _flat(content: Any) -> str:
    if isinstance(content, list):
        return "\n".join(filter(None, map(_flat, content)))
    if isinstance(content, dict):
        return next((_flat(content[name]) for name in ("text", "content", "value") if content.get(name)), "")
    return content if isinstance(content, str) else ""


def _same(expected: dict[str, Any], role: str, text: str) -> bool:
    named = ROLES.get(str(expected.get("role")), expected.get("role"))
    # A message whose role is a tool's name is that tool's, and a result that Langfuse calls the user's is a tool's.
    is_tools = named not in ("system", "user", "assistant") or role == "tool"
    wanted = "".join(_flat(expected.get("content")).split())
    return (named == role or is_tools) and (not wanted or wanted == "".join(text.split()))


def unlike(trace: Path) -> Iterator[str]:
    """Yield where the messages of a trace's requests are not those expected of it."""
    expected = json.loads(trace.with_name(trace.name.replace(".trace.", ".chatml.")).read_text())
    for observation in json.loads(trace.read_text())["observations"]:
        wanted = expected.get(observation["id"])
        if observation["type"] != "GENERATION" or not wanted:
            continue
        request = {"resourceSpans": [{"scopeSpans": [{"spans": [observed(observation)]}]}]}
        (span,) = spans_of_json(json.dumps(request).encode(), latest=LATEST).spans
        for side, found in zip(("input", "output"), messages_of(seen(span)), strict=True):
            told = wanted.get(side) or {}
            # Messages that are text of Python objects are expected without role and words: nobody could read them.
            if not told.get("success") or not any(one.get("role") for one in told["data"]):
                continue
            got = [(chat.role.value, chat.text) for chat in found]
            if len(got) == len(told["data"]) + 1 and got[0][0] == "system":
                # The instructions, which travel apart from the messages.
                got = got[1:]
            pairs = zip(told["data"], got, strict=False)
            if len(got) != len(told["data"]) or not all(_same(one, *other) for one, other in pairs):
                yield f"{observation['name']} {side}: {len(told['data'])} expected, {[role for role, _ in got]} found"


def check(folder: Path) -> int:
    """Print every figure that is not as expected; return how many there are."""
    wrong = 0
    for name, expected in EXPECTED.items():
        got = (
            recorded(copilot_spans(folder / "copilot-otel" / "traces.db"))
            if name == "copilot"
            else dumped(folder / "openinference" / f"{name}.jsonl")
        )
        print(f"{name}: {got}" if got == expected else f"{name}: expected {expected}, got {got}")
        wrong += got != expected
    for path in sorted((folder / "openinference").glob("*.pb")):
        lines = path.with_suffix(".jsonl").read_bytes().splitlines()
        as_json = [span for line in lines for span in spans_of_json(line, latest=LATEST).spans]
        same = spans_of_pb(path) == as_json
        print(f"{path.name}: the same spans as in JSON" if same else f"{path.name}: other spans than in JSON")
        wrong += not same
    for trace in sorted(folder.rglob("*.trace.json")):
        found = list(unlike(trace))
        print(f"{trace.name}: " + ("; ".join(found) or "as expected"))
        wrong += len(found)
    return wrong


if __name__ == "__main__":
    sys.exit(min(check(Path(sys.argv[1])), 1))
