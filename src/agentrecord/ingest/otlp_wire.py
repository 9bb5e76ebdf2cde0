"""OTLP as it travels: requests in JSON (and in protobuf, see `otlp_protobuf`) to spans; one bad span fails alone."""

import base64
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any  # `Any`: JSON of a foreign client

import msgspec

from agentrecord.codec import values
from agentrecord.exceptions import InvalidValue
from agentrecord.ingest.otlp_carried import fact_in
from agentrecord.records.exchange import Carried, FactKind, Restored
from agentrecord.records.span import Span, instant

MAX_REASONS = 5
"""So many different reasons of a refusal are told; all refused spans are counted."""

MAX_ATTRIBUTE_DEPTH = 32
LOG = "log"
"""What the data of a log record is marked with, among the spans of its trace."""

_EARLIEST_NANOS = 946_684_800_000_000_000
_MAX_NANOS = 2**63 - 1
_NOTHING: tuple[Any, ...] = ("", 0, [], {}, {"code": 0, "message": ""})


class Undecodable(ValueError):
    """The request is no OTLP; nothing of it was kept, and sending it again will not help."""


@dataclass(slots=True)
class Received:
    """What a request brought: the spans (or records) that can be kept, and why others cannot.

    `facts` came as spans out of another record.
    """

    spans: list[Span] = field(default_factory=list)
    facts: list[Carried] = field(default_factory=list)
    rejected: int = 0
    reasons: list[str] = field(default_factory=list)

    def refuse(self, reason: str) -> None:
        """Count a refused span."""
        self.rejected += 1
        if reason not in self.reasons and len(self.reasons) < MAX_REASONS:
            self.reasons.append(reason)

    def add(self, restored: Restored) -> None:
        """Count what of the facts was refused."""
        for reason in restored.reasons:
            self.refuse(reason)
        self.rejected += restored.refused - len(restored.reasons)

    @property
    def message(self) -> str:
        """Why spans were refused, as one text."""
        return "; ".join(self.reasons)


def decoded(body: bytes) -> dict[str, Any]:
    """Return a JSON request's object; raise `Undecodable` if it is none."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Undecodable(f"the body is no JSON that can be read: {error}") from error
    if not isinstance(found, dict):
        raise Undecodable(f"the body is {type(found).__name__}, not an object; send an ExportTraceServiceRequest")
    return found


def objects(parent: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """Return a field that is a list of objects; raise `Undecodable` if it is something else."""
    found = parent.get(name)
    if found is None:
        return []
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise Undecodable(f"{name} must be a list of objects")
    return found


def _object(parent: dict[str, Any], name: str) -> dict[str, Any]:
    found = parent.get(name)
    return found if isinstance(found, dict) else {}


def spans_of_json(body: bytes, *, latest: datetime) -> Received:
    """Read an ExportTraceServiceRequest in JSON; spans dated after `latest` are refused.

    Raises `Undecodable` if it is none.
    """
    received = Received()
    for resource_spans in objects(decoded(body), "resourceSpans"):
        resource = attributes_of(_object(resource_spans, "resource"))
        for scope_spans in objects(resource_spans, "scopeSpans"):
            scope = scope_of(_object(scope_spans, "scope"))
            for span in objects(scope_spans, "spans"):
                keep(received, partial(span_of, span, resource, scope, latest))
    return received


def keep(received: Received, read: Callable[[], Span]) -> None:
    """Add a span, or the fact of another record that it carries; count it as refused where it cannot be read."""
    try:
        span = read()
        fact = fact_in(span)
        if fact is None:
            received.spans.append(span)
        else:
            received.facts.append(fact)
    except (ValueError, InvalidValue) as error:
        received.refuse(str(error))


def attributes_of(owner: dict[str, Any]) -> dict[str, Any]:
    """Return the attributes of a resource, scope, span or event by name."""
    found: dict[str, Any] = {}
    for pair in owner.get("attributes") or ():
        if isinstance(pair, dict) and isinstance(pair.get("key"), str):
            found[values.clean_text(pair["key"])] = any_value(pair.get("value"), 0)
    return found


def scope_of(scope: dict[str, Any]) -> dict[str, Any]:
    """Return the instrumentation that made spans."""
    found = {name: text(scope.get(name)) for name in ("name", "version") if scope.get(name)}
    attributes = attributes_of(scope)
    return {**found, "attributes": attributes} if attributes else found


def text(value: object) -> str:
    """Return text that every engine stores."""
    return values.clean_text(value) if isinstance(value, str) else ""


def any_value(value: object, depth: int) -> Any:
    """Return an AnyValue as plain JSON; bytes as an object that says so."""
    if not isinstance(value, dict) or not value:
        return None
    if depth > MAX_ATTRIBUTE_DEPTH:
        raise ValueError(f"an attribute is nested deeper than {MAX_ATTRIBUTE_DEPTH} levels; flatten it")
    kind, held = next(iter(value.items()))
    match kind:
        case "stringValue":
            return text(held)
        case "boolValue":
            return bool(held)
        case "intValue":
            return whole("intValue", held)
        case "doubleValue":
            return double(held)
        case "bytesValue":
            return {"bytesValue": text(held)}
        case "arrayValue":
            items = held.get("values") if isinstance(held, dict) else None
            return [any_value(item, depth + 1) for item in items or ()]
        case "kvlistValue":
            pairs = held.get("values") if isinstance(held, dict) else None
            return {
                text(pair.get("key")): any_value(pair.get("value"), depth + 1)
                for pair in pairs or ()
                if isinstance(pair, dict)
            }
        case _:
            return None


def double(value: object) -> float | str:
    """Return a number; what no engine stores (NaN, infinities) as its name."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"doubleValue {str(value)[:40]!r} is no number") from None
    return number if math.isfinite(number) else str(number)


def whole(name: str, value: object) -> int:
    """Return a 64-bit integer that may be written as text; raise `ValueError` if it is none."""
    if isinstance(value, str) and len(value) <= 20 and value.lstrip("-").isascii() and value.lstrip("-").isdigit():
        value = int(value)
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**63:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not -(2**63) <= value < 2**63:
        raise ValueError(f"{name} {str(value)[:40]!r} is not a 64-bit integer")
    return value


def identifier(name: str, value: object, digits: int) -> str:
    """Return an id as lower-case hex; raise `ValueError` if it is none."""
    found = value.lower() if isinstance(value, str) else ""
    if len(found) != digits or any(c not in "0123456789abcdef" for c in found) or not found.strip("0"):
        raise ValueError(f"{name} {str(value)[:40]!r} is not {digits} hexadecimal digits, at least one of them not 0")
    return found


def span_of(span: dict[str, Any], resource: dict[str, Any], scope: dict[str, Any], latest: datetime) -> Span:
    """Return a span in JSON as a record; raise `ValueError` that says what is wrong with it."""
    parent = span.get("parentSpanId")
    status = _object(span, "status")
    return made(
        identifier("traceId", span.get("traceId"), 32),
        identifier("spanId", span.get("spanId"), 16),
        identifier("parentSpanId", parent, 16) if parent and str(parent).strip("0") else None,
        whole("startTimeUnixNano", span.get("startTimeUnixNano", 0)),
        whole("endTimeUnixNano", span.get("endTimeUnixNano", 0)),
        latest,
        {
            "name": text(span.get("name")),
            "kind": whole("kind", span.get("kind", 0)),
            "status": {
                "code": whole("status.code", status.get("code", 0)),
                "message": text(status.get("message")),
            },
            "attributes": attributes_of(span),
            "events": [_event(event) for event in objects(span, "events")],
            "links": [_link(link) for link in objects(span, "links")],
            "trace_state": text(span.get("traceState")),
            "flags": whole("flags", span.get("flags", 0)),
            "resource": resource,
            "scope": scope,
        },
    )


def made(
    trace_id: str,
    span_id: str,
    parent: str | None,
    start: int,
    end: int,
    latest: datetime,
    data: dict[str, Any],
) -> Span:
    """Return a checked span; fields of `data` that are empty are left out of its text."""
    start, end = checked_times(start, end, latest)
    data = {name: value for name, value in data.items() if value not in _NOTHING}
    data.update(start=start, end=end)
    if parent is not None:
        data["parent"] = parent
    encoded = msgspec.json.encode(data).decode()
    if len(encoded) > values.MAX_JSON_BYTES // 4:
        raise ValueError(f"span {span_id} has {len(encoded):,} characters; a span may have 4,194,304")
    return Span(
        trace_id=trace_id, span_id=span_id, parent_span_id=parent, start_nanos=start, end_nanos=end, data=encoded
    )


def checked_times(start: int, end: int, latest: datetime) -> tuple[int, int]:
    """Return when a span began and ended; raise `ValueError` for times that cannot be right."""
    for name, nanos in (("startTimeUnixNano", start), ("endTimeUnixNano", end or start)):
        if not _EARLIEST_NANOS <= nanos <= _MAX_NANOS:
            raise ValueError(f"{name} {nanos} is before the year 2000; give nanoseconds since 1970")
        if instant(nanos) > latest:
            raise ValueError(f"{name} {nanos} lies in the future; set the clock of the machine that sent it")
    return start, max(start, end)


def _event(event: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": text(event.get("name")),
        "time": whole("events.timeUnixNano", event.get("timeUnixNano", 0)),
        "attributes": attributes_of(event),
    }


def _link(link: dict[str, Any]) -> dict[str, Any]:
    return {
        "trace_id": identifier("links.traceId", link.get("traceId"), 32),
        "span_id": identifier("links.spanId", link.get("spanId"), 16),
        "trace_state": text(link.get("traceState")),
        "attributes": attributes_of(link),
    }


def portions(spans: Iterable[Span], at_once: int) -> Iterator[list[Span]]:
    """Yield spans in lists to store in one transaction each, the spans of one trace always together.

    A trace is derived anew with every piece of it, so that parting one would cost more than a long transaction.
    """
    traces: dict[str, list[Span]] = {}
    for span in spans:
        traces.setdefault(span.trace_id, []).append(span)
    found: list[Span] = []
    for trace in traces.values():
        if found and len(found) + len(trace) > at_once:
            yield found
            found = []
        found = [*found, *trace]
    if found:
        yield found


def fact_portions(facts: Iterable[Carried], at_once: int) -> Iterator[list[Carried]]:
    """Yield facts in lists to store in one transaction each, what others name always before them."""
    order = list(FactKind)
    found = sorted(facts, key=lambda fact: order.index(fact.kind))
    for start in range(0, len(found), at_once):
        yield found[start : start + at_once]


def encoded_bytes(value: bytes) -> dict[str, str]:
    """Return bytes as plain JSON has them here."""
    return {"bytesValue": base64.b64encode(value).decode()}
