"""Uses of tools in a record of many calls, and what tools are charged: made inside SQLite, as the calls are."""

import sqlite3
from collections.abc import Mapping

from agentrecord.schema import tool_usage_days, tool_usage_hours
from agentrecord.schema.tables import USAGE_COUNTERS
from agentrecord.schema.usage import CUT_KEYS, DAY_CUTS, DIMENSIONS, DIVIDED, HOUR_CUTS, UNDIVIDED

TOOLS = ("Bash", "Edit", "Glob", "Grep", "Read", "WebFetch", "Write", "search")
NIL = "zeroblob(16)"
DAY_MICROS = 86_400_000_000
_FOR = "CASE c.place % 10 WHEN 4 THEN 2 ELSE c.place % 10 < 5 END"
"""How many tools a call asks for: of ten calls four ask for one, and one for two."""


def use(bare: sqlite3.Connection, columns: Mapping[str, str]) -> None:
    """Let calls of the copies ask for tools; `columns` is what a use copies from a template's, by column, named t."""
    bare.execute(
        "CREATE TEMP TABLE asking AS SELECT c.id, row_number() OVER (ORDER BY c.rowid) AS place, c.timestamp,"
        " c.session_uuid, c.run_uuid, c.user_uuid, c.agent_uuid FROM ar_llm_calls c"
        " JOIN ar_runs r ON r.project_id = c.project_id AND r.id = c.run_uuid WHERE r.run_id LIKE 'r%'"
    )
    tool = "CASE (c.place / 3 + k.k * 3) % 8 " + " ".join(f"WHEN {n} THEN '{name}'" for n, name in enumerate(TOOLS))
    changed = {
        "id": "randomblob(16)", "serial": "NULL", "tool_name": f"{tool} END", "user_uuid": "c.user_uuid",
        "agent_uuid": "c.agent_uuid", "session_uuid": "c.session_uuid", "run_uuid": "c.run_uuid",
        "started_at": "c.timestamp + 50000 * (k.k + 1)", "finished_at": "c.timestamp + 150000 * (k.k + 1)",
        "created_at": "c.timestamp", "duration_ms": "100 * (k.k + 1)",
    }  # fmt: skip
    copied = ", ".join(changed.get(name, value) for name, value in columns.items())
    bare.execute(
        f"INSERT INTO ar_tool_calls SELECT {copied} FROM asking c, (SELECT 0 AS k UNION ALL SELECT 1) k"
        f" JOIN (SELECT * FROM ar_tool_calls LIMIT 1) t WHERE k.k < {_FOR}"
    )
    bare.execute(
        f"INSERT INTO ar_call_tools SELECT t.project_id, c.id, {tool} END, c.user_uuid FROM asking c,"
        f" (SELECT 0 AS k UNION ALL SELECT 1) k, (SELECT project_id FROM ar_tool_calls LIMIT 1) t WHERE k.k < {_FOR}"
    )


def count(bare: sqlite3.Connection) -> None:
    """Count the uses anew wherever they are counted, and what calls cost by the tools that they asked for."""
    for table, key in (("ar_runs", "run_uuid"), ("ar_sessions", "session_uuid")):
        bare.execute(
            f"UPDATE {table} AS t SET tool_call_count = (SELECT count(*) FROM ar_tool_calls u"
            f" WHERE u.project_id = t.project_id AND u.{key} = t.id)"
        )
    used = f"FROM ar_tool_calls GROUP BY project_id, started_at / {DAY_MICROS}, user_uuid, agent_uuid"
    key = f"SELECT project_id, started_at / {DAY_MICROS}, user_uuid, coalesce(agent_uuid, {NIL})"
    bare.execute("DELETE FROM ar_tool_days")
    bare.execute(
        f"INSERT INTO ar_tool_days {key}, tool_name, count(*), 0, sum(duration_ms), count(duration_ms)"
        f" {used}, tool_name"
    )
    bare.execute("UPDATE ar_activity_days SET tool_calls = 0")
    bare.execute(
        f"INSERT INTO ar_activity_days (project_id, day, user_uuid, agent_uuid, tool_calls) {key}, count(*) {used}"
        " ON CONFLICT DO UPDATE SET tool_calls = excluded.tool_calls"
    )
    _charge(bare)


def _charge(bare: sqlite3.Connection) -> None:
    kept = ", ".join(f"coalesce(c.{name}, {NIL}) AS {name}" for name in DIMENSIONS)
    added = {
        "calls": "1", "failed_calls": "c.status = 'error'", "unpriced_calls": "c.cost_nanos IS NULL",
        "uncounted_calls": "c.input_tokens IS NULL OR c.output_tokens IS NULL",
        "latency_ms_sum": "coalesce(c.latency_ms, 0)", "latency_count": "c.latency_ms IS NOT NULL",
        **{name: f"(coalesce(c.{name}, 0) + a.tools - a.place) / a.tools" for name in DIVIDED},
    }  # fmt: skip
    shares = [f"{added[name]} AS {name}" for name in USAGE_COUNTERS]
    once = [f"CASE a.place WHEN 1 THEN {added[name]} ELSE 0 END AS once_{name}" for name in UNDIVIDED]
    bare.execute(
        f"CREATE TEMP TABLE charged AS SELECT c.project_id, c.timestamp AS at, a.tool_name, {kept},"
        f" {', '.join([*shares, *once])} FROM (SELECT llm_call_uuid, tool_name,"
        " count(*) OVER (PARTITION BY llm_call_uuid) AS tools,"
        " row_number() OVER (PARTITION BY llm_call_uuid ORDER BY tool_name) AS place FROM ar_call_tools) a"
        " CROSS JOIN ar_llm_calls c ON c.project_id = (SELECT project_id FROM ar_call_tools LIMIT 1)"
        " AND c.id = a.llm_call_uuid"
    )
    for table, cuts, hours in ((tool_usage_hours, HOUR_CUTS, 1), (tool_usage_days, DAY_CUTS, 24)):
        bare.execute(f"DELETE FROM {table.name}")
        for cut in cuts:
            told = {name: name if name in CUT_KEYS[cut] else NIL for name in DIMENSIONS}
            values = {
                "project_id": "project_id", "cut": f"'{cut}'", "bucket": f"at / {hours * 3_600_000_000}",
                "tool_name": "tool_name", **told, "first_at": "min(at)", "last_at": "max(at)",
            }  # fmt: skip
            columns = [values.get(c.name, f"sum({c.name})") for c in table.c]
            keys = ", ".join(values[c.name] for c in table.primary_key if "'" not in values[c.name])
            bare.execute(f"INSERT INTO {table.name} SELECT {', '.join(columns)} FROM charged GROUP BY {keys}")
