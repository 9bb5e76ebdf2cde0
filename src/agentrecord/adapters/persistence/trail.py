"""Audit events of agents: kept in the record's own chain, shown as their frameworks know them."""

import json
import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast  # `Any`: an audit event holds whatever its writer put in

from agentrecord.adapters.persistence.convert import to_local
from agentrecord.codec import values
from agentrecord.exceptions import InvalidValue
from agentrecord.records.audit import ChainedEntry

RUN = "run"
_DEPTH = 32
_TOLD = ("agent_id", "run_id", "actor_type", "actor_id", "action", "resource", "resource_type", "metadata", "timestamp")


def storable(value: Any, depth: int = _DEPTH) -> Any:
    """Return what JSON and every engine can hold of a value; what neither can becomes text."""
    if isinstance(value, Mapping) and depth:
        items = value.items()
        return {values.clean_text(str(key)): storable(item, depth - 1) for key, item in items}
    if isinstance(value, (list, tuple)) and depth:
        return [storable(item, depth - 1) for item in cast("list[Any]", value)]
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and values.MIN_INTEGER <= value <= values.MAX_INTEGER:
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    return values.clean_text(value if isinstance(value, str) else str(value))


def entry_of(event: Any) -> dict[str, Any]:
    """Return an audit event, given as a mapping, as the arguments of `store.audit.record`."""
    if not isinstance(event, Mapping):
        raise InvalidValue("event", event, "is no audit event; give a mapping of agent_id, run_id, action and so on")
    told = cast("Mapping[str, Any]", event)
    at = told.get("timestamp")
    if at is not None and not isinstance(at, datetime):
        raise InvalidValue("timestamp", at, "must be a datetime; leave it out for now")
    said = {name: told.get(name) for name in _TOLD}
    said["actor_type"] = said["actor_type"] or "agent"
    said["metadata"] = said["metadata"] or {}
    said["timestamp"] = None if at is None else at.isoformat()
    return {
        "action": said["action"],
        "object_kind": RUN,
        "object_id": "" if said["run_id"] is None else said["run_id"],
        "actor_kind": said["actor_type"],
        "actor": said["actor_id"] or said["agent_id"] or "unknown",
        "details": json.dumps(storable(said), ensure_ascii=False),
    }


def event_of(chained: ChainedEntry) -> dict[str, Any]:
    """Return an entry as an audit event, with its place in the chain."""
    entry = chained.entry
    told: dict[str, Any] = json.loads(entry.details or "{}")
    shown = to_local(entry.created_at)
    created = "" if shown is None else shown.isoformat()
    return {
        "id": entry.sequence,
        **told,
        "timestamp": told.get("timestamp") or created,
        "prev_hash": None if chained.previous_hash is None else chained.previous_hash.hex(),
        "hash": entry.chain_hash.hex(),
        "created_at": created,
    }
