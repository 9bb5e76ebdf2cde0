"""The audit trail: who did what, chained per project so that a change in one entry shows.

h(n) = SHA-256(h(n-1) ‖ SHA-256(salt ‖ what the entry says)): the content can go, by erasure, and the chain still
verifies.
"""

import hashlib
from collections.abc import Mapping
from typing import Any  # `Any`: rows hold whatever their columns hold

from sqlalchemy import select

from agentrecord.codec import values
from agentrecord.engine import Connection
from agentrecord.records.audit import Actor, AuditEntry
from agentrecord.records.page import Page
from agentrecord.records.scope import Scope
from agentrecord.schema import audit_entries, audit_heads
from agentrecord.store._page import page
from agentrecord.store._sql import insert_into, insert_or_add, insert_or_replace

_ADD = insert_into(audit_entries)
_TAKE = insert_or_add(audit_heads, ("project_id",), add=("last_sequence",))
_SET_HEAD = insert_or_replace(audit_heads, ("project_id",), update=("last_sequence", "chain_hash"))
_COLUMNS = [c for c in audit_entries.c if c.name != "project_id"]
START = bytes(32)


def _said(row: dict[str, Any]) -> bytes:
    names = ("actor_kind", "actor", "action", "object_kind", "object_id", "details", "origin")
    return "\x1f".join([*(str(row[name] or "") for name in names), row["created_at"].isoformat()]).encode()


def record(
    conn: Connection,
    scope: Scope,
    action: str,
    object_kind: str,
    object_id: str,
    *,
    actor_kind: str = "system",
    actor: str = "agentrecord",
    details: str | None = None,
    origin: str | None = None,
) -> AuditEntry:
    """Record an act; `details` is JSON text."""
    conn.run(_TAKE, {"project_id": scope.project, "last_sequence": 1, "chain_hash": START})
    head = conn.first(select(audit_heads).where(audit_heads.c.project_id == scope.project))
    sequence, last = (head[1], head[2]) if head else (1, START)
    row: dict[str, Any] = {
        "project_id": scope.project,
        "id": conn.new_id(),
        "sequence": sequence,
        "actor_kind": values.name("actor_kind", actor_kind),
        "actor": values.name("actor", actor),
        "action": values.name("action", action),
        "object_kind": values.name("object_kind", object_kind),
        "object_id": values.text("object_id", object_id),
        "details": None if details is None else values.json_text("details", details),
        "origin": None if origin is None else values.text("origin", origin),
        "created_at": conn.now,
    }
    row["salt"] = hashlib.sha256(conn.new_id().bytes).digest()[:16]
    row["content_hash"] = hashlib.sha256(row["salt"] + _said(row)).digest()
    row["chain_hash"] = hashlib.sha256(last + row["content_hash"]).digest()
    conn.run(_ADD, row)
    conn.run(_SET_HEAD, {"project_id": scope.project, "last_sequence": sequence, "chain_hash": row["chain_hash"]})
    return AuditEntry(**{name: value for name, value in row.items() if name != "project_id"})


def record_by(
    conn: Connection,
    scope: Scope,
    by: Actor,
    action: str,
    object_kind: str,
    object_id: str,
    details: Mapping[str, values.JsonValue] | None = None,
) -> AuditEntry:
    """Record an act of somebody, in the transaction of the act itself."""
    told = None if details is None else values.json_value("details", dict(details))
    return record(
        conn, scope, action, object_kind, object_id,
        actor_kind=by.kind, actor=by.name, origin=by.origin, details=told,
    )  # fmt: skip


def list_(conn: Connection, scope: Scope, *, limit: int = 50, cursor: str | None = None) -> Page[AuditEntry]:
    """Return the project's audit entries, the newest first."""
    return page(
        conn, select(*_COLUMNS).where(audit_entries.c.project_id == scope.project),
        lambda row: AuditEntry(**{k: v for k, v in row.items() if k != "page_key"}),
        sorts={"sequence": audit_entries.c.sequence}, sort="-sequence",
        row_id=audit_entries.c.id, limit=limit, cursor=cursor,
    )  # fmt: skip


def verify(conn: Connection, scope: Scope) -> tuple[int, ...]:
    """Return the sequences of entries whose content or chain does not fit; empty when nothing was tampered with."""
    rows = conn.maps(
        select(*_COLUMNS).where(audit_entries.c.project_id == scope.project).order_by(audit_entries.c.sequence)
    )
    wrong, last, expected = [], START, 1
    for row in rows:
        content = hashlib.sha256(row["salt"] + _said(row)).digest()
        chain = hashlib.sha256(last + row["content_hash"]).digest()
        if row["sequence"] != expected or content != row["content_hash"] or chain != row["chain_hash"]:
            wrong.append(row["sequence"])
        last, expected = row["chain_hash"], row["sequence"] + 1
    head = conn.first(select(audit_heads).where(audit_heads.c.project_id == scope.project))
    if head is not None and (head[1], head[2]) != (expected - 1, last):
        # Entries are missing at the end.
        wrong.append(expected)
    return tuple(wrong)
