"""Looking after the whole record: rows by table, references that lead nowhere, damage, the search index, recounts."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from uuid import UUID

from sqlalchemy import select

from agentrecord.engine import Connection, Engine
from agentrecord.engine.sqlite import SqliteEngine
from agentrecord.exceptions import AgentRecordError
from agentrecord.ids import NIL, ProjectId
from agentrecord.records.page import MAX_PAGE
from agentrecord.records.project import Project
from agentrecord.records.scope import Scope
from agentrecord.schema import llm_calls, metadata, projects, runs, sessions
from agentrecord.store._store import Store

_POSTGRESQL_PREFIX = "agentrecord."


def rows_by_table(engine: Engine) -> dict[str, int]:
    """Return how many rows each table has, by name."""

    def ask(conn: Connection) -> dict[str, int]:
        if conn.is_sqlite:
            return _counted(conn, sorted(metadata.tables), "")
        of_projects = {name for name, table in metadata.tables.items() if "project_id" in table.c}
        found = _counted(conn, sorted(set(metadata.tables) - of_projects), "")
        for project in _each_project(conn):
            for name, count in _counted(conn, sorted(of_projects), f" WHERE project_id = '{project}'").items():
                found[name] = found.get(name, 0) + count
        return dict(sorted(found.items()))

    return engine.read(ask)


def estimated_rows(engine: Engine) -> dict[str, int | None]:
    """Return about how many rows each table has, without counting them; None where nothing is known yet.

    SQLite numbers rows as they come, so that what was deleted is still in the figure; PostgreSQL keeps an estimate of
    its own, as of the last VACUUM or ANALYZE.
    """

    def ask(conn: Connection) -> dict[str, int | None]:
        names = sorted(metadata.tables)
        if conn.is_sqlite:
            known = [name for name in names if metadata.tables[name].dialect_options["sqlite"]["with_rowid"]]
            (row,) = conn.text("SELECT " + ", ".join(f"(SELECT max(rowid) FROM {name})" for name in known))
            found = {name: newest or 0 for name, newest in zip(known, row, strict=True)}
            return {name: found.get(name) for name in names}
        estimates = conn.text(
            "SELECT relname::text, reltuples::bigint FROM pg_class"
            " WHERE relnamespace = to_regnamespace('agentrecord') AND relkind IN ('r', 'p')"
        )
        counted = {str(row[0]): int(row[1]) for row in estimates}
        return {name: counted[name] if counted.get(name, -1) >= 0 else None for name in names}

    return engine.read(ask)


def _each_project(conn: Connection) -> Iterator[UUID]:
    """Enter every project in turn, and nobody's for what all share: no statement sees two of them."""
    for project in (NIL, *(row[0] for row in conn.rows(select(projects.c.id)))):
        conn.enter_scope(Scope(project=ProjectId(project)))
        yield project


def _counted(conn: Connection, names: Sequence[str], condition: str) -> dict[str, int]:
    prefix = "" if conn.is_sqlite else _POSTGRESQL_PREFIX
    counts = ", ".join(f"(SELECT count(*) FROM {prefix}{name}{condition})" for name in names)
    (row,) = conn.text(f"SELECT {counts}")
    return dict(zip(names, map(int, row), strict=True))


def broken_references(engine: Engine) -> list[str]:
    """Return references that lead nowhere; a PostgreSQL server does not let them come about."""

    def ask(conn: Connection) -> list[str]:
        rows = conn.text("PRAGMA foreign_key_check") if conn.is_sqlite else []
        return [f"{table} row {row} refers to a row of {parent} that is not there" for table, row, parent, _ in rows]

    return engine.read(ask)


def damage(engine: Engine) -> list[str]:
    """Return what SQLite finds wrong with the file; a PostgreSQL server checks its own pages as it reads them."""

    def ask(conn: Connection) -> list[str]:
        return [str(row[0]) for row in conn.text("PRAGMA integrity_check")] if conn.is_sqlite else []

    return [line for line in engine.read(ask) if line != "ok"]


def search_faults(engine: Engine) -> list[str]:
    """Return what is wrong with the search index."""
    maintain = getattr(engine, "maintain", None)
    if maintain is None:
        return []
    try:
        maintain("INSERT INTO ar_search_index (ar_search_index) VALUES ('integrity-check')")
    except AgentRecordError as error:
        return [f"the search index does not fit its messages: {error}"]
    return []


def compact(engine: SqliteEngine) -> None:
    """Give the space of what was deleted back to the disk; no byte of what was purged is left in the files then.

    The search index keeps a word that was deleted until its parts are merged.
    """
    engine.maintain("INSERT INTO ar_search_index (ar_search_index) VALUES ('optimize')")
    engine.maintain("VACUUM")
    engine.checkpoint()


def projects_of(store: Store) -> Iterator[Project]:
    """Yield every project of the record."""
    cursor = None
    while True:
        page = store.projects.list(limit=MAX_PAGE, cursor=cursor)
        yield from page
        cursor = page.next_cursor
        if cursor is None:
            return


def in_project(store: Store, project: Project) -> Store:
    """Return the same record, seen from one project by all of its users."""
    return Store(engine=store.engine, scope=replace(store.scope, project=project.id, user=None))


def wrong_figures(store: Store) -> list[str]:
    """Return every counter and daily figure, of all projects, that a recount contradicts."""
    return [
        f"{project.name}: {found.table} {found.key} {found.figure} is {found.kept}, its rows say {found.counted}"
        for project in projects_of(store)
        for found in in_project(store, project).usage.recount()
    ]


def audit_faults(store: Store) -> list[str]:
    """Return the audit entries, of all projects, whose content or chain does not fit."""
    return [
        f"{project.name}: audit entry {sequence} was changed, or one before it was taken out"
        for project in projects_of(store)
        for sequence in in_project(store, project).audit.verify()
    ]


def is_empty(engine: Engine) -> bool:
    """Say whether nothing was ever recorded."""

    def ask(conn: Connection) -> bool:
        return not any(
            conn.first(select(table.c.id).where(table.c.project_id == project).limit(1))
            for project in _each_project(conn)
            for table in (sessions, runs, llm_calls)
        )

    return engine.read(ask)
