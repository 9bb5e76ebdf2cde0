"""Row-level security in PostgreSQL: which rows of each table a transaction sees, by the scope that it entered.

The settings `app.project` and `app.user` hold the scope (see `engine.row_security`); each is asked once a statement,
in a subquery, not once a row. Without a project no row is seen, and none can be written.
"""

from sqlalchemy import Table

from agentrecord.schema.tables import GLOBAL_TABLES, metadata

PROJECT = "(SELECT nullif(current_setting('app.project', true), '')::uuid)"
USER = "(SELECT nullif(current_setting('app.user', true), '')::uuid)"
LOOKED_UP = frozenset({"ar_api_keys", "ar_memberships"})
"""Read before the project is known, by a secret's public part or by an account; written within a project only."""

SHARED = {"ar_serials": "00000000-0000-0000-0000-000000000000"}
"""Tables that keep rows for all projects under a project of nobody's: the counters of the global tables."""


def tables() -> list[Table]:
    """Return the tables that row-level security binds: those of a project, and those that are looked up before."""
    unbound = GLOBAL_TABLES - LOOKED_UP
    return [table for table in metadata.sorted_tables if "project_id" in table.c and table.name not in unbound]


def condition_of(table: Table) -> str:
    """Return the condition that a table's rows must meet to be seen and written."""
    return f"{_of_project(table)}{_of_user(table)}"


def _of_project(table: Table) -> str:
    if table.name in SHARED:
        return f"project_id IN ({PROJECT}, '{SHARED[table.name]}') AND {PROJECT} IS NOT NULL"
    return f"project_id = {PROJECT}"


def _of_user(table: Table) -> str:
    """Return the further condition for a scope of one user: own rows, and what hangs on them."""
    if table.name == "ar_users":
        return f"\n\tAND ({USER} IS NULL OR id = {USER})"
    if "user_uuid" in table.c:
        everybodys = " OR user_uuid IS NULL" if table.c.user_uuid.nullable and table.name not in LOOKED_UP else ""
        return f"\n\tAND ({USER} IS NULL OR user_uuid = {USER}{everybodys})"
    for key in sorted(table.foreign_key_constraints, key=lambda found: str(found.name)):
        parent = key.referred_table
        if "user_uuid" in parent.c:
            # The parent's own policy says whether it is seen.
            pairs = zip(key.elements, key.column_keys, strict=True)
            joined = " AND ".join(f"parent.{one.column.name} = {table.name}.{child}" for one, child in pairs)
            seen = f"SELECT FROM agentrecord.{parent.name} AS parent\n\t\tWHERE {joined}"
            return f"\n\tAND ({USER} IS NULL OR EXISTS (\n\t\t{seen}))"
    return ""


def binds_users(table: Table) -> bool:
    """Say whether a scope of one user sees less of a table than its project does."""
    return bool(_of_user(table))


def statements(schema: str) -> list[str]:
    """Return what binds every table that has a `project_id`, its owner too, to the scope entered."""
    found = []
    for table in tables():
        name = f"{schema}.{table.name}"
        found.append(f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY;")
        found.append(f"ALTER TABLE {name} FORCE ROW LEVEL SECURITY;")
        found.append(f"CREATE POLICY in_scope ON {name} USING (\n\t{condition_of(table)}\n);")
        if table.name in LOOKED_UP:
            found.append(f"CREATE POLICY looked_up ON {name} FOR SELECT USING (true);")
    return found
