"""What was imported from where, and which lines could not be read."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedFile:
    """A file that was read to its end: unchanged since, it need not be read again."""

    id: UUID
    source: str
    path: str
    size_bytes: int
    modified_ns: int
    fingerprint: str
    facts: int
    unreadable: int
    imported_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class UnreadableLine:
    """A line that could not be read: where it is, why, and its first characters."""

    id: UUID
    source: str
    path: str
    line: int
    reason: str
    excerpt: str
    was_kept: bool = False
    created_at: datetime
