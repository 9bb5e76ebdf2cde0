"""Fuzz what reads foreign traces: `make fuzz SECONDS=60`. Whatever comes is understood, or refused by the errors meant.

The first byte says how the rest is read: as protobuf, as JSON, as log records, or as JSON whose spans are the fuzzer's
own choice of names and values. What is taken is derived, and sent out and read again, which must give the same.
"""

import json
import sys
from datetime import UTC, datetime

import atheris

with atheris.instrument_imports(include=["agentrecord"]):
    from agentrecord.ingest.otlp_export import json_request
    from agentrecord.ingest.otlp_facts import derive
    from agentrecord.ingest.otlp_logs import logs_of_json
    from agentrecord.ingest.otlp_protobuf import logs_of_protobuf, spans_of_protobuf
    from agentrecord.ingest.otlp_wire import Received, Undecodable, portions, spans_of_json

LATEST = datetime(2100, 1, 1, tzinfo=UTC)
READERS = (spans_of_protobuf, logs_of_protobuf, spans_of_json, logs_of_json)
NAMES = (
    "gen_ai.operation.name", "gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.usage.input_tokens",
    "gen_ai.usage.output_tokens", "gen_ai.system_instructions", "gen_ai.tool.name", "gen_ai.tool.call.id",
    "gen_ai.tool.call.arguments", "gen_ai.conversation.id", "session.id", "user.id", "openinference.span.kind",
    "llm.input_messages.0.message.content", "llm.output_messages.0.message.tool_calls.0.tool_call.id",
    "llm.invocation_parameters", "input.value", "output.value", "error.type", "llm.cost.total", "ai.prompt.messages",
    "agentrecord.kind", "agentrecord.id", "agentrecord.prompt", "agentrecord.session_uuid",
)  # fmt: skip
WORDS = ("chat", "invoke_agent", "execute_tool", "TOOL", "LLM", "AGENT", "session", "run", "llm_call", "7" * 32)
KINDS = ("stringValue", "intValue", "doubleValue", "boolValue", "arrayValue", "kvlistValue", "bytesValue")


def value(data: atheris.FuzzedDataProvider) -> dict[str, object]:
    """Return an AnyValue, often a wrong one."""
    kind = data.PickValueInList(list(KINDS))
    held: object = data.PickValueInList(
        [*WORDS, data.ConsumeUnicode(40), data.ConsumeInt(9), data.ConsumeFloat(), None]
    )
    if kind in ("arrayValue", "kvlistValue") and data.ConsumeBool():
        held = {"values": [{"key": "k", "value": value(data)} if kind == "kvlistValue" else value(data)]}
    return {kind: held}


def request(data: atheris.FuzzedDataProvider) -> bytes:
    """Return a request in JSON whose spans are of one trace, with parents, times and attributes as it comes."""
    spans = []
    for number in range(data.ConsumeIntInRange(1, 4)):
        pairs = [
            {"key": data.PickValueInList(list(NAMES)), "value": value(data)}
            for _ in range(data.ConsumeIntInRange(0, 6))
        ]
        start = 1_772_614_800_000_000_000 + data.ConsumeIntInRange(-(10**6), 10**6)
        spans.append({
            "traceId": "0" * 31 + "1", "spanId": f"{number + 1:016x}", "name": data.ConsumeUnicode(10),
            "parentSpanId": f"{data.ConsumeIntInRange(0, 5):016x}", "startTimeUnixNano": str(start),
            "endTimeUnixNano": str(start + data.ConsumeIntInRange(-10, 10**9)), "attributes": pairs,
            "events": [{"name": "exception", "timeUnixNano": str(start), "attributes": pairs}],
            "status": {"code": data.ConsumeIntInRange(0, 3), "message": data.ConsumeUnicode(10)},
        })  # fmt: skip
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}).encode()


def one(given: bytes) -> None:
    """Read one input; anything but the errors that a server answers flies, and is the finding."""
    data = atheris.FuzzedDataProvider(given)
    choice = data.ConsumeIntInRange(0, 2 * len(READERS))
    try:
        if choice < len(READERS):
            received = READERS[choice](data.ConsumeBytes(len(given)), latest=LATEST)
        else:
            received = spans_of_json(request(data), latest=LATEST)
    except Undecodable:
        return
    understood(received)


def understood(received: Received) -> None:
    """Derive what was taken, whatever order it came in, and hold what is sent out against it."""
    for spans in portions(received.spans, 100):
        for trace in {span.trace_id for span in spans}:
            mine = list({span.span_id: span for span in spans if span.trace_id == trace}.values())
            assert derive(mine, "") == derive(mine[::-1], "")
            plain = [span for span in mine if '"log":true' not in span.data]
            again = spans_of_json(json.dumps(json_request(plain)).encode(), latest=LATEST)
            assert sorted(span.span_id for span in again.spans) == sorted(span.span_id for span in plain)


if __name__ == "__main__":
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()
