"""What the rules for growing past one machine say about the SQL that is sent, checked statement by statement."""

import re

from agentrecord.schema import GLOBAL_TABLES, metadata

_SCOPED = sorted((set(metadata.tables) - GLOBAL_TABLES) | {"ar_search"}, key=len, reverse=True)
_TABLE = re.compile(
    rf"(FROM|JOIN|UPDATE|INTO|,)\s+agentrecord\.({'|'.join(_SCOPED)})\b(?:\s+AS\s+(\w+))?", re.IGNORECASE
)
_CHANGES = re.compile(r"\bUPDATE\b|\bON CONFLICT\b", re.IGNORECASE)
_VOLATILE = re.compile(r"\b(now|random|clock_timestamp|statement_timestamp|gen_random_uuid)\s*\(|\bcurrent_time", re.I)
_FORBIDDEN = re.compile(
    r"^\s*SET\s+(?!LOCAL)|pg_advisory_lock|pg_advisory_unlock|nextval\(|max\(\w*sequence\w*\)\s*\+", re.IGNORECASE
)


def wrong_with(sql: str) -> list[str]:
    """Return what is wrong with a PostgreSQL statement; empty for nothing."""
    found = []
    if _CHANGES.search(sql) and _VOLATILE.search(sql):
        found.append("an UPDATE or ON CONFLICT takes the time or chance from the server")
    if _FORBIDDEN.search(sql):
        found.append("sets something for the session, or locks it, or counts with max()+1")
    found.extend(_unscoped(sql))
    return found


def _unscoped(sql: str) -> list[str]:
    tables = _TABLE.findall(sql)
    found = []
    for how, table, alias in tables:
        if how.upper() == "INTO":
            listed = re.search(rf"{table}\s*\(([^)]*)\)", sql)
            if listed is None or "project_id" not in listed[1]:
                found.append(f"inserts into {table} without a project_id")
            continue
        name = alias if alias and alias.upper() not in ("WHERE", "SET", "ON") else f"agentrecord.{table}"
        bare = len(tables) == 1 and re.search(r"(?<![.\w])project_id\s*=", sql)
        own = re.search(rf"(?<![.\w]){re.escape(name)}\.project_id\s*=|=\s*{re.escape(name)}\.project_id\b", sql)
        if not bare and not own:
            found.append(f"reads or writes {table} without its project_id")
    return found
