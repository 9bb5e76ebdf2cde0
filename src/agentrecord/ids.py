"""Identities: UUIDv7 (RFC 9562) for every row, so that ids sort by time and merge between machines."""

import hashlib
from datetime import datetime
from typing import NewType
from uuid import UUID

from uuid_utils.compat import uuid7

ProjectId = NewType("ProjectId", UUID)
UserId = NewType("UserId", UUID)

NIL = UUID(int=0)
"""Stands for "none" in keys of rollup tables, where a null could not be part of a unique key."""

DEFAULT_PROJECT = ProjectId(UUID("00000000-0000-7000-8000-000000000001"))
"""The project `default`, the same in every record, so that it needs no look-up."""


def new_id() -> UUID:
    """Return a fresh UUIDv7."""
    return uuid7()


def derived_id(at: datetime | int, *parts: object) -> UUID:
    """Return the UUIDv7 that stands for `parts` at the instant `at`, always the same one.

    `at` is an aware datetime or microseconds since 1970; its milliseconds fill the first 48 bits,
    SHA-256 of the parts the other 74. What is imported twice so gets the same row id twice.
    """
    micros = at if isinstance(at, int) else int(at.timestamp() * 1_000_000)
    milliseconds = min(max(micros // 1000, 0), (1 << 48) - 1)
    digest = hashlib.sha256("\x1f".join(map(str, parts)).encode("utf-8", "surrogatepass")).digest()
    tail = int.from_bytes(digest[:10], "big")
    high = (tail >> 62) & 0xFFF
    low = tail & ((1 << 62) - 1)
    return UUID(int=milliseconds << 80 | 0x7 << 76 | high << 64 | 0b10 << 62 | low)


def id_in(text: str) -> UUID | None:
    """Return the id that a text is, however it is written; None if it is none."""
    try:
        return UUID(text)
    except ValueError:
        return None
