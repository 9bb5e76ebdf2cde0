"""The three documented back ends: a SQLite file, PostgreSQL, and memory."""

import os
from pathlib import Path
from typing import Any  # `Any`: plain values by name
from urllib.parse import urlencode

from agentrecord.adapters.persistence import convert
from agentrecord.adapters.persistence.base import StorePersistence
from agentrecord.codec import values
from agentrecord.exceptions import InvalidValue
from agentrecord.migrations import publish_views
from agentrecord.store import Store, opened

DEFAULT_FILE = "agent_sdk.db"
DEFAULT_SCHEMA = "agent_sdk"


class SQLitePersistence(StorePersistence):
    """A SQLite file; several processes may share it."""

    def __init__(self, db_path: str = DEFAULT_FILE) -> None:
        """Open or make the file, and the folders above it."""
        self.db_path = db_path
        Path(db_path).expanduser().parent.mkdir(parents=True, exist_ok=True)
        super().__init__(Store(str(db_path)))


class PostgresPersistence(StorePersistence):
    """A PostgreSQL database, with a pool of connections.

    What is not given comes from the environment: `DB_HOST`, `DB_PORT`, `DB_NAME`, `DB_USER`, `DB_PASSWORD`,
    `DB_SCHEMA`; else it is localhost, 5432, agent_sdk, postgres, no password, agent_sdk.
    """

    def __init__(
        self,
        host: str | None = None,
        port: int | None = None,
        database: str | None = None,
        user: str | None = None,
        password: str | None = None,
        schema: str | None = None,
        min_connections: int = 1,
        max_connections: int = 10,
    ) -> None:
        """Connect, make the tables and, in `schema`, the documented views; raise `StoreUnavailable` if none answers."""
        self.host = _given(host, "DB_HOST", "localhost")
        self.port = _port(port)
        self.database = _given(database, "DB_NAME", "agent_sdk")
        self.user = _given(user, "DB_USER", "postgres")
        self.schema = _given(schema, "DB_SCHEMA", DEFAULT_SCHEMA)
        values.integer("min_connections", min_connections, minimum=1)
        values.integer("max_connections", max_connections, minimum=min_connections)
        address = {
            "host": self.host,
            "port": str(self.port),
            "dbname": self.database,
            "user": self.user,
            "password": _given(password, "DB_PASSWORD", ""),
        }
        url = f"postgresql://?{urlencode({name: value for name, value in address.items() if value})}"
        super().__init__(Store(engine=opened(url, pool=(min_connections, max_connections))))
        try:
            self.initialize_schema()
        except BaseException:
            self.close()
            raise

    def initialize_schema(self) -> None:
        """Make the documented tables readable by their names in the schema; the core tables are there already."""
        publish_views(self.store.engine, self.schema)


def _given(value: str | None, variable: str, default: str) -> str:
    return os.environ.get(variable) or default if value is None else value


def _port(port: int | None) -> int:
    if port is not None:
        return values.integer("port", port, minimum=1, maximum=65_535)
    told = os.environ.get("DB_PORT") or "5432"
    if not told.isdecimal():
        raise InvalidValue("DB_PORT", told, "is no port; use a number from 1 to 65535")
    return values.integer("DB_PORT", int(told), minimum=1, maximum=65_535)


class InMemoryPersistence(StorePersistence):
    """A record that ends with the process."""

    def __init__(self) -> None:
        """Make an empty record."""
        super().__init__(Store("memory:"))

    def clear_all(self) -> None:
        """Drop everything and start anew."""
        gone = self.store
        super().__init__(Store("memory:"))
        gone.close()

    def get_all_data(self) -> dict[str, Any]:
        """Return everything as plain values: `runs` and `events` by `run_id`, and `llm_usage`, oldest first."""
        runs = self.get_agent_runs(limit=2**31 - 1)[::-1]
        usage = self.get_llm_usage(limit=2**31 - 1)[::-1]
        events: dict[str, list[dict[str, Any]]] = {run.run_id: [] for run in runs}
        for named in self.store.events.named():
            events.setdefault(named.run_id or "", []).append(convert.event_model(named).to_dict())
        return {
            "runs": {run.run_id: run.to_dict() for run in runs},
            "events": events,
            "llm_usage": [call.to_dict() for call in usage],
        }
