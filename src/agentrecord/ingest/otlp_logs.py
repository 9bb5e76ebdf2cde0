"""OTLP log records: the GenAI events among them, kept with the trace and the span that they belong to.

A record has no id of its own; it gets one from what it says, so that one sent twice is one.
"""

import hashlib
from datetime import datetime
from functools import partial
from typing import Any  # `Any`: JSON of a foreign client

import msgspec

from agentrecord.ingest.otlp_wire import (
    LOG,
    Received,
    any_value,
    attributes_of,
    decoded,
    identifier,
    keep,
    made,
    objects,
    scope_of,
    text,
    whole,
)
from agentrecord.records.span import Span

_WANTED = "gen_ai."


def logs_of_json(body: bytes, *, latest: datetime) -> Received:
    """Read an ExportLogsServiceRequest in JSON; raise `Undecodable` if it is none."""
    received = Received()
    for resource_logs in objects(decoded(body), "resourceLogs"):
        resource = attributes_of(resource_logs.get("resource") or {})
        for scope_logs in objects(resource_logs, "scopeLogs"):
            scope = scope_of(scope_logs.get("scope") or {})
            for record in objects(scope_logs, "logRecords"):
                keep(received, partial(_log_of_json, record, resource, scope, latest))
    return received


def _log_of_json(record: dict[str, Any], resource: dict[str, Any], scope: dict[str, Any], latest: datetime) -> Span:
    return log_of(
        str(record.get("traceId") or ""),
        str(record.get("spanId") or ""),
        text(record.get("eventName")),
        whole("timeUnixNano", record.get("timeUnixNano", 0))
        or whole("observedTimeUnixNano", record.get("observedTimeUnixNano", 0)),
        attributes_of(record),
        body=any_value(record.get("body"), 0),
        severity=whole("severityNumber", record.get("severityNumber", 0)),
        resource=resource,
        scope=scope,
        latest=latest,
    )


def log_of(
    trace_id: str,
    span_id: str,
    event_name: str,
    nanos: int,
    attributes: dict[str, Any],
    *,
    body: Any,
    severity: int,
    resource: dict[str, Any],
    scope: dict[str, Any],
    latest: datetime,
) -> Span:
    """Return a record as one more span of its trace, marked as a log; raise `ValueError` if it is not to be kept."""
    name = event_name or str(attributes.get("event.name") or "")
    if not name.startswith(_WANTED):
        raise ValueError(f"only GenAI events are kept here (their names begin with {_WANTED}), not {name[:80]!r}")
    trace = identifier("traceId", trace_id, 32)
    parent = identifier("spanId", span_id, 16) if span_id.strip("0") else None
    told = {"name": name, "body": body, "attributes": attributes, "severity": severity}
    key = hashlib.sha256(msgspec.json.encode([trace, parent, nanos, told], order="deterministic")).hexdigest()[:16]
    data = {**told, LOG: True, "resource": resource, "scope": scope}
    return made(trace, key, parent, nanos, nanos, latest, data)
