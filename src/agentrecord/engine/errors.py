"""A driver's error becomes ours, here and nowhere else; which ones may be tried again."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from agentrecord.exceptions import (
    AgentRecordError,
    Conflict,
    InvalidValue,
    OutcomeUnknown,
    SchemaMismatch,
    StorageFull,
    StoreUnavailable,
)

_RETRYABLE_STATES = frozenset({"40001", "40P01", "23505"})
"""Serialization failure, deadlock, and a unique clash: run again, an idempotent write sees the row that won."""


def sqlstate(error: BaseException) -> str | None:
    """Return a PostgreSQL driver error's SQLSTATE, if it has one."""
    state = getattr(error, "sqlstate", None)
    return state if isinstance(state, str) else None


def may_retry(error: BaseException) -> bool:
    """Say whether the transaction that raised `error` was undone for a passing reason and may run again."""
    return sqlstate(error) in _RETRYABLE_STATES


def is_connection_loss(error: BaseException) -> bool:
    """Say whether `error` means that the server went away."""
    state = sqlstate(error)
    if state is not None:
        return state.startswith(("08", "57P"))
    return type(error).__module__.startswith("psycopg") and type(error).__name__ in (
        "OperationalError",
        "InterfaceError",
        "PipelineAborted",
    )


def _from_sqlite(error: sqlite3.Error) -> AgentRecordError:
    said = str(error)
    if isinstance(error, sqlite3.IntegrityError):
        return Conflict("row", said, "clashes with what is stored")
    if "full" in said:
        return StorageFull(f"{said}: free some space, or purge old content (agentrecord db info shows sizes)")
    if "not a database" in said or "malformed" in said:
        return SchemaMismatch(f"{said}: this is not a readable agentrecord file (agentrecord db verify tells more)")
    if isinstance(error, sqlite3.DataError) or "too big" in said:
        return InvalidValue("value", said, "is larger than SQLite stores")
    return StoreUnavailable(f"SQLite: {said}")


def _from_postgresql(error: Exception) -> AgentRecordError | None:
    if not type(error).__module__.startswith("psycopg"):
        return None
    state = sqlstate(error) or ""
    said = str(error).splitlines()[0] if str(error) else type(error).__name__
    if state.startswith("23"):
        return Conflict("row", said, "clashes with what is stored")
    if state.startswith("22"):
        return InvalidValue("value", said, "PostgreSQL refuses it")
    if state == "53100":
        return StorageFull(f"PostgreSQL: {said}")
    if state in ("42501", "25006"):
        return StoreUnavailable(f"PostgreSQL: {said}: the role may not do this")
    return StoreUnavailable(f"PostgreSQL: {said}")


def translate(error: Exception) -> Exception:
    """Return `error` as one of ours, or as it is if it is none of a driver's."""
    if isinstance(error, AgentRecordError):
        return error
    if isinstance(error, sqlite3.Error):
        return _from_sqlite(error)
    if isinstance(error, OverflowError):
        return InvalidValue("value", str(error), "does not fit into 64 bits")
    if isinstance(error, UnicodeEncodeError):
        return InvalidValue("value", str(error), "holds a lone surrogate, which no engine stores; remove it")
    return _from_postgresql(error) or error


@contextmanager
def translated() -> Iterator[None]:
    """Turn a driver's error raised inside into ours, the cause kept."""
    try:
        yield
    except (sqlite3.Error, OverflowError) as error:
        raise translate(error) from error
    except Exception as error:
        ours = translate(error)
        if ours is error:
            raise
        raise ours from error


def unknown_outcome(error: BaseException) -> OutcomeUnknown:
    """Return the error for a connection that was lost while it committed."""
    return OutcomeUnknown(
        f"the connection was lost during COMMIT ({error}): send the same write again, it is stored once"
    )
