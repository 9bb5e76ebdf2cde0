"""OTLP in protobuf: the same spans as from JSON, read with OpenTelemetry's own message classes.

This module needs the extra `otlp`; nothing else imports it before protobuf arrives.
"""

from datetime import datetime
from functools import partial
from typing import Any  # `Any`: generated message classes have no useful types

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from agentrecord.codec import values
from agentrecord.ingest.otlp_logs import log_of
from agentrecord.ingest.otlp_wire import (
    MAX_ATTRIBUTE_DEPTH,
    Received,
    Undecodable,
    double,
    encoded_bytes,
    identifier,
    keep,
    made,
)
from agentrecord.records.span import Span

clean = values.clean_text


def _parsed(kind: Any, body: bytes) -> Any:
    message = kind()
    try:
        message.ParseFromString(body)
    except DecodeError as error:
        raise Undecodable(f"the body is no {kind.DESCRIPTOR.name} in protobuf: {error}") from error
    return message


def spans_of_protobuf(body: bytes, *, latest: datetime) -> Received:
    """Read an ExportTraceServiceRequest in protobuf; raise `Undecodable` if it is none."""
    received = Received()
    for resource_spans in _parsed(ExportTraceServiceRequest, body).resource_spans:
        resource = attributes_of(resource_spans.resource.attributes)
        for scope_spans in resource_spans.scope_spans:
            scope = _scope(scope_spans.scope)
            for span in scope_spans.spans:
                keep(received, partial(_span, span, resource, scope, latest))
    return received


def logs_of_protobuf(body: bytes, *, latest: datetime) -> Received:
    """Read an ExportLogsServiceRequest in protobuf; raise `Undecodable` if it is none."""
    received = Received()
    for resource_logs in _parsed(ExportLogsServiceRequest, body).resource_logs:
        resource = attributes_of(resource_logs.resource.attributes)
        for scope_logs in resource_logs.scope_logs:
            scope = _scope(scope_logs.scope)
            for record in scope_logs.log_records:
                keep(received, partial(_log, record, resource, scope, latest))
    return received


def _log(record: Any, resource: dict[str, Any], scope: dict[str, Any], latest: datetime) -> Span:
    return log_of(
        record.trace_id.hex(),
        record.span_id.hex(),
        clean(record.event_name),
        record.time_unix_nano or record.observed_time_unix_nano,
        attributes_of(record.attributes),
        body=any_value(record.body, 0),
        severity=int(record.severity_number),
        resource=resource,
        scope=scope,
        latest=latest,
    )


def attributes_of(pairs: Any) -> dict[str, Any]:
    """Return attributes by name."""
    return {clean(pair.key): any_value(pair.value, 0) for pair in pairs}


def any_value(value: Any, depth: int) -> Any:
    """Return an AnyValue as plain JSON."""
    if depth > MAX_ATTRIBUTE_DEPTH:
        raise ValueError(f"an attribute is nested deeper than {MAX_ATTRIBUTE_DEPTH} levels; flatten it")
    match value.WhichOneof("value"):
        case "string_value":
            return clean(value.string_value)
        case "bool_value":
            return value.bool_value
        case "int_value":
            return value.int_value
        case "double_value":
            return double(value.double_value)
        case "bytes_value":
            return encoded_bytes(value.bytes_value)
        case "array_value":
            return [any_value(item, depth + 1) for item in value.array_value.values]
        case "kvlist_value":
            return {clean(pair.key): any_value(pair.value, depth + 1) for pair in value.kvlist_value.values}
        case _:
            return None


def _scope(scope: Any) -> dict[str, Any]:
    found = {name: clean(getattr(scope, name)) for name in ("name", "version") if getattr(scope, name)}
    attributes = attributes_of(scope.attributes)
    return {**found, "attributes": attributes} if attributes else found


def _span(span: Any, resource: dict[str, Any], scope: dict[str, Any], latest: datetime) -> Span:
    parent = span.parent_span_id.hex()
    return made(
        identifier("trace_id", span.trace_id.hex(), 32),
        identifier("span_id", span.span_id.hex(), 16),
        identifier("parent_span_id", parent, 16) if parent.strip("0") else None,
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        latest,
        {
            "name": clean(span.name),
            "kind": span.kind,
            "status": {"code": span.status.code, "message": clean(span.status.message)},
            "attributes": attributes_of(span.attributes),
            "events": [
                {
                    "name": clean(event.name),
                    "time": event.time_unix_nano,
                    "attributes": attributes_of(event.attributes),
                }
                for event in span.events
            ],
            "links": [
                {
                    "trace_id": identifier("links.trace_id", link.trace_id.hex(), 32),
                    "span_id": identifier("links.span_id", link.span_id.hex(), 16),
                    "trace_state": clean(link.trace_state),
                    "attributes": attributes_of(link.attributes),
                }
                for link in span.links
            ],
            "trace_state": clean(span.trace_state),
            "flags": span.flags,
            "resource": resource,
            "scope": scope,
        },
    )
