"""Column types: how a Python value lies in SQLite (STRICT tables) and in PostgreSQL.

Values are encoded by their Python type alone (`engine.connection`), so that every statement, compiled or not,
binds them alike; these types say what DDL to write and how a stored value is read back.
"""

from collections.abc import Callable
from enum import StrEnum
from typing import Any, cast  # `Any`: SQLAlchemy's TypeDecorator is generic over values it does not know
from uuid import UUID

import msgspec
from sqlalchemy import BIGINT, BOOLEAN, DOUBLE_PRECISION, INTEGER, REAL, TEXT, Dialect, types

from agentrecord.engine.moments import from_micros

Decoder = Callable[[Any], object]


class ColumnType(types.TypeDecorator[Any]):
    """A type of ours: one SQL type per dialect, and a decoder where the driver's value is not ours."""

    impl: type[types.TypeEngine[Any]] = TEXT  # pyright: ignore[reportIncompatibleVariableOverride]
    cache_ok = True
    on_sqlite: types.TypeEngine[Any] = TEXT()
    on_postgresql: types.TypeEngine[Any] = TEXT()
    is_stored_as_is = False
    """Whether every driver takes our values without encoding."""

    def load_dialect_impl(self, dialect: Dialect) -> types.TypeEngine[Any]:
        """Choose the SQL type."""
        return self.on_sqlite if dialect.name == "sqlite" else self.on_postgresql

    def decoder(self, dialect_name: str) -> Decoder | None:
        """Return what turns a driver's value into ours; None where it is ours already."""
        return None


class Id(ColumnType):
    """A UUID: 16 bytes in SQLite, `uuid` in PostgreSQL."""

    impl = types.LargeBinary
    cache_ok = True
    on_sqlite = types.BLOB()
    on_postgresql = types.UUID()

    def decoder(self, dialect_name: str) -> Decoder | None:
        """Read bytes as a UUID."""
        return (lambda value: UUID(bytes=value)) if dialect_name == "sqlite" else None


class Micros(ColumnType):
    """An instant: microseconds since 1970, UTC."""

    impl = types.BigInteger
    cache_ok = True
    on_sqlite = INTEGER()
    on_postgresql = BIGINT()

    def decoder(self, dialect_name: str) -> Decoder | None:
        """Read microseconds as an aware datetime."""
        return from_micros


class Whole(ColumnType):
    """A 64-bit integer."""

    impl = types.BigInteger
    cache_ok = True
    is_stored_as_is = True
    on_sqlite = INTEGER()
    on_postgresql = BIGINT()


class Real(ColumnType):
    """A double-precision number."""

    impl = types.Float
    cache_ok = True
    is_stored_as_is = True
    on_sqlite = REAL()
    on_postgresql = DOUBLE_PRECISION()


class Flag(ColumnType):
    """Yes or no."""

    impl = types.Boolean
    cache_ok = True
    on_sqlite = INTEGER()
    on_postgresql = BOOLEAN()

    def decoder(self, dialect_name: str) -> Decoder | None:
        """Read SQLite's 0 and 1 as bool."""
        return bool if dialect_name == "sqlite" else None


class Words(ColumnType):
    """Text, JSON text included: kept as it came, byte for byte."""

    cache_ok = True
    is_stored_as_is = True


class Blob(ColumnType):
    """Bytes."""

    impl = types.LargeBinary
    cache_ok = True
    on_sqlite = types.BLOB()
    on_postgresql = types.LargeBinary()

    def decoder(self, dialect_name: str) -> Decoder | None:
        """Read a driver's buffer as bytes."""
        return bytes


class WordList(ColumnType):
    """A tuple of texts, as a JSON array."""

    cache_ok = True

    def decoder(self, dialect_name: str) -> Decoder | None:
        """Read a JSON array as a tuple."""
        return lambda value: tuple(cast(list[str], msgspec.json.decode(value)))


class EnumText(ColumnType):
    """A closed set of words."""

    cache_ok = True

    def __init__(self, members: type[StrEnum]) -> None:
        """Take the set."""
        super().__init__()
        self.members = members

    def decoder(self, dialect_name: str) -> Decoder | None:
        """Read a word as its member."""
        return self.members
