"""Which call asked for which tools, and what each tool is charged for it: kept in the transaction of what it follows.

The rule: the last call of the same run (outside any run, of the same session) that was made before the use of a tool
began, by the same user, asked for it. So a call or a use that comes, goes or moves can change what the call before it
asked for, too, and nothing else: these few are looked at again, and what changed is taken off the sums and added.

That happens while the run or session is locked, which orders all who write there. The calls themselves are not locked:
whoever replaces one has it locked before its place, and the two would wait for each other.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple  # `Any`: rows hold whatever their columns hold
from uuid import UUID

from agentrecord.engine import Connection
from agentrecord.ids import NIL, ProjectId
from agentrecord.schema import call_tools, llm_calls
from agentrecord.schema.usage import DIMENSIONS
from agentrecord.store import _tool_places as places
from agentrecord.store._call_counts import call_counts
from agentrecord.store._lookup import rows_by
from agentrecord.store._sql import insert_into
from agentrecord.store._tool_places import Place, place_of
from agentrecord.store._tool_sums import ToolSums

_FEW = 4
"""So many uses of a place are looked up one by one, which for a live one is a single statement."""

_NOTHING: frozenset[str] = frozenset()
_ADD = insert_into(call_tools)
_USER = DIMENSIONS.index("user_uuid")


class _Call(NamedTuple):
    """What of a call decides for what it is counted: where and when it was, whose, and what it adds."""

    place: Place | None
    at: datetime
    key: tuple[Any, ...]
    counts: tuple[int, ...]


class _Touched:
    """When calls of a place came or went, and how often each tool was used more or less, by when."""

    __slots__ = ("calls", "uses")

    def __init__(self) -> None:
        self.calls: list[datetime] = []
        self.uses: list[tuple[datetime, str, int]] = []

    def moments(self) -> list[datetime]:
        return [*self.calls, *(at for at, _, _ in self.uses)]


class ToolShares:
    """What one transaction changes in what calls asked for, and in what tools are charged."""

    def __init__(self, project: ProjectId) -> None:
        """Start with nothing changed."""
        self._project = project
        self._calls: dict[UUID, list[_Call | None]] = {}
        self._uses: defaultdict[tuple[Place, datetime, str], int] = defaultdict(int)
        self._sums = ToolSums(project)

    def called(self, row: Mapping[str, Any], counts: tuple[int, ...], sign: int = 1) -> None:
        """Know of a call that was stored, or with `sign` -1 is no longer as `row` says."""
        place, known = place_of(row), self._calls.get(row["id"])
        if place is None and known is None:
            return
        call = _call(row, place, counts)
        if known is None:
            self._calls[row["id"]] = [None, call] if sign > 0 else [call, None]
        else:
            known[1] = call if sign > 0 else None

    def used(self, row: Mapping[str, Any], count: int) -> None:
        """Know of a use of a tool that was stored, or with a `count` of -1 is no longer as `row` says."""
        place = place_of(row)
        if place is not None:
            self._uses[place, row["started_at"] or row["created_at"], row["tool_name"]] += count

    def apply(self, conn: Connection) -> None:
        """Look again at what was touched and write what changed; the places are locked by now, the rows stored."""
        self.settle(conn)
        self._sums.apply(conn)

    def settle(self, conn: Connection) -> None:
        """Look again at what was touched, and gather what changes in the sums."""
        if not self._calls and not self._uses:
            return
        looked = _Looked(conn, self._project)
        for place, touched in self._touched().items():
            if not touched.calls and len(touched.uses) <= _FEW and all(count > 0 for _, _, count in touched.uses):
                looked.at_uses(place, touched.uses)
            else:
                looked.at_window(place, touched)
        if looked.windows:
            looked.at_windows()
        for call, (before, now) in self._calls.items():
            if now is None or now.place is None:
                looked.asked[call] = _NOTHING
            elif before is not None:
                looked.asked.setdefault(call, None if _is_where_it_was(before, now) else _NOTHING)
        if looked.asked:
            self._take_over(conn, looked)
        self._calls.clear()
        self._uses.clear()

    def _touched(self) -> dict[Place, _Touched]:
        found: defaultdict[Place, _Touched] = defaultdict(_Touched)
        for before, now in self._calls.values():
            if before is not None and now is not None and _is_where_it_was(before, now):
                continue
            for one in (before, now):
                if one is not None and one.place is not None:
                    found[one.place].calls.append(one.at)
        for (place, at, name), count in self._uses.items():
            if count:
                found[place].uses.append((at, name, count))
        return found

    def _take_over(self, conn: Connection, looked: "_Looked") -> None:
        """Compare what calls asked for now with what is kept, and count the difference."""
        kept = looked.kept_of(call for call, (before, _) in self._calls.items() if before is None)
        changed = {
            call: names
            for call, names in looked.asked.items()
            if call in self._calls or (names is not None and names != kept.get(call, _NOTHING))
        }
        others = looked.calls_of(call for call in changed if call not in self._calls)
        gone: list[tuple[UUID, str]] = []
        fresh: list[tuple[UUID, str, UUID]] = []
        for call, names in changed.items():
            old = kept.get(call, _NOTHING)
            new = old if names is None else names
            before, now = self._calls[call] if call in self._calls else (others[call], others[call])
            if (old, before) == (new, now):
                continue
            if before is not None:
                self._sums.add(before.at, before.key, before.counts, old, -1)
            if now is not None:
                self._sums.add(now.at, now.key, now.counts, new)
            is_moved = before is not None and now is not None and before.key[_USER] != now.key[_USER]
            gone.extend((call, name) for name in (old if is_moved else old - new))
            if now is not None:
                fresh.extend((call, name, now.key[_USER]) for name in (new if is_moved else new - old))
        looked.write(gone, fresh)


def _call(row: Mapping[str, Any], place: Place | None, counts: tuple[int, ...]) -> _Call:
    key = tuple([row[name] if row[name] is not None else NIL for name in DIMENSIONS])
    return _Call(place, row["timestamp"], key, counts)


def _is_where_it_was(before: _Call, now: _Call) -> bool:
    return (before.place, before.at) == (now.place, now.at)


class _Looked:
    """What is looked up, and found out, about the calls of touched places."""

    def __init__(self, conn: Connection, project: ProjectId) -> None:
        self._conn = conn
        self._project = project
        self._kept: dict[UUID, frozenset[str]] = {}
        self._found: dict[UUID, _Call] = {}
        self.windows: dict[Place, _Touched] = {}
        self.asked: dict[UUID, frozenset[str] | None] = {}
        """What each call asked for by the rule; None for what is kept of it."""

    def at_uses(self, place: Place, uses: Iterable[tuple[datetime, str, int]]) -> None:
        """Look at the calls that asked for uses that came."""
        for at, name, _ in uses:
            rows = places.asking(self._conn, self._project, place, at)
            if not rows:
                continue
            call, kept = rows[0]["id"], frozenset(row["tool_name"] for row in rows if row["tool_name"] is not None)
            if name not in kept:
                self._found[call] = _call(rows[0], place, call_counts(rows[0]))
                self._kept[call] = kept
                self.asked[call] = (self.asked.get(call) or kept) | {name}

    def at_window(self, place: Place, touched: _Touched) -> None:
        """Look, in a while, at the calls of a place from the one before what was touched to the last that was."""
        self.windows[place] = touched

    def at_windows(self) -> None:
        """Look at the calls of all places that wait for it."""
        # A call after which nothing was used changes nothing: as a rule, that is every call that is made live.
        last = {place: min(touched.calls) for place, touched in self.windows.items() if not touched.uses}
        used = places.used_since(self._conn, self._project, last) if last else set[Place]()
        for place, touched in self.windows.items():
            if touched.uses or place in used:
                moments = touched.moments()
                self.asked.update(places.asked_in(self._conn, self._project, place, min(moments), max(moments)))

    def kept_of(self, fresh: Iterable[UUID]) -> Mapping[UUID, frozenset[str]]:
        """Return what calls were counted for up to now; those that are `fresh`, for nothing."""
        new = set(fresh)
        wanted = [call for call in self.asked if call not in self._kept and call not in new]
        if not wanted:
            return self._kept
        found: defaultdict[UUID, set[str]] = defaultdict(set)
        columns = ("llm_call_uuid", "tool_name")
        for row in rows_by(self._conn, self._project, call_tools, "llm_call_uuid", wanted, columns=columns):
            found[row["llm_call_uuid"]].add(row["tool_name"])
        return {**self._kept, **{call: frozenset(names) for call, names in found.items()}}

    def calls_of(self, wanted: Iterable[UUID]) -> Mapping[UUID, _Call]:
        """Return calls as they are stored: who charges one anew looks again once its place is free."""
        missing = [call for call in wanted if call not in self._found]
        if not missing:
            return self._found
        rows = rows_by(self._conn, self._project, llm_calls, "id", missing, columns=places.CALL_COLUMNS)
        return {**self._found, **{row["id"]: _call(row, place_of(row), call_counts(row)) for row in rows}}

    def write(self, gone: Sequence[tuple[UUID, str]], fresh: Sequence[tuple[UUID, str, UUID]]) -> None:
        """Keep what calls asked for."""
        self._conn.many(
            places.FORGET, [{"project": self._project, "call": call, "tool": name} for call, name in sorted(gone)]
        )
        self._conn.many(
            _ADD,
            [
                {"project_id": self._project, "llm_call_uuid": call, "tool_name": name, "user_uuid": user}
                for call, name, user in sorted(fresh)
            ],
        )
