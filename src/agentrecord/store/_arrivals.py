"""The log of what arrived: who writes it, and how a place in it is told.

A reader that follows the facts' own times, or their ids, loses what comes late: an import of last year's transcripts,
a span that was exported after its parent, a transaction that took its ids early and committed late. So each
transaction that stores or changes facts adds one row per user to `ar_arrivals`, as its last statement: the kinds and
ids of all of them, packed. Where many callers share a commit they share the row too, so that a durable turn pays for
one small INSERT at most, and for no lock: the row is new.

*SQLite* has one writer at a time, from BEGIN IMMEDIATE to COMMIT, so that the next number is taken safely inside the
transaction and the order of the numbers is the order of the commits: a place is a number.

*PostgreSQL* has many, and no number that is taken before COMMIT says who becomes visible first. The row therefore
carries its transaction's own id, and a place is a snapshot: whatever is visible now and was not visible then has
arrived since, however long its transaction was open. That needs no lock, no waiting for the oldest transaction, and
neither misses nor repeats a row, whatever the number of writers. Where a project lives on one node of many (Citus),
ids and snapshots are the coordinator's. A record that was restored on another server holds ids that this one has yet
to reach: such a row tells nobody anything, gives way to the transaction whose id it has, and is swept.

The log is kept for `KEEP`; a reader that was away for longer is told that it missed something.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, cast  # `Any`: SQLAlchemy's constructs are generic over values they do not know
from uuid import UUID

from sqlalchemy import BIGINT, TEXT, Dialect, Executable, bindparam, delete, func, insert, literal_column, select
from sqlalchemy import cast as sql_cast

from agentrecord.engine import Connection, Prepared
from agentrecord.ids import ProjectId
from agentrecord.records.change import ChangeKind
from agentrecord.records.scope import Scope
from agentrecord.schema import arrivals
from agentrecord.store._sql import PerDialect, insert_for

KEEP = timedelta(days=7)
KEPT_ROWS = 1000
"""So many rows stay, however old they are: what came last is worth showing in a record that rests, too."""
MAX_REFS = 500
REF_BYTES = 17
_COMMITS_BETWEEN_SWEEPS = 128
_SWEPT_ROWS = 1000
_CODES = {
    ChangeKind.MESSAGE: b"m",
    ChangeKind.LLM_CALL: b"l",
    ChangeKind.TOOL_CALL: b"t",
    ChangeKind.ERROR: b"e",
    ChangeKind.RUN: b"r",
    ChangeKind.SESSION: b"s",
}
_KINDS = {code[0]: kind for kind, code in _CODES.items()}
_COMMITS = "commits that the log of arrivals has seen"


def _add(dialect: Dialect) -> Executable:
    names = ("project_id", "part", "user_uuid", "at", "refs")
    values: dict[str, Any] = {name: bindparam(name) for name in names}
    if dialect.name == "sqlite":
        earlier = arrivals.alias()
        newest = select(earlier.c.place).where(earlier.c.project_id == bindparam("project_id"))
        newest = newest.order_by(earlier.c.place.desc(), earlier.c.part.desc()).limit(literal_column("1"))
        following = func.coalesce(newest.scalar_subquery(), literal_column("0")) + literal_column("1")
        return insert(arrivals).values(place=following, **values)
    added = insert_for(dialect, arrivals, {"place": _whole(func.pg_current_xact_id()), **values})
    replaced = {name: added.excluded[name] for name in ("user_uuid", "at", "refs")}
    key = ["project_id", "place", "part"]
    return cast(Executable, added.on_conflict_do_update(index_elements=key, set_=replaced))


def _whole(transaction_id: Any) -> Any:
    """Return a transaction's id as a number."""
    return sql_cast(sql_cast(transaction_id, TEXT), BIGINT)


ADD_ARRIVAL = PerDialect(_add)


def _sweep() -> Prepared:
    mine = arrivals.c.project_id == bindparam("project_id")
    oldest = select(arrivals.c.place).where(mine).order_by(arrivals.c.place, arrivals.c.part).limit(_SWEPT_ROWS)
    newest = select(arrivals.c.place).where(mine).order_by(arrivals.c.place.desc(), arrivals.c.part.desc())
    return Prepared(
        delete(arrivals).where(
            mine,
            arrivals.c.place.in_(oldest),
            arrivals.c.place < newest.limit(1).offset(KEPT_ROWS).scalar_subquery(),
            arrivals.c.at < bindparam("before", type_=arrivals.c.at.type),
        )
    )


_SWEEP = _sweep()
_SWEEP_UNREACHED = Prepared(
    delete(arrivals).where(
        arrivals.c.project_id == bindparam("project_id"),
        # No row that this statement sees is of a transaction that its snapshot has yet to reach, but for its own.
        arrivals.c.place > _whole(func.pg_current_xact_id()),
        arrivals.c.place >= _whole(func.pg_snapshot_xmax(func.pg_current_snapshot())),
    )
)


class Arrivals:
    """What one transaction stores or changes, written as its last statement."""

    def __init__(self) -> None:
        """Start with nothing."""
        self._refs: dict[tuple[ProjectId, UUID], dict[bytes, None]] = {}

    def add(self, project: ProjectId, user: UUID, ref: bytes) -> None:
        """Take one fact; a fact that changes twice in a transaction is told once."""
        refs = self._refs.get((project, user))
        if refs is None:
            refs = self._refs[project, user] = {}
        refs[ref] = None

    def write(self, connection: Connection) -> None:
        """Write it all, in each project as somebody who sees the whole of it."""
        parts: dict[ProjectId, int] = {}
        for (project, user), refs in self._refs.items():
            connection.enter_scope(Scope(project=project))
            told = list(refs)
            for start in range(0, len(told), MAX_REFS):
                part = parts[project] = parts.get(project, -1) + 1
                packed = b"".join(told[start : start + MAX_REFS])
                connection.run(
                    ADD_ARRIVAL,
                    {"project_id": project, "part": part, "user_uuid": user, "at": connection.now, "refs": packed},
                )
        self._sweep_now_and_then(connection, parts)

    def _sweep_now_and_then(self, connection: Connection, projects: Mapping[ProjectId, int]) -> None:
        seen = connection.recall(_COMMITS)
        count = (seen if isinstance(seen, int) else 0) + 1
        connection.remember(_COMMITS, count)
        if count % _COMMITS_BETWEEN_SWEEPS == 0:
            for project in projects:
                connection.enter_scope(Scope(project=project))
                connection.run(_SWEEP, {"project_id": project, "before": connection.now - KEEP})
                if not connection.is_sqlite:
                    connection.run(_SWEEP_UNREACHED, {"project_id": project})


def note(conn: Connection, project: ProjectId, kind: ChangeKind, row: UUID, user: UUID) -> None:
    """Let the feed tell, once this transaction is committed, that a fact of `user` is new or different."""
    conn.before_commit(Arrivals, Arrivals).add(project, user, _CODES[kind] + row.bytes)


def announcing(statement: Prepared, kind: ChangeKind) -> Prepared:
    """Return an INSERT whose rows the feed tells: whoever stores such a fact cannot forget to."""
    code = _CODES[kind]

    def tell(conn: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        told = conn.before_commit(Arrivals, Arrivals)
        for row in rows:
            told.add(row["project_id"], row["user_uuid"], code + row["id"].bytes)

    statement.then = tell
    return statement


def unpack(refs: bytes) -> list[tuple[ChangeKind, UUID]]:
    """Return the kinds and ids that a row of the log holds, in the order in which they were noted."""
    return [
        (_KINDS[refs[start]], UUID(bytes=refs[start + 1 : start + REF_BYTES]))
        for start in range(0, len(refs), REF_BYTES)
    ]
