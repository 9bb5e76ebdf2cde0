"""PostgreSQL roles: which ones row-level security binds, and what a role needs to run the store and no more."""

from agentrecord.engine import Connection, Engine
from agentrecord.exceptions import InvalidValue, NotFound, StoreUnavailable
from agentrecord.migrations import check_readable
from agentrecord.schema import metadata, policies

SCHEMAS = ("agentrecord", "system", "agent_sdk")
SEARCH_TABLE = "ar_search"
MEND = "CREATE ROLE agentrecord_app LOGIN PASSWORD '…'; then `agentrecord db grant agentrecord_app`, and connect as it"
"""What to do about a role that row-level security does not bind."""

READ_ONLY = frozenset({"ar_schema"})
"""Tables that only migrations write."""

_ROLE = """
SELECT quote_ident(rolname), rolsuper, rolbypassrls, EXISTS (
	SELECT FROM pg_class WHERE relnamespace = to_regnamespace('agentrecord') AND pg_has_role(r.oid, relowner, 'MEMBER'))
FROM pg_roles AS r WHERE rolname = """
_UNBOUND = """
SELECT relname::text FROM pg_class
WHERE relnamespace = to_regnamespace('agentrecord') AND relkind IN ('r', 'p') AND relname = ANY(%s)
	AND NOT (relrowsecurity AND relforcerowsecurity) ORDER BY 1"""


def bypass_of(engine: Engine) -> str | None:
    """Return why row-level security does not bind the role that the record is opened with; None if it does.

    None, too, for an engine that has no such thing: SQLite isolates by the conditions of its statements alone.
    """
    if engine.dialect.name == "sqlite":
        return None
    return engine.read(bypass)


def bypass(conn: Connection) -> str | None:
    """Return why row-level security does not bind a PostgreSQL connection's role; None if it does."""
    ((name, is_super, bypasses, _),) = conn.text(f"{_ROLE}current_user")
    if is_super:
        return f"the role {name} is a superuser"
    if bypasses:
        return f"the role {name} has BYPASSRLS"
    bound = [table.name for table in policies.tables()]
    unbound = [str(row[0]) for row in conn.text(_UNBOUND, (bound,))]
    return f"it is off for {', '.join(unbound)}" if unbound else None


def grant(engine: Engine, role: str) -> str:
    """Give an existing role what the store needs at run time, and return its name as SQL quotes it.

    It may use the schemas, read and write the tables, and read the views; it may make or change none of them. Again
    after a migration, it is given what is new. Raises `StoreUnavailable` where the record is no PostgreSQL database,
    `NotFound` for a role that is not there, and `InvalidValue` for one that row-level security would not bind.
    """
    if engine.dialect.name == "sqlite":
        raise StoreUnavailable("this record is a file: roles are PostgreSQL's; the file's permissions say who reads it")
    check_readable(engine)
    quoted = engine.read(lambda conn: _grantable(conn, role))
    tables = [*[table.name for table in metadata.sorted_tables], SEARCH_TABLE]
    statements = [f"GRANT USAGE ON SCHEMA {', '.join(SCHEMAS)} TO {quoted}"]
    statements.extend(f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {quoted}" for schema in SCHEMAS)
    statements.extend(
        f"GRANT INSERT, UPDATE, DELETE ON agentrecord.{name} TO {quoted}" for name in tables if name not in READ_ONLY
    )
    engine.execute_script(statements)
    return quoted


def _grantable(conn: Connection, role: str) -> str:
    rows = conn.text(f"{_ROLE}%s", (role,))
    if not rows:
        raise NotFound("role", role)
    quoted, is_super, bypasses, owns = rows[0]
    if is_super:
        raise InvalidValue("role", role, "is a superuser, which row-level security does not bind: name another")
    if bypasses:
        raise InvalidValue("role", role, f"bypasses row-level security: ALTER ROLE {quoted} NOBYPASSRLS first")
    if owns:
        raise InvalidValue("role", role, "owns the tables, or is a member of the role that does: name another")
    return str(quoted)
