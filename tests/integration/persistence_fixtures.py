"""What the tests of the persistence module share: its three back ends, opened fresh."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agentrecord.adapters.persistence import (
    InMemoryPersistence,
    PostgresPersistence,
    SQLitePersistence,
    StorePersistence,
)
from databases import Databases

BACK_ENDS = ("memory", "sqlite", "postgresql")


def parts_of(url: str) -> dict[str, Any]:
    """Return a PostgreSQL address as the documented arguments."""
    from psycopg.conninfo import conninfo_to_dict

    told = conninfo_to_dict(url)
    return {"host": told["host"], "database": told["dbname"], "user": told["user"], "port": int(told.get("port", 5432))}


@pytest.fixture
def opened(databases: Databases, tmp_path: Path) -> Iterator[Callable[[str], StorePersistence]]:
    """Return what opens a fresh back end."""
    made: list[tuple[StorePersistence, str]] = []

    def open_(back_end: str) -> StorePersistence:
        url = ""
        found: StorePersistence
        if back_end == "memory":
            found = InMemoryPersistence()
        elif back_end == "sqlite":
            found = SQLitePersistence(str(tmp_path / "folder" / "agent.db"))
        else:
            url = databases.create("postgresql")
            found = PostgresPersistence(**parts_of(url))
        made.append((found, url))
        return found

    yield open_
    for found, url in made:
        found.close()
        if url:
            databases.drop(url)
