"""Audit entries: who did what to which row, from where."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who does something: the `kind` of identity, its `name`, and the address that it came from."""

    kind: str = "system"
    name: str = "agentrecord"
    origin: str | None = None


SYSTEM = Actor()
"""The program itself, and whoever runs it on the record's own computer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One audited act; entries of a project form a hash chain, so that a change in one shows."""

    id: UUID
    sequence: int
    actor_kind: str
    actor: str
    action: str
    object_kind: str
    object_id: str
    details: str | None = None
    origin: str | None = None
    created_at: datetime
    salt: bytes
    content_hash: bytes
    chain_hash: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainedEntry:
    """An audited act with the hash of the one before it, which its own is made of; None before the first."""

    entry: AuditEntry
    previous_hash: bytes | None
