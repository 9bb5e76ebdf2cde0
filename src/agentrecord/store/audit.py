"""The audit trail: who did what, chained per project so that a change in one entry shows.

h(n) = SHA-256(h(n-1) ‖ SHA-256(salt ‖ what the entry says)): the content can go, by erasure, and the chain still
verifies.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any  # `Any`: rows hold whatever their columns hold
from uuid import UUID

from sqlalchemy import and_, select, update

from agentrecord.codec import values
from agentrecord.engine import Connection
from agentrecord.exceptions import InvalidFilter
from agentrecord.records.audit import SYSTEM, Actor, AuditEntry, ChainedEntry
from agentrecord.records.page import Page
from agentrecord.records.scope import Scope
from agentrecord.schema import audit_entries, audit_heads
from agentrecord.store._page import page
from agentrecord.store._sql import insert_into, insert_or_add, insert_or_replace

_ADD = insert_into(audit_entries)
_TAKE = insert_or_add(audit_heads, ("project_id",), add=("last_sequence",))
_SET_HEAD = insert_or_replace(audit_heads, ("project_id",), update=("last_sequence", "chain_hash"))
_COLUMNS = [c for c in audit_entries.c if c.name != "project_id"]
REDACTED = "audit.redacted"
START = bytes(32)
MAX_ENTRIES = 2**31 - 1


def _said(row: Mapping[str, Any]) -> bytes:
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
    row["content_hash"] = _content_hash(row)
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


def trail(
    conn: Connection, scope: Scope, object_kind: str, object_id: str | None = None, *, limit: int = 100
) -> tuple[ChainedEntry, ...]:
    """Return what was done to one object, or to all of its kind, the newest first; `limit` may be of any size."""
    if not 0 <= limit <= MAX_ENTRIES:
        raise InvalidFilter("limit", limit, f"must be from 0 to {MAX_ENTRIES}")
    conditions = [audit_entries.c.project_id == scope.project, audit_entries.c.object_kind == object_kind]
    if object_id is not None:
        conditions.append(audit_entries.c.object_id == object_id)
    before = audit_entries.alias("before")
    joined = audit_entries.outerjoin(
        before,
        and_(before.c.project_id == audit_entries.c.project_id, before.c.sequence == audit_entries.c.sequence - 1),
    )
    rows = conn.maps(
        select(*_COLUMNS, before.c.chain_hash.label("previous_hash"))
        .select_from(joined)
        .where(*conditions)
        .order_by(audit_entries.c.sequence.desc())
        .limit(limit)
    )
    return tuple(ChainedEntry(previous_hash=row.pop("previous_hash"), entry=AuditEntry(**row)) for row in rows)


def is_of_work(kind: str) -> bool:
    """Say whether the objects of a kind are sessions or runs: what else is called like one of them is not meant."""
    return "session" in kind or "run" in kind


def redact(
    conn: Connection, scope: Scope, entries: Sequence[UUID], names: Mapping[str, str], works: Mapping[str, str]
) -> None:
    """Write other names into entries, in the place of somebody's who is erased; the chain still verifies.

    `works` are the names of sessions and runs, which nothing else is called by. An entry of its own tells which were
    changed, and what they say since: nothing else in them can change unseen.
    """
    mine = (audit_entries.c.project_id == scope.project, audit_entries.c.id.in_(entries))
    changed: dict[str, values.JsonValue] = {}
    for row in conn.maps(select(*_COLUMNS).where(*mine).order_by(audit_entries.c.sequence)):
        called = {**works, **names} if is_of_work(row["object_kind"]) else names
        parts = "/".join(called.get(part, part) for part in _parts(row["object_id"], called))
        new = {"object_id": parts, "actor": names.get(row["actor"], row["actor"]), "details": None}
        if row["actor"] in names:
            # The address is theirs.
            new["origin"] = None
        conn.run(
            update(audit_entries).where(audit_entries.c.project_id == scope.project, audit_entries.c.id == row["id"])
            .values(**new)
        )  # fmt: skip
        changed[str(row["sequence"])] = _content_hash({**row, **new}).hex()
    if changed:
        record_by(conn, scope, SYSTEM, REDACTED, "audit", "names", changed)


def _parts(object_id: str, names: Mapping[str, str]) -> list[str]:
    """Return an object's id cut at its slashes, but for names, which may hold some."""
    if object_id in names:
        return [object_id]
    for name in names:
        if object_id.startswith(name + "/"):
            return [name, *_parts(object_id[len(name) + 1 :], names)]
        if object_id.endswith("/" + name):
            return [*_parts(object_id[: -len(name) - 1], names), name]
    return [object_id]


def _content_hash(row: Mapping[str, Any]) -> bytes:
    return hashlib.sha256(row["salt"] + _said(row)).digest()


def _redacted(rows: Sequence[Mapping[str, Any]]) -> dict[int, bytes]:
    """Return what entries say since a name was taken out of them, as a hash, by their sequence."""
    found: dict[int, bytes] = {}
    for row in rows:
        if row["action"] == REDACTED and row["object_kind"] == "audit" and _content_hash(row) == row["content_hash"]:
            told = json.loads(row["details"] or "{}")
            found.update({int(sequence): bytes.fromhex(text) for sequence, text in told.items()})
    return found


def verify(conn: Connection, scope: Scope) -> tuple[int, ...]:
    """Return the sequences of entries whose content or chain does not fit; empty when nothing was tampered with."""
    rows = conn.maps(
        select(*_COLUMNS).where(audit_entries.c.project_id == scope.project).order_by(audit_entries.c.sequence)
    )
    wrong, last, expected, redacted = [], START, 1, _redacted(rows)
    for row in rows:
        content = _content_hash(row)
        if content == redacted.get(row["sequence"]):
            content = row["content_hash"]
        chain = hashlib.sha256(last + row["content_hash"]).digest()
        if row["sequence"] != expected or content != row["content_hash"] or chain != row["chain_hash"]:
            wrong.append(row["sequence"])
        last, expected = row["chain_hash"], row["sequence"] + 1
    head = conn.first(select(audit_heads).where(audit_heads.c.project_id == scope.project))
    if head is not None and (head[1], head[2]) != (expected - 1, last):
        # Entries are missing at the end.
        wrong.append(expected)
    return tuple(wrong)
