"""Write the DDL of the tables as they are declared now, for both dialects, as a migration's SQL files.

The policies that keep each table's rows within a scope come with them; SQLite has none.

    python scripts/draft_migration.py 1

Only for a migration that no release contains yet: a released one never changes.
"""

import sys
from pathlib import Path

from sqlalchemy import Dialect
from sqlalchemy.schema import CreateIndex, CreateTable

from agentrecord.engine.postgres import SCHEMA
from agentrecord.engine.postgres import new_dialect as postgresql
from agentrecord.engine.sqlite import new_dialect as sqlite
from agentrecord.schema import metadata, policies
from agentrecord.schema.tables import with_condition

FOLDER = Path(__file__).parent.parent / "src" / "agentrecord" / "migrations" / "sql"


def statements(dialect: Dialect, schema: str | None) -> list[str]:
    """Return the CREATE statements of every table and index, referred-to tables first."""
    found = []
    for table in metadata.sorted_tables:
        indexes = sorted(table.indexes, key=lambda i: str(i.name))
        constructs = [CreateTable(table), *(CreateIndex(with_condition(i, dialect.name)) for i in indexes)]
        for construct in constructs:
            text = str(
                construct.compile(
                    dialect=dialect,
                    schema_translate_map={None: schema} if schema else None,
                    render_schema_translate=bool(schema),
                )
            )
            found.append("\n".join(line.rstrip() for line in text.strip().splitlines()) + ";")
    return found


def main() -> None:
    """Write `NNNN_tables` and `NNNN_policies`, for each dialect."""
    number = int(sys.argv[1])
    for part, dialect, found in (
        ("tables", "sqlite", statements(sqlite(), None)),
        ("tables", "postgresql", statements(postgresql(), SCHEMA)),
        ("policies", "sqlite", ["-- SQLite has no row-level security."]),
        ("policies", "postgresql", policies.statements(SCHEMA)),
    ):
        path = FOLDER / f"{number:04d}_{part}.{dialect}.sql"
        path.write_text("\n\n".join(found) + "\n")
        print(f"wrote {path.name}")


if __name__ == "__main__":
    main()
