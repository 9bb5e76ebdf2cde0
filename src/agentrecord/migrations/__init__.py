"""Numbered steps that bring a database to this version's schema: forward only, each in one transaction.

A step is a few SQL files per dialect under `sql/`, which never change once released. On PostgreSQL the tables' owner is
bound by row-level security, too: a step that changes rows sets NO FORCE ROW LEVEL SECURITY before, and FORCE after.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from importlib.resources import files

from agentrecord.engine import Connection, Engine
from agentrecord.exceptions import Conflict, InvalidValue, SchemaMismatch

__all__ = ["LATEST", "STEPS", "Step", "check_readable", "current_version", "migrate", "publish_views"]


@dataclass(frozen=True, slots=True)
class Step:
    """One migration: its number, its name, and the SQL files it runs."""

    version: int
    name: str
    parts: tuple[str, ...]

    def statements(self, dialect: str) -> list[str]:
        """Return the step's statements in `dialect`'s words."""
        folder = files("agentrecord.migrations") / "sql"
        found: list[str] = []
        for part in self.parts:
            text = (folder / f"{self.version:04d}_{part}.{dialect}.sql").read_text(encoding="utf-8")
            found.extend(split_statements(text))
        return found


STEPS = (Step(1, "initial", ("tables", "policies", "extras")),)
LATEST = STEPS[-1].version
_PUBLISHED_IN = "agent_sdk"
_PUBLISHED = f"CREATE VIEW {_PUBLISHED_IN}."
_SCHEMA_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")


def split_statements(script: str) -> list[str]:
    """Split a script at semicolons that end a line; our own scripts have no others."""
    lines = [line for line in script.splitlines() if not line.startswith("--")]
    return [part.strip() for part in "\n".join(lines).split(";\n") if part.strip(" ;\n")]


def current_version(engine: Engine) -> int:
    """Return the schema version the database has; 0 for an empty one."""
    return engine.read(_version)


def _version(connection: Connection) -> int:
    ledger = "ar_schema" if connection.is_sqlite else "agentrecord.ar_schema"
    if connection.is_sqlite:
        found = connection.text("SELECT 1 FROM sqlite_master WHERE name = 'ar_schema'")
    else:
        found = connection.text("SELECT 1 FROM pg_class WHERE oid = to_regclass('agentrecord.ar_schema')")
    if not found:
        return 0
    return int(connection.text(f"SELECT coalesce(max(version), 0) FROM {ledger}")[0][0])


def migrate(engine: Engine, *, at: datetime) -> list[Step]:
    """Run the steps that are missing and return them.

    Raises `SchemaMismatch` if the database is newer than this program.
    """
    version = _known_version(engine)
    missing = [step for step in STEPS if step.version > version]
    for step in missing:
        # Another process may have run the step between our look and our turn.
        engine.execute_script(_script(engine, step, at), unless=partial(_has, step.version))
    return missing


def check_readable(engine: Engine) -> None:
    """Raise `SchemaMismatch` unless the database has the schema that this program reads."""
    version = _known_version(engine)
    if version < LATEST:
        raise SchemaMismatch(
            f"{engine.url} has schema {version}, this program reads {LATEST}: open it for writing once, to upgrade it"
        )


def publish_views(engine: Engine, schema: str) -> None:
    """Make the persistence module's documented tables readable in a PostgreSQL `schema` too, as views.

    They are in `agent_sdk` from the start. Raises `InvalidValue` for a name that needs quoting and `Conflict` if the
    schema holds other relations of those names.
    """
    if not _SCHEMA_NAME.fullmatch(schema):
        raise InvalidValue("schema", schema, "is no plain name; use at most 63 letters, digits and underscores")
    name = schema.lower()
    if engine.dialect.name == "sqlite" or name == _PUBLISHED_IN:
        return
    found = [text for step in STEPS for text in step.statements(engine.dialect.name) if text.startswith(_PUBLISHED)]
    taken = "SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace(%s) AND relname = ANY(%s)"
    wanted = [text.removeprefix(_PUBLISHED).split(maxsplit=1)[0] for text in found]
    there = engine.read(lambda conn: conn.text(taken + " AND relkind = 'v'", (f'"{name}"', wanted)))
    if len(there) == len(wanted):
        # Made by whoever owns the database; a role that only works in it need not be allowed to.
        return
    tables = engine.read(lambda conn: conn.text(taken + " AND relkind <> 'v'", (f'"{name}"', wanted)))
    if tables:
        raise Conflict("schema", schema, f"has a table {tables[0][0]} already; name another schema")
    views = [text.replace(_PUBLISHED, f'CREATE OR REPLACE VIEW "{name}".', 1) for text in found]
    engine.execute_script([f'CREATE SCHEMA IF NOT EXISTS "{name}"', *views])


def _known_version(engine: Engine) -> int:
    version = current_version(engine)
    if version > LATEST:
        raise SchemaMismatch(
            f"{engine.url} has schema {version}, this program knows {LATEST}: upgrade agentrecord to open it"
        )
    return version


def _has(version: int, connection: Connection) -> bool:
    return _version(connection) >= version


def _script(engine: Engine, step: Step, at: datetime) -> list[str]:
    dialect = engine.dialect.name
    ledger = "ar_schema" if dialect == "sqlite" else "agentrecord.ar_schema"
    before = [] if dialect == "sqlite" or step.version > 1 else ["CREATE SCHEMA IF NOT EXISTS agentrecord"]
    micros = int(at.timestamp() * 1_000_000)
    after = [f"INSERT INTO {ledger} (version, name, applied_at) VALUES ({step.version}, '{step.name}', {micros})"]
    if dialect == "sqlite":
        after.append(f"PRAGMA user_version = {step.version}")
    return [*before, *step.statements(dialect), *after]
