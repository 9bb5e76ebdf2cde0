"""What people ask of the record in SQL: the answer, and the tables that can be asked."""

from dataclasses import dataclass

Cell = str | int | float | bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlAnswer:
    """The rows that a query gave; `cut_because` says which limit left some out, None where all are there.

    Instants are as they are stored, microseconds since 1970; ids are text, and bytes are in hexadecimal.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    cut_because: str | None
    duration_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlTable:
    """A table or view that can be asked, and its columns."""

    name: str
    is_view: bool
    columns: tuple[str, ...]
