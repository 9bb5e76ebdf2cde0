"""How a table is declared: `project_id` first in every key, text sizes left to the validator."""

from typing import Any  # `Any`: SQLAlchemy columns are generic over values it does not know

from sqlalchemy import (
    Column,
    ColumnElement,
    ForeignKeyConstraint,
    Index,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    UniqueConstraint,
    text,
)
from sqlalchemy.sql.schema import SchemaItem

from agentrecord.schema.types import ColumnType, Id, Micros, Whole, Words

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

WHERE = "where"
"""Under what an index keeps its condition."""

GLOBAL_TABLES = frozenset(
    {
        "ar_projects",
        "ar_hosts",
        "ar_models",
        "ar_prices",
        "ar_schema",
        "ar_settings",
        "ar_accounts",
        "ar_memberships",
        "ar_sign_ins",
        "ar_refresh_tokens",
        "ar_sign_in_attempts",
        "ar_api_keys",
    }
)
"""Tables that are the same for every project, or are looked up before the project is known."""


def column(name: str, kind: ColumnType, *, null: bool = False, default: str | None = None) -> Column[Any]:
    """Return a column; NOT NULL unless `null`."""
    # Never counted by the server: a sequence is one machine's.
    return Column(
        name, kind, nullable=null, server_default=None if default is None else text(default), autoincrement=False
    )


def optional(name: str, kind: ColumnType | None = None) -> Column[Any]:
    """Return a column that may be unknown; text unless `kind` says otherwise."""
    return column(name, kind or Words(), null=True)


def count(name: str) -> Column[Any]:
    """Return a counter that starts at zero."""
    return column(name, Whole(), default="0")


def counters(*names: str) -> list[Column[Any]]:
    """Return counters that start at zero."""
    return [count(name) for name in names]


def define(
    name: str, *items: SchemaItem, primary_key: tuple[str, ...] = ("project_id", "id"), clustered: bool = False
) -> Table:
    """Declare a table, STRICT in SQLite; `clustered` if SQLite shall keep small rows in their key's order, once."""
    key = PrimaryKeyConstraint(*primary_key)
    return Table(
        name, metadata, *items, key, sqlite_strict=True, sqlite_with_rowid=not clustered, implicit_returning=False
    )


def project_id() -> Column[Any]:
    """Return the isolation key."""
    return column("project_id", Id())


def row_id() -> Column[Any]:
    """Return the UUIDv7 of a row."""
    return column("id", Id())


def serial() -> Column[Any]:
    """Return the integer id that documented doors show."""
    return optional("serial", Whole())


def at(name: str, *, null: bool = False) -> Column[Any]:
    """Return an instant."""
    return column(name, Micros(), null=null)


def belongs_to(table: str, *columns: str) -> ForeignKeyConstraint:
    """Return a foreign key within the project, the first of `columns` after `project_id` naming the row."""
    return ForeignKeyConstraint(["project_id", *columns], [f"{table}.project_id", f"{table}.id"])


def unique(*columns: str) -> UniqueConstraint:
    """Return a unique constraint."""
    return UniqueConstraint(*columns)


def index(name: str, *columns: Any, unique: bool = False, where: ColumnElement[bool] | None = None) -> Index:
    """Return an index, over the rows alone that are as `where` says.

    That condition is kept in `info`: said as each dialect's option, it would have all dialects imported.
    """
    return Index(name, *columns, unique=unique, info={} if where is None else {WHERE: where})


def with_condition(one: Index, dialect: str) -> Index:
    """Return an index whose condition, if it has one, goes into its DDL in `dialect`."""
    if WHERE in one.info:
        one.dialect_kwargs[f"{dialect}_where"] = one.info[WHERE]
    return one


USAGE_COUNTERS = (
    "calls",
    "failed_calls",
    "unpriced_calls",
    "uncounted_calls",
    "input_tokens",
    "cache_read_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
    "output_tokens",
    "reasoning_tokens",
    "unclassified_tokens",
    "cost_nanos",
    "latency_ms_sum",
    "latency_count",
)
"""The sums over calls that sessions, runs, messages and the rollups all keep: the fields of `UsageTotals`."""

SUBAGENT_COUNTERS = tuple(f"subagent_{name}" for name in USAGE_COUNTERS)
"""What of a session's sums sub-agents' calls are: the rest is known without reading a call."""
