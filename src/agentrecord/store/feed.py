"""What arrived or changed, in the order of arrival: for live pages, `tail`, and whoever keeps a copy. See `_arrivals`.

Polling is the truth: whoever goes on from the place of the last stretch gets every later fact, each once, whatever
time the fact itself names and however long its transaction took. Places outlive connections and servers.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from agentrecord.codec import values
from agentrecord.engine import Connection
from agentrecord.engine.moments import to_micros
from agentrecord.exceptions import InvalidFilter
from agentrecord.records.change import ChangeKind, Changes
from agentrecord.records.scope import Scope
from agentrecord.store._arrivals import KEEP, unpack
from agentrecord.store._changed_rows import changed_rows

MAX_CHANGES = 1000
_ROWS = 200
_ROWS_BACK = 20_000
_ROWS_ON = 10_000
"""As many rows of the log as one stretch reads, however few of them are wanted."""

_BEGINNING = "1:1:"
_LONGEST_PLACE = 20_000
_SEEN = "pg_visible_in_snapshot(place::text::xid8, %s::pg_snapshot)"
_Ref = tuple[ChangeKind, UUID]


@dataclass(frozen=True, slots=True)
class _Place:
    """A place in the log: up to where a reader has read, and when it did.

    `row`, `part` and `ref` are the next to read. In PostgreSQL all that the snapshot `base` sees is behind the reader;
    while it reads what `target` sees beyond, it stands at `row`.
    """

    at: int
    row: int = 0
    part: int = 0
    ref: int = 0
    base: str = ""
    target: str = ""

    def __str__(self) -> str:
        return f"1~{self.at}~{self.row}~{self.part}~{self.ref}~{self.base}~{self.target}"


def _parsed(conn: Connection, name: str, told: str) -> _Place:
    """Return the place that `told` names; raise `InvalidFilter` for what is none."""
    parts = values.text(name, told).split("~") if len(told) <= _LONGEST_PLACE else []
    is_place = len(parts) == 7 and parts[0] == "1" and all(_is_number(part) for part in parts[1:5])
    if is_place:
        snapshots = [part for part in parts[5:] if part]
        is_place = bool(parts[5]) != conn.is_sqlite and all(_is_snapshot(part) for part in snapshots)
    if not is_place:
        raise InvalidFilter(name, told[:80], "is no place in this feed; leave it out to begin with what came last")
    at, row, part, ref = map(int, parts[1:5])
    return _Place(at, row, part, ref, base=parts[5], target=parts[6])


def _is_number(told: str) -> bool:
    return told.isascii() and told.isdigit() and len(told) < 18


def _is_snapshot(told: str) -> bool:
    bounds = told.split(":")
    if len(bounds) != 3 or not all(map(_is_number, bounds[:2])):
        return False
    low, high = int(bounds[0]), int(bounds[1])
    open_ones = [int(one) for one in bounds[2].split(",") if _is_number(one)] if bounds[2] else []
    return (
        0 < low <= high
        and (len(open_ones) == bounds[2].count(",") + 1 if bounds[2] else True)
        and all(low <= one < high for one in open_ones)
        and open_ones == sorted(set(open_ones))
    )


def place(conn: Connection, scope: Scope) -> str:
    """Return the place of the feed's end: what is told from there on arrived after this was asked."""
    return str(_end(conn, scope))


def _end(conn: Connection, scope: Scope) -> _Place:
    at = to_micros(conn.now)
    if not conn.is_sqlite:
        return _Place(at, base=str(conn.text("SELECT pg_current_snapshot()::text")[0][0]))
    sql = "SELECT place FROM ar_arrivals WHERE project_id = ? ORDER BY place DESC LIMIT 1"
    rows = conn.text(sql, (scope.project,))
    return _Place(at, row=int(rows[0][0]) + 1 if rows else 1)


def changes(
    conn: Connection,
    scope: Scope,
    after: str | None = None,
    *,
    until: str | None = None,
    kinds: Collection[ChangeKind] = (),
    limit: int = 200,
) -> Changes:
    """Return what arrived or changed since the place `after`, in the order of arrival; without it the last `limit`.

    `until`, a place that a finished stretch ended with, leaves what came later for another time; `kinds` narrows to
    some. What was deleted since is left out. Raises `InvalidFilter` for a place that is none.
    """
    if not 1 <= limit <= MAX_CHANGES:
        raise InvalidFilter("limit", limit, f"must be from 1 to {MAX_CHANGES}")
    end = _end(conn, scope)
    if after is None:
        refs = _last(conn, scope, frozenset(kinds or ChangeKind), limit)
        return Changes(items=changed_rows(conn, scope, refs), place=str(end))
    start = _parsed(conn, "after", after)
    missed = end.at - start.at > KEEP.total_seconds() * 1_000_000 or _is_beyond(start, end)
    if missed:
        start = _Place(end.at, base=_BEGINNING if start.base else "")
    stop = end if until is None else _parsed(conn, "until", until)
    refs, here, more = _stretch(conn, scope, start, stop, frozenset(kinds or ChangeKind), limit)
    return Changes(items=changed_rows(conn, scope, refs), place=str(replace(here, at=end.at)), more=more, missed=missed)


def _is_beyond(start: _Place, end: _Place) -> bool:
    """Say whether a place lies after the feed's end: it is of another record, or of one that a backup took back."""
    if start.base:
        return int(start.base.split(":")[1]) > int(end.base.split(":")[1])
    return start.row > end.row


def _stretch(
    conn: Connection, scope: Scope, start: _Place, stop: _Place, kinds: frozenset[ChangeKind], limit: int
) -> tuple[list[_Ref], _Place, bool]:
    """Return the next `limit` facts between two places, the place after them, and whether others wait there."""
    target = start.target or stop.base
    found: dict[_Ref, None] = {}
    here = start
    for _ in range(_ROWS_ON // _ROWS):
        rows = _rows(conn, scope, here, target, stop)
        for row, part, packed in rows:
            refs = unpack(bytes(packed))
            first = here.ref if (row, part) == (here.row, here.part) else 0
            for number in range(first, len(refs)):
                if len(found) == limit:
                    return list(found), replace(here, row=row, part=part, ref=number, target=target), True
                if refs[number][0] in kinds:
                    found[refs[number]] = None
            here = replace(here, row=row, part=part + 1, ref=0)
        if len(rows) < _ROWS:
            break
    else:
        return list(found), replace(here, target=target), True
    if conn.is_sqlite:
        return list(found), replace(here, row=max(here.row, stop.row), part=0, ref=0), False
    # All that `target` sees is read; whether more came since, only the next stretch tells.
    return list(found), _Place(start.at, base=target), target != stop.base


def _rows(conn: Connection, scope: Scope, here: _Place, target: str, stop: _Place) -> Sequence[tuple[int, int, bytes]]:
    mine, mark = _mine(conn, scope)
    asked = [scope.project] if scope.user is None else [scope.project, scope.user]
    within = f"{mine} AND (place, part) >= ({mark}, {mark})"
    if conn.is_sqlite:
        narrowed = "place < ?"
        bound: tuple[object, ...] = (here.row, here.part, stop.row)
    else:
        low = max(here.row, int(here.base.split(":")[0]))
        narrowed = f"{_SEEN} AND NOT {_SEEN}"
        bound = (low, here.part if here.row == low else 0, target, here.base)
    sql = f"{within} AND {narrowed} ORDER BY place, part LIMIT {_ROWS}"
    return [(int(row), int(part), packed) for row, part, packed in conn.text(sql, (*asked, *bound))]


def _mine(conn: Connection, scope: Scope) -> tuple[str, str]:
    """Return the beginning of what reads a scope's rows of the log, and the mark of a value in it."""
    mark = "?" if conn.is_sqlite else "%s"
    table = "ar_arrivals" if conn.is_sqlite else "agentrecord.ar_arrivals"
    of_user = "" if scope.user is None else f" AND user_uuid = {mark}"
    return f"SELECT place, part, refs FROM {table} WHERE project_id = {mark}{of_user}", mark


def _last(conn: Connection, scope: Scope, kinds: frozenset[ChangeKind], limit: int) -> list[_Ref]:
    """Return the last `limit` facts of some kinds, the oldest of them first."""
    found: dict[_Ref, None] = {}
    for packed in _backwards(conn, scope):
        for ref in reversed(unpack(packed)):
            if ref[0] in kinds:
                found.setdefault(ref)
                if len(found) == limit:
                    return list(found)[::-1]
    return list(found)[::-1]


def _backwards(conn: Connection, scope: Scope) -> Iterator[bytes]:
    mine, mark = _mine(conn, scope)
    asked = [scope.project] if scope.user is None else [scope.project, scope.user]
    before: tuple[int, int] | None = None
    for _ in range(_ROWS_BACK // _ROWS):
        earlier = "" if before is None else f" AND (place, part) < ({mark}, {mark})"
        sql = f"{mine}{earlier} ORDER BY place DESC, part DESC LIMIT {_ROWS}"
        rows = conn.text(sql, (*asked, *(before or ())))
        yield from (bytes(row[2]) for row in rows)
        if len(rows) < _ROWS:
            return
        before = (int(rows[-1][0]), int(rows[-1][1]))
