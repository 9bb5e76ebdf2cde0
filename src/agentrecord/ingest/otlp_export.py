"""Spans out of the record: as OTLP in JSON, one request or one a line, and as CSV for a spreadsheet."""

import csv
import io
import math
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Any, assert_never  # `Any`: OTLP's JSON

import msgspec

from agentrecord.ingest.otlp_wire import LOG
from agentrecord.ingest.otlp_words import Seen, seen
from agentrecord.records.span import Span
from agentrecord.records.usage import dollars

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class ExportAs(StrEnum):
    """In what shape spans leave."""

    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"


MEDIA = {
    ExportAs.JSON: "application/json",
    ExportAs.JSONL: "application/jsonl",
    ExportAs.CSV: "text/csv; charset=utf-8",
}


def json_value(value: Any) -> dict[str, Any]:
    """Return plain JSON as an AnyValue in JSON."""
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            # JSON has no number for these, so that OTLP writes their names.
            return {"doubleValue": value if math.isfinite(value) else str(value)}
        case str():
            return {"stringValue": value}
        case list():
            return {"arrayValue": {"values": [json_value(item) for item in value]}}
        case {"bytesValue": str(encoded)} if len(value) == 1:
            return {"bytesValue": encoded}
        case dict():
            return {"kvlistValue": {"values": json_attributes(value)}}
        case _:
            return {}


def json_attributes(attributes: dict[str, Any]) -> list[dict[str, Any]]:
    """Return attributes by name as OTLP has them in JSON."""
    return [{"key": name, "value": json_value(value)} for name, value in attributes.items()]


def json_span(span: Span) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Return a span in OTLP's JSON, with its resource and scope."""
    data = msgspec.json.decode(span.data)
    found: dict[str, Any] = {"traceId": span.trace_id, "spanId": span.span_id}
    if span.parent_span_id:
        found["parentSpanId"] = span.parent_span_id
    found.update(
        name=data.get("name", ""),
        kind=data.get("kind", 0),
        startTimeUnixNano=str(span.start_nanos),
        endTimeUnixNano=str(span.end_nanos),
        attributes=json_attributes(data.get("attributes", {})),
        status={name: value for name, value in data.get("status", {}).items() if value},
    )
    if events := data.get("events"):
        found["events"] = [
            {
                "name": event["name"],
                "timeUnixNano": str(event["time"]),
                "attributes": json_attributes(event["attributes"]),
            }
            for event in events
        ]
    if links := data.get("links"):
        found["links"] = [
            {
                "traceId": link["trace_id"],
                "spanId": link["span_id"],
                "traceState": link["trace_state"],
                "attributes": json_attributes(link["attributes"]),
            }
            for link in links
        ]
    found.update({"traceState": data["trace_state"]} if data.get("trace_state") else {})
    found.update({"flags": data["flags"]} if data.get("flags") else {})
    return found, data.get("resource", {}), data.get("scope", {})


def json_log(span: Span) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Return a log record in OTLP's JSON, with its resource and scope."""
    data = msgspec.json.decode(span.data)
    found: dict[str, Any] = {
        "timeUnixNano": str(span.start_nanos),
        "eventName": data.get("name", ""),
        "attributes": json_attributes(data.get("attributes", {})),
        "traceId": span.trace_id,
        "spanId": span.parent_span_id or "",
    }
    if (body := data.get("body")) is not None:
        found["body"] = json_value(body)
    if severity := data.get("severity"):
        found["severityNumber"] = severity
    return found, data.get("resource", {}), data.get("scope", {})


def json_request(spans: Sequence[Span]) -> dict[str, Any]:
    """Return spans as a request in OTLP's JSON, and the log records among them beside it."""
    logs = [span for span in spans if _is_log(span)]
    found = {"resourceSpans": _grouped(map(json_span, (s for s in spans if not _is_log(s))), "scopeSpans", "spans")}
    return {**found, "resourceLogs": _grouped(map(json_log, logs), "scopeLogs", "logRecords")} if logs else found


def _is_log(span: Span) -> bool:
    return f'"{LOG}":true' in span.data and bool(msgspec.json.decode(span.data).get(LOG))


def _grouped(
    items: Iterable[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]], scopes: str, name: str
) -> list[dict[str, Any]]:
    grouped: dict[bytes, dict[str, Any]] = {}
    for found, resource, scope in items:
        told = {"resource": {"attributes": json_attributes(resource)}, scopes: {}}
        holder = grouped.setdefault(msgspec.json.encode(resource), told)
        named: dict[str, Any] = {key: value for key, value in scope.items() if key != "attributes"}
        if scope.get("attributes"):
            named["attributes"] = json_attributes(scope["attributes"])
        holder[scopes].setdefault(msgspec.json.encode(scope), {"scope": named, name: []})[name].append(found)
    return [{**holder, scopes: list(holder[scopes].values())} for holder in grouped.values()]


class Document:
    """A document of spans that is written page by page, whatever its size."""

    def __init__(self, shape: ExportAs) -> None:
        """Take the shape; nothing is written yet."""
        self._shape = shape
        self._is_empty = True
        self._logs: list[dict[str, Any]] = []

    def begin(self) -> bytes:
        """Return what comes before all pages."""
        match self._shape:
            case ExportAs.JSON:
                return b'{"resourceSpans":['
            case ExportAs.JSONL:
                return b""
            case ExportAs.CSV:
                return _lines([list(_COLUMNS)])
            case _:
                assert_never(self._shape)

    def page(self, spans: Sequence[Span]) -> bytes:
        """Return one page."""
        match self._shape:
            case ExportAs.JSON:
                return self._json(spans)
            case ExportAs.JSONL:
                return msgspec.json.encode(json_request(spans)) + b"\n" if spans else b""
            case ExportAs.CSV:
                return _lines([_cells(seen(one)) for one in spans])
            case _:
                assert_never(self._shape)

    def _json(self, spans: Sequence[Span]) -> bytes:
        request = json_request(spans)
        # One document has one list of each kind: the log records, which are few, wait for the end.
        self._logs += request.get("resourceLogs", [])
        found = b",".join(msgspec.json.encode(one) for one in request["resourceSpans"])
        separator = b"" if self._is_empty or not found else b","
        self._is_empty = self._is_empty and not found
        return separator + found

    def end(self) -> bytes:
        """Return what comes after all pages."""
        if self._shape is not ExportAs.JSON:
            return b""
        return b"]" + (b',"resourceLogs":' + msgspec.json.encode(self._logs) if self._logs else b"") + b"}\n"


def _cost(one: Seen) -> Decimal | None:
    return None if one.cost_nanos is None else dollars(one.cost_nanos)


_COLUMNS: dict[str, Callable[[Seen], object]] = {
    "trace_id": lambda one: one.span.trace_id,
    "span_id": lambda one: one.id,
    "parent_span_id": lambda one: one.span.parent_span_id,
    "name": lambda one: one.name,
    "kind": lambda one: one.kind,
    "started_at": lambda one: one.span.started_at.isoformat(),
    "ended_at": lambda one: one.span.ended_at.isoformat(),
    "duration_ms": lambda one: one.duration_ms,
    "error": lambda one: one.failure,
    "session": lambda one: one.session,
    "user": lambda one: one.user,
    "agent": lambda one: one.agent,
    "model": lambda one: one.model,
    "host": lambda one: one.host,
    "input_tokens": lambda one: one.tokens.input,
    "cache_read_tokens": lambda one: one.tokens.cache_read,
    "cache_write_tokens": lambda one: one.tokens.cache_write_5m,
    "output_tokens": lambda one: one.tokens.output,
    "cost_usd": _cost,
}


def _cells(one: Seen) -> list[object]:
    return [_cell(read(one)) for read in _COLUMNS.values()]


def _cell(value: object) -> object:
    """Return a value as a spreadsheet may open it: text is never taken for a formula."""
    return "'" + value if isinstance(value, str) and value.startswith(_FORMULA) else value


def _lines(rows: Sequence[Sequence[object]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode("utf-8", "replace")
